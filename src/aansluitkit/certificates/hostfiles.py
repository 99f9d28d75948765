"""The check of a host's PEM files, before anything is installed.

``python -m aansluitkit.certificates FOLDER`` ends with one line per problem and status 1, or says nothing.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from aansluitkit.errors import KitError


def problems(folder: Path) -> list[str]:
    """Everything that is wrong with the PEM files in ``folder``.

    A set is ``certificate.pem``, ``key.pem`` and ``trust.pem``, or the same behind ``internal-``.
    """
    found: list[str] = []
    for path in sorted(folder.glob("*certificate.pem")):
        prefix = path.name.removesuffix("certificate.pem")
        try:
            _check(path, folder / f"{prefix}key.pem", folder / f"{prefix}trust.pem")
        except KitError as error:
            found.append(str(error))
    return found


def _check(certificate: Path, key: Path, trust: Path) -> None:
    chain, roots = _certificates(certificate), _certificates(trust)
    leaf = chain[0]
    now = datetime.now(UTC)
    if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        span = f"{leaf.not_valid_before_utc:%Y-%m-%d} to {leaf.not_valid_after_utc:%Y-%m-%d}"
        raise KitError(f"{certificate} is valid from {span}, not today: give a certificate that is valid")
    if _public(_key(key)) != _public(leaf):
        raise KitError(f"{key} does not belong to {certificate}: give the key that the certificate was made for")
    _check_chain(certificate, chain, roots)


def _check_chain(path: Path, chain: list[x509.Certificate], roots: list[x509.Certificate]) -> None:
    for subject, issuer in pairwise(chain):
        if not _signed_by(subject, issuer):
            raise KitError(
                f"{path} is not in order: '{_name(subject)}' is not signed by '{_name(issuer)}', which follows it; "
                "give the leaf first, then each issuer"
            )
    if not any(chain[-1] == root or _signed_by(chain[-1], root) for root in roots):
        raise KitError(
            f"{path} ends in '{_name(chain[-1])}', which no root beside it signed: add the missing intermediate "
            "certificates, or the root to the trust file"
        )


def _signed_by(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        subject.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


def _public(holder: object) -> bytes:
    key = holder.public_key()  # type: ignore[attr-defined]
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _key(path: Path) -> object:
    try:
        return load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError) as error:
        raise KitError(f"{path} holds no private key without passphrase: give it as PEM") from error


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError as error:
        raise KitError(f"{path} holds no PEM certificate: give one or more") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KitError(f"{path} can't be read: {error.strerror}; put it there") from error


if __name__ == "__main__":
    sys.exit("\n".join(problems(Path(sys.argv[1]))) or 0)
