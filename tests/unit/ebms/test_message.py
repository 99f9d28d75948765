"""Messages and CPAs survive the way there and back; whatever else comes in is refused with our own error."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aansluitkit.connection import Connection
from aansluitkit.documents import render_cpa
from aansluitkit.ebms.cpa import PartyId, read_cpa
from aansluitkit.ebms.errors import ErrorListError, HopError, MalformedError
from aansluitkit.ebms.message import (
    PING,
    PONG,
    Error,
    Message,
    Status,
    build,
    check_pong,
    fault,
    fault_reason,
    read_message,
    reply,
    request,
)

A, B = PartyId("00000099000000001000", "urn:osb:oin"), PartyId("00000099000000002000", "urn:osb:oin")
names = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("C", "Z")), min_size=1)


@given(names, names, names)
def test_message_survives(cpa: str, domain: str, asked: str) -> None:
    message = replace(request(A, B, cpa, PING, domain), asked_message_id=asked)
    header = replace(message.header, timestamp=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC))
    message = replace(message, header=header, errors=(Error("NotSupported", "//Header", asked),))
    assert read_message("text/xml", build(message)) == message


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
