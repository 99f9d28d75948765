"""Keeping the CRLs of a host fresh.

Every certificate names where its authority publishes (cRLDistributionPoints), so what is fetched follows from the
certificates that are installed, at all levels of the chain. A CRL counts when its authority signed it, it is of today,
and it is no older than the one that is here. What can't be had leaves the old one in place, and is told.

A CRL comes over plain HTTP as a rule: it proves itself. LDAP is not tried; neither are delta CRLs and CRLs about
certificates of another issuer, which Digikoppeling does not know.
"""

from __future__ import annotations

import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from aansluitkit.errors import KitError
from aansluitkit.revocation.lists import RevocationLists, name_of, read_crls

LONGEST_SECONDS = 30  # without a byte
LARGEST = 50 * 1024 * 1024
CLOCK_SKEW = timedelta(minutes=5)
Scope = tuple[x509.Name, x509.IssuingDistributionPoint | None]
_UNUSABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True)
class Point:
    """Where the CRL of ``issuer`` is: the same at each of ``urls``."""

    issuer: x509.Name
    urls: tuple[str, ...]


def refresh(certificate_files: Iterable[Path], crl_file: Path) -> list[str]:
    """Bring the CRLs in ``crl_file`` up to date, and return one sentence for each thing that is wrong.

    Authorities and places are those of the certificates in ``certificate_files`` (PEM). The file is replaced as a
    whole, and only by something else.

    Raises:
        KitError: when a file can't be read or written.
    """
    certificates = [certificate for path in certificate_files for certificate in _certificates(path)]
    old = read_crls(crl_file)
    points, problems = _points(certificates)
    kept: dict[Scope, x509.CertificateRevocationList] = {}
    for point in points:
        try:
            crl = _newest(point, old, [one for one in certificates if one.subject == point.issuer])
            kept[_scope(crl)] = crl
        except KitError as error:
            problems.append(str(error))
            for crl in old.crls:
                if crl.issuer == point.issuer:
                    kept.setdefault(_scope(crl), crl)
    _replace(crl_file, b"".join(crl.public_bytes(Encoding.PEM) for crl in kept.values()))
    return problems + RevocationLists(kept.values()).expired()


def _points(certificates: Iterable[x509.Certificate]) -> tuple[list[Point], list[str]]:
    """What to fetch, and which certificates do not say it; a root is nobody's to revoke."""
    points: dict[Point, None] = {}
    problems = []
    for certificate in certificates:
        urls = tuple(_urls(certificate))
        if urls:
            points[Point(certificate.issuer, urls)] = None
        elif certificate.subject != certificate.issuer:
            problems.append(
                f"the certificate of '{name_of(certificate.subject)}' names no CRL by HTTP: whether "
                f"'{name_of(certificate.issuer)}' has revoked it can't be known; ask for one that does"
            )
    return list(points), problems


def _urls(certificate: x509.Certificate) -> Iterator[str]:
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return
    for point in points:
        for name in point.full_name or ():
            if isinstance(name, x509.UniformResourceIdentifier) and name.value.startswith(("http://", "https://")):
                yield name.value


def _newest(point: Point, old: RevocationLists, authorities: list[x509.Certificate]) -> x509.CertificateRevocationList:
    """The CRL at ``point``; the first URL that has one to rely on counts.

    Raises:
        KitError: when none has.
    """
    failed = []
    for url in point.urls:
        try:
            crl = _read(url, _fetch(url))
            _check(url, crl, point.issuer, authorities)
            for known in old.crls:
                if _scope(known) == _scope(crl):
                    _check_order(url, crl, known)
        except KitError as error:
            failed.append(str(error))
        except _UNUSABLE as error:
            failed.append(f"{url} gives a CRL that can't be read ({error}): ask '{name_of(point.issuer)}'")
        else:
            return crl
    raise KitError("; ".join(failed))


def _scope(crl: x509.CertificateRevocationList) -> Scope:
    """What tells the CRLs of one authority apart, where it has several."""
    try:
        return crl.issuer, crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return crl.issuer, None


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=LONGEST_SECONDS) as answer:  # noqa: S310 - _urls takes http alone
            content = bytes(answer.read(LARGEST + 1))
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise KitError(
            f"{url} can't be fetched: {reason}; see connection_crl_addresses, and what the host resolves"
        ) from error
    if len(content) > LARGEST:
        raise KitError(f"{url} gives more than {LARGEST} bytes, which is no CRL: ask its authority")
    return content


def _read(url: str, content: bytes) -> x509.CertificateRevocationList:
    try:
        pem = content.lstrip().startswith(b"-----BEGIN")
        return x509.load_pem_x509_crl(content) if pem else x509.load_der_x509_crl(content)
    except _UNUSABLE as error:
        raise KitError(f"{url} gives no CRL (DER or PEM): a proxy may answer in its place") from error


def _check(
    url: str, crl: x509.CertificateRevocationList, issuer: x509.Name, authorities: list[x509.Certificate]
) -> None:
    """See that the authority that issued the certificate signed this CRL, whole, and that it is of today."""
    wanted = name_of(issuer)
    if crl.issuer != issuer:
        raise KitError(f"{url} gives the CRL of '{name_of(crl.issuer)}', not of '{wanted}': ask the authority")
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
        usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
        return isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) and (
            usage.crl_sign and crl.is_signature_valid(key)
        )
    except (x509.ExtensionNotFound, *_UNUSABLE):
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
    except _UNUSABLE as error:
        return f"extensions that can't be read ({error})"
    return None


def _check_order(url: str, crl: x509.CertificateRevocationList, known: x509.CertificateRevocationList) -> None:
    """An old CRL would give a revoked certificate its life back."""
    new, old = _number(crl), _number(known)
    older = crl.last_update_utc < known.last_update_utc if new is None or old is None else new < old
    if older:
        raise KitError(
            f"{url} gives CRL {new} of {crl.last_update_utc:%Y-%m-%d %H:%M} UTC, older than {old} of "
            f"{known.last_update_utc:%Y-%m-%d %H:%M} UTC, which is here and stays: ask '{name_of(crl.issuer)}'"
        )


def _number(crl: x509.CertificateRevocationList) -> int | None:
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return None


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise KitError(f"{path} can't be read: {error.strerror}; put the certificates there") from error
    except ValueError as error:
        raise KitError(f"{path} holds no PEM certificate: give one or more") from error


def _replace(path: Path, content: bytes) -> None:
    try:
        if path.is_file() and path.read_bytes() == content:
            return
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        making = Path(file.name)
        making.chmod(0o644)
        making.rename(path)
    except OSError as error:
        raise KitError(f"{path} can't be written: {error.strerror}") from error
