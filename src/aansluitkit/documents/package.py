"""The package for the Servicecentrum: a mail with attachments, out of which MijnOverheid loads the CPA (seed 4.3.8).

It is not sent: a person reads it and does.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from aansluitkit.certificates.facts import distinguished_name, read_leaf
from aansluitkit.connection import Connection, Examination, Kind, examine
from aansluitkit.connection.model import Contact
from aansluitkit.connection.partial import Unknown
from aansluitkit.connection.rules import CHAIN
from aansluitkit.documents.cpa import cpa_document, render_consumerspecificatie
from aansluitkit.documents.rendering import render_text
from aansluitkit.ebms.cpa import Cpa, read_cpa
from aansluitkit.errors import KitError

MAIL = "mail.txt"
ATTACHMENTS = "bijlagen"
CHECKSUMS = "SHA256SUMS"  # as sha256sum --check takes it
ROLES = {
    "signatory": "Tekenbevoegde",
    "project_lead": "Projectleider",
    "technical_specialist": "Technisch specialist",
    "tester": "Tester",
    "user": "Gebruiker",
    "network_operator": "Netwerkbeheer",
    "platform_operator": "Platformbeheer",
}
PURPOSES = {"client": "tls", "signing": "ondertekening", "encryption": "versleuteling"}


def write_package(inventory: Path, folder: Path) -> list[Path]:
    """Write the package of ``inventory`` into the new ``folder``, whole or not at all, and return its files.

    While certificates are being renewed it is about the CPA that comes next: the Servicecentrum has the other one.

    Raises:
        KitError: with everything that is missing, or when ``folder`` is there already.
    """
    found = examine(inventory)
    missing = list(_missing(found))
    if missing or found.connection is None:
        told = "\n".join(f"  {each}" for each in missing)
        raise KitError(f"the package is not written; this is missing or wrong:\n{told}")
    if folder.exists():
        raise KitError(f"{folder} is there already, and tells what was sent: name another folder")
    files = _package(found.connection.following or found.connection)
    _write(files, folder)
    return [folder / name for name in files]


def _write(files: dict[str, bytes], folder: Path) -> None:
    making = folder.with_name(f".{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    try:
        for name, content in files.items():
            path = making / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        making.rename(folder)
    except OSError:
        shutil.rmtree(making, ignore_errors=True)
        raise


def _missing(found: Examination) -> Iterator[str]:
    """What the Servicecentrum needs and the inventory does not give, and what else is wrong with it."""
    yield from map(str, (*found.problems, *found.blanks))
    connection = found.known
    if connection is None:
        return
    for judge in (_missing_of_environment, _missing_of_cpa):
        try:
            yield from judge(connection)
        except Unknown:
            continue  # of a variable that is wrong or blank: that is said


def _missing_of_environment(connection: Connection) -> Iterator[str]:
    if connection.environment not in CHAIN:
        yield (
            f"connection_environment: '{connection.environment}' has no Servicecentrum; it connects "
            f"{' and '.join(CHAIN)}: name such an inventory"
        )
    if connection.example:
        yield "connection_example: is true, so names and addresses are nobody's: make an inventory of your own"


def _missing_of_cpa(connection: Connection) -> Iterator[str]:
    if datetime.now(UTC) >= connection.cpa.end:
        yield f"connection_cpa.end: {connection.cpa.end:%Y-%m-%d} is past: have a CPA made that is valid"


def _package(connection: Connection) -> dict[str, bytes]:
    """The files, by their path in the folder."""
    document = cpa_document(connection)
    cpa = read_cpa(document)
    certificates = _certificates(connection)
    attachments = {
        f"{cpa.id}.xml": document,
        "consumerspecificatie.xml": render_consumerspecificatie(connection).encode(),
        **{name: _pem(path) for name, path in certificates.items()},
    }
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in attachments.items()}
    listed = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    leaves = {name: read_leaf(path) for name, path in certificates.items()}
    return {
        MAIL: _mail(connection, cpa, sums, leaves).encode(),
        **{f"{ATTACHMENTS}/{name}": content for name, content in attachments.items()},
        f"{ATTACHMENTS}/{CHECKSUMS}": listed.encode(),
    }


def _certificates(connection: Connection) -> dict[str, Path]:
    """Our certificates, each file once, by the name that it has in the package."""
    files: dict[Path, str] = {}
    for use, purpose in PURPOSES.items():
        files.setdefault(connection.certificates.of("organisation", use), purpose)
    if len(files) == 1:
        return {"certificaat.pem": next(iter(files))}
    return {f"certificaat-{purpose}.pem": path for path, purpose in files.items()}


def _pem(path: Path) -> bytes:
    """The certificates in ``path`` and nothing else of it: a key may stand beside them."""
    found = x509.load_pem_x509_certificates(path.read_bytes())
    return b"".join(each.public_bytes(Encoding.PEM) for each in found)


def _mail(connection: Connection, cpa: Cpa, sums: dict[str, str], leaves: dict[str, x509.Certificate]) -> str:
    contacts: dict[str, Contact] = {name: getattr(connection.contacts, role) for role, name in ROLES.items()}
    return render_text(
        "servicecentrum.txt.j2",
        connection=connection,
        cpa=cpa,
        number="HRN" if connection.kind is Kind.VENDOR else "OIN",
        contacts=contacts,
        sums=sums,
        leaves=leaves,
        distinguished_name=distinguished_name,
    )
