"""Rules that read the certificates of both parties, as the CPA will name them.

What a certificate must be stands in ``certificates.rules``; here is which certificate has to be it. The lab is left
out: its own authority makes the certificates in the run. So are files of an example that are not there. Whether a
chain ends in a trusted root is judged when a certificate is taken in, and on the host that uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from aansluitkit.certificates import rules as expected
from aansluitkit.certificates.facts import read_leaf
from aansluitkit.connection.model import PARTIES, Connection, Environment
from aansluitkit.connection.rules import TESTING, Finding, Rule
from aansluitkit.digikoppeling import OIN_TYPE

Found = tuple[str, x509.Certificate]  # 'organisation' or 'partner', and its leaf


def parties(connection: Connection) -> Iterator[tuple[str, Path]]:
    """Each party's certificate file."""
    yield "organisation", connection.certificates.organisation
    yield "partner", connection.certificates.partner


def files(connection: Connection) -> Iterator[tuple[str, Path]]:
    """Each party's certificate file, and those with one purpose beside TLS."""
    yield from parties(connection)
    for party in PARTIES:
        for use, path in connection.certificates.apart(party).items():
            yield f"{party}_{use}", path


def leaves(connection: Connection) -> list[Found]:
    """The certificates for TLS that can be read."""
    return _read(parties(connection))


def _read(named: Iterable[tuple[str, Path]]) -> list[Found]:
    found = []
    for party, path in named:
        try:
            found.append((party, read_leaf(path)))
        except (OSError, ValueError):
            continue  # certificate_files_are_there says so
    return found


def _named(connection: Connection, party: str) -> str:
    return f"'{getattr(connection.certificates, party)}'"


def certificate_files_are_there(connection: Connection) -> Iterator[Finding]:
    """The CPA names each party's certificate (seed 4.4.4)."""
    for party, path in files(connection):
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
        except ValueError as error:
            yield (
                f"certificates.{party}",
                f"'{path}' holds no PEM certificate that can be read ({error}): give the leaf certificate "
                "first, as PEM (BEGIN CERTIFICATE)",
            )


def serial_number_is_the_oin(connection: Connection) -> Iterator[Finding]:
    """Our certificate carries our OIN or HRN in the subject's serialNumber (BEV PKI001)."""
    for party, certificate in _read(files(connection)):
        if party.startswith("organisation"):
            oin, file = connection.organisation.oin, _named(connection, party)
            for sentence in expected.bears_number(file, certificate, oin, "connection_organisation.oin"):
                yield f"certificates.{party}", f"{sentence}: correct either, or order the certificate again"


def certificate_covers_endpoint(connection: Connection) -> Iterator[Finding]:
    """The endpoint's name stands in the certificate, and does not change (seed 3.3.8; BP ch. 3, Endpoint)."""
    for party, certificate in leaves(connection):
        for sentence in expected.covers_name(_named(connection, party), certificate, *endpoint_of(connection, party)):
            yield f"certificates.{party}", sentence


def endpoint_of(connection: Connection, party: str) -> tuple[str, str]:
    """The host name of a party's endpoint, and the variable that says so."""
    if party == "partner":
        return connection.partner.host_name, "connection_partner.endpoint"
    return connection.host_name, "connection_endpoint"


def _each(judge: Callable[[str, x509.Certificate], Iterator[str]], connection: Connection) -> Iterator[Finding]:
    for party, certificate in _read(files(connection)):
        for sentence in judge(_named(connection, party), certificate):
            yield f"certificates.{party}", sentence


def certificates_are_valid_now(connection: Connection) -> Iterator[Finding]:
    """A certificate outside its dates is refused by the other side (BEV PKI002)."""
    yield from _each(expected.is_valid_now, connection)


def certificates_serve_both_ways(connection: Connection) -> Iterator[Finding]:
    """Each party calls and is called, so its certificate is for client and server (PKIoverheid PoR part 3h; G4)."""
    for party, certificate in leaves(connection):
        for sentence in expected.serves_both_ways(_named(connection, party), certificate):
            yield f"certificates.{party}", sentence


def certificates_are_strong(connection: Connection) -> Iterator[Finding]:
    """What NCSC calls insufficient is refused by the other side (TLS guideline 2025-05; BEV TLSCIPH001)."""
    yield from _each(expected.is_strong, connection)


def cpa_ends_with_certificates(connection: Connection) -> Iterator[Finding]:
    """The CPA holds both certificates, so it ends no later than the first of them (BP EB009, EB010)."""
    found = _read(files(connection))
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
    if takes_test_certificates(connection):
        return
    advice = "give the certificate of PKIoverheid"
    if connection.environment is Environment.PREPROD:
        advice += ", or declare connection_test_certificates_allowed with the partner's reason"
    for party, certificate in _read(files(connection)):
        file, where = _named(connection, party), str(connection.environment)
        for sentence in expected.is_for_real(file, certificate, where, advice):
            yield f"certificates.{party}", sentence


def takes_test_certificates(connection: Connection) -> bool:
    """Whether test certificates may be used: in tests, and in preprod where the partner asked for them."""
    if connection.environment is Environment.PREPROD:
        return connection.test_certificates_allowed is not None
    return connection.environment in TESTING


def partner_serial_number_is_its_oin(connection: Connection) -> Iterator[Finding]:
    """The partner's certificate carries its OIN, unless another party ends TLS for it (KV ch. 5; BP EB005)."""
    for party, certificate in leaves(connection):
        if party == "partner" and connection.partner.party_id_type == OIN_TYPE:
            oin, file = connection.partner.oin, _named(connection, party)
            for sentence in expected.bears_number(file, certificate, oin, "connection_partner.oin"):
                yield (
                    "certificates.partner",
                    f"{sentence}: ask the partner whether another party ends TLS for it (BP EB005)",
                )


def keys_are_long_enough(connection: Connection) -> Iterator[Finding]:
    """RSA keys below 3072 bits are being phased out (NCSC TLS guideline 2025-05; BEV TLSCIPH001)."""
    yield from _each(expected.is_long_enough, connection)


def trusted_roots_have_not_ended(connection: Connection) -> Iterator[Finding]:
    """A root that has ended carries nothing any more (CERT ch. 2: G1 ends in November 2028)."""
    for name, root in (connection.trust.roots if connection.trust else {}).items():
        if root.ends and root.ends < datetime.now(UTC).date():
            yield f"trust.roots.{name}.ends", f"'{root.name}' ended on {root.ends}: take it out of connection_trust"


RULES: tuple[Rule, ...] = (
    certificate_files_are_there,
    serial_number_is_the_oin,
    certificate_covers_endpoint,
    certificates_are_valid_now,
    certificates_serve_both_ways,
    certificates_are_strong,
    cpa_ends_with_certificates,
)
OF_CHAIN: tuple[Rule, ...] = (test_certificates_stay_out,)  # where test certificates are no matter of course
WARNINGS: tuple[Rule, ...] = (partner_serial_number_is_its_oin, keys_are_long_enough, trusted_roots_have_not_ended)


def rules_of(connection: Connection) -> tuple[Rule, ...]:
    """The rules for the environment of ``connection``."""
    if connection.environment is Environment.LAB:
        return ()
    return RULES if connection.environment in TESTING else (*RULES, *OF_CHAIN)
