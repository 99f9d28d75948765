"""The lab's own certificate authorities, in the shape of PKIoverheid.

Four layers (root, domain, TSP, leaf), the OIN in Subject.serialNumber, serverAuth and clientAuth on one leaf.
``g4`` signs as the G4 hierarchy does: RSASSA-PSS with SHA-512 and a salt of 64, RSA 4096 for authorities and RSA
3072 for leaves, with the TRIAL policy. ``g1`` signs with RSASSA-PKCS1-v1_5 and SHA-256, as everybody does until
November 2028. Next to it stand a foreign hierarchy, for the tests that must be refused, and the organisation's
internal authority for its own servers.

Nothing here leaves the lab: every subject says so, and the policy is TRIAL's, which the rules keep out of production.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aansluitkit.connection import Component, Connection

TRIAL_POLICY = "2.16.528.1.1003.1.2.41.15.35.11"  # G4 TRIAL, private TLS, organisation validated server
ENDPOINT = "party-organisation"
PARTNER = "party-partner"
FOREIGN = "refused-foreign-authority"
WRONG_OIN = "refused-wrong-oin"
EXPIRED = "refused-expired"
VALIDITY = timedelta(days=365)
CA_VALIDITY = timedelta(days=3650)
CLOCK_SKEW = timedelta(hours=1)

Progress = Callable[[str], None]
Leaf = tuple[x509.Certificate, rsa.RSAPrivateKey]


class Generation(StrEnum):
    """Which PKIoverheid hierarchy the lab's authorities look like."""

    G1 = "g1"
    G4 = "g4"

    @property
    def hash(self) -> hashes.SHA256 | hashes.SHA512:
        """Hash of the signatures on certificates."""
        return hashes.SHA512() if self is Generation.G4 else hashes.SHA256()

    @property
    def padding(self) -> padding.PSS | padding.PKCS1v15:
        """Padding of the signatures on certificates."""
        if self is Generation.G4:
            return padding.PSS(mgf=padding.MGF1(hashes.SHA512()), salt_length=64)
        return padding.PKCS1v15()


