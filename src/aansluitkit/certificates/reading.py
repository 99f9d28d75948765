"""Reading what a provider returns: PEM, DER, PKCS#7 and PKCS#12, in any order, bundled or not.

Old PKCS#12 (RC2-40, 3DES, SHA-1) is read as well. Nothing here judges; what can't be read is one sentence.
"""

from __future__ import annotations

import base64
import binascii
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
    pkcs7,
    pkcs12,
)

from aansluitkit.certificates import facts
from aansluitkit.errors import KitError

LARGEST_FILE = 1024 * 1024  # bytes; a chain has some thousands
VAULT_HEADER = b"$ANSIBLE_VAULT;"
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_WIDE = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}  # as Windows saves a text
_JAVA = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")  # JKS and JCEKS
_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion)
_PLEASE = "give what the provider returned, as PEM, DER, PKCS#7 (.p7b, .p7c) or PKCS#12 (.p12, .pfx)"

Passphrase = Callable[[Path], bytes | None]  # asked only when a file needs one; None: there is none


@dataclass(frozen=True)
class Content:
    """What one file holds, in its order, each certificate once."""

    path: Path
    certificates: tuple[x509.Certificate, ...] = ()
    keys: tuple[PrivateKeyTypes, ...] = ()
    requests: tuple[x509.CertificateSigningRequest, ...] = ()


def no_passphrase(_path: Path) -> bytes | None:
    """There is none."""
    return None


def read_bytes(path: Path) -> bytes:
    """The content of ``path``.

    Raises:
        KitError: when it can't be read, is empty, is far too large, or is encrypted with Ansible Vault.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise KitError(f"{path} has more than {LARGEST_FILE} bytes, so it is no certificate: {_PLEASE}")
        content = path.read_bytes()
    except OSError as error:
        raise KitError(f"{path} can't be read: {error.strerror}: name a file that can") from error
    if not content.strip():
        raise KitError(f"{path} is empty: {_PLEASE}")
    return content


def read_file(path: Path, passphrase: Passphrase = no_passphrase) -> Content:
    """Everything that ``path`` holds.

    Raises:
        KitError: when it can't be read, holds nothing of use, or does not open with the passphrase.
    """
    return read_content(path, read_bytes(path), passphrase)


def read_content(path: Path, content: bytes, passphrase: Passphrase = no_passphrase) -> Content:
    """The same of a file that is in memory; ``path`` names it.

    Raises:
        KitError: as ``read_file``.
    """
    if content.startswith(VAULT_HEADER):
        raise KitError(
            f"{path} is encrypted with Ansible Vault, which is read by the playbooks alone: name the request.csr that "
            "lies beside it, which has the same public key"
        )
    if content.startswith(_JAVA):
        raise KitError(
            f"{path} is a Java keystore: convert it with keytool -importkeystore -deststoretype PKCS12, and give that"
        )
    text = as_utf8(content)
    found = list(_of_pem(path, text, passphrase)) if b"-----BEGIN " in text else list(_of_der(path, text, passphrase))
    if not found:
        raise KitError(f"{path} holds no certificate, key or request that can be read: {_PLEASE}")
    return _gathered(path, found)


def as_utf8(content: bytes) -> bytes:
    """``content`` in UTF-8 without a mark, where it begins with the mark of a Windows text; else as it is."""
    names = (name for mark, name in _WIDE.items() if content.startswith(mark))
    name = next(names, None)
    return content.decode(name, "replace").encode() if name else content


def read_passphrase(path: Path) -> bytes:
    """The first line of ``path`` in UTF-8, whatever encoding the file has.

    Raises:
        OSError: when it can't be read.
        IndexError: when it is empty.
    """
    line = as_utf8(path.read_bytes()).splitlines()[0]
    try:
        line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace").encode()
    return line


Item = x509.Certificate | x509.CertificateSigningRequest | PrivateKeyTypes


def _gathered(path: Path, items: list[Item]) -> Content:
    certificates = tuple(dict.fromkeys(item for item in items if isinstance(item, x509.Certificate)))
    requests = tuple(item for item in items if isinstance(item, x509.CertificateSigningRequest))
    others = (x509.Certificate, x509.CertificateSigningRequest)
    keys = tuple(item for item in items if not isinstance(item, others))
    return Content(path, certificates, keys, requests)


def _of_pem(path: Path, text: bytes, passphrase: Passphrase) -> Iterator[Item]:
    blocks = list(_BLOCK.finditer(text))
    if len(blocks) < text.count(b"-----BEGIN "):
        raise KitError(f"{path} breaks off: a BEGIN line in it has no END line of its own: get the whole file")
    for match in blocks:
        label, block = match[1].decode(), match[0] + b"\n"
        try:
            if label == "OPENSSH PRIVATE KEY":
                raise KitError(f"{path} holds a key of SSH: give the one of the request (BEGIN PRIVATE KEY)")
            if label.endswith("PRIVATE KEY"):
                yield _private_key(path, block, load_pem_private_key, passphrase)
            elif label.endswith("CERTIFICATE REQUEST"):
                yield x509.load_pem_x509_csr(block)
            elif label.endswith("CERTIFICATE"):
                yield facts.from_der(_body(match[0]))
            elif label in {"PKCS7", "CMS"}:
                yield from _of_pkcs7(_body(match[0]))
        except _UNREADABLE as error:
            raise KitError(f"{path} holds a {label} that can't be read ({_short(error)}): {_PLEASE}") from error


def _body(block: bytes) -> bytes:
    """What stands between the first and last line of a PEM block, decoded; of OpenSSL's TRUSTED the certificate."""
    lines = block.splitlines()
    decoded = base64.b64decode(b"".join(line.strip() for line in lines[1:-1] if b":" not in line))
    return decoded[: _length(decoded)]


