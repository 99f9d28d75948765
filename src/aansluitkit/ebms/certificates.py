"""Who stands behind a certificate."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID


def read_certificate(content: bytes) -> x509.Certificate:
    """The certificate in DER ``content``.

    Raises:
        ValueError: when it is none that can be read.
    """
    try:
        return x509.load_der_x509_certificate(content)
    except x509.InvalidVersion as error:
        raise ValueError(str(error)) from error


@lru_cache(maxsize=256)
def oin_of(certificate: bytes) -> str | None:
    """The OIN in Subject.serialNumber of a DER certificate (Digikoppeling, use of certificates, chapter 4)."""
    subject = read_certificate(certificate).subject
    found = subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    return str(found[0].value) if found else None


def valid_until(path: Path) -> datetime:
    """Until when the first certificate of the PEM file ``path`` is valid."""
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
