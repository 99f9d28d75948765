"""Whether a certificate was revoked, by the CRLs that it names.

PKIoverheid G4 has no OCSP and its providers need not have it, so CRLs are the one way that always works; OCSP is not
asked. What can't be reached or believed is said, never taken for good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

from cryptography import x509

from aansluitkit.certificates import facts
from aansluitkit.errors import KitError
from aansluitkit.revocation.published import check_crl, fetch_crl

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
    check_crl(url, crl, issuer.subject, [issuer])
    until = crl.next_update_utc
    entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
    if entry is None:
        return Revocation(certificate, Standing.GOOD, next_update=until)
    return Revocation(certificate, Standing.REVOKED, f"on {entry.revocation_date_utc:%Y-%m-%d}, says {url}", until)


def offline(url: str) -> x509.CertificateRevocationList:
    """Fetches nothing.

    Raises:
        KitError: always.
    """
    raise KitError(f"{url} was not asked, on request")


def fetcher() -> Fetch:
    """Fetches each URL once, as long as it lives."""
    return lru_cache(maxsize=None)(fetch_crl)