def _length(der: bytes) -> int:
    """How many bytes the outermost value of ``der`` takes."""
    if len(der) < 2 or der[1] < 0x80:
        return len(der)
    size = der[1] & 0x7F
    return 2 + size + int.from_bytes(der[2 : 2 + size], "big")


def _of_der(path: Path, content: bytes, passphrase: Passphrase) -> Iterator[Item]:
    der = content if content[:1] == b"\x30" else _bare_base64(content)
    if der[:1] == b"\x30" and len(der) < _length(der):
        raise KitError(f"{path} breaks off: it has {len(der)} of {_length(der)} bytes: get the whole file")
    if _is_pkcs12(der):
        yield from _of_pkcs12(path, der, passphrase)
        return
    readers: tuple[Callable[[bytes], list[Item]], ...] = (
        lambda data: [facts.from_der(data)],
        _of_pkcs7,
        lambda data: [x509.load_der_x509_csr(data)],
        lambda data: [_private_key(path, data, load_der_private_key, passphrase)],
    )
    for read in readers:
        try:
            yield from read(der)
        except _UNREADABLE:
            continue
        else:
            return


def _of_pkcs7(der: bytes) -> list[Item]:
    """What many tools write is BER: the certificates do not stand in the order that DER wants."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PKCS#7 certificates could not be parsed as DER", UserWarning)
        return list(map(facts.parsed, pkcs7.load_der_pkcs7_certificates(der)))


def _bare_base64(content: bytes) -> bytes:
    """PEM without its first and last line is base64 alone."""
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        return content


def _is_pkcs12(der: bytes) -> bool:
    """Whether ``der`` is a PFX: a sequence that begins with version 3 (RFC 7292 section 4)."""
    header = 2 + (der[1] & 0x7F if len(der) > 1 and der[1] & 0x80 else 0)
    return der[:1] == b"\x30" and der[header : header + 3] == b"\x02\x01\x03"


def _of_pkcs12(path: Path, der: bytes, passphrase: Passphrase) -> Iterator[Item]:
    secret: bytes | None = None
    for secret in _attempts(path, passphrase):
        try:
            store = pkcs12.load_pkcs12(der, secret)
        except ValueError:
            continue
        except UnsupportedAlgorithm as error:
            raise KitError(
                f"{path} is encrypted in a way that is no longer supported ({_short(error)}): convert it with openssl "
                "pkcs12 -legacy -in FILE -out FILE.pem, and give that"
            ) from error
        if store.key:
            yield store.key
        yield from _stored(path, store)
        return
    what = "needs a passphrase, and none was given" if secret is None else "does not open with the passphrase given"
    raise KitError(f"{path} {what}, or is damaged: give the passphrase that the provider sent with it")


def _stored(path: Path, store: pkcs12.PKCS12KeyAndCertificates) -> list[x509.Certificate]:
    try:
        return [facts.parsed(entry.certificate) for entry in (store.cert, *store.additional_certs) if entry]
    except ValueError as error:
        raise KitError(f"{path} holds a certificate that can't be read ({_short(error)}): {_PLEASE}") from error


def _attempts(path: Path, passphrase: Passphrase) -> Iterator[bytes | None]:
    """Without passphrase, with an empty one, then with the one that is asked for, and as old tools spelled that."""
    yield None
    yield b""
    secret = passphrase(path)
    yield secret
    if secret and not secret.isascii():
        yield secret.decode("latin-1").encode()  # OpenSSL before 1.1 took each byte for a character


def _private_key(
    path: Path, data: bytes, load: Callable[[bytes, bytes | None], PrivateKeyTypes], passphrase: Passphrase
) -> PrivateKeyTypes:
    try:
        return load(data, None)
    except TypeError:
        secret = passphrase(path)
    if secret is None:
        raise KitError(f"{path} holds a key with a passphrase, and none was given: give its passphrase")
    try:
        return load(data, secret)
    except ValueError as error:
        raise KitError(f"{path} does not open with the passphrase given: give the passphrase of this key") from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__


def public_bytes(holder: PrivateKeyTypes | x509.CertificateSigningRequest | x509.Certificate) -> bytes:
    """The public half of ``holder``, as bytes to compare."""
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True)
class Key:
    """The public half of what a certificate was ordered with, how a sentence names it, and the names in the order."""

    public: bytes
    name: str
    ordered: tuple[str, ...] = ()


def read_key(path: Path, passphrase: Passphrase = no_passphrase) -> Key:
    """What the private key, request or public key in ``path`` tells.

    Raises:
        KitError: when it holds none, or can't be read.
    """
    content, name = read_bytes(path), f"'{path}'"
    for load in (load_pem_public_key, load_der_public_key):
        try:
            return Key(load(content).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), name)
        except (ValueError, UnsupportedAlgorithm):
            continue
    found = read_content(path, content, passphrase)
    if found.requests:
        return Key(public_bytes(found.requests[0]), name, names_ordered(found.requests[0]))
    if not found.keys:
        raise KitError(f"{path} holds no key: name the private key, or the request that it was ordered with")
    return Key(public_bytes(found.keys[0]), name)


def names_ordered(request: x509.CertificateSigningRequest) -> tuple[str, ...]:
    """The host names that ``request`` asks for, in small letters."""
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))
