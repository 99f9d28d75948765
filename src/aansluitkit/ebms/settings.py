"""The adapter's settings file."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    IPvAnyAddress,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from aansluitkit.ebms.handler import Identity
from aansluitkit.ebms.scenarios import LATE_SECONDS, Scenario
from aansluitkit.errors import KitError

Port = Annotated[int, Field(ge=0, le=65535)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OffloadSettings(_Settings):
    """A load balancer ends TLS: it alone may connect, and passes the client's certificate on.

    ``header`` carries the certificate as URL-encoded PEM; a request from another address than those in ``addresses``
    is refused.
    """

    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]
    addresses: Annotated[frozenset[IPvAnyAddress], Field(min_length=1)]


class DeliverySettings(_Settings):
    """How many messages are sent at once."""

    parallel: Annotated[int, Field(ge=1, le=256)] = 16


class PairSettings(_Settings):
    """A certificate with its chain, leaf first, and its key, both PEM."""

    certificate_file: Path
    key_file: Path

    @property
    def files(self) -> tuple[Path, Path]:
        """Both."""
        return self.certificate_file, self.key_file


class EbmsSettings(_Settings):
    """Where messages come in; ``trust_file`` has the roots of those who may connect.

    ``crl_file`` has the CRLs of their chains: without it revocation is not looked up. It may
    come later than the adapter, which accepts nobody until then. ``issuers_file`` has the authorities between them and
    the roots, which may have been revoked as well. ``signing`` and ``encryption`` are the certificates of a party that
    has others for these than for TLS. ``others`` are there while a certificate is being renewed: what was
    encrypted for the former or the next one is read with their keys, and where the CPA names one of them it signs.
    """

    address: str
    port: Port
    path: Annotated[str, Field(pattern="^/.")]
    certificate_file: FilePath
    key_file: FilePath
    signing: PairSettings | None = None
    encryption: PairSettings | None = None
    others: tuple[PairSettings, ...] = ()
    trust_file: FilePath
    issuers_file: FilePath | None = None
    crl_file: Path | None = None
    maximum_body_bytes: Annotated[int, Field(ge=1024)] = 20 * 1024 * 1024
    client_identity: Identity = Identity.OIN
    offload: OffloadSettings | None = None

    @property
    def tls(self) -> PairSettings:
        """What TLS shows."""
        return PairSettings(certificate_file=self.certificate_file, key_file=self.key_file)

    @property
    def certificate_files(self) -> tuple[Path, ...]:
        """The files with certificates and keys of ours, those included that need not be there."""
        pairs = (self.tls, self.signing, self.encryption, *self.others)
        return tuple(file for pair in pairs if pair for file in pair.files)


class RestSettings(_Settings):
    """Where applications and administrators come in."""

    address: str
    port: Port
    certificate_file: FilePath
    key_file: FilePath
    user: Annotated[str, Field(min_length=1)]
    password_file: FilePath


class HealthSettings(_Settings):
    """Where the load balancer asks."""

    address: str
    port: Port


class WebhookSettings(_Settings):
    """Where received messages are posted; ``token_file`` has a bearer token (RFC 6750), ``trust_file`` the roots."""

    url: str
    trust_file: FilePath | None = None
    token_file: FilePath | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30

    @field_validator("url")
    @classmethod
    def _guarded(cls, url: str) -> str:
        """Messages and token go over a network by TLS alone."""
        try:
            parts = urlsplit(url)
            usable = bool(parts.hostname) and parts.username is None and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if not usable or not (parts.scheme == "https" or (parts.scheme == "http" and _on_loopback(parts.hostname))):
            expected = "expected is https://host/path without a user, or http:// to a loopback address; change the URL"
            raise PydanticCustomError("webhook_url", expected)  # type: ignore[arg-type,unused-ignore]
        return url

    @field_validator("token_file")
    @classmethod
    def _token(cls, path: Path | None) -> Path | None:
        if path and not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", read_secret(path)):
            raise PydanticCustomError("webhook_token", "expected is one line with a bearer token; write it in the file")
        return path


class StandInSettings(_Settings):
    """A partner that is played: in the lab and in drills, never where messages count.

    With ``echo`` it answers each EchoRequest by an EchoResponse, as the Compliancevoorziening does. ``scenario`` is how
    it misbehaves; if ``switchable``, REST can change that. The two files hold key and certificates (PEM) for the
    scenarios that are named after them.
    """

    echo: bool = False
    scenario: Scenario | None = None
    late_seconds: Annotated[float, Field(gt=0, le=600)] = LATE_SECONDS
    switchable: bool = False
    expired_certificate_file: FilePath | None = None
    wrong_certificate_file: FilePath | None = None

    @property
    def certificates(self) -> dict[Scenario, Path]:
        """The file of each scenario that has one."""
        files = {
            Scenario.EXPIRED_CERTIFICATE: self.expired_certificate_file,
            Scenario.WRONG_CERTIFICATE: self.wrong_certificate_file,
        }
        return {scenario: file for scenario, file in files.items() if file}

    def can_play(self, scenario: Scenario | None) -> bool:
        """Whether everything is there that ``scenario`` wants."""
        wanted = (Scenario.EXPIRED_CERTIFICATE, Scenario.WRONG_CERTIFICATE)
        return scenario not in wanted or scenario in self.certificates

    @model_validator(mode="after")
    def _playable(self) -> Self:
        if not self.can_play(self.scenario):
            expected = f"scenario {self.scenario} needs {self.scenario}_file, with a key and certificates in PEM"
            raise PydanticCustomError("scenario", expected)  # type: ignore[arg-type,unused-ignore]
        return self


class Settings(_Settings):
    """Everything; ``domain`` stands behind the @ of message ids, ``node`` names this process in logs."""

    node: Annotated[str, Field(min_length=1)]
    domain: Annotated[str, Field(min_length=1)]
    database: str
    database_password_file: FilePath | None = None
    ebms: EbmsSettings
    rest: RestSettings
    health: HealthSettings
    delivery: DeliverySettings = DeliverySettings()
    webhook: WebhookSettings | None = None
    retention_days: Annotated[float, Field(gt=0)] = 7  # of messages that have ended
    pong_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30
    log_format: Literal["text", "json"] = "text"
    stand_in: StandInSettings | None = None

    @property
    def database_password(self) -> str | None:
        """The password, or None when the database wants none."""
        return read_secret(self.database_password_file) if self.database_password_file else None


def read_secret(path: Path) -> str:
    """The secret in ``path``, without the line's end."""
    return path.read_text(encoding="utf-8").rstrip("\n")


def _on_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def read_settings(path: Path) -> Settings:
    """Read the settings in ``path``.

    Raises:
        KitError: when the file can't be read or a setting is wrong; one line per setting.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KitError(f"{path} can't be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise KitError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    try:
        return Settings.model_validate(content)
    except OSError as error:
        raise KitError(f"{path}: {error.filename} can't be read: {error.strerror}") from error
    except ValidationError as error:
        raise KitError("\n".join(_told(path, detail) for detail in error.errors())) from error


def _told(path: Path, detail: object) -> str:
    assert isinstance(detail, dict)  # noqa: S101 - for the type checker
    place = ".".join(str(part) for part in detail["loc"]) or "the whole file"
    return f"{path}: {place}: {detail['msg']}"
