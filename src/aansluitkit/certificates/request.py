"""Asking for a certificate: a key that is made once, the request (PKCS #10) for it, and the order form.

PKIoverheid G4 wants the request signed with RSASSA-PSS; community.crypto's openssl_csr signs with PKCS #1 v1.5 alone,
so the request is made here, and the key with it: the two belong together.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aansluitkit.certificates import facts
from aansluitkit.certificates.pkioverheid import CertificateType, Generation, server_type
from aansluitkit.certificates.reading import names_ordered
from aansluitkit.certificates.rules import SHORTEST_RSA
from aansluitkit.connection import Connection, Kind, examine, refuse_deployment
from aansluitkit.connection.identifiers import check_fqdn
from aansluitkit.connection.model import Contact
from aansluitkit.connection.partial import Unknown
from aansluitkit.connection.rules import TESTING
from aansluitkit.documents.rendering import render, write
from aansluitkit.errors import InventoryError, KitError, Problem

KEY, REQUEST, FORM = "key.pem", "request.csr", "bestelformulier.html"
ASKED = ("connection_organisation", "connection_endpoint", "connection_environment", "connection_kind")
COUNTRY = "NL"

Seal = Callable[[bytes], bytes]  # encrypts a private key
Value = TypeVar("Value")


@dataclass(frozen=True)
class Order:
    """What is asked of the provider. ``names`` are host names, the endpoint's first."""

    environment: str
    organisation: str
    number: str
    number_kind: str
    names: tuple[str, ...]
    generation: Generation
    kind: CertificateType
    bits: int
    signatory: Contact | None
    specialist: Contact | None

    @property
    def organisation_identifier(self) -> str:
        """organizationIdentifier, which G4 wants, where the number holds the KvK number."""
        return f"NTRNL-{self.number[8:16]}" if self.number.startswith("00000003") else ""

    @property
    def subject(self) -> x509.Name:
        """Subject of the request."""
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, COUNTRY),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organisation),
                x509.NameAttribute(NameOID.SERIAL_NUMBER, self.number),
                x509.NameAttribute(NameOID.COMMON_NAME, self.names[0]),
            ]
        )


def order_of(inventory: Path, generation: Generation, bits: int, extra_names: tuple[str, ...] = ()) -> Order:
    """What the inventory folder ``inventory`` has to order; it may have blanks elsewhere.

    Raises:
        InventoryError: when what a certificate names is wrong or blank.
        KitError: when the inventory is an example, or there is no such certificate.
    """
    if bits < SHORTEST_RSA:
        raise KitError(
            f"a key of {bits} bits is too short; at least {SHORTEST_RSA} is expected (NCSC 2025-05): ask for more"
        )
    connection = _connection(inventory)
    try:
        names = tuple(dict.fromkeys((connection.host_name, *map(check_fqdn, extra_names))))
    except ValueError as error:
        raise KitError(f"an extra name is refused: {error}") from error
    number = connection.organisation.oin
    return Order(
        environment=str(connection.environment),
        organisation=connection.organisation.name,
        number=number,
        number_kind="HRN" if connection.kind is Kind.VENDOR else "OIN",
        names=names,
        generation=generation,
        kind=server_type(generation, trial=connection.environment in TESTING),
        bits=bits,
        signatory=_known(lambda: connection.contacts.signatory),
        specialist=_known(lambda: connection.contacts.technical_specialist),
    )


def _connection(inventory: Path) -> Connection:
    found = examine(inventory)
    wrong = [one for one in (*found.problems, *found.blanks) if one.variable.startswith(ASKED)]
    if wrong:
        raise InventoryError(wrong)
    if found.known is None:
        raise InventoryError(list(found.problems))
    try:
        refuse_deployment(inventory, found.known)
    except Unknown as field:
        problem = Problem(str(inventory), f"connection_{field}", "is wrong or blank: correct it first")
        raise InventoryError([problem]) from field
    return found.known


