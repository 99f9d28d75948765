"""Signatures hold as judged by others, and every way to change or wrap a signed message is refused."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from aansluitkit.ebms.cpa import SignatureTerms, Terms, read_cpa
from aansluitkit.ebms.errors import SecurityFailure
from aansluitkit.ebms.message import acknowledgment, build, compose, read_envelope
from aansluitkit.ebms.mime import Payload, unpack
from aansluitkit.ebms.signature import (
    DIGESTS,
    EXCLUSIVE,
    INCLUSIVE,
    SIGNATURES,
    Signer,
    acknowledges,
    load_trust,
    verify,
)
from aansluitkit.ebms.xml import DS, parse
from aansluitkit.errors import KitError
from aansluitkit.project import ROOT

PAYLOADS = (Payload("een@test", "application/xml", b"<a/>"), Payload("twee&2@test", "image/png", bytes(range(256))))


@pytest.fixture(scope="session")
def agreed(terms: Terms, signer: Signer) -> SignatureTerms:
    assert terms.channel.signature is not None
    assert terms.channel.signature.certificate == signer.certificate
    return terms.channel.signature


@pytest.fixture(scope="session")
def envelope(terms: Terms, signer: Signer, agreed: SignatureTerms) -> bytes:
    return signer.sign(build(compose(terms, PAYLOADS, "test")), PAYLOADS, agreed)


def refused(envelope: bytes, payloads: Sequence[Payload], terms: SignatureTerms, words: str = "") -> SecurityFailure:
    with pytest.raises(SecurityFailure, match=words) as caught:
        verify(envelope, payloads, terms)
    return caught.value


def test_what_is_signed_verifies(envelope: bytes, agreed: SignatureTerms, signer: Signer) -> None:
    assert verify(envelope, PAYLOADS, agreed) == signer.certificate
    assert len(read_envelope(envelope, PAYLOADS).references) == 3


@pytest.mark.parametrize("digest", DIGESTS)
@pytest.mark.parametrize("algorithm", SIGNATURES)
def test_algorithms_are_those_of_the_cpa(
    algorithm: str, digest: str, terms: Terms, signer: Signer, agreed: SignatureTerms
) -> None:
    other = replace(agreed, algorithm=algorithm, digest=digest)
    signed = signer.sign(build(compose(terms, PAYLOADS, "test")), PAYLOADS, other)
    assert verify(signed, PAYLOADS, other) == signer.certificate
    if other != agreed:
        refused(signed, PAYLOADS, agreed, "is agreed")


def test_sha1_of_old_agreements_is_never_used(terms: Terms, signer: Signer, agreed: SignatureTerms) -> None:
    stale = replace(agreed, algorithm=f"{DS}rsa-sha1", digest=f"{DS}sha1")
    signed = signer.sign(build(compose(terms, PAYLOADS, "test")), PAYLOADS, stale)
    assert b"sha1" not in signed
    assert verify(signed, PAYLOADS, stale) == verify(signed, PAYLOADS, agreed) == signer.certificate
    weak = signed.replace(b"http://www.w3.org/2001/04/xmlenc#sha256", f"{DS}sha1".encode())
    refused(weak, PAYLOADS, stale, "DigestMethod")
    weak = signed.replace(b"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", f"{DS}hmac-sha1".encode())
    refused(weak, PAYLOADS, stale, "SignatureMethod")


@pytest.mark.parametrize(
    ("payloads", "location", "words"),
    [
        (PAYLOADS[:1], "//Header/Signature", "twee"),
        ((), "//Header/Signature", "een@test"),
        ((*PAYLOADS, Payload("drie", "text/plain", b"")), "cid:drie", "does not cover"),
        ((PAYLOADS[0], replace(PAYLOADS[1], content=b"\n" + PAYLOADS[1].content)), "cid:twee&2@test", "changed"),
        ((replace(PAYLOADS[0], content=PAYLOADS[1].content), PAYLOADS[1]), "cid:een@test", "changed"),
    ],
)
def test_other_payloads_are_refused(
    payloads: tuple[Payload, ...], location: str, words: str, envelope: bytes, agreed: SignatureTerms
) -> None:
    assert refused(envelope, payloads, agreed, words).location == location


def wrapped(envelope: bytes) -> bytes:
    """The signed envelope inside another one, which says something else."""
    signed = envelope.partition(b"?>\n")[2]
    return signed.replace(b"<soap:Body>", b"<soap:Body><old>" + signed + b"</old>", 1).replace(
        b"test</eb:Mes", b"x</eb:Mes", 1
    )


def moved(envelope: bytes) -> bytes:
    """The signature in the Body."""
    at, end = envelope.index(b"<ds:Signature"), envelope.index(b"</ds:Signature>") + len("</ds:Signature>")
    return (envelope[:at] + envelope[end:]).replace(b"</soap:Body>", envelope[at:end] + b"</soap:Body>")


def doubled(envelope: bytes) -> bytes:
    at, end = envelope.index(b"<ds:Signature"), envelope.index(b"</ds:Signature>") + len("</ds:Signature>")
    return envelope[:end] + envelope[at:end] + envelope[end:]


def unsigned(envelope: bytes) -> bytes:
    at, end = envelope.index(b"<ds:Signature"), envelope.index(b"</ds:Signature>") + len("</ds:Signature>")
    return envelope[:at] + envelope[end:]


def versioned(envelope: bytes) -> bytes:
    """With a certificate of a version that does not exist."""
    before, mark, rest = envelope.partition(b"<ds:X509Certificate>")
    certificate, end, after = rest.partition(b"<")
    changed = base64.b64decode(certificate).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x0a")
    return before + mark + base64.b64encode(changed) + end + after


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (versioned, "X509Certificate"),
        (unsigned, "not signed"),
        (wrapped, "one signature is expected"),
        (moved, "one signature is expected"),
        (doubled, "one signature is expected"),
        (lambda envelope: envelope.replace(b'<ds:Reference URI="">', b'<ds:Reference URI="#body">'), "#body"),
        (lambda envelope: envelope.replace(b'<ds:Reference URI="">', b"<ds:Reference>"), "None"),
        (lambda envelope: envelope.replace(b'URI="cid:een', b'URI="file:///etc/passwd'), "file:"),
        (lambda envelope: envelope.replace(b'URI="cid:een@test"', b'URI=""'), "or twice"),
        (lambda envelope: envelope.replace(EXCLUSIVE.encode(), b"http://www.w3.org/2006/12/xml-c14n11"), "c14n11"),
        (lambda envelope: envelope.replace(EXCLUSIVE.encode(), EXCLUSIVE.encode() + b"WithComments"), "WithComments"),
        (lambda envelope: envelope.replace(EXCLUSIVE.encode(), INCLUSIVE.encode()), "SignedInfo"),
        (lambda envelope: envelope.replace(b"<ds:SignatureValue>", b"<ds:SignatureValue>AAAA"), "SignedInfo"),
        (lambda envelope: envelope.replace(b"<ds:SignatureValue>", b"<ds:SignatureValue>*"), "base64"),
        (lambda envelope: envelope.replace(b"<ds:DigestValue>", b"<ds:DigestValue>A"), "base64|SignedInfo"),
        (lambda envelope: envelope.replace(b"<ds:X509Certificate>", b"<ds:X509Certificate>AAAA"), "X509Certificate"),
        (lambda envelope: envelope.replace(b"<eb:CPAId>", b"<eb:CPAId>x"), "changed"),
        (lambda envelope: envelope.replace(b"<eb:CPAId>", b"<?x y?><eb:CPAId>"), "changed"),
        (lambda envelope: envelope.replace(b"<soap:Envelope", b"<?x y?><soap:Envelope"), "changed"),
        (lambda envelope: envelope.replace(b"<soap:Header>", b"<soap:Header> "), "changed"),
        (lambda envelope: envelope.replace(b"<soap:Header>", b'<soap:Header xmlns:x="x">'), "no canonical form"),
        (lambda envelope: envelope.replace(b"<soap:Body>", b"<soap:Body><x/>"), "changed"),
        (lambda envelope: envelope.replace(b"<eb:DuplicateElimination/>", b""), "changed"),
    ],
)  # fmt: skip
def test_changed_and_wrapped_messages_are_refused(
    change: Callable[[bytes], bytes], words: str, envelope: bytes, agreed: SignatureTerms
) -> None:
    changed = change(envelope)
    assert changed != envelope
    refused(changed, PAYLOADS, agreed, words)


TRANSFORM = b'<ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#base64"/></ds:Transforms>'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"not(ancestor", b"not(//*|ancestor", "XPath"),
        (b"@soap:actor=", b"@ds:actor=", "XPath"),
        (b'#enveloped-signature"', b'#base64"', "transformed"),
        (b'URI="cid:een@test">', b'URI="cid:een@test">' + TRANSFORM, "transforms a payload"),
        (b'URI=""', b'URI="#x"', "#x"),
        (b"SignedInfo>", b"SignedInfo>", ""),
    ],
)
def test_even_the_right_signer_can_not_sign_something_else(
    old: bytes, new: bytes, words: str, envelope: bytes, agreed: SignatureTerms, pki_g4: Path
) -> None:
    root = parse(envelope.replace(old, new))
    key = load_pem_private_key((pki_g4 / "party-organisation/key.pem").read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    signed_info, value = root.iter(f"{{{DS}}}SignedInfo", f"{{{DS}}}SignatureValue")
    content = etree.tostring(signed_info, method="c14n", exclusive=True)
    value.text = base64.b64encode(key.sign(content, PKCS1v15(), SHA256())).decode()
    if words:
        refused(etree.tostring(root), PAYLOADS, agreed, words)
    else:
        verify(etree.tostring(root), PAYLOADS, agreed)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_message_is_refused_or_says_the_same(
    data: st.DataObject, envelope: bytes, agreed: SignatureTerms
) -> None:
    at = data.draw(st.integers(0, len(envelope) - 1))
    damaged = envelope[:at] + data.draw(st.binary(max_size=3)) + envelope[at + data.draw(st.integers(0, 40)) :]
    try:
        verify(damaged, PAYLOADS, agreed)
    except SecurityFailure:
        return
    ours, theirs = read_envelope(envelope, PAYLOADS), read_envelope(damaged, PAYLOADS)
    assert replace(ours, references=()) == replace(theirs, references=())


def test_what_is_for_others_on_the_way_is_not_signed(envelope: bytes, agreed: SignatureTerms, signer: Signer) -> None:
    block = b'<x:Trace xmlns:x="urn:x" soap:actor="http://schemas.xmlsoap.org/soap/actor/next"/>'
    assert verify(envelope.replace(b"<soap:Header>", b"<soap:Header>" + block), PAYLOADS, agreed) == signer.certificate
    assert verify(envelope.replace(b"<eb:CPAId>", b"<eb:CPAId><!-- x -->"), PAYLOADS, agreed) == signer.certificate


def test_a_comment_does_not_split_a_value(envelope: bytes, agreed: SignatureTerms) -> None:
    split = envelope.replace(b"</eb:CPAId>", b"<!-- x --></eb:CPAId>").replace(b"<eb:Action>", b"<eb:Action><!---->")
    verify(split, PAYLOADS, agreed)
    assert read_envelope(split, PAYLOADS).header == read_envelope(envelope, PAYLOADS).header


@pytest.mark.parametrize(("old", "new"), [("g4", "g1"), ("g1", "g4")])
def test_a_renewed_certificate_of_the_same_oin(
    old: str, new: str, terms: Terms, agreed: SignatureTerms, request: pytest.FixtureRequest
) -> None:
    """The CPA still has the certificate of one generation of PKIoverheid, the signer uses the one of the other."""
    before, after = (request.getfixturevalue(f"pki_{name}") / "party-organisation" for name in (old, new))
    other = replace(agreed, certificate=Signer(before / "key.pem", before / "certificate.pem").certificate)
    renewed = Signer(after / "key.pem", after / "certificate.pem")
    signed = renewed.sign(build(compose(terms, PAYLOADS, "test")), PAYLOADS, other)
    refused(signed, PAYLOADS, other, "not the signing certificate")
    trust = load_trust(after.with_name("party-partner") / "trust.pem")
    assert verify(signed, PAYLOADS, other, trust) == renewed.certificate
    with pytest.raises(SecurityFailure, match="not trusted"):
        verify(signed, PAYLOADS, other, load_trust(before / "certificate.pem")[:1])


def test_another_party_does_not_sign_for_this_one(terms: Terms, agreed: SignatureTerms, pki_g4: Path) -> None:
    other = Signer(pki_g4 / "party-partner/key.pem", pki_g4 / "party-partner/certificate.pem")
    signed = other.sign(build(compose(terms, PAYLOADS, "test")), PAYLOADS, agreed)
    with pytest.raises(SecurityFailure, match="OIN"):
        verify(signed, PAYLOADS, agreed, load_trust(pki_g4 / "party-partner/trust.pem"))


def test_a_signed_acknowledgment_proves_what_was_received(
    terms: Terms, envelope: bytes, agreed: SignatureTerms, signer: Signer
) -> None:
    received = read_envelope(envelope, PAYLOADS)
    assert received.ack_requested is not None
    assert received.ack_requested.signed
    answer = signer.sign(build(acknowledgment(received, "test")), (), agreed)
    verify(answer, (), agreed)
    told = read_envelope(answer)
    assert told.ack_requested is None
    assert told.acknowledgment is not None
    assert acknowledges(told.acknowledgment.references, envelope)
    other = signer.sign(build(compose(terms, PAYLOADS, "test")), PAYLOADS, agreed)
    assert not acknowledges(told.acknowledgment.references, other)
    assert not acknowledges(told.acknowledgment.references[:1], envelope)
    assert not acknowledges((), envelope)


def test_unusable_keys_are_refused(pki_g4: Path, tmp_path: Path) -> None:
    with pytest.raises(KitError, match="not the RSA key"):
        Signer(pki_g4 / "party-partner/key.pem", pki_g4 / "party-organisation/certificate.pem")
    for name in ("key.pem", "absent.pem"):
        (tmp_path / "key.pem").write_text("no key")
        with pytest.raises(KitError, match="no readable PEM"):
            Signer(tmp_path / name, pki_g4 / "party-organisation/certificate.pem")
    with pytest.raises(KitError, match="no readable PEM"):
        load_trust(tmp_path / "key.pem")


RECORDED = {
    "05": "http.rm.signed",
    "06": "http.rm.signed.ackSigned",
    "07": "http.rm.signed.sync",
    "09": "http.be.signed",
}


def recorded_message(recorded: Any, prefix: str) -> tuple[bytes, tuple[Payload, ...], SignatureTerms]:
    _, content_type, body = recorded.messages(prefix)[0]
    envelope, payloads = unpack(content_type, body)
    found = read_cpa(recorded.cpa(RECORDED[prefix])).terms_of(read_envelope(envelope, payloads).header)
    assert found is not None
    assert found.channel.signature is not None
    return envelope, payloads, found.channel.signature


@pytest.mark.parametrize("prefix", RECORDED)
def test_messages_of_the_reference_adapter_verify(prefix: str, recorded: Any) -> None:
    envelope, payloads, agreed = recorded_message(recorded, prefix)
    verify(envelope, payloads, agreed)
    refused(envelope, (replace(payloads[0], content=payloads[0].content + b" "),), agreed, "changed")
    refused(envelope.replace(b"<eb:CPAId>", b"<eb:CPAId>x"), payloads, agreed, "changed")
    refused(envelope.replace(b"xmlenc#sha256", b"xmlenc#sha512"), payloads, agreed, "DigestMethod")
    refused(envelope.replace(b"<ds:SignatureValue>\n", b"<ds:SignatureValue>\nAAAA"), payloads, agreed, "SignedInfo")


def test_the_signed_acknowledgment_of_the_reference_adapter_verifies(recorded: Any) -> None:
    envelope, payloads, _ = recorded_message(recorded, "06")
    answers = [body for _, kind, body in recorded.messages("06") if kind.startswith("text/xml")]
    told = read_envelope(answers[0])
    partner = read_cpa(recorded.cpa("http.rm.signed.ackSigned")).party(told.header.sender)
    assert partner is not None
    assert partner.signals.signature is not None
    verify(answers[0], (), partner.signals.signature)
    assert told.acknowledgment is not None
    assert acknowledges(told.acknowledgment.references, envelope)
    assert payloads


def judge(folder: Path, envelope: bytes, payloads: Sequence[Payload], certificate: bytes) -> str:
    """What the JDK's own XMLDSIG says."""
    java = shutil.which("java")
    if java is None:
        pytest.skip("no JDK: nobody else is here to judge our signatures")
    (folder / "certificate.der").write_bytes(certificate)
    (folder / "envelope.xml").write_bytes(envelope)
    arguments = [java, ROOT / "tests/interop/VerifySignature.java", folder / "certificate.der", folder / "envelope.xml"]
    for number, payload in enumerate(payloads):
        (folder / str(number)).write_bytes(payload.content)
        arguments += [payload.content_id, folder / str(number)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_jdk_judges_alike(envelope: bytes, agreed: SignatureTerms, signer: Signer, tmp_path: Path) -> None:
    assert judge(tmp_path, envelope, PAYLOADS, signer.certificate) == "valid"
    for block, verdict in (("actor/next", "valid"), ("actor/none", "invalid")):
        added = f'<x:T xmlns:x="urn:x" soap:actor="http://schemas.xmlsoap.org/soap/{block}"/>'.encode()
        changed = envelope.replace(b"<soap:Header>", b"<soap:Header>" + added)
        assert judge(tmp_path, changed, PAYLOADS, signer.certificate) == verdict
        if verdict == "valid":
            verify(changed, PAYLOADS, agreed)
        else:
            refused(changed, PAYLOADS, agreed, "changed")
