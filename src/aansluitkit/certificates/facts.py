"""What a certificate says of itself. Nothing is judged here, and nothing of an inventory is known."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aansluitkit.certificates.pkioverheid import TRIAL_ARC, TYPES, CertificateType

Extension = TypeVar("Extension", bound=x509.ExtensionType)

NONE = "none"
NO_NUMBER = "neither OIN nor HRN"
USAGES = {ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth", ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth"}


# Of certificates of others that are read all the same: a serial number that is not positive, PKCS#12 in BER.
warnings.filterwarnings("ignore", "Parsed a serial number which wasn't positive")
warnings.filterwarnings("ignore", "PKCS#12 bundle could not be parsed as DER")


def read_leaf(path: Path) -> x509.Certificate:
    """The first certificate of the PEM file ``path``.

    Raises:
        OSError: when it can't be read.
        ValueError: when it holds no certificate.
    """
    status = path.stat()
    return _read_leaf(path, status.st_mtime_ns, status.st_size, status.st_ino)


@lru_cache(maxsize=16)
def _read_leaf(path: Path, *_state: int) -> x509.Certificate:
    return from_pem(path.read_bytes())


def from_pem(content: bytes) -> x509.Certificate:
    """The first certificate of the PEM text ``content``.

    Raises:
        ValueError: when there is none whose every part can be read.
    """
    return _loaded(x509.load_pem_x509_certificate, content)


def from_der(content: bytes) -> x509.Certificate:
    """The certificate in DER ``content``.

    Raises:
        ValueError: when it is none whose every part can be read.
    """
    return _loaded(x509.load_der_x509_certificate, content)


def _loaded(load: Callable[[bytes], x509.Certificate], content: bytes) -> x509.Certificate:
    try:
        return parsed(load(content))
    except x509.InvalidVersion as error:
        raise ValueError(str(error)) from error


def parsed(certificate: x509.Certificate) -> x509.Certificate:
    """``certificate`` when every part of it that is asked for here can be read: cryptography reads them when asked.

    Raises:
        ValueError: when one can't; it names that part.
    """
    for part, read in _PARTS.items():
        try:
            read(certificate)
        except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
            raise ValueError(f"its {part} can't be read: {' '.join(str(error).split())}") from error
    return certificate


def public_key(certificate: x509.Certificate) -> bytes:
    """The certificate's public key, as bytes to compare."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


_PARTS: dict[str, Callable[[x509.Certificate], object]] = {
    "subject": lambda certificate: certificate.subject,
    "issuer": lambda certificate: certificate.issuer,
    "serial number": lambda certificate: certificate.serial_number,
    "dates": lambda certificate: (certificate.not_valid_before_utc, certificate.not_valid_after_utc),
    "extensions": lambda certificate: certificate.extensions,
    "public key": public_key,
}


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 over the certificate, in small hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def distinguished_name(name: x509.Name) -> str:
    """All of ``name``, most significant part last (RFC 4514)."""
    shown = {NameOID.SERIAL_NUMBER: "serialNumber", NameOID.ORGANIZATION_IDENTIFIER: "organizationIdentifier"}
    return name.rfc4514_string(shown)


def subject(certificate: x509.Certificate) -> str:
    """The subject as people know it: its common name, or all of it where there is none."""
    return common_name(certificate.subject)


def issuer(certificate: x509.Certificate) -> str:
    """The issuer, in the same way."""
    return common_name(certificate.issuer)


def common_name(name: x509.Name) -> str:
    """What people call the holder of ``name``: its common name, or all of it where there is none."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else distinguished_name(name)


def attribute(certificate: x509.Certificate, identifier: x509.ObjectIdentifier) -> str:
    """The first ``identifier`` of the subject, or 'none'."""
    found = certificate.subject.get_attributes_for_oid(identifier)
    return str(found[0].value) if found else NONE


def serial_number(certificate: x509.Certificate) -> str:
    """The serialNumber of the certificate's subject, or 'none'."""
    return attribute(certificate, NameOID.SERIAL_NUMBER)


