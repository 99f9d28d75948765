"""Keeping the CRLs of a host fresh.

Every certificate names where its authority publishes (cRLDistributionPoints), so what is fetched follows from the
certificates that are installed, at all levels of the chain. A CRL counts when its authority signed it, it is of today,
and it is no older than the one that is here. What can't be had leaves the old one in place, and is told.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from aansluitkit.certificates.facts import common_name, crl_urls
from aansluitkit.errors import KitError
from aansluitkit.revocation.lists import RevocationLists, read_crls
from aansluitkit.revocation.published import UNUSABLE, check_crl, fetch_crl

Scope = tuple[x509.Name, x509.IssuingDistributionPoint | None]


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
        urls = tuple(url for url in crl_urls(certificate) if url.startswith(("http://", "https://")))
        if urls:
            points[Point(certificate.issuer, urls)] = None
        elif certificate.subject != certificate.issuer:
            problems.append(
                f"the certificate of '{common_name(certificate.subject)}' names no CRL by HTTP: whether "
                f"'{common_name(certificate.issuer)}' has revoked it can't be known; ask for one that does"
            )
    return list(points), problems


def _newest(point: Point, old: RevocationLists, authorities: list[x509.Certificate]) -> x509.CertificateRevocationList:
    """The CRL at ``point``; the first URL that has one to rely on counts.

    Raises:
        KitError: when none has.
    """
    failed = []
    for url in point.urls:
        try:
            crl = fetch_crl(url)
            check_crl(url, crl, point.issuer, authorities)
            for known in old.crls:
                if _scope(known) == _scope(crl):
                    _check_order(url, crl, known)
        except KitError as error:
            failed.append(str(error))
        except UNUSABLE as error:
            failed.append(f"{url} gives a CRL that can't be read ({error}): ask '{common_name(point.issuer)}'")
        else:
            return crl
    raise KitError("; ".join(failed))


def _scope(crl: x509.CertificateRevocationList) -> Scope:
    """What tells the CRLs of one authority apart, where it has several."""
    try:
        return crl.issuer, crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return crl.issuer, None


def _check_order(url: str, crl: x509.CertificateRevocationList, known: x509.CertificateRevocationList) -> None:
    """An old CRL would give a revoked certificate its life back."""
    new, old = _number(crl), _number(known)
    older = crl.last_update_utc < known.last_update_utc if new is None or old is None else new < old
    if older:
        raise KitError(
            f"{url} gives CRL {new} of {crl.last_update_utc:%Y-%m-%d %H:%M} UTC, older than {old} of "
            f"{known.last_update_utc:%Y-%m-%d %H:%M} UTC, which is here and stays: ask '{common_name(crl.issuer)}'"
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
