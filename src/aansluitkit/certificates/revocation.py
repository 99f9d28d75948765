"""Whether a certificate was revoked, by the CRLs that it names.

PKIoverheid G4 has no OCSP and its providers need not have it, so CRLs are the one way that always works; OCSP is not
asked. What can't be reached or believed is said, never taken for good.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from aansluitkit.certificates import facts
from aansluitkit.errors import KitError

LARGEST_CRL = 32 * 1024 * 1024  # bytes
SECONDS = 10.0  # to wait for a server

Fetch = Callable[[str], x509.CertificateRevocationList]


class Standing(StrEnum):
    """What the issuer says of a certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Revocation:
    """The standing of one certificate of a chain; ``reason`` is why, ``next_update`` when the CRL used ends."""

    certificate: x509.Certificate
    standing: Standing
    reason: str = ""
    next_update: datetime | None = None


def check_chain(certificates: Sequence[x509.Certificate], fetch: Fetch) -> list[Revocation]:
    """The standing of each of ``certificates`` that stands before its issuer: all levels count (CERT ch. 7)."""
    return [check(one, issuer, fetch) for one, issuer in pairwise(certificates)]


def check(certificate: x509.Certificate, issuer: x509.Certificate, fetch: Fetch) -> Revocation:
    """The standing of ``certificate``, by the first of its CRLs that can be used."""
    reasons = []
    for url in facts.crl_urls(certificate):
        try:
            return _by(fetch(url), url, certificate, issuer)
        except KitError as error:
            reasons.append(str(error))
    return Revocation(certificate, Standing.NOT_CHECKED, "; ".join(reasons) or "it names no CRL")


def _by(
    crl: x509.CertificateRevocationList, url: str, certificate: x509.Certificate, issuer: x509.Certificate
) -> Revocation:
    if crl.issuer != issuer.subject or not _is_signed(crl, issuer):
        raise KitError(f"the CRL at {url} is not signed by '{facts.subject(issuer)}'")
    until = crl.next_update_utc
    if until and until <= datetime.now(UTC):
        raise KitError(f"the CRL at {url} expired on {until:%Y-%m-%d %H:%M} UTC")
    entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
    if entry is None:
        return Revocation(certificate, Standing.GOOD, next_update=until)
    return Revocation(certificate, Standing.REVOKED, f"on {entry.revocation_date_utc:%Y-%m-%d}, says {url}", until)


def _is_signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


def offline(url: str) -> x509.CertificateRevocationList:
    """Fetches nothing.

    Raises:
        KitError: always.
    """
    raise KitError(f"{url} was not asked, on request")


def fetcher() -> Fetch:
    """Fetches each URL once, as long as it lives."""
    return lru_cache(maxsize=None)(_fetch)


def _fetch(url: str) -> x509.CertificateRevocationList:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise KitError(f"{url} is not fetched: only http is")
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - the scheme is known
            content = answer.read(LARGEST_CRL + 1)
    except (OSError, ValueError) as error:
        raise KitError(f"{url} can't be reached from here ({getattr(error, 'reason', error)})") from error
    if len(content) > LARGEST_CRL:
        raise KitError(f"{url} gives more than {LARGEST_CRL} bytes")
    return read_crl(content, url)


def read_crl(content: bytes, where: str) -> x509.CertificateRevocationList:
    """The CRL in ``content``, DER or PEM.

    Raises:
        KitError: when it is none.
    """
    load = x509.load_pem_x509_crl if b"-----BEGIN" in content[:64] else x509.load_der_x509_crl
    try:
        return load(content)
    except ValueError as error:
        raise KitError(f"{where} gives no CRL") from error
