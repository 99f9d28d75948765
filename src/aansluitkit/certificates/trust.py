"""The authorities that an inventory trusts: roots by fingerprint, and the intermediates that complete a chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from aansluitkit.certificates import facts
from aansluitkit.certificates.reading import read_file
from aansluitkit.connection.model import Trust, TrustedRoot
from aansluitkit.errors import KitError

ENDINGS = frozenset({".pem", ".crt", ".cer", ".der", ".p7b", ".p7c"})


@dataclass(frozen=True)
class Anchors:
    """What can be built upon; ``problems`` has a sentence for each root that is missing or another.

    ``unlisted`` are roots that lie in the folder and are not trusted, or not any more.
    """

    roots: tuple[x509.Certificate, ...] = ()
    unlisted: tuple[x509.Certificate, ...] = ()
    intermediates: tuple[x509.Certificate, ...] = ()
    problems: tuple[str, ...] = ()


def read_anchors(trust: Trust) -> Anchors:
    """The configured roots of ``trust`` as its folder has them, each verified against its fingerprint."""
    problems: list[str] = []
    folder = trust.folder.resolve()  # many inventories share one
    authorities: list[tuple[Path, x509.Certificate]] = []
    for path in certificate_files(folder):
        try:
            authorities += [(path, one) for one in read_file(path).certificates]
        except KitError as error:
            problems.append(str(error))
    roots = []
    for name, wanted in trust.roots.items():
        found = next((one for _, one in authorities if facts.fingerprint(one) == wanted.sha256), None)
        if found:
            roots.append(found)
        else:
            problems.append(_missing(folder, name, wanted, authorities))
    unlisted = tuple(one for _, one in authorities if facts.is_self_signed(one) and one not in roots)
    intermediates = tuple(one for _, one in authorities if not facts.is_self_signed(one))
    return Anchors(tuple(roots), unlisted, intermediates, tuple(problems))


def _missing(folder: Path, name: str, wanted: TrustedRoot, authorities: list[tuple[Path, x509.Certificate]]) -> str:
    variable = f"connection_trust.roots.{name}"
    for path, one in authorities:
        if facts.subject(one) == wanted.name:
            return (
                f"{path} holds '{wanted.name}' with fingerprint {facts.fingerprint(one)}, not {wanted.sha256} of "
                f"{variable}: fetch both again from cert.pkioverheid.nl, and trust neither until they agree"
            )
    return (
        f"{folder} does not hold root '{wanted.name}' of {variable} (SHA-256 {wanted.sha256}): fetch it from "
        "cert.pkioverheid.nl and put it there, or take it out of connection_trust"
    )


def certificate_files(folder: Path) -> Iterator[Path]:
    """The files below ``folder`` that may hold certificates, keys excepted, sorted."""
    if folder.is_dir():
        yield from sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in ENDINGS and not path.name.endswith("key.pem") and path.is_file()
        )
