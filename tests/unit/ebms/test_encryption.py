"""What is encrypted comes back as it was, to the receiver alone; what is not as agreed is refused."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aansluitkit.ebms.cpa import EncryptionTerms, Terms
from aansluitkit.ebms.encryption import AES_GCM, STALE, decrypt, encrypt, load_key
from aansluitkit.ebms.errors import SecurityFailure
from aansluitkit.ebms.mime import Payload
from aansluitkit.ebms.xml import DS, XENC, XENC11
from aansluitkit.errors import KitError

PAYLOAD = Payload("een@test", "application/xml; charset=UTF-8", b"<bericht>\r\n</bericht>", "bericht.xml")


@pytest.fixture(scope="session")
def agreed(terms: Terms) -> EncryptionTerms:
    assert terms.channel.encryption is not None
    return terms.channel.encryption


@pytest.fixture(scope="session")
def key(pki_g4: Path) -> RSAPrivateKey:
    return load_key(pki_g4 / "party-partner/key.pem")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(), algorithm=st.sampled_from([*AES_GCM, *STALE]))
def test_payloads_survive(content: bytes, algorithm: str, agreed: EncryptionTerms, key: RSAPrivateKey) -> None:
    payloads = (PAYLOAD, replace(PAYLOAD, content_id="twee@test", content=content, content_type="image/png"))
    terms = replace(agreed, algorithm=algorithm)
    sealed = encrypt(payloads, terms)
    assert [payload.content_type for payload in sealed] == ["application/xml"] * 2
    assert decrypt(sealed, key, terms) == payloads


def test_a_large_payload_survives(agreed: EncryptionTerms, key: RSAPrivateKey) -> None:
    """XML parsers take no text of more than 10 MB unless they are told to."""
    payload = replace(PAYLOAD, content=bytes(12_000_000))
    assert decrypt(encrypt((payload,), agreed), key, agreed) == (payload,)


def test_only_the_receiver_reads(agreed: EncryptionTerms, pki_g4: Path) -> None:
    sealed = encrypt((PAYLOAD,), agreed)
    assert PAYLOAD.content not in sealed[0].content
    with pytest.raises(SecurityFailure, match="another key") as caught:
        decrypt(sealed, load_key(pki_g4 / "party-organisation/key.pem"), agreed)
    assert caught.value.location == "cid:een@test"


def test_no_two_are_alike(agreed: EncryptionTerms) -> None:
    assert encrypt((PAYLOAD,), agreed) != encrypt((PAYLOAD,), agreed)


def changed_value(content: bytes) -> bytes:
    """The last CipherValue with another first byte."""
    head, _, tail = content.rpartition(b"CipherValue>")[0].rpartition(b"<xenc:CipherValue>")
    value = bytearray(base64.b64decode(tail.removesuffix(b"</xenc:")))
    value[20] ^= 1
    return (
        head
        + b"<xenc:CipherValue>"
        + base64.b64encode(value)
        + b"</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>"
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (rb"(?s).*", PAYLOAD.content, "not encrypted"),
        (rb"(?s).*", b"no XML", "well-formed"),
        (rb"(?s).*\?>", b"<!DOCTYPE x [<!ENTITY a 'b'>]>", "well-formed"),
        (rb"aes256-gcm", b"aes128-gcm", "agreed"),
        (rb"http://www.w3.org/2009/xmlenc11#aes256-gcm", f"{XENC}aes256-cbc".encode(), "agreed"),
        (rb"rsa-oaep-mgf1p", b"kw-aes256", "key transport"),
        (rb"rsa-oaep-mgf1p", b"rsa-1_5", "key transport"),
        (rb"xmlenc#sha256", b"xmlenc#ripemd160", "key transport"),
        (rb"xmlenc#sha256", b"xmlenc#sha512", "another key"),
        (rb"<xenc:EncryptedKey>.*</xenc:EncryptedKey>", b"", "no EncryptedKey"),
        (rb"<xenc:CipherValue>", b"<xenc:CipherValue>*", "well-formed"),
        (rb"CipherValue>", b"CipherReference>", "well-formed"),
        (rb"<xenc:CipherValue>[^<]*", b"<xenc:CipherValue>AAAA", "another key"),
    ],
)
def test_what_is_not_as_agreed_is_refused(
    old: bytes, new: bytes, words: str, agreed: EncryptionTerms, key: RSAPrivateKey
) -> None:
    sealed = encrypt((PAYLOAD,), agreed)[0]
    changed = re.sub(old, lambda _: new, sealed.content, count=0 if b"?s" not in old else 1)
    assert changed != sealed.content
    with pytest.raises(SecurityFailure, match=words):
        decrypt((replace(sealed, content=changed),), key, agreed)


def test_a_changed_payload_is_refused(agreed: EncryptionTerms, key: RSAPrivateKey) -> None:
    sealed = encrypt((PAYLOAD,), agreed)[0]
    with pytest.raises(SecurityFailure, match="changed"):
        decrypt((replace(sealed, content=changed_value(sealed.content)),), key, agreed)


def test_an_unknown_algorithm_of_the_cpa_is_named(agreed: EncryptionTerms) -> None:
    with pytest.raises(SecurityFailure, match="urn:rot13"):
        encrypt((PAYLOAD,), replace(agreed, algorithm="urn:rot13"))


MGF_SHA256 = f'<MGF xmlns="{XENC11}" Algorithm="{XENC11}mgf1sha256"/>'
SHA1 = f'<DigestMethod xmlns="{DS}" Algorithm="{DS}sha1"/>'
SHA256 = f'<DigestMethod xmlns="{DS}" Algorithm="{XENC}sha256"/>'


OLD = hashes.SHA1()  # noqa: S303 - the hash of OAEP when nothing is said


@pytest.mark.parametrize(
    ("transport", "inside", "scheme"),
    [
        (f"{XENC}rsa-oaep-mgf1p", "", padding.OAEP(padding.MGF1(OLD), OLD, None)),
        (f"{XENC}rsa-oaep-mgf1p", SHA1, padding.OAEP(padding.MGF1(OLD), OLD, None)),
        (f"{XENC11}rsa-oaep", SHA256, padding.OAEP(padding.MGF1(OLD), hashes.SHA256(), None)),
        (f"{XENC11}rsa-oaep", SHA256 + MGF_SHA256, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)),
    ],
)
def test_other_handlers_wrap_keys_otherwise(
    transport: str, inside: str, scheme: padding.OAEP, agreed: EncryptionTerms, key: RSAPrivateKey
) -> None:
    """As they lay out an EncryptedData: type, id and blanks included."""
    secret, nonce = bytes(range(32)), bytes(12)
    public = x509.load_der_x509_certificate(agreed.certificate).public_key()
    assert isinstance(public, RSAPublicKey)
    wrapped = base64.encodebytes(public.encrypt(secret, scheme)).decode()
    value = base64.encodebytes(nonce + AESGCM(secret).encrypt(nonce, b"content", None)).decode()
    document = f"""<?xml version="1.0" encoding="UTF-8"?>
      <e:EncryptedData xmlns:e="{XENC}" Id="een@test" MimeType="text/plain" Type="{XENC}Element">
        <e:EncryptionMethod Algorithm="{XENC11}aes256-gcm"/>
        <ds:KeyInfo xmlns:ds="{DS}"><e:EncryptedKey>
          <e:EncryptionMethod Algorithm="{transport}">{inside}</e:EncryptionMethod>
          <ds:KeyInfo><ds:KeyName>CN=x</ds:KeyName></ds:KeyInfo>
          <e:CipherData><e:CipherValue>{wrapped}</e:CipherValue></e:CipherData>
        </e:EncryptedKey></ds:KeyInfo>
        <e:CipherData><e:CipherValue>{value}</e:CipherValue></e:CipherData>
      </e:EncryptedData>""".strip()
    found = decrypt((replace(PAYLOAD, content=document.encode(), content_type="application/xml"),), key, agreed)
    assert found == (replace(PAYLOAD, content=b"content", content_type="text/plain"),)


def test_unusable_keys_are_refused(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")
    for name in ("key.pem", "absent.pem"):
        with pytest.raises(KitError, match="no readable PEM key"):
            load_key(tmp_path / name)