def _known(ask: Callable[[], Value]) -> Value | None:
    try:
        return ask()
    except Unknown:
        return None


def make_request(order: Order, folder: Path, seal: Seal, own_key: rsa.RSAPrivateKey | None = None) -> bool:
    """Make key, request and order form in ``folder``, whole or not at all, and tell whether anything was made.

    A request that is there is never made anew: its key may have been ordered with. ``own_key`` is used instead of a
    new one.

    Raises:
        KitError: when a request of other contents is there, or the key can't be encrypted or is too short.
    """
    if folder.exists():
        return _keep(order, folder)
    if own_key and own_key.key_size < SHORTEST_RSA:
        raise KitError(
            f"your own key has {own_key.key_size} bits; at least {SHORTEST_RSA} is expected (NCSC 2025-05): give a "
            "longer one"
        )
    key = own_key or rsa.generate_private_key(public_exponent=65537, key_size=order.bits)
    request = sign_request(order, key)
    contents = {
        KEY: seal(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
        REQUEST: request.public_bytes(Encoding.PEM),
        FORM: order_form(order, request).encode(),
    }
    make_folder(folder, contents)
    return True


def make_folder(folder: Path, contents: dict[str, bytes]) -> None:
    """Make ``folder`` with files of ``contents``, whole or not at all, readable only by its owner."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))  # only its owner reads it
    try:
        for name, content in contents.items():
            with os.fdopen(os.open(making / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
        making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _keep(order: Order, folder: Path) -> bool:
    """Leave what is there; only the form is written anew, when it tells something else."""
    try:
        request = x509.load_pem_x509_csr((folder / REQUEST).read_bytes())
        (folder / KEY).stat()
    except (OSError, ValueError) as error:
        raise KitError(
            f"{folder} has no {REQUEST} with {KEY} that can be read: put them back, or remove the folder when nothing "
            "was ordered with it"
        ) from error
    there, wanted = _said(request), (order.subject, order.names, order.generation.hash.name)
    if there != wanted:
        raise KitError(
            f"{folder / REQUEST} asks for {_words(there)}, the inventory now for {_words(wanted)}; names can't change "
            "once they are ordered (seed 3.3.8): correct the inventory, or remove the folder when nothing was ordered"
        )
    form = order_form(order, request)
    if (folder / FORM).is_file() and (folder / FORM).read_text(encoding="utf-8") == form:
        return False
    write(form, folder / FORM)
    return True


Said = tuple[x509.Name, tuple[str, ...], str]  # subject, names, hash


def _said(request: x509.CertificateSigningRequest) -> Said:
    found = request.signature_hash_algorithm
    return request.subject, names_ordered(request), found.name if found else ""


def _words(said: Said) -> str:
    return f"{facts.distinguished_name(said[0])} with {', '.join(said[1])} and {said[2]}"


def sign_request(order: Order, key: rsa.RSAPrivateKey) -> x509.CertificateSigningRequest:
    """The request, signed as the generation signs: G4 with RSASSA-PSS, SHA-512 and a salt of 64 bytes."""
    usage = x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in order.names])
    builder = (
        x509.CertificateSigningRequestBuilder(order.subject)
        .add_extension(names, critical=False)
        .add_extension(usage, critical=True)
        .add_extension(purposes, critical=False)
    )
    return builder.sign(key, order.generation.hash, rsa_padding=order.generation.padding)


def order_form(order: Order, request: x509.CertificateSigningRequest) -> str:
    """The order form for the provider, in Dutch (XHTML)."""
    return render(
        "certificate-order.html.j2",
        order=order,
        pem=request.public_bytes(Encoding.PEM).decode(),
        signature="RSASSA-PSS met SHA-512, MGF1 met SHA-512 en een salt van 64 bytes"
        if order.generation is Generation.G4
        else "RSASSA-PKCS1-v1_5 met SHA-256",
    )