def number_kind(number: str) -> str:
    """What the serialNumber ``number`` is: an OIN, an HRN or a test OIN, with its register."""
    # Imported here: the package of the connection imports this module.
    from aansluitkit.connection.identifiers import (  # noqa: PLC0415
        HRN_PREFIXES,
        OIN_PREFIXES,
        TEST_PREFIX,
        check_oin,
    )

    try:
        check_oin(number)
    except ValueError:
        return NO_NUMBER
    prefix = number[: len(TEST_PREFIX)]
    if prefix == TEST_PREFIX:
        return "test OIN"
    return f"{'OIN or HRN' if prefix in HRN_PREFIXES else 'OIN'}, {OIN_PREFIXES[prefix]}"


def dns_names(certificate: x509.Certificate) -> list[str]:
    """The host names that the certificate is for, in small letters."""
    names = extension(certificate, x509.SubjectAlternativeName)
    return [name.lower() for name in names.get_values_for_type(x509.DNSName)] if names else []


def policies(certificate: x509.Certificate) -> list[str]:
    """The policies under which the certificate was issued, dotted."""
    found = extension(certificate, x509.CertificatePolicies)
    return [policy.policy_identifier.dotted_string for policy in found] if found else []


def certificate_type(certificate: x509.Certificate) -> CertificateType | None:
    """The type of PKIoverheid that the policies tell of, or None."""
    found = policies(certificate)
    return next((kind for kind in TYPES if kind.policy in found), None)


def extended_usages(certificate: x509.Certificate) -> list[str] | None:
    """What the certificate is for; None allows everything (RFC 5280 section 4.2.1.12)."""
    found = extension(certificate, x509.ExtendedKeyUsage)
    return None if found is None else [USAGES.get(usage, usage.dotted_string) for usage in found]


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may issue certificates."""
    found = extension(certificate, x509.BasicConstraints)
    return bool(found and found.ca)


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether nobody but its own key stands behind it."""
    return certificate.subject == certificate.issuer


def crl_urls(certificate: x509.Certificate) -> list[str]:
    """Where its issuer publishes what it revoked."""
    points = extension(certificate, x509.CRLDistributionPoints) or ()
    names = [name for point in points for name in point.full_name or ()]
    return [str(name.value) for name in names if isinstance(name, x509.UniformResourceIdentifier)]


def key_description(certificate: x509.Certificate) -> str:
    """Kind and length of the public key."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def signature_hash(certificate: x509.Certificate) -> str:
    """The hash that was signed, such as 'sha256', or 'unknown'."""
    try:
        found = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return "unknown"
    return found.name if found else NONE


def signature_description(certificate: x509.Certificate) -> str:
    """The algorithm of the issuer's signature."""
    try:
        parameters = certificate.signature_algorithm_parameters
    except (UnsupportedAlgorithm, ValueError):
        parameters = None
    kind = {padding.PSS: "RSASSA-PSS", padding.PKCS1v15: "RSASSA-PKCS1-v1_5", ec.ECDSA: "ECDSA"}
    scheme = next((name for cls, name in kind.items() if isinstance(parameters, cls)), "another scheme")
    return f"{scheme} with {signature_hash(certificate).upper().replace('SHA', 'SHA-')}"


def signed_by(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    """Whether ``by`` issued ``certificate``: its name, and its signature."""
    try:
        certificate.verify_directly_issued_by(by)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def sign_of_test(certificate: x509.Certificate) -> str | None:
    """Why the certificate is one for tests, or None (seed 4.3.1)."""
    if is_self_signed(certificate):
        return "self-signed"
    if number_kind(serial_number(certificate)) == "test OIN":
        return f"test OIN '{serial_number(certificate)}'"
    trial = next((policy for policy in policies(certificate) if f"{policy}.".startswith(f"{TRIAL_ARC}.")), None)
    if trial:
        return f"policy {trial} of PKIoverheid TRIAL"
    return "issuer of PKIoverheid TRIAL" if "TRIAL" in certificate.issuer.rfc4514_string().upper() else None


def extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    """The extension of ``kind``, or None."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
