"""Rules that read the certificates of both parties, as the CPA will name them.

The lab is left out: its own authority makes the certificates in the run. So are files of an example that are not
there. Whether a chain ends in a trusted root is judged on the host that uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aansluitkit.connection.identifiers import TEST_PREFIX
from aansluitkit.connection.model import Connection, Environment
from aansluitkit.connection.rules import TESTING, Finding, Rule
from aansluitkit.digikoppeling import OIN_TYPE

TRIAL_POLICIES = "2.16.528.1.1003.1.2.41."  # PKIoverheid TRIAL; production of G4 has 44 in its place
SHORTEST_RSA = 3072  # bits; NCSC TLS guideline 2025-05 phases out what is shorter
Found = tuple[str, x509.Certificate]  # 'organisation' or 'partner', and its leaf


def parties(connection: Connection) -> Iterator[tuple[str, Path]]:
    """Each party's certificate file."""
    yield "organisation", connection.certificates.organisation
    yield "partner", connection.certificates.partner


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
    return x509.load_pem_x509_certificate(path.read_bytes())


def public_key(certificate: x509.Certificate) -> bytes:
    """The certificate's public key, as bytes to compare."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def leaves(connection: Connection) -> list[Found]:
    """The certificates that can be read."""
    found = []
    for party, path in parties(connection):
        try:
            found.append((party, read_leaf(path)))
        except (OSError, ValueError):
            continue  # certificate_files_are_there says so
    return found


def certificate_files_are_there(connection: Connection) -> Iterator[Finding]:
    """The CPA names each party's certificate (seed 4.4.4)."""
    for party, path in parties(connection):
        try:
            read_leaf(path)
        except FileNotFoundError:
            if not connection.example:
                yield (
                    f"certificates.{party}",
                    f"'{path}' is not there; the CPA names this certificate (seed 4.4.4): put the file there, or "
                    "write TODO until it is issued",
                )
        except OSError as error:
            yield f"certificates.{party}", f"'{path}' can't be read: {str(error.strerror).lower()}: mend that"
        except ValueError:
            yield (
                f"certificates.{party}",
                f"'{path}' holds no PEM certificate: give the leaf certificate first, as PEM (BEGIN CERTIFICATE)",
            )


def serial_number_is_the_oin(connection: Connection) -> Iterator[Finding]:
    """Our certificate carries our OIN or HRN in the subject's serialNumber (BEV PKI001)."""
    for party, certificate in leaves(connection):
        found, oin = serial_number(certificate), connection.organisation.oin
        if party == "organisation" and found != oin:
            yield (
                "certificates.organisation",
                f"'{connection.certificates.organisation}' has serialNumber '{found}', not '{oin}' of "
                "connection_organisation.oin (BEV PKI001): correct either, or order the certificate again",
            )


def serial_number(certificate: x509.Certificate) -> str:
    """The serialNumber of the certificate's subject, or 'none'."""
    found = certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    return str(found[0].value) if found else "none"


def certificate_covers_endpoint(connection: Connection) -> Iterator[Finding]:
    """The endpoint's name stands in the certificate, and does not change (seed 3.3.8; BP ch. 3, Endpoint)."""
    names = {"organisation": connection.host_name, "partner": connection.partner.host_name}
    endpoints = {"organisation": "connection_endpoint", "partner": "connection_partner.endpoint"}
    for party, certificate in leaves(connection):
        covered = dns_names(certificate)
        if names[party] not in covered:
            yield (
                f"certificates.{party}",
                f"'{getattr(connection.certificates, party)}' is for {', '.join(covered) or 'no name'}, not for "
                f"'{names[party]}' of {endpoints[party]} (seed 3.3.8): write the name that was ordered, or order anew",
            )


