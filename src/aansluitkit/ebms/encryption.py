"""Encrypted payloads (XML Encryption 1.1): each becomes an EncryptedData with a key of its own for the receiver.

AES-GCM with RSA-OAEP alone (Digikoppeling beveiligingsstandaarden, ENC001 to ENC004). Old agreements still name CBC
modes: under those AES256-GCM is made, and both AES-GCM are accepted. RSA 1.5 key transport is not accepted either: what
arrives is decrypted before its signature can be seen, and its padding would tell a stranger what it should not.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree
from lxml.builder import ElementMaker

from aansluitkit.ebms.certificates import read_certificate
from aansluitkit.ebms.cpa import EncryptionTerms
from aansluitkit.ebms.errors import MalformedError, SecurityFailure
from aansluitkit.ebms.message import content_uri
from aansluitkit.ebms.mime import DEFAULT_LIMITS, Payload
from aansluitkit.ebms.xml import DS, NAMESPACES, XENC, XENC11, parse_large, required
from aansluitkit.errors import KitError

AES_GCM = {f"{XENC11}aes256-gcm": 32, f"{XENC11}aes128-gcm": 16}  # bytes of key
STALE = tuple(f"{XENC}{name}" for name in ("aes128-cbc", "aes192-cbc", "aes256-cbc", "tripledes-cbc"))
OAEP_MGF1P = f"{XENC}rsa-oaep-mgf1p"
OAEP = f"{XENC11}rsa-oaep"
SHA256 = f"{XENC}sha256"
ENCRYPTED_TYPE = "application/xml"

_SHA1 = hashes.SHA1()  # noqa: S303 - what OAEP needs of a hash, SHA-1 still has
_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    f"{DS}sha1": _SHA1,
    SHA256: hashes.SHA256(),
    "http://www.w3.org/2001/04/xmldsig-more#sha384": hashes.SHA384(),
    f"{XENC}sha512": hashes.SHA512(),
}
_MASKS = {f"{XENC11}mgf1{digest.name}": digest for digest in _DIGESTS.values()}
_NONCE = 12  # bytes (XML Encryption 1.1, section 5.2.4)
_xenc: Callable[..., etree._Element] = ElementMaker(namespace=XENC, nsmap={"xenc": XENC, "ds": DS})
_ds: Callable[..., etree._Element] = ElementMaker(namespace=DS, nsmap={"ds": DS})


def load_key(path: Path) -> rsa.RSAPrivateKey:
    """The RSA key in PEM file ``path``, to decrypt with.

    Raises:
        KitError: when there is none, or only with a passphrase.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise KitError(f"{path} is no readable PEM key without passphrase") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KitError(f"{path} holds no RSA key: give the one of the encryption certificate in the CPA")
    return key


def encrypt(payloads: Iterable[Payload], terms: EncryptionTerms) -> tuple[Payload, ...]:
    """``payloads`` for the receiver of ``terms``; their ids and names stay as they are.

    Raises:
        SecurityFailure: when the CPA names an algorithm that is not known, or a key that is not RSA.
    """
    certificate = read_certificate(terms.certificate)
    public = certificate.public_key()
    if not isinstance(public, rsa.RSAPublicKey):
        raise SecurityFailure("//Body/Manifest", "the encryption certificate of the CPA has no RSA key")
    algorithm, name = accepted(terms)[0], certificate.subject.rfc4514_string()
    return tuple(_encrypted(payload, public, algorithm, name) for payload in payloads)


def decrypt(payloads: Iterable[Payload], key: rsa.RSAPrivateKey, terms: EncryptionTerms) -> tuple[Payload, ...]:
    """What ``encrypt`` encrypted.

    Raises:
        SecurityFailure: when a payload is not encrypted as the CPA says, or not for ``key``.
    """
    return tuple(_decrypted(payload, key, accepted(terms)) for payload in payloads)


def accepted(terms: EncryptionTerms) -> list[str]:
    """What payloads may be encrypted with; the first is what we make.

    Raises:
        SecurityFailure: when the CPA names an algorithm that is not known.
    """
    if terms.algorithm in STALE:
        return list(AES_GCM)
    if terms.algorithm not in AES_GCM:
        raise SecurityFailure(
            "//Body/Manifest", f"the CPA names {terms.algorithm}; {' and '.join(AES_GCM)} are supported"
        )
    return [terms.algorithm]


