"""One CRL as its authority publishes it: fetched, read and judged.

A CRL comes over plain HTTP as a rule: it proves itself. LDAP is not tried; neither are delta CRLs and CRLs about
certificates of another issuer, which Digikoppeling does not know.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from aansluitkit.certificates.facts import common_name, extension
from aansluitkit.errors import KitError

LONGEST_SECONDS = 30  # without a byte
LARGEST = 50 * 1024 * 1024  # bytes
CLOCK_SKEW = timedelta(minutes=5)
UNUSABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def fetch_crl(url: str) -> x509.CertificateRevocationList:
    """The CRL that is at ``url``; nothing is judged yet.

    Raises:
        KitError: when it can't be had, or is none.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise KitError(f"{url} is not fetched: only http is")
    try:
        with urllib.request.urlopen(url, timeout=LONGEST_SECONDS) as answer:  # noqa: S310 - the scheme is known
            content = bytes(answer.read(LARGEST + 1))
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise KitError(
            f"{url} can't be fetched from here: {reason}; see connection_crl_addresses, and what the name resolves to"
        ) from error
    if len(content) > LARGEST:
        raise KitError(f"{url} gives more than {LARGEST} bytes, which is no CRL: ask its authority")
    return read_crl(content, url)


def read_crl(content: bytes, where: str) -> x509.CertificateRevocationList:
    """The CRL in ``content``, DER or PEM.

    Raises:
        KitError: when it is none.
    """
    try:
        pem = content.lstrip().startswith(b"-----BEGIN")
        return x509.load_pem_x509_crl(content) if pem else x509.load_der_x509_crl(content)
    except UNUSABLE as error:
        raise KitError(f"{where} gives no CRL (DER or PEM): a proxy may answer in its place") from error


def check_crl(
    url: str, crl: x509.CertificateRevocationList, issuer: x509.Name, authorities: Iterable[x509.Certificate]
) -> None:
    """See that the authority ``issuer`` signed the CRL at ``url``, that it is whole, and of today (RFC 5280, 6.3.3).

    ``authorities`` are the certificates that bear the name of ``issuer``.

    Raises:
        KitError: when it is not to be relied on.
    """
    authorities = list(authorities)
    wanted = common_name(issuer)
    if crl.issuer != issuer:
        raise KitError(f"{url} gives the CRL of '{common_name(crl.issuer)}', not of '{wanted}': ask the authority")
    if not authorities:
        raise KitError(
            f"the CRL of '{wanted}' can't be checked, because its certificate is not here: add the chain to the "
            "certificate's file"
        )
    if not any(_signed(crl, authority) for authority in authorities):
        raise KitError(f"{url} gives a CRL that '{wanted}' did not sign: it was changed on the way, or is forged")
    strange = _strange_extension(crl)
    if strange:
        raise KitError(f"{url} gives a CRL with {strange}, which is not for this use: ask '{wanted}' for a whole one")
    now = datetime.now(UTC)
    if crl.last_update_utc > now + CLOCK_SKEW:
        raise KitError(
            f"{url} gives a CRL that begins at {crl.last_update_utc:%Y-%m-%d %H:%M} UTC: see the clock of this host"
        )
    if crl.next_update_utc is None or crl.next_update_utc <= now:
        until = f"{crl.next_update_utc:%Y-%m-%d %H:%M} UTC" if crl.next_update_utc else "no date"
        raise KitError(f"{url} gives a CRL that was valid until {until}: '{wanted}' publishes no new one; call it")


def _signed(crl: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    key = authority.public_key()
    try:
        usage = extension(authority, x509.KeyUsage)
        return isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) and (
            (usage is None or usage.crl_sign) and crl.is_signature_valid(key)
        )
    except UNUSABLE:
        return False


def _strange_extension(crl: x509.CertificateRevocationList) -> str | None:
    """What makes the CRL be about less, or about others, than the certificates of its issuer."""
    try:
        for extension in crl.extensions:
            value = extension.value
            if isinstance(value, x509.DeltaCRLIndicator):
                return "changes alone (delta)"
            if isinstance(value, x509.IssuingDistributionPoint):
                if value.indirect_crl or value.only_some_reasons or value.only_contains_attribute_certs:
                    return "a narrower scope (issuingDistributionPoint)"
            elif extension.critical:
                return f"critical extension {extension.oid.dotted_string}"
    except UNUSABLE as error:
        return f"extensions that can't be read ({error})"
    return None
