"""Messages and CPAs survive the way there and back; whatever else comes in is refused with our own error."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from aansluitkit.connection import Connection
from aansluitkit.documents import render_cpa
from aansluitkit.ebms.cpa import PartyId, Terms, read_cpa
from aansluitkit.ebms.errors import ErrorListError, HopError, MalformedError
from aansluitkit.ebms.message import (
    PING,
    PONG,
    Acknowledgment,
    AckRequested,
    Error,
    Header,
    Message,
    Status,
    acknowledgment,
    build,
    check_pong,
    compose,
    error,
    fault,
    fault_reason,
    read_envelope,
    read_message,
    reply,
    request,
)
from aansluitkit.ebms.mime import Payload, pack

A, B = PartyId("00000099000000001000", "urn:osb:oin"), PartyId("00000099000000002000", "urn:osb:oin")
names = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("C", "Z")), min_size=1)


moments = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
)
references = st.sampled_from(
    [
        b'<ds:Reference xmlns:ds="http://www.w3.org/2000/09/xmldsig#" URI="cid:a"><ds:DigestValue>AA==</ds:DigestValue>'
        b"</ds:Reference>"
    ]
)
headers = st.builds(
    Header,
    sender=st.builds(PartyId, names, names | st.just("")),
    receiver=st.builds(PartyId, names, names | st.just("")),
    cpa_id=names,
    conversation_id=names,
    service=names,
    action=names,
    message_id=names,
    timestamp=moments,
    ref_to_message_id=st.none() | names,
    sender_role=st.none() | names,
    receiver_role=st.none() | names,
    service_type=names | st.just(""),
    time_to_live=st.none() | moments,
    duplicate_elimination=st.booleans(),
)
payloads = st.builds(
    Payload,
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="<>"), min_size=1),
    st.just("application/xml"),
    st.binary(),
)
messages = st.builds(
    Message,
    header=headers,
    errors=st.lists(st.builds(Error, names, names, names, st.sampled_from(["Error", "Warning"])), max_size=3).map(
        tuple
    ),
    asked_message_id=st.none() | names,
    status=st.none() | st.builds(Status, names, st.sampled_from(["Received", "NotRecognized"]), st.none() | moments),
    payloads=st.lists(payloads, max_size=3, unique_by=lambda payload: payload.content_id).map(tuple),
    ack_requested=st.none() | st.builds(AckRequested, st.booleans()),
    sync_reply=st.booleans(),
    acknowledgment=st.none() | st.builds(Acknowledgment, names, moments, st.lists(references, max_size=2).map(tuple)),
)


def canonical(message: Message) -> Message:
    """With the references of its acknowledgment written in one way."""
    if message.acknowledgment is None:
        return message
    written = tuple(
        etree.tostring(etree.fromstring(found), method="c14n2") for found in message.acknowledgment.references
    )
    return replace(message, acknowledgment=replace(message.acknowledgment, references=written))


@given(messages)
def test_messages_survive(message: Message) -> None:
    read = read_message(*pack(build(message), message.payloads))
    assert canonical(read) == canonical(message)


@given(
    st.binary() | names.map(str.encode),
    st.sampled_from(["text/xml", "multipart/related; boundary=b", "multipart/related", ""]),
)
def test_rubbish_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(MalformedError):
        read_message(content_type, body)
    with pytest.raises(MalformedError):
        read_cpa(body)


@given(st.data())
def test_a_damaged_message_is_refused_or_read(data: st.DataObject) -> None:
    whole = build(replace(request(A, B, "cpa", PING, "test"), status=Status("x@y", "Received", datetime.now(UTC))))
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 40)) :]
    try:
        read_message("text/xml", damaged)
    except (MalformedError, ErrorListError):
        return


ENVELOPE = build(
    Message(
        request(A, B, "cpa", "action", "test").header,
        payloads=(Payload("een", "x/y", b""),),
        ack_requested=AckRequested(True),
        sync_reply=True,
    )
)
BOMB = b"""<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>"""
OUTSIDE = b"""<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>"""
NEXT_MSH = b'soap:actor="urn:oasis:names:tc:ebxml-msg:actor:nextMSH"'

SIGNED_TOO_OFTEN = b"<ds:Signature><ds:SignedInfo>" + b"<ds:Reference/>" * 102 + b"</ds:SignedInfo></ds:Signature>"


def element(name: bytes) -> bytes:
    """An element of the envelope, whole."""
    found = re.search(rb"(?s)<(" + name + rb")(?: [^>]*)?(/>|>.*?</\1>)", ENVELOPE)
    assert found
    return found.group()


def test_the_envelope_of_these_tests_is_read() -> None:
    read = read_envelope(ENVELOPE, (Payload("een", "x/y", b""),))
    assert (read.ack_requested, read.sync_reply, len(read.payloads)) == (AckRequested(True), True, 1)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"(?s)^.*?>", BOMB, "document type"),
        (b"(?s)^.*?>", OUTSIDE, "document type"),
        (b"(?s)^.*?>", b"<!DOCTYPE x>", "document type"),
        (b"<soap:Body>", b"<soap:Body>&a;", "well-formed"),
        (b"<soap:Body>", b"<soap:Body>" + b"<a>" * 3000 + b"</a>" * 3000, "well-formed"),
        (b"<soap:Body>", b"<soap:Body>" + b"<a/>" * 66_000, "at most"),
        (b"http://schemas.xmlsoap.org/soap/envelope/", b"http://www.w3.org/2003/05/soap-envelope", "SOAP 1.1"),
        (b"soap:Header>", b"soap:Head>", "no Header"),
        (b"soap:Body>", b"soap:Boy>", "no Body"),
        (b"<soap:Header>", b"<soap:Header></soap:Header><soap:Header>", "2 elements Header"),
        (b"<soap:Body>", b"<soap:Body></soap:Body><soap:Body>", "2 elements Body"),
        (b"<soap:Header>", b"<soap:Header>" + element(b"eb:MessageHeader"), "2 elements MessageHeader"),
        (b"(?s)<eb:MessageHeader.*</eb:MessageHeader>", b"", "no MessageHeader"),
        (b"<eb:CPAId>", b"<eb:CPAId>x</eb:CPAId><eb:CPAId>", "2 elements CPAId"),
        (b"<eb:CPAId>", b"<eb:CPAId><x/>", "more than text"),
        (b"<eb:CPAId>", b"<eb:CPAId><?x y?>", "more than text"),
        (b"<eb:CPAId>[^<]*", b"<eb:CPAId>", "lacks eb:CPAId"),
        (b"<eb:PartyId[^<]*</eb:PartyId>", b"", "lacks eb:From/eb:PartyId"),
        (b"<eb:Timestamp>", b"<eb:Timestamp>x", "no date"),
        (b"<eb:MessageHeader", b"<eb:MessageHeader " + NEXT_MSH, "on the way"),
        (b"<soap:Envelope", b"<soap:Envelope " + NEXT_MSH, "on the way"),
        (b"<soap:Body", b"<soap:Body " + NEXT_MSH, "no Body"),
        (b"<eb:Manifest", b"<eb:Manifest " + NEXT_MSH, "on the way"),
        (b"<soap:Body>", b"<soap:Body><x " + NEXT_MSH + b"/>", "on the way"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(old: bytes, new: bytes, words: str) -> None:
    changed, times = re.subn(old, lambda _: new, ENVELOPE)
    assert times
    with pytest.raises(MalformedError, match=words):
        read_envelope(changed)


@pytest.mark.parametrize(
    ("old", "new", "code", "location"),
    [
        (b"Header eb:version=.2.0.", b'Header eb:version="3.0"', "Inconsistent", "//Header/MessageHeader/@version"),
        (b"<eb:AckRequested eb:version=.2.0.", b"<eb:AckRequested", "Inconsistent", "//Header/AckRequested/@version"),
        (b"eb:signed=.true.", b'eb:signed="maybe"', "Inconsistent", "//Header/AckRequested/@signed"),
        (b"cid:een", b"cid:twee", "MimeProblem", "cid:twee"),
        (b"cid:een", b"http://example.test/", "MimeProblem", "http://example.test/"),
        (b"(?s)<eb:Manifest.*</eb:Manifest>", b"", "MimeProblem", "cid:een"),
        (b"<eb:Reference", element(b"eb:Reference") + b"<eb:Reference", "MimeProblem", "cid:een"),
        (b"<eb:Manifest", element(b"eb:Manifest") + b"<eb:Manifest", "OtherXml", "//Envelope"),
        (b"<eb:AckRequested", element(b"eb:AckRequested") + b"<eb:AckRequested", "OtherXml", "//Envelope"),
        (b"</soap:Header>", b"<eb:MessageOrder/></soap:Header>", "NotSupported", "//Header/MessageOrder"),
        (b"</soap:Header>", b'<x soap:mustUnderstand="1"/></soap:Header>', "NotSupported", "//Header/x"),
        (b"</soap:Header>", b'<eb:Acknowledgment eb:version="2.0"/></soap:Header>', "OtherXml", "//Envelope"),
        (b"<soap:Body>", b"<soap:Body><eb:StatusResponse/>", "OtherXml", "//Envelope"),
        (b"</soap:Header>", SIGNED_TOO_OFTEN + b"</soap:Header>", "OtherXml", "//Envelope"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_message_is_told_to_its_sender(old: bytes, new: bytes, code: str, location: str) -> None:
    changed, times = re.subn(old, lambda _: new, ENVELOPE)
    assert times
    with pytest.raises(ErrorListError) as caught:
        read_envelope(changed, (Payload("een", "x/y", b""),))
    assert (caught.value.code, caught.value.location) == (code, location)
    assert caught.value.header is not None
    told = read_message("text/xml", build(error(caught.value.header, caught.value, "test")))
    assert told.errors == (Error(code, location, caught.value.description),)
    assert told.header.receiver == A
    assert told.ack_requested is None


@pytest.mark.parametrize("actor", [NEXT_MSH, b'soap:actor="http://schemas.xmlsoap.org/soap/actor/next"'])
def test_blocks_of_others_are_passed_over(actor: bytes) -> None:
    """What is for actors on the way is not signed: whoever is on the way could have put it there."""
    blocks = b'<x soap:mustUnderstand="0"/><eb:AckRequested eb:version="2.0" ' + actor + b"/>"
    blocks += b'<eb:Acknowledgment eb:version="2.0" ' + actor + b"/></soap:Header>"
    changed = ENVELOPE.replace(b"</soap:Header>", blocks)
    payloads = (Payload("een", "x/y", b""),)
    assert read_envelope(changed, payloads) == read_envelope(ENVELOPE, payloads)


def test_a_message_of_the_cpa_has_what_it_asks(terms: Terms) -> None:
    message = compose(terms, (), "test", "conversation", "earlier@test")
    header, reliability = message.header, terms.channel.reliability
    assert reliability is not None
    assert header.time_to_live == header.timestamp + (reliability.retries + 1) * reliability.interval
    assert header.duplicate_elimination
    assert (header.conversation_id, header.ref_to_message_id) == ("conversation", "earlier@test")
    assert message.ack_requested == AckRequested(signed=True)
    channel = replace(terms.channel, ack_requested=False, duplicate_elimination=False, reliability=None)
    plain = compose(replace(terms, channel=channel), (), "test")
    assert (plain.header.time_to_live, plain.header.duplicate_elimination) == (None, False)
    assert (plain.ack_requested, plain.header.conversation_id) == (None, plain.header.message_id.partition("@")[0])


def test_an_acknowledgment_never_asks_for_one(terms: Terms) -> None:
    message = compose(terms, (Payload("een", "x/y", b""),), "test")
    told = read_message("text/xml", build(acknowledgment(message, "other")))
    assert told.acknowledgment is not None
    assert told.acknowledgment.ref_to_message_id == told.header.ref_to_message_id == message.header.message_id
    assert (told.header.service_type, told.header.sender_role, told.header.time_to_live) == ("", None, None)
    assert (told.ack_requested, told.header.duplicate_elimination, told.payloads) == (None, False, ())
    assert told.header.conversation_id == message.header.conversation_id


@pytest.mark.parametrize("prefix", [f"{number:02}" for number in (*range(1, 13), 14, 15, 16)])
def test_messages_of_the_reference_adapter_are_read(prefix: str, recorded: Any) -> None:
    found = [read_message(kind, body) for _, kind, body in recorded.messages(prefix)]
    assert len(found) >= 1
    for message in found:
        assert message.header.is_signal or message.header.sender_role
        again = read_message(*pack(build(message), message.payloads))
        assert replace(again, acknowledgment=None) == replace(message, acknowledgment=None, references=())
    if prefix in ("03", "04", "05", "06", "07"):
        asked, answer = found
        assert asked.ack_requested == AckRequested(signed=prefix == "06")
        assert asked.header.duplicate_elimination
        assert asked.header.time_to_live
        assert asked.sync_reply is (prefix in ("04", "07"))
        assert answer.acknowledgment is not None
        assert answer.acknowledgment.ref_to_message_id == asked.header.message_id
        assert len(answer.acknowledgment.references) == (2 if prefix == "06" else 0)


def test_pong_of_this_ping_is_accepted() -> None:
    ping = request(A, B, "cpa", PING, "test").header
    check_pong(ping, reply(ping, PONG, "other"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"action": "Ping"}, "Action"),
        ({"service": "urn:other"}, "Service"),
        ({"ref_to_message_id": "other@test"}, "RefToMessageId"),
        ({"ref_to_message_id": None}, "RefToMessageId"),
        ({"sender": A}, "From/PartyId"),
        ({"receiver": B}, "To/PartyId"),
        ({"sender": PartyId(B.value)}, "From/PartyId"),
        ({"cpa_id": "other"}, "CPAId"),
        ({"conversation_id": "other"}, "ConversationId"),
    ],
)
def test_pong_of_something_else_is_refused(change: dict[str, object], field: str) -> None:
    ping = request(A, B, "cpa", PING, "test").header
    pong = reply(ping, PONG, "other").header
    with pytest.raises(HopError, match=field) as caught:
        check_pong(ping, Message(replace(pong, **change)))  # type: ignore[arg-type]
    assert caught.value.hop == "pong"


def test_error_in_place_of_a_pong_is_told() -> None:
    ping = request(A, B, "cpa", PING, "test").header
    answer = replace(reply(ping, "MessageError", "other"), errors=(Error("Inconsistent", "//Header", "CPA expired"),))
    with pytest.raises(HopError, match="CPA expired") as caught:
        check_pong(ping, answer)
    assert caught.value.hop == "ping"


@given(st.text())
def test_fault_carries_any_reason(reason: str) -> None:
    assert fault_reason(fault(f"x{reason}")) is not None


def test_our_cpa_is_read(connection: Connection) -> None:
    cpa = read_cpa(render_cpa(connection).encode())
    assert cpa.id == connection.cpa.id
    assert [party.endpoint for party in cpa.parties] == [connection.endpoint, connection.partner.endpoint]
    assert cpa.party_named(f"urn:osb:oin:{connection.organisation.oin}") is cpa.parties[0]
    assert cpa.objection(connection.cpa.start) is None
    assert "expired" in (cpa.objection(connection.cpa.end) or "")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("CollaborationProtocolAgreement", "Other", "root element"),
        ('defaultMshChannelId="SR_signal_channel"', 'defaultMshChannelId="x"', "DeliveryChannel 'x'"),
        ("<tns:Start>", "<tns:Start>x", "no date"),
        ("00000099000000002000</tns:PartyId>", "00000099000000001000</tns:PartyId>", "same PartyId"),
        ('tns:uri="https', 'tns:url="https', "lacks attribute uri"),
        ("tns:cpaid=", "tns:cpaix=", "lacks attribute cpaid"),
    ],
)
def test_broken_cpa_is_named(connection: Connection, old: str, new: str, words: str) -> None:
    document = render_cpa(connection)
    assert old in document
    with pytest.raises(MalformedError, match=words):
        read_cpa(document.replace(old, new).encode())


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("33", "MimeProblem at cid:nosuch"),
        ("34", "Inconsistent at //Header/MessageHeader/@version"),
        ("53", "no well-formed XML"),
        ("54", "no SOAP 1.1 Envelope"),
        ("55", "no MessageHeader"),
        ("56", "no CPAId"),
        ("57", "no well-formed XML"),
        ("58", "document type declaration"),
        ("61", "application/json"),
        ("63", "application/soap"),
    ],
)
def test_what_the_reference_adapter_refuses_is_refused(prefix: str, words: str, recorded: Any) -> None:
    _, content_type, body = recorded.messages(prefix)[0]
    with pytest.raises((MalformedError, ErrorListError), match=words):
        read_message(content_type, body)


@pytest.mark.parametrize("prefix", ["21", "22", "24", "26"])
def test_the_reference_adapter_refuses_what_its_cpa_does_not_have(prefix: str, recorded: Any) -> None:
    _, content_type, body = recorded.messages(prefix)[0]
    header = read_message(content_type, body).header
    assert read_cpa(recorded.cpa(header.cpa_id)).terms_of(header) is None