@dataclass(frozen=True)
class Authority:
    """A certificate authority and the certificates above it, nearest first, the root last."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    above: tuple[x509.Certificate, ...]

    @property
    def intermediates(self) -> list[x509.Certificate]:
        """What a server delivers behind its leaf: all but the root."""
        return [self.certificate, *self.above][:-1]

    @property
    def root(self) -> x509.Certificate:
        """The trust anchor."""
        return [self.certificate, *self.above][-1]


@dataclass(frozen=True)
class Subject:
    """Who a leaf is for."""

    organisation: str
    names: tuple[str, ...]
    oin: str | None = None


class Hierarchy:
    """Makes authorities and leaves of one generation, all starting at ``now``."""

    def __init__(self, generation: Generation, now: datetime) -> None:
        self.generation = generation
        self.start = now - CLOCK_SKEW

    def authority(self, common_name: str, issuer: Authority | None = None) -> Authority:
        """Make a CA below ``issuer``, or a root."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=4096)
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "NL"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "aansluitkit lab - GEEN PRODUCTIE"),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )
        usage = _usage(key_cert_sign=True, crl_sign=True)
        builder = self._builder(subject, key, issuer, CA_VALIDITY).add_extension(usage, critical=True)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate = self._sign(builder, issuer.key if issuer else key)
        return Authority(certificate, key, (issuer.certificate, *issuer.above) if issuer else ())

    def chain(self, label: str) -> Authority:
        """Make root, domain and TSP authority, and return the last: the issuer of leaves."""
        root = self.authority(f"TRIAL {label} - Root")
        domain = self.authority(f"TRIAL {label} - Domein", root)
        return self.authority(f"TRIAL {label} - TSP", domain)

    def leaf(self, subject: Subject, issuer: Authority) -> Leaf:
        """Make a key and certificate for ``subject``, for both ends of two-way TLS."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
        attributes = [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "NL"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, subject.names[0]),
        ]
        if subject.oin:
            attributes.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, subject.oin))
        names = x509.SubjectAlternativeName([x509.DNSName(name) for name in subject.names])
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        policy = x509.PolicyInformation(x509.ObjectIdentifier(TRIAL_POLICY), None)
        usage = _usage(digital_signature=True, key_encipherment=True)
        builder = (
            self._builder(x509.Name(attributes), key, issuer, VALIDITY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(purposes, critical=False)
            .add_extension(names, critical=False)
            .add_extension(x509.CertificatePolicies([policy]), critical=False)
        )
        return self._sign(builder, issuer.key), key

    def _builder(
        self, subject: x509.Name, key: rsa.RSAPrivateKey, issuer: Authority | None, validity: timedelta
    ) -> x509.CertificateBuilder:
        issuer_key = (issuer.key if issuer else key).public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.start)
            .not_valid_after(self.start + validity)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        )

    def _sign(self, builder: x509.CertificateBuilder, key: rsa.RSAPrivateKey) -> x509.Certificate:
        return builder.sign(key, self.generation.hash, rsa_padding=self.generation.padding)


def _usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_encipherment=key_encipherment,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def make_pki(connection: Connection, generation: Generation, folder: Path, say: Progress) -> None:
    """Make everything below ``folder``, once: a folder that is complete for this generation is left as it is.

    ``folder/<host>/`` gets the files that role ``certificates`` installs there, ``folder/party-…/`` the two parties'
    certificates, ``folder/refused-…/`` a certificate of another authority, one of an OIN that no CPA names and one of
    the partner that has expired; the partner's hosts get the latter two as well, to play a partner that shows them.
    A run that is broken off leaves nothing: the folder appears whole.
    """
    if _is_current(connection, generation, folder):
        say(f"certificates of generation {generation} are there")
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _make(connection, generation, making, say)
        (making / "made-for").write_text(_made_for(connection, generation))
        if folder.exists():
            shutil.rmtree(folder)
        making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _made_for(connection: Connection, generation: Generation) -> str:
    parties = (
        generation,
        connection.organisation.oin,
        connection.host_name,
        connection.partner.oin,
        connection.partner.host_name,
        *connection.hosts,
    )
    return "\n".join(parties) + "\n"


def _is_current(connection: Connection, generation: Generation, folder: Path) -> bool:
    try:
        if (folder / "made-for").read_text() != _made_for(connection, generation):
            return False
        (folder / EXPIRED / "certificate.pem").stat()  # which earlier versions did not make
        leaf = x509.load_pem_x509_certificate((folder / ENDPOINT / "certificate.pem").read_bytes())
    except FileNotFoundError:
        return False
    return leaf.not_valid_after_utc > datetime.now(UTC) + timedelta(days=1)


def _make(connection: Connection, generation: Generation, folder: Path, say: Progress) -> None:
    hierarchy = Hierarchy(generation, datetime.now(UTC))
    say(f"making the lab's authorities of generation {generation}")
    trusted = hierarchy.chain(f"aansluitkit lab {generation.upper()}")
    foreign = hierarchy.chain("aansluitkit vreemd")
    internal = hierarchy.authority("aansluitkit lab - intern")
    own = Subject(connection.organisation.name, (connection.host_name,), connection.organisation.oin)
    partner = Subject(connection.partner.name, (connection.partner.host_name,), connection.partner.oin)
    stranger = Subject("Gemeente Vreemdeling", ("ebms.vreemdeling.test",), "00000099000000009000")
    say("making certificates")
    for name, subject, issuer in (
        (ENDPOINT, own, trusted),
        (PARTNER, partner, trusted),
        (WRONG_OIN, stranger, trusted),
        (FOREIGN, partner, foreign),
    ):
        _write(folder / name, hierarchy.leaf(subject, issuer), issuer, trusted.root)
    past = Hierarchy(generation, datetime.now(UTC) - VALIDITY)
    _write(folder / EXPIRED, past.leaf(partner, trusted), trusted, trusted.root)
    for component, party in ((Component.ADAPTER, ENDPOINT), (Component.PARTNER, PARTNER)):
        for host in connection.hosts_of(component):
            shutil.copytree(folder / party, folder / host.name)
    for host in connection.hosts_of(Component.PARTNER):
        for name, source in (("expired", EXPIRED), ("wrong", WRONG_OIN)):
            both = [(folder / source / f"{part}.pem").read_bytes() for part in ("key", "certificate")]
            _store(folder / host.name / f"stand-in-{name}-key.pem", b"".join(both))
    for component in (Component.ADAPTER, Component.PARTNER, Component.DATABASE):
        for host in connection.hosts_of(component):
            leaf = hierarchy.leaf(Subject(connection.organisation.name, (connection.name_of(host),)), internal)
            _write(folder / host.name, leaf, internal, internal.root, prefix="internal-")
    for host in connection.hosts_of(Component.APPLICATION):
        _store(folder / host.name / "internal-trust.pem", _pem([internal.root]))


def _write(folder: Path, leaf: Leaf, issuer: Authority, trust: x509.Certificate, prefix: str = "") -> None:
    certificate, key = leaf
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _store(folder / f"{prefix}key.pem", secret)
    _store(folder / f"{prefix}certificate.pem", _pem([certificate, *issuer.intermediates]))
    _store(folder / f"{prefix}trust.pem", _pem([trust]))


def _pem(certificates: list[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def _store(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
