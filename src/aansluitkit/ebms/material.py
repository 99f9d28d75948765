"""Keys, certificates, roots and CRLs of a node: read together, and read again when a file has changed.

A certificate that was renewed, or a CRL that was fetched, counts from the next connection on. Those that are open stay;
nothing is dropped and nothing restarted. Files that do not fit together, as halfway through a renewal, leave in force
what was.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from aansluitkit.certificates.facts import read_leaf
from aansluitkit.ebms.handler import Identity
from aansluitkit.ebms.scenarios import Scenario
from aansluitkit.ebms.security import Keys
from aansluitkit.ebms.settings import Settings
from aansluitkit.ebms.signature import Signer, load_trust
from aansluitkit.ebms.tls import Renewable, client_context, server_context
from aansluitkit.errors import KitError
from aansluitkit.revocation import RevocationLists, read_crls

Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class Material:
    """What was in the files."""

    inbound: ssl.SSLContext
    outbound: ssl.SSLContext
    administration: ssl.SSLContext
    keys: Keys
    certificates: Mapping[Path, x509.Certificate]

    @property
    def first_to_expire(self) -> tuple[Path, x509.Certificate]:
        """The one of our certificates in force that expires first, and its file."""
        return min(self.certificates.items(), key=lambda found: found[1].not_valid_after_utc)

    @property
    def crls(self) -> RevocationLists | None:
        """The CRLs; None where revocation is not looked up."""
        return self.keys.crls


class Contexts:
    """The contexts of listeners and client, whose new connections are made with the material given last."""

    def __init__(self, material: Material) -> None:
        self.inbound = Renewable(ssl.PROTOCOL_TLS_SERVER)
        self.outbound = Renewable(ssl.PROTOCOL_TLS_CLIENT)
        self.administration = Renewable(ssl.PROTOCOL_TLS_SERVER)
        self.renew(material)

    def renew(self, material: Material) -> None:
        """Make new connections with ``material``."""
        self.inbound.current = material.inbound
        self.outbound.current = material.outbound
        self.administration.current = material.administration


def load_material(settings: Settings) -> Material:
    """Read the files that ``settings`` name.

    Raises:
        KitError: when one is not usable, or they do not fit together.
    """
    ebms, rest = settings.ebms, settings.rest
    own = ebms.certificate_file, ebms.key_file, ebms.trust_file
    signing, encryption = ebms.signing or ebms.tls, ebms.encryption or ebms.tls
    others = [pair for pair in ebms.others if all(file.exists() for file in pair.files)]
    roots = load_trust(ebms.trust_file)
    keys = Keys(
        signer=Signer(signing.key_file, signing.certificate_file),
        key=Signer(encryption.key_file, encryption.certificate_file).key,
        trust=roots if ebms.client_identity is Identity.OIN else (),
        crls=read_crls(ebms.crl_file) if ebms.crl_file else None,
        others=tuple(Signer(pair.key_file, pair.certificate_file) for pair in others),
        issuers=(*roots, *(load_trust(ebms.issuers_file) if ebms.issuers_file else ())),
    )
    return Material(
        inbound=_tls(server_context, *own, ebms.crl_file),
        outbound=_tls(client_context, *own, ebms.crl_file),
        administration=_tls(server_context, rest.certificate_file, rest.key_file, None),
        keys=keys,
        certificates={
            pair.certificate_file: read_leaf(pair.certificate_file) for pair in (ebms.tls, signing, encryption)
        },
    )


def played_contexts(settings: Settings, make: Callable[..., ssl.SSLContext]) -> dict[Scenario, ssl.SSLContext]:
    """The contexts that ``make`` makes of the certificates that a stand-in shows in some scenarios.

    Raises:
        KitError: when one is not usable.
    """
    ebms, files = settings.ebms, settings.stand_in.certificates if settings.stand_in else {}
    return {scenario: _tls(make, file, file, ebms.trust_file, ebms.crl_file) for scenario, file in files.items()}


def stamp(settings: Settings) -> Stamp:
    """What changes when one of the files does."""
    ebms, rest = settings.ebms, settings.rest
    own = *ebms.certificate_files, ebms.trust_file, ebms.issuers_file, ebms.crl_file
    return tuple(_state(path) for path in (*own, rest.certificate_file, rest.key_file) if path)


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _tls(
    make: Callable[..., ssl.SSLContext], certificate: Path, key: Path, trust: Path | None, crls: Path | None = None
) -> ssl.SSLContext:
    try:
        return make(certificate, key, trust, crls)
    except (ssl.SSLError, OSError) as error:
        raise KitError(
            f"{certificate}, {key}{f' and {trust}' if trust else ''} are no usable PEM certificate chain, matching key "
            "and roots"
        ) from error
