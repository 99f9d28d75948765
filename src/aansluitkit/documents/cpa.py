"""The CPA and the consumerspecificatie of a connection.

The same connection and certificates give the same bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import TypeAdapter

from aansluitkit.agreement.rules import check
from aansluitkit.certificates.facts import read_leaf
from aansluitkit.connection import Connection, Profile
from aansluitkit.connection.model import USES
from aansluitkit.digikoppeling import OIN_TYPE
from aansluitkit.documents.rendering import render
from aansluitkit.errors import KitError

REQUESTER = "SR"
PROVIDER = "SP"
_DURATION = TypeAdapter(timedelta)


@dataclass(frozen=True)
class PartyCertificate:
    """A certificate as ds:KeyInfo wants it (XML Signature section 4.4.4; names per RFC 4514)."""

    subject: str
    issuer: str
    serial_number: int
    base64: str

    @classmethod
    def read(cls, path: Path) -> PartyCertificate:
        """Read the first certificate of the PEM file ``path``.

        Raises:
            KitError: when the file is not there or holds no certificate.
        """
        try:
            certificate = read_leaf(path)
        except FileNotFoundError as error:
            raise KitError(
                f"{path} is not there; the CPA names each party's certificate: put it there or correct "
                "connection_certificates"
            ) from error
        except ValueError as error:
            raise KitError(
                f"{path} holds no PEM certificate that can be read ({error}): give the leaf certificate first, as PEM"
            ) from error
        return cls(
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            serial_number=certificate.serial_number,
            base64=base64.b64encode(certificate.public_bytes(Encoding.DER)).decode(),
        )


@dataclass(frozen=True)
class Party:
    """One PartyInfo: ``code`` is SR for the requester or SP for the provider (seed 4.4.4), and begins its ids."""

    code: str
    other: str
    role: str
    name: str
    oin: str
    party_id_type: str
    endpoint: str
    certificates: Mapping[str, PartyCertificate]


def cpa_document(connection: Connection) -> bytes:
    """The CPA that came from the Creatievoorziening or the partner, byte for byte, or else one out of the inventory.

    A file that came was judged with its inventory (``connection.cpa_rules``).

    Raises:
        KitError: when the file or a certificate can't be read, or the inventory's own CPA does not keep a rule.
    """
    if connection.cpa.file:
        return read_received(connection.cpa.file)
    document = render_cpa(connection).encode()
    check(document, f"CPA {connection.cpa.id} of connection '{connection.name}' ({connection.environment})")
    return document


def read_received(path: Path) -> bytes:
    """The CPA in file ``path``.

    Raises:
        KitError: when it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise KitError(f"'{path}' can't be read ({str(error.strerror).lower()}): put the CPA there") from error


def render_cpa(connection: Connection) -> str:
    """Return the CPA that the inventory of ``connection`` describes, as XML, not yet judged.

    Raises:
        KitError: when a certificate can't be read or the template yields no XML.
    """
    cpa = connection.cpa
    retries = cpa.retries
    return render(
        "cpa.xml.j2",
        id=cpa.id,
        start=_moment(cpa.start),
        end=_moment(cpa.end),
        services=cpa.services,
        channels={profile: _channel(profile) for profile in cpa.profiles},
        signals=cpa.signals,
        sync_reply_mode="mshSignalsOnly" if cpa.sync_reply else "none",
        retries={
            "count": retries.count,
            "interval": _duration(retries.interval),
            "persist_duration": _duration(retries.persist_duration),
        },
        parties=_parties(connection),
    )


def render_consumerspecificatie(connection: Connection) -> str:
    """Return the consumerspecificatie of ``connection`` as XML (seed 4.4.4).

    Raises:
        KitError: as ``render_cpa``.
    """
    return render("consumerspecificatie.xml.j2", requester=_parties(connection)[0])


def _channel(profile: Profile) -> dict[str, str]:
    """The CPA's words for ``profile`` (facts of KV ch. 5 and BP ch. 3)."""
    return {
        "reliable": "always" if profile.reliable else "never",
        "signed_acknowledgement": "always" if profile.reliable and profile.signed else "never",
        "non_repudiation": "true" if profile.signed else "false",
        "authenticated": "transient-and-persistent" if profile.signed else "transient",
        "confidential": "transient-and-persistent" if profile.encrypted else "transient",
    }


def _parties(connection: Connection) -> tuple[Party, Party]:
    requester = Party(
        code=REQUESTER,
        other=PROVIDER,
        role=connection.cpa.roles.requester,
        name=connection.organisation.name,
        oin=connection.organisation.oin,
        party_id_type=OIN_TYPE,
        endpoint=connection.endpoint,
        certificates=_certificates(connection, "organisation"),
    )
    provider = Party(
        code=PROVIDER,
        other=REQUESTER,
        role=connection.cpa.roles.provider,
        name=connection.partner.name,
        oin=connection.partner.oin,
        party_id_type=connection.partner.party_id_type,
        endpoint=connection.partner.endpoint,
        certificates=_certificates(connection, "partner"),
    )
    return requester, provider


def _certificates(connection: Connection, party: str) -> dict[str, PartyCertificate]:
    files = {use: connection.certificates.of(party, use) for use in USES}
    read = {path: PartyCertificate.read(path) for path in dict.fromkeys(files.values())}
    return {use: read[path] for use, path in files.items()}


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(duration: timedelta) -> str:
    return str(_DURATION.dump_python(duration, mode="json"))
