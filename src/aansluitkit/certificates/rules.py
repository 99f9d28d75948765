"""What a certificate must be: one function per rule, each yielding a sentence per breach.

``aansluitkit check`` and the intake of what a provider returned both ask them; ``file`` is how the sentence names the
certificate. Which rules hold where is decided by whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from aansluitkit.certificates import facts
from aansluitkit.certificates.pkioverheid import TYPES

SHORTEST_RSA = 3072  # bits; NCSC TLS guideline 2025-05 phases out what is shorter
INSUFFICIENT_RSA = 2048  # bits; what is shorter is no longer sufficient at all
STRONG_HASHES = ("sha256", "sha384", "sha512")
SMALLEST_CURVE = 256  # bits
BOTH_WAYS = ("clientAuth", "serverAuth")

Sentences = Iterator[str]


def is_valid_now(file: str, certificate: x509.Certificate) -> Sentences:
    """A certificate outside its dates is refused by the other side (BEV PKI002)."""
    now = datetime.now(UTC)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if begin <= now < end:
        return
    span = f"{file} is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, not today (BEV PKI002)"
    if now >= end:
        yield f"{span}; it has expired: order a new one with a new key"
    else:
        yield f"{span}; it is not yet valid: wait until then, or set the clock of this machine right"


def bears_number(file: str, certificate: x509.Certificate, number: str, variable: str) -> Sentences:
    """The OIN or HRN stands in the subject's serialNumber (BEV PKI001)."""
    found = facts.serial_number(certificate)
    if found == number:
        return
    elsewhere = facts.attribute(certificate, NameOID.ORGANIZATION_IDENTIFIER)
    hint = f" (organizationIdentifier is '{elsewhere}')" if elsewhere != facts.NONE else ""
    yield f"{file} has serialNumber '{found}'{hint}, not '{number}' of {variable} (BEV PKI001)"


def has_a_number(file: str, certificate: x509.Certificate) -> Sentences:
    """Whatever the OIN or HRN is, it stands in the subject's serialNumber (BEV PKI001)."""
    found = facts.serial_number(certificate)
    if facts.number_kind(found) == facts.NO_NUMBER:
        yield f"{file} has serialNumber '{found}', which is no OIN or HRN (BEV PKI001): order one with yours"


def covers_name(file: str, certificate: x509.Certificate, name: str, variable: str) -> Sentences:
    """The endpoint's name stands in subjectAltName, whole, and does not change (seed 3.3.8; BP ch. 3, Endpoint)."""
    covered = facts.dns_names(certificate)
    if name not in covered:
        yield (
            f"{file} is for {', '.join(covered) or 'no name'}, not for '{name}' of {variable} (seed 3.3.8): write the "
            "name that was ordered, or order anew"
        )


def has_a_name(file: str, certificate: x509.Certificate) -> Sentences:
    """A server is known by subjectAltName alone (RFC 6125 section 6.4.4), where PKIoverheid writes no wildcard."""
    names = facts.dns_names(certificate)
    if not names:
        yield f"{file} has no host name in subjectAltName, where alone TLS looks: order one with the endpoint's name"
    for name in names:
        if "*" in name:
            yield f"{file} is for {name}, a wildcard, which PKIoverheid has not: order one with the whole name"


def serves_both_ways(file: str, certificate: x509.Certificate) -> Sentences:
    """A party that calls and is called needs client and server authentication (PKIoverheid PoR part 3h; G4)."""
    usages = facts.extended_usages(certificate)
    missing = [usage for usage in BOTH_WAYS if usages is not None and usage not in usages]
    if missing:
        yield (
            f"{file} is not for {' and '.join(missing)}; a party that sends and receives needs both (PKIoverheid PoR "
            "part 3h): order a certificate with both"
        )


def may_sign(file: str, certificate: x509.Certificate) -> Sentences:
    """TLS and XML signatures both need the key usage digitalSignature (CERT ch. 4)."""
    usage = facts.extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        yield f"{file} has no key usage digitalSignature (CERT ch. 4): order a certificate for servers"


def is_no_authority(file: str, certificate: x509.Certificate) -> Sentences:
    """An authority's certificate belongs behind the leaf, never in its place."""
    if facts.is_authority(certificate):
        yield f"{file} is an authority's certificate, '{facts.subject(certificate)}': give the one it issued to you"


def may_issue(file: str, certificate: x509.Certificate) -> Sentences:
    """What stands above a leaf is an authority (RFC 5280 section 4.2.1.9)."""
    if not facts.is_authority(certificate):
        yield f"{file} is no authority, so it may issue nothing: ask the provider for the right chain"


