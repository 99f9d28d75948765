"""Certificates to make: a hierarchy of PKIoverheid's shape that a test can bend."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

OIN = "00000001999991000000"
PARTNER_OIN = "00000004999999001000"
HOST = "ebms.preprod.voorbeeldgemeente.example"
PARTNER_HOST = "ebms.preprod.mijnoverheid.example"
NAME = "Gemeente Voorbeeldgemeente"
G4_POLICY = "2.16.528.1.1003.1.2.44.15.35.11"
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
PSS = padding.PSS(padding.MGF1(hashes.SHA512()), 64)


@dataclass(frozen=True)
class Wish:
    """A leaf to make; what is left alone is right."""

    number: str | None = OIN
    names: tuple[str, ...] = (HOST,)
    organisation: str = NAME
    policy: str | None = G4_POLICY
    usages: tuple[x509.ObjectIdentifier, ...] = BOTH
    begins: int = -1  # days from now
    ends: int = 1000
    bits: int = 3072
    hash: hashes.HashAlgorithm = field(default_factory=hashes.SHA512)
    crl: str | None = None
    digital_signature: bool = True
    authority: bool = False


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Authority:
    """Root, domain and TSP, signing with RSASSA-PSS as G4 does."""

    def __init__(self, label: str) -> None:
        self._keys: dict[int, rsa.RSAPrivateKey] = {}
        self.root = self._ca(f"{label} Root", None)
        self.domain = self._ca(f"{label} Domein", self.root)
        self.tsp = self._ca(f"{label} TSP", self.domain)

    @property
    def intermediates(self) -> bytes:
        return self.tsp.pem + self.domain.pem

    def key(self, bits: int) -> rsa.RSAPrivateKey:
        """One of each length: it takes long to make them."""
        if bits not in self._keys:
            self._keys[bits] = rsa.generate_private_key(65537, bits)
        return self._keys[bits]

    def leaf(self, wish: Wish = Wish(), issuer: Made | None = None) -> Made:
        issuer, key = issuer or self.tsp, self.key(wish.bits)
        attributes = [(NameOID.COUNTRY_NAME, "NL"), (NameOID.ORGANIZATION_NAME, wish.organisation)]
        attributes += [(NameOID.SERIAL_NUMBER, wish.number)] if wish.number else []
        attributes.append((NameOID.COMMON_NAME, wish.names[0] if wish.names else "none"))
        builder = self._builder(x509.Name([x509.NameAttribute(*one) for one in attributes]), key, issuer)
        now = datetime.now(UTC)
        builder = builder.not_valid_before(now + timedelta(wish.begins)).not_valid_after(now + timedelta(wish.ends))
        if wish.names:
            names = x509.SubjectAlternativeName([x509.DNSName(name) for name in wish.names])
            builder = builder.add_extension(names, critical=False)
        if wish.policy:
            policy = x509.PolicyInformation(x509.ObjectIdentifier(wish.policy), None)
            builder = builder.add_extension(x509.CertificatePolicies([policy]), critical=False)
        if wish.crl:
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(wish.crl)], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        usage = x509.KeyUsage(wish.digital_signature, False, True, False, False, False, False, False, False)
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(x509.BasicConstraints(wish.authority, None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(wish.usages), critical=False)
        return Made(_signed(builder, issuer.key, wish.hash), key)

    def self_signed(self, wish: Wish = Wish()) -> Made:
        made = self.leaf(wish)
        subject = made.certificate.subject
        builder = self._builder(subject, made.key, None).not_valid_before(made.certificate.not_valid_before_utc)
        builder = builder.not_valid_after(made.certificate.not_valid_after_utc)
        for extension in made.certificate.extensions:
            builder = builder.add_extension(extension.value, critical=extension.critical)
        return Made(_signed(builder, made.key, hashes.SHA512()), made.key)

    def crl(self, *revoked: Made, issuer: Made | None = None, ends: int = 1) -> bytes:
        issuer, now = issuer or self.tsp, datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder(
            issuer.certificate.subject, now - timedelta(3), now + timedelta(ends)
        )
        for one in revoked:
            entry = x509.RevokedCertificateBuilder(one.certificate.serial_number, now - timedelta(2)).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(issuer.key, hashes.SHA512(), rsa_padding=PSS).public_bytes(Encoding.DER)

    def _ca(self, name: str, issuer: Made | None) -> Made:
        key = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        builder = self._builder(subject, key, issuer).not_valid_before(now - timedelta(10))
        builder = builder.not_valid_after(now + timedelta(3000))
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        return Made(_signed(builder, issuer.key if issuer else key, hashes.SHA512()), key)

    def _builder(self, subject: x509.Name, key: rsa.RSAPrivateKey, issuer: Made | None) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            issuer.certificate.subject if issuer else subject, subject, key.public_key(), x509.random_serial_number()
        )


def _signed(builder: x509.CertificateBuilder, key: rsa.RSAPrivateKey, how: hashes.HashAlgorithm) -> x509.Certificate:
    pss = padding.PSS(padding.MGF1(how), how.digest_size)
    return builder.sign(key, how, rsa_padding=pss)  # type: ignore[arg-type]


@dataclass
class CrlServer:
    """Serves what stands in ``files`` by path, on loopback, and counts what was asked."""

    url: str
    files: dict[str, bytes]
    asked: list[str]
