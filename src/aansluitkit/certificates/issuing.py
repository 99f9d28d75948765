"""Making certificates: authorities of our own, and the leaves that they issue.

The lab plays PKIoverheid with it, and a connection has its internal authority from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aansluitkit.certificates.pkioverheid import Generation

VALIDITY = timedelta(days=365)
CA_VALIDITY = timedelta(days=3650)
CLOCK_SKEW = timedelta(hours=1)
LONGEST_COMMON_NAME = 64  # characters (RFC 5280 appendix A.1)

Leaf = tuple[x509.Certificate, rsa.RSAPrivateKey]


@dataclass(frozen=True)
class Authority:
    """A certificate authority and the certificates above it, nearest first, the root last.

    What it issues names ``crl_url``, where it has one.
    """

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    above: tuple[x509.Certificate, ...]
    crl_url: str | None = None

    @property
    def intermediates(self) -> list[x509.Certificate]:
        """What a server delivers behind its leaf: all but the root."""
        return [self.certificate, *self.above][:-1]

    @property
    def generation(self) -> Generation:
        """The generation that its certificate is of."""
        pss = isinstance(self.certificate.signature_algorithm_parameters, padding.PSS)
        return Generation.G4 if pss else Generation.G1

    @property
    def root(self) -> x509.Certificate:
        """The trust anchor."""
        return [self.certificate, *self.above][-1]


@dataclass(frozen=True)
class Subject:
    """Who a leaf is for; ``use`` is signing or encryption where it is not for TLS."""

    organisation: str
    names: tuple[str, ...]
    oin: str | None = None
    use: str | None = None
    addresses: tuple[IPv4Address, ...] = ()

    @property
    def distinguished_name(self) -> x509.Name:
        """Subject of the certificate; only the first label of a host name that is too long for a common name."""
        name = self.names[0]
        common_name = name if len(name) <= LONGEST_COMMON_NAME else name.partition(".")[0]
        attributes = [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "NL"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
        if self.oin:
            attributes.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, self.oin))
        return x509.Name(attributes)


class Maker:
    """Makes authorities and leaves that are signed as ``generation`` signs, all starting at ``now``.

    The authorities are of ``organisation``; their leaves name ``policy``, where there is one.
    """

    def __init__(self, generation: Generation, now: datetime, organisation: str, policy: str | None = None) -> None:
        self.generation, self.organisation, self.policy = generation, organisation, policy
        self.start = now - CLOCK_SKEW

    def authority(self, common_name: str, issuer: Authority | None = None, crl_url: str | None = None) -> Authority:
        """Make a CA below ``issuer``, or a root, that publishes its CRL at ``crl_url``."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=4096)
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "NL"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organisation),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )
        usage = _usage(key_cert_sign=True, crl_sign=True)
        builder = self._builder(subject, key, issuer, CA_VALIDITY).add_extension(usage, critical=True)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate = self._sign(builder, issuer.key if issuer else key)
        return Authority(certificate, key, (issuer.certificate, *issuer.above) if issuer else (), crl_url)

    def leaf(self, subject: Subject, issuer: Authority) -> Leaf:
        """Make a key and certificate for ``subject``, for both ends of two-way TLS or else for its one use."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
        usage = _usage(digital_signature=subject.use != "encryption", key_encipherment=subject.use != "signing")
        builder = (
            self._builder(subject.distinguished_name, key, issuer, VALIDITY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
        )
        if subject.use is None:
            names = [*map(x509.DNSName, subject.names), *map(x509.IPAddress, subject.addresses)]
            purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
            builder = builder.add_extension(purposes, critical=False)
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            if self.policy:
                policy = x509.PolicyInformation(x509.ObjectIdentifier(self.policy), None)
                builder = builder.add_extension(x509.CertificatePolicies([policy]), critical=False)
        return self._sign(builder, issuer.key), key

    def _builder(
        self, subject: x509.Name, key: rsa.RSAPrivateKey, issuer: Authority | None, validity: timedelta
    ) -> x509.CertificateBuilder:
        issuer_key = (issuer.key if issuer else key).public_key()
        builder = (
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
        if issuer and issuer.crl_url:
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(issuer.crl_url)], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        return builder

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


def private_pem(key: rsa.RSAPrivateKey) -> bytes:
    """``key`` as PEM (PKCS#8), not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """``certificates`` as PEM, in their order."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)