def dns_names(certificate: x509.Certificate) -> list[str]:
    """The host names that the certificate is for, in small letters."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]


def certificates_are_valid_now(connection: Connection) -> Iterator[Finding]:
    """A certificate outside its dates is refused by the other side (BEV PKI002)."""
    now = datetime.now(UTC)
    for party, certificate in leaves(connection):
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not begin <= now < end:
            yield (
                f"certificates.{party}",
                f"'{getattr(connection.certificates, party)}' is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, not "
                "today (BEV PKI002): give a certificate that is valid",
            )


def certificates_serve_both_ways(connection: Connection) -> Iterator[Finding]:
    """Each party calls and is called, so its certificate is for client and server (PKIoverheid PoR part 3h; G4)."""
    wanted = {"clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH, "serverAuth": ExtendedKeyUsageOID.SERVER_AUTH}
    for party, certificate in leaves(connection):
        try:
            usages = list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        except x509.ExtensionNotFound:
            continue  # without the extension every usage is allowed (RFC 5280 section 4.2.1.12)
        missing = [name for name, usage in wanted.items() if usage not in usages]
        if missing:
            yield (
                f"certificates.{party}",
                f"'{getattr(connection.certificates, party)}' is not for {' and '.join(missing)}; a party that sends "
                "and receives needs both (PKIoverheid PoR part 3h): order a certificate with both",
            )


def cpa_ends_with_certificates(connection: Connection) -> Iterator[Finding]:
    """The CPA holds both certificates, so it ends no later than the first of them (BP EB009, EB010)."""
    found = leaves(connection)
    if not found:
        return
    party, certificate = min(found, key=lambda item: item[1].not_valid_after_utc)
    end = certificate.not_valid_after_utc
    if connection.cpa.end > end:
        yield (
            "cpa.end",
            f"{connection.cpa.end.isoformat()} is after {end.isoformat()}, when the {party}'s certificate ends "
            "(BP EB009): take that date or an earlier one",
        )


def test_certificates_stay_out(connection: Connection) -> Iterator[Finding]:
    """A test certificate never reaches production, and preprod only where the partner asked for it (seed 4.3.1)."""
    if connection.environment is Environment.PREPROD and connection.test_certificates_allowed is not None:
        return
    for party, certificate in leaves(connection):
        sign = _sign_of_test(certificate)
        if sign:
            advice = "give the certificate of PKIoverheid"
            if connection.environment is Environment.PREPROD:
                advice += ", or declare connection_test_certificates_allowed with the partner's reason"
            yield (
                f"certificates.{party}",
                f"'{getattr(connection.certificates, party)}' is a test certificate ({sign}), which "
                f"{connection.environment} refuses (seed 4.3.1): {advice}",
            )


def _sign_of_test(certificate: x509.Certificate) -> str | None:
    if certificate.subject == certificate.issuer:
        return "self-signed"
    if serial_number(certificate).startswith(TEST_PREFIX):
        return f"test OIN '{serial_number(certificate)}'"
    try:
        policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        policies = x509.CertificatePolicies([])
    found = [policy.policy_identifier.dotted_string for policy in policies]
    trial = next((policy for policy in found if f"{policy}.".startswith(TRIAL_POLICIES)), None)
    if trial:
        return f"policy {trial} of PKIoverheid TRIAL"
    return "issuer of PKIoverheid TRIAL" if "TRIAL" in certificate.issuer.rfc4514_string().upper() else None


def partner_serial_number_is_its_oin(connection: Connection) -> Iterator[Finding]:
    """The partner's certificate carries its OIN, unless another party ends TLS for it (KV ch. 5; BP EB005)."""
    for party, certificate in leaves(connection):
        found, oin = serial_number(certificate), connection.partner.oin
        if party == "partner" and found != oin and connection.partner.party_id_type == OIN_TYPE:
            yield (
                "certificates.partner",
                f"'{connection.certificates.partner}' has serialNumber '{found}', not '{oin}' of "
                "connection_partner.oin (BEV PKI001): ask the partner whether another party ends TLS for it (BP EB005)",
            )


def keys_are_long_enough(connection: Connection) -> Iterator[Finding]:
    """RSA keys below 3072 bits are being phased out (NCSC TLS guideline 2025-05; BEV TLSCIPH001)."""
    for party, certificate in leaves(connection):
        key = certificate.public_key()
        if isinstance(key, RSAPublicKey) and key.key_size < SHORTEST_RSA:
            yield (
                f"certificates.{party}",
                f"'{getattr(connection.certificates, party)}' has an RSA key of {key.key_size} bits; below "
                f"{SHORTEST_RSA} is being phased out (NCSC 2025-05): order the next one with a longer key",
            )


RULES: tuple[Rule, ...] = (
    certificate_files_are_there,
    serial_number_is_the_oin,
    certificate_covers_endpoint,
    certificates_are_valid_now,
    certificates_serve_both_ways,
    cpa_ends_with_certificates,
)
OF_CHAIN: tuple[Rule, ...] = (test_certificates_stay_out,)  # where test certificates are no matter of course
WARNINGS: tuple[Rule, ...] = (partner_serial_number_is_its_oin, keys_are_long_enough)


def rules_of(connection: Connection) -> tuple[Rule, ...]:
    """The rules for the environment of ``connection``."""
    if connection.environment is Environment.LAB:
        return ()
    return RULES if connection.environment in TESTING else (*RULES, *OF_CHAIN)
