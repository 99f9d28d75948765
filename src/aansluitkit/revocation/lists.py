"""Certificate revocation lists as they lie on a host: one PEM file with those of every authority (RFC 5280, section 5).

OpenSSL judges the chain of a TLS connection by the same file. What is here judges what TLS does not see: a connection
that was there before the revocation, a certificate that a load balancer passes on, and the signer of a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from cryptography import x509

from aansluitkit.certificates.facts import common_name
from aansluitkit.errors import KitError

_END = b"-----END X509 CRL-----"


class RevocationLists:
    """The CRLs that are known."""

    def __init__(self, crls: Iterable[x509.CertificateRevocationList] = ()) -> None:
        self.crls = tuple(crls)

    @cached_property
    def _revoked(self) -> dict[tuple[x509.Name, int], datetime]:
        return {(crl.issuer, entry.serial_number): entry.revocation_date_utc for crl in self.crls for entry in crl}

    def objection(self, chain: Sequence[x509.Certificate]) -> str | None:
        """Why a certificate of ``chain``, from the leaf up to its root, does not count, or None.

        As OpenSSL has it: an authority without a CRL, or with one that has expired, vouches for nobody (Digikoppeling
        use of certificates, chapter 7), and a chain that is not whole can't be known not to be revoked.
        """
        now = datetime.now(UTC)
        for certificate in chain:
            if certificate.issuer == certificate.subject:
                continue  # a root, or a signer that vouches for itself: nobody can revoke it
            issuer = common_name(certificate.issuer)
            crls = [crl for crl in self.crls if crl.issuer == certificate.issuer]
            if not crls:
                return f"there is no CRL of '{issuer}': its chain belongs in the file of the partner's certificate"
            expired = [crl for crl in crls if _has_expired(crl, now)]
            if expired:
                return f"the CRL of '{issuer}' has expired on {_end(expired[0])}"
            revoked = self._revoked.get((certificate.issuer, certificate.serial_number))
            if revoked:
                subject = common_name(certificate.subject)
                return f"'{issuer}' has revoked the certificate of '{subject}' on {revoked:%Y-%m-%d}"
        if chain and chain[-1].issuer != chain[-1].subject:
            issuer = common_name(chain[-1].issuer)
            return f"the certificate of '{issuer}' is not here: it belongs in the file of the partner's certificate"
        return None

    def expired(self) -> list[str]:
        """One sentence for each CRL that has expired."""
        now = datetime.now(UTC)
        return [
            f"the CRL of '{common_name(crl.issuer)}' has expired on {_end(crl)}, so no certificate of it is accepted"
            for crl in self.crls
            if _has_expired(crl, now)
        ]


def _has_expired(crl: x509.CertificateRevocationList, now: datetime) -> bool:
    return crl.next_update_utc is None or crl.next_update_utc <= now


def _end(crl: x509.CertificateRevocationList) -> str:
    return f"{crl.next_update_utc:%Y-%m-%d %H:%M} UTC" if crl.next_update_utc else "an unknown date"


def read_crls(path: Path) -> RevocationLists:
    """The CRLs in PEM file ``path``; none where it is not there yet.

    Raises:
        KitError: when the file can't be read, or holds something else.
    """
    try:
        parts = path.read_bytes().split(_END)
        return RevocationLists(x509.load_pem_x509_crl(part + _END) for part in parts[:-1])
    except FileNotFoundError:
        return RevocationLists()
    except (OSError, ValueError) as error:
        raise KitError(
            f"{path} holds no readable CRLs (PEM): remove it and start aansluitkit-crl.service, which fetches them anew"
        ) from error
