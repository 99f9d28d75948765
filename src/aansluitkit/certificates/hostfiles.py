"""The check of a host's PEM files, before anything is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from aansluitkit.certificates import facts, rules
from aansluitkit.certificates.internal import PLAYBOOK
from aansluitkit.certificates.reading import public_bytes
from aansluitkit.connection.model import APART, INTERNAL_FILES
from aansluitkit.errors import KitError

Read = Callable[[Path], bytes]  # gives the content of a file, decrypted where Ansible Vault encrypted it


def problems(folder: Path, read: Read = Path.read_bytes, required: Sequence[str] = ()) -> list[str]:
    """Everything that is wrong with the PEM files in ``folder``, in which the files ``required`` must be.

    A set is ``certificate.pem``, ``key.pem`` and ``trust.pem``, or the same behind ``internal-``. Certificate and key
    behind ``signing-`` or ``encryption-`` have the roots of the first.
    """
    lacking = [name for name in required if not (folder / name).is_file()]
    found = list(_lacking(folder, lacking))
    for path in sorted(folder.glob("*certificate.pem")):
        prefix = path.name.removesuffix("certificate.pem")
        if {f"{prefix}key.pem", f"{prefix}trust.pem"} & {*lacking}:
            continue
        try:
            trust = "trust.pem" if prefix.removesuffix("-") in APART else f"{prefix}trust.pem"
            found += _problems(path, folder / f"{prefix}key.pem", folder / trust, read)
        except KitError as error:
            found.append(str(error))
    return found


def _lacking(folder: Path, names: Sequence[str]) -> Iterator[str]:
    internal = [name for name in names if name in INTERNAL_FILES]
    others = [name for name in names if name not in INTERNAL_FILES]
    if others:
        yield (
            f"{folder} lacks {', '.join(others)}: take in the endpoint's certificate (playbooks/certificates.yml), or "
            "put the files there"
        )
    if internal:
        yield f"{folder} lacks {', '.join(internal)}: make the internal certificates ({PLAYBOOK})"


def _problems(certificate: Path, key: Path, trust: Path, read: Read) -> list[str]:
    chain, roots = _certificates(certificate, read), _certificates(trust, read)
    public = public_bytes(_key(key, read))
    internal = certificate.name in INTERNAL_FILES
    return [
        *(_internal_is_valid_now if internal else rules.is_valid_now)(str(certificate), chain[0]),
        *rules.belongs_to_key(str(certificate), chain[0], public, str(key)),
        *(() if internal else rules.has_rsa_key(str(certificate), chain[0])),
        *_problems_of_chain(certificate, chain, roots),
    ]


def _internal_is_valid_now(file: str, certificate: x509.Certificate) -> Iterator[str]:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begin <= datetime.now(UTC) < end:
        yield (
            f"{file} is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, not today: renew the internal certificates "
            f"({PLAYBOOK}), or have your own authority renew it"
        )


def _problems_of_chain(path: Path, chain: list[x509.Certificate], roots: list[x509.Certificate]) -> list[str]:
    for subject, issuer in pairwise(chain):
        if not facts.signed_by(subject, issuer):
            return [
                f"{path} is not in order: '{facts.subject(subject)}' is not signed by '{facts.subject(issuer)}', which "
                "follows it; give the leaf first, then each issuer"
            ]
    if not any(chain[-1] == root or facts.signed_by(chain[-1], root) for root in roots):
        return [
            f"{path} ends in '{facts.subject(chain[-1])}', which no root beside it signed: add the missing "
            "intermediate certificates, or the root to the trust file"
        ]
    return []


def _key(path: Path, read: Read) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(_read(path, read), password=None)
    except (ValueError, TypeError) as error:
        raise KitError(
            f"{path} holds no private key without passphrase: give it as PEM; Ansible Vault may encrypt it"
        ) from error


def _certificates(path: Path, read: Read) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path, read))
    except ValueError as error:
        raise KitError(f"{path} holds no PEM certificate: give one or more") from error


def _read(path: Path, read: Read) -> bytes:
    try:
        return read(path)
    except OSError as error:
        raise KitError(f"{path} can't be read: {error.strerror}; put it there") from error