def _encrypted(payload: Payload, public: rsa.RSAPublicKey, algorithm: str, name: str) -> Payload:
    key, nonce = secrets.token_bytes(AES_GCM[algorithm]), secrets.token_bytes(_NONCE)
    scheme = padding.OAEP(padding.MGF1(_SHA1), hashes.SHA256(), label=None)
    encrypted_key = _xenc(
        "EncryptedKey",
        _xenc("EncryptionMethod", _ds("DigestMethod", Algorithm=SHA256), Algorithm=OAEP_MGF1P),
        _ds("KeyInfo", _ds("KeyName", name)),
        _cipher(public.encrypt(key, scheme)),
    )
    data = _xenc(
        "EncryptedData",
        _xenc("EncryptionMethod", Algorithm=algorithm),
        _ds("KeyInfo", encrypted_key),
        _cipher(nonce + AESGCM(key).encrypt(nonce, payload.content, None)),
        MimeType=payload.content_type,
    )
    content = etree.tostring(data, xml_declaration=True, encoding="UTF-8")
    return replace(payload, content=content, content_type=ENCRYPTED_TYPE)


def _cipher(value: bytes) -> etree._Element:
    return _xenc("CipherData", _xenc("CipherValue", base64.b64encode(value).decode("ascii")))


def _decrypted(payload: Payload, private: rsa.RSAPrivateKey, allowed: list[str]) -> Payload:
    location = content_uri(payload.content_id)
    try:
        data = parse_large(payload.content)
        if data.tag != f"{{{XENC}}}EncryptedData":
            raise SecurityFailure(location, "the payload is not encrypted, which the CPA demands")
        algorithm = _method(data)
        if algorithm not in allowed:
            raise SecurityFailure(
                location, f"the payload is encrypted with {algorithm}, {' or '.join(allowed)} is agreed"
            )
        encrypted_key = data.find("ds:KeyInfo/xenc:EncryptedKey", NAMESPACES)
        if encrypted_key is None:
            raise SecurityFailure(location, "the payload has no EncryptedKey")
        scheme, wrapped, content = _scheme(encrypted_key, location), _value(encrypted_key), _value(data)
    except (MalformedError, ValueError) as error:
        raise SecurityFailure(location, "the payload is no well-formed EncryptedData") from error
    try:
        opened = _opened(content, private.decrypt(wrapped, scheme), AES_GCM[algorithm])
    except (ValueError, InvalidTag) as error:
        raise SecurityFailure(
            location, "the payload can not be decrypted: it is for another key, or was changed"
        ) from error
    kind = data.get("MimeType", "application/octet-stream")
    if len(kind) > DEFAULT_LIMITS.word or not kind.isprintable():
        raise SecurityFailure(location, "the MimeType of the payload is no media type")
    return replace(payload, content=opened, content_type=kind)


def _opened(content: bytes, key: bytes, length: int) -> bytes:
    if len(key) != length:
        raise ValueError("the key is not of the algorithm")
    return AESGCM(key).decrypt(content[:_NONCE], content[_NONCE:], None)


def _scheme(encrypted_key: etree._Element, location: str) -> padding.OAEP:
    """How the key was wrapped (XML Encryption 1.1, section 5.5)."""
    transport = _method(encrypted_key)
    digest = encrypted_key.find("xenc:EncryptionMethod/ds:DigestMethod", NAMESPACES)
    mask = encrypted_key.find("xenc:EncryptionMethod/xenc11:MGF", NAMESPACES) if transport == OAEP else None
    hashed = _DIGESTS.get(digest.get("Algorithm", "") if digest is not None else f"{DS}sha1")
    masked = _MASKS.get(mask.get("Algorithm", "")) if mask is not None else _SHA1
    if transport not in (OAEP_MGF1P, OAEP) or hashed is None or masked is None:
        raise SecurityFailure(location, f"key transport {transport} is not supported: RSA-OAEP with SHA-1 or SHA-2 is")
    return padding.OAEP(padding.MGF1(masked), hashed, label=None)


def _method(element: etree._Element) -> str:
    found = element.find("xenc:EncryptionMethod", NAMESPACES)
    return found.get("Algorithm", "") if found is not None else ""


def _value(element: etree._Element) -> bytes:
    return base64.b64decode("".join(required(element, "xenc:CipherData/xenc:CipherValue").split()), validate=True)