def is_strong(file: str, certificate: x509.Certificate) -> Sentences:
    """No key or hash that NCSC calls insufficient (TLS guideline 2025-05; BEV TLSCIPH001)."""
    key = certificate.public_key()
    short = (isinstance(key, rsa.RSAPublicKey) and key.key_size < INSUFFICIENT_RSA) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < SMALLEST_CURVE
    )
    if short:
        yield (
            f"{file} has a key of {facts.key_description(certificate)}, which is insufficient (NCSC 2025-05): make a "
            f"key of RSA {SHORTEST_RSA} bits and order anew"
        )
    if facts.signature_hash(certificate) not in STRONG_HASHES:
        yield (
            f"{file} is signed with {facts.signature_description(certificate)}; expected is one of "
            f"{', '.join(STRONG_HASHES)} (NCSC 2025-05): order a new one"
        )


def has_rsa_key(file: str, certificate: x509.Certificate) -> Sentences:
    """Messages are signed and their payloads encrypted with RSA (BEV ENC004), and PKIoverheid certifies no other."""
    if not isinstance(certificate.public_key(), rsa.RSAPublicKey):
        yield (
            f"{file} has a key of {facts.key_description(certificate)}; adapters sign and decrypt with RSA (BEV "
            f"ENC004): make a key of RSA {SHORTEST_RSA} bits and order anew"
        )


def is_long_enough(file: str, certificate: x509.Certificate) -> Sentences:
    """RSA keys below 3072 bits are being phased out (NCSC TLS guideline 2025-05; BEV TLSCIPH001)."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and INSUFFICIENT_RSA <= key.key_size < SHORTEST_RSA:
        yield (
            f"{file} has an RSA key of {key.key_size} bits; below {SHORTEST_RSA} is being phased out (NCSC 2025-05): "
            "order the next one with a longer key"
        )


def is_for_real(file: str, certificate: x509.Certificate, where: str, advice: str) -> Sentences:
    """A test certificate never reaches what ``where`` names (seed 4.3.1)."""
    sign = facts.sign_of_test(certificate)
    if sign:
        yield f"{file} is a test certificate ({sign}), which {where} refuses (seed 4.3.1): {advice}"


def is_of_allowed_type(file: str, certificate: x509.Certificate) -> Sentences:
    """Digikoppeling takes two types of PKIoverheid certificate, and TRIAL's for tests (BEV 3.5)."""
    kind = facts.certificate_type(certificate)
    if kind and kind.server:
        return
    found = kind.name if kind else f"policy {', '.join(facts.policies(certificate)) or facts.NONE}"
    allowed = " or ".join(f"{one.name} ({one.policy})" for one in TYPES if one.server and not one.trial)
    yield f"{file} is of another type ({found}); Digikoppeling takes {allowed} (BEV 3.5): order one of these"


def belongs_to_key(file: str, certificate: x509.Certificate, public: bytes, key_file: str) -> Sentences:
    """Certificate and key are halves of one pair."""
    if facts.public_key(certificate) != public:
        yield (
            f"{file} does not belong to {key_file}, it was made for another key: give the key or request that it was "
            "ordered with, or order anew"
        )


def has_what_was_ordered(file: str, certificate: x509.Certificate, names: Sequence[str], request: str) -> Sentences:
    """Every name that was ordered is in the certificate, since none can be added afterwards (seed 3.3.8)."""
    missing = [name for name in names if name not in facts.dns_names(certificate)]
    if missing:
        yield f"{file} lacks {', '.join(missing)}, which {request} asks for: have the provider issue it again"


def renews_key(file: str, certificate: x509.Certificate, present: x509.Certificate, present_file: str) -> Sentences:
    """Every renewal has a key of its own (CERT ch. 7)."""
    if certificate != present and facts.public_key(certificate) == facts.public_key(present):
        yield f"{file} has the key of {present_file}; a renewal has a key of its own (CERT ch. 7): order with a new key"


def bears_organisation(file: str, certificate: x509.Certificate, name: str, variable: str) -> Sentences:
    """The name in the certificate is the one under which the organisation is known to Logius."""
    found = facts.attribute(certificate, NameOID.ORGANIZATION_NAME)
    if found.casefold() != name.casefold():
        yield f"{file} names organisation '{found}', {variable} '{name}': see whether both are the same, and align them"


def lasts(file: str, certificate: x509.Certificate, days: int) -> Sentences:
    """What ends soon is renewed now: ordering takes weeks (seed 3.3.8)."""
    left = (certificate.not_valid_after_utc - datetime.now(UTC)).days
    if 0 <= left <= days:
        yield f"{file} ends in {left} days, on {certificate.not_valid_after_utc:%Y-%m-%d}: order the next one now"


def outlives(file: str, certificate: x509.Certificate, end: datetime, variable: str) -> Sentences:
    """The CPA names the certificate, so it ends no later (BP EB009)."""
    until = certificate.not_valid_after_utc
    if until < end:
        yield f"{file} ends on {until:%Y-%m-%d}, before {variable}, {end:%Y-%m-%d} (BP EB009): end the CPA no later"
