"""Business messages between two adapters that really run, as applications see them."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ebms_adapter_client.exceptions import EbmsNotFoundError, EbmsServerError
from ebms_adapter_client.models import (
    CertificateMapping,
    DataSource,
    MessageEventType,
    MessageFilter,
    MessageRequest,
    MessageRequestProperties,
    URLMapping,
)

from aansluitkit.connection.model import Profile
from aansluitkit.ebms.cpa import read_cpa
from aansluitkit.ebms.message import AckRequested, Error, Message, build, compose, fault_reason, read_message
from aansluitkit.ebms.mime import Payload, pack
from aansluitkit.ebms.signature import Signer

from .conftest import Node, Pair, cpa_of, post
from .test_adapter import message

pytestmark = pytest.mark.parametrize("pair", ["g4"], indirect=True)
CHANNELS = ["sync", "async"]
BINARY = bytes(range(256)) * 40


def until(true: Callable[[], Any], what: str) -> Any:
    """Wait for what another thread does; the bound is only for a test that fails."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen")


def load(pair: Pair, identity: str, **changes: Any) -> str:
    for node in (pair.ours, pair.partner):
        node.client.insert_cpa(cpa_of(pair.connection, identity, **changes), overwrite=True)
    return identity


def asked(pair: Pair, cpa: str, *payloads: bytes, sender: str = "ours", **given: Any) -> MessageRequest:
    ours = sender == "ours"
    service = pair.connection.cpa.services[0]
    properties = MessageRequestProperties(
        cpa_id=cpa,
        from_party_id=pair.our_id if ours else pair.their_id,
        from_role="SR" if ours else "SP",
        service=f"{service.type}:{service.name}",
        action="zaakbericht" if ours else "foutbericht",
        **given,
    )
    kinds = ["application/xml", "application/octet-stream"]
    sources = [
        DataSource(content_type=kinds[number % 2], content=payload, name=f"deel-{number}")
        for number, payload in enumerate(payloads)
    ]
    return MessageRequest(properties, sources)


def arrives(node: Node, message_id: str) -> Any:
    wanted = MessageFilter(message_id=message_id)
    until(lambda: node.client.list_unprocessed_message_ids(wanted), f"arrival of {message_id}")
    return node.client.get_message(message_id)


def ends(node: Node, message_id: str) -> list[str]:
    wanted = MessageFilter(message_id=message_id)
    events = until(lambda: node.client.list_unprocessed_message_events(wanted), f"end of {message_id}")
    return [event.type.value for event in events]


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("sender", ["ours", "partner"])
def test_message_gets_there(pair: Pair, channel: str, profile: Profile, sender: str) -> None:
    cpa = load(pair, f"{profile}-{channel}", profile=profile, sync_reply=channel == "sync" and profile.reliable)
    node, other = (pair.ours, pair.partner) if sender == "ours" else (pair.partner, pair.ours)
    request = asked(pair, cpa, b"<zaak/>", BINARY, b"", sender=sender, conversation_id="gesprek", message_id="een-twee")
    request.properties.message_id = f"eigen-{cpa}"
    identity = node.client.send_message(request)
    message = arrives(other, identity)
    assert [source.content for source in message.data_sources] == [b"<zaak/>", BINARY, b""]
    assert [source.name for source in message.data_sources] == ["deel-0", "deel-1", "deel-2"]
    properties = message.properties
    assert (properties.conversation_id, properties.message_id) == ("gesprek", identity)
    assert properties.from_party.party_id == request.properties.from_party_id
    assert properties.service == request.properties.service
    assert ends(node, identity) == ["DELIVERED"]
    assert ends(other, identity) == ["RECEIVED"]
    assert node.client.get_message(identity).properties.message_status.value == "DELIVERED"
    assert node.client.get_message_status(identity).status.value == "RECEIVED"
    other.client.process_message(identity)
    other.client.process_message_event(identity)
    assert node.client.get_message_status(identity).status.value == "PROCESSED"
    assert other.client.get_message_status(identity).status.value == "PROCESSED"
    wanted = MessageFilter(message_id=identity)
    assert other.client.list_unprocessed_message_ids(wanted) == []
    assert other.client.list_unprocessed_message_events(wanted) == []
    assert other.client.get_message(identity).data_sources[1].content == BINARY


def composed(pair: Pair, cpa: str, *payloads: Payload) -> Message:
    """A message of the partner, as its CPA has it."""
    document = pair.ours.client.get_cpa(cpa)
    [terms] = [terms for terms in read_cpa(document.encode()).terms if terms.action == "foutbericht"]
    return compose(terms, payloads, "mijnoverheid.test")


def sent(pair: Pair, message: Message) -> tuple[int, bytes]:
    content_type, body = pack(build(message), message.payloads)
    return post(pair, body, **{"Content-Type": content_type})


def refusal(pair: Pair, message: Message) -> tuple[str, str]:
    status, body = sent(pair, message)
    assert status == 200
    answer = read_message("text/xml", body)
    assert answer.header.ref_to_message_id == message.header.message_id
    [error] = answer.errors
    return error.code, error.location


HOUR = timedelta(hours=1)
WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "service": ({"service": "other"}, {}, "ValueNotRecognized", "/Service"),
    "service type": ({"service_type": "other"}, {}, "ValueNotRecognized", "/Service"),
    "action": ({"action": "other"}, {}, "ValueNotRecognized", "/Action"),
    "action of the other side": ({"action": "zaakbericht"}, {}, "ValueNotRecognized", "/Action"),
    "role of the sender": ({"sender_role": "other"}, {}, "Inconsistent", "/From/Role"),
    "role of the receiver": ({"receiver_role": "other"}, {}, "Inconsistent", "/To/Role"),
    "too late": ({"time_to_live": datetime.now(UTC) - HOUR}, {}, "TimeToLiveExpired", "/TimeToLive"),
    "no duplicate elimination": ({"duplicate_elimination": False}, {}, "Inconsistent", "/DuplicateElimination"),
    "no acknowledgment asked": ({}, {"ack_requested": None}, "Inconsistent", "//Header/AckRequested"),
    "signed acknowledgment": ({}, {"ack_requested": AckRequested(True)}, "Inconsistent", "/AckRequested/@signed"),
    "no SyncReply": ({}, {"sync_reply": False}, "Inconsistent", "//Header/SyncReply"),
}


@pytest.mark.parametrize(("header", "other", "code", "location"), WRONG.values(), ids=WRONG)
def test_what_the_cpa_does_not_have_is_refused(
    pair: Pair, header: dict[str, Any], other: dict[str, Any], code: str, location: str
) -> None:
    message = composed(pair, load(pair, "wrong", sync_reply=True))
    message = replace(message, header=replace(message.header, **header), **other)
    found = refusal(pair, message)
    assert (found[0], found[1].endswith(location)) == (code, True)
    assert pair.ours.client.list_unprocessed_message_ids(MessageFilter(message_id=message.header.message_id)) == []
    with pytest.raises(EbmsNotFoundError):
        pair.ours.client.get_message(message.header.message_id)


@pytest.mark.parametrize(("start", "end"), [(HOUR, 2 * HOUR), (-2 * HOUR, -HOUR)])
def test_cpa_dates_hold_for_messages(pair: Pair, start: timedelta, end: timedelta) -> None:
    now = datetime.now(UTC)
    load(pair, "dates", sync_reply=True)
    message = composed(pair, "dates")
    document = cpa_of(pair.connection, "dates", sync_reply=True, start=now + start, end=now + end)
    pair.ours.server.store.put_cpa("dates", document.encode())  # as time would make it
    assert refusal(pair, message) == ("Inconsistent", "//Header/MessageHeader/CPAId")
    with pytest.raises(EbmsServerError, match=r"starts on|expired on"):
        pair.ours.client.send_message(asked(pair, "dates"))


def test_missing_payload_is_refused(pair: Pair) -> None:
    message = composed(pair, load(pair, "missing", sync_reply=True), Payload("a@test", "text/plain", b"x"))
    status, body = post(pair, build(message))
    [error] = read_message("text/xml", body).errors
    assert (status, error.code, error.location) == (200, "MimeProblem", "cid:a@test")


@pytest.mark.parametrize("channel", CHANNELS)
def test_error_ends_the_message_of_its_sender(pair: Pair, channel: str) -> None:
    """The partner does not know the service any more."""
    cpa = load(pair, f"error-{channel}", sync_reply=channel == "sync")
    document = cpa_of(pair.connection, cpa, sync_reply=channel == "sync")
    pair.partner.client.insert_cpa(document.replace("zaakbericht", "zaaknieuws"), overwrite=True)
    identity = pair.ours.client.send_message(asked(pair, cpa))
    assert ends(pair.ours, identity) == ["FAILED"]
    assert pair.ours.client.get_message(identity).properties.message_status.value == "DELIVERY_FAILED"
    kept = pair.ours.server.store.messages.sent(identity)
    assert "ValueNotRecognized" in ((kept and kept.problem) or "")


@pytest.mark.parametrize("channel", CHANNELS)
def test_repetition_is_taken_once_and_acknowledged_each_time(pair: Pair, channel: str) -> None:
    cpa = load(pair, f"again-{channel}", sync_reply=channel == "sync")
    message = composed(pair, cpa, Payload("a@test", "text/plain", b"x"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: sent(pair, message), range(8)))
    if channel == "sync":
        assert {status for status, _ in answers} == {200}
        assert len({body for _, body in answers}) == 1
        assert read_message("text/xml", answers[0][1]).acknowledgment
    else:
        assert set(answers) == {(204, b"")}
    wanted = MessageFilter(message_id=message.header.message_id)
    assert pair.ours.client.list_unprocessed_message_ids(wanted) == [message.header.message_id]
    assert ends(pair.ours, message.header.message_id) == ["RECEIVED"]
    pair.ours.client.process_message(message.header.message_id)
    sent(pair, message)
    assert pair.ours.client.list_unprocessed_message_ids(wanted) == []


def test_message_id_of_another_agreement_is_refused(pair: Pair) -> None:
    for cpa in ("first", "second"):
        load(pair, cpa, sync_reply=True)
    first, second = composed(pair, "first"), composed(pair, "second")
    sent(pair, first)
    second = replace(second, header=replace(second.header, message_id=first.header.message_id))
    assert refusal(pair, second) == ("Inconsistent", "//Header/MessageHeader/MessageData/MessageId")


def test_resend_is_a_message_of_its_own(pair: Pair) -> None:
    cpa = load(pair, "resend", sync_reply=True)
    first = pair.ours.client.send_message(asked(pair, cpa, b"<zaak/>"))
    second = pair.ours.client.resend_message(first)
    assert first != second
    assert arrives(pair.partner, second).data_sources[0].content == b"<zaak/>"
    with pytest.raises(EbmsNotFoundError):
        pair.ours.client.resend_message("nobody@nowhere")


def test_filters(pair: Pair) -> None:
    cpa = load(pair, "filters", sync_reply=True)
    ids = []
    for number, reference in enumerate([None, "a@b", "a@b"]):
        message = asked(pair, cpa, conversation_id=f"c-{number}", ref_to_message_id=reference)
        ids.append(pair.ours.client.send_message(message))
        arrives(pair.partner, ids[-1])  # one by one: the list is in the order of arrival
    listed = pair.partner.client.list_unprocessed_message_ids
    assert listed(MessageFilter(cpa_id=cpa)) == ids
    assert listed(MessageFilter(cpa_id=cpa), max_nr=2) == ids[:2]
    assert listed(MessageFilter(cpa_id=cpa, conversation_id="c-1")) == [ids[1]]
    assert listed(MessageFilter(cpa_id=cpa, ref_to_message_id="a@b")) == ids[1:]
    assert listed(MessageFilter(cpa_id=cpa, action="other")) == []
    everything = MessageFilter(
        cpa_id=cpa,
        from_party_id=pair.our_id,
        from_role="SR",
        to_party_id=pair.their_id,
        to_role="SP",
        service=asked(pair, cpa).properties.service,
        action="zaakbericht",
    )
    assert listed(everything) == ids
    events = pair.partner.client.list_unprocessed_message_events
    assert [event.message_id for event in events(everything, event_types=[MessageEventType.RECEIVED])] == ids
    assert events(everything, event_types=[MessageEventType.FAILED, MessageEventType.EXPIRED]) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cpa_id": "nosuch"}, "No CPA found for message.cpaId=nosuch"),
        ({"action": "nosuch"}, "No CanSend action found"),
        ({"service": "osb:other"}, "No CanSend action found"),
        ({"from_role": "SP"}, "No CanSend action found"),
        ({"to_party_id": "urn:osb:oin:9"}, "No CanSend action found"),
        ({"message_id": "taken"}, "is taken"),
    ],
)
def test_what_cannot_be_sent_is_refused(pair: Pair, changes: dict[str, str], words: str) -> None:
    cpa = load(pair, "refused", sync_reply=True)
    with contextlib.suppress(EbmsServerError):
        pair.ours.client.send_message(asked(pair, cpa, message_id="taken"))
    request = asked(pair, cpa)
    request.properties = replace(request.properties, **changes)  # type: ignore[arg-type]
    with pytest.raises(EbmsServerError, match=words):
        pair.ours.client.send_message(request)


def test_what_is_no_request_is_refused(pair: Pair) -> None:
    call = pair.ours.client._client.post  # the public client makes no such mistakes
    for body in ("{bad", "{}", "[]", '{"properties": {"cpaId": "x", "unknownField": 1}}'):
        assert call("/ebms/messages", content=body).status_code == 400
    bad = asked(pair, "x", b"y").to_dict()
    for field, value in (("contentType", "text/plain\r\nX: y"), ("content", "no base64!"), ("name", "a\nb")):
        changed = {**bad, "dataSources": [{**bad["dataSources"][0], field: value}]}
        answer = call("/ebms/messages", json=changed)
        assert (answer.status_code, field in answer.text) == (400, True)


def test_form_data(pair: Pair) -> None:
    cpa = load(pair, "form", sync_reply=True)
    properties = json.dumps(asked(pair, cpa).properties.to_dict())
    files = [
        ("requestProperties", (None, properties, "application/json")),
        ("attachment", ("a.bin", BINARY, "application/octet-stream")),
        ("attachment", ("b.xml", b"<b/>", "application/xml")),
    ]
    answer = pair.ours.client._client.post("/ebms/messages/mtom", files=files)
    assert answer.status_code == 200
    message = arrives(pair.partner, answer.text)
    assert [(each.name, each.content) for each in message.data_sources] == [("a.bin", BINARY), ("b.xml", b"<b/>")]
    found = pair.partner.client._client.get(f"/ebms/messages/mtom/{answer.text}")
    assert found.headers["Content-Type"].startswith("multipart/form-data")
    assert BINARY in found.content
    assert answer.text.encode() in found.content


def test_description_is_of_what_is_served(pair: Pair) -> None:
    description = pair.ours.client._client.get("/openapi.json").json()
    assert description["openapi"].startswith("3.")
    names = [operation["operationId"] for path in description["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
    references = re.findall(r"#/components/schemas/(\w+)", json.dumps(description))
    assert set(references) <= set(description["components"]["schemas"])
    for path, operations in description["paths"].items():
        for method in operations:
            url = re.sub(r"{\w+}", "nobody", path)
            assert pair.ours.client._client.request(method, url).status_code not in (405, 501), (method, path)


def test_certificate_mappings(pair: Pair) -> None:
    client = pair.ours.client
    ours, theirs = (
        base64.b64encode(
            ssl.PEM_cert_to_DER_cert(
                (pair.pki / party / "certificate.pem").read_text()[:9999].split("-----END")[0]
                + "-----END CERTIFICATE-----\n"
            )
        ).decode()
        for party in ("party-organisation", "party-partner")
    )
    mapping = CertificateMapping(source=ours, destination=theirs, cpa_id="x")
    client.create_certificate_mapping(mapping)
    assert client.list_certificate_mappings() == [mapping]
    with pytest.raises(EbmsNotFoundError):
        client.delete_certificate_mapping("other", ours)
    client.delete_certificate_mapping("x", ours)
    assert client.list_certificate_mappings() == []
    client.clear_certificate_mapping_cache()
    client.clear_url_mapping_cache()
    with pytest.raises(EbmsServerError, match=r"no X\.509"):
        client.create_certificate_mapping(replace(mapping, source=base64.b64encode(b"x").decode()))


def test_encoded_url_mapping_is_removed(pair: Pair) -> None:
    client = pair.ours.client
    client.create_url_mapping(URLMapping(source="https://c.test/x", destination="https://d.test/y"))
    assert client._client.delete("/urlMappings/https%3A%2F%2Fc.test%2Fx").status_code == 204
    assert "https://c.test/x" not in [mapping.source for mapping in client.list_url_mappings()]


SIGNED = {"profile": Profile.RELIABLE_SIGNED, "sync_reply": True}


def signed(pair: Pair, *payloads: Payload) -> tuple[Message, bytes]:
    """A signed message of the partner, and its envelope."""
    load(pair, "signed", **SIGNED)
    message = composed(pair, "signed", *payloads)
    folder = pair.pki / "party-partner"
    document = pair.ours.client.get_cpa("signed")
    [terms] = [terms for terms in read_cpa(document.encode()).terms if terms.action == "foutbericht"]
    assert terms.channel.signature
    signer = Signer(folder / "key.pem", folder / "certificate.pem")
    return message, signer.sign(build(message), payloads, terms.channel.signature)


def judged(pair: Pair, envelope: bytes, *payloads: Payload) -> Message:
    content_type, body = pack(envelope, payloads)
    status, answer = post(pair, body, **{"Content-Type": content_type})
    assert status == 200
    return read_message("text/xml", answer)


def test_signed_message_is_acknowledged(pair: Pair) -> None:
    payload = Payload("a@test", "text/plain", b"x")
    message, envelope = signed(pair, payload)
    told = judged(pair, envelope, payload).acknowledgment
    assert told
    assert (told.ref_to_message_id, len(told.references)) == (message.header.message_id, 2)


@pytest.mark.parametrize("lie", ["no signature", "other payload", "other header", "signature of another message"])
def test_signature_that_does_not_hold_is_refused(pair: Pair, lie: str) -> None:
    payload = Payload("a@test", "text/plain", b"x")
    message, envelope = signed(pair, payload)
    if lie == "no signature":
        envelope = build(message)
    elif lie == "other payload":
        payload = replace(payload, content=b"y")
    elif lie == "other header":
        conversation = message.header.conversation_id.encode()
        envelope = envelope.replace(conversation + b"</eb:ConversationId>", b"other</eb:ConversationId>")
    else:
        _, other = signed(pair, payload)
        pattern = re.compile(rb"<ds:Signature[ >].*</ds:Signature>", re.DOTALL)
        [found] = pattern.findall(other)
        envelope = pattern.sub(lambda _: found, envelope)
    [error] = judged(pair, envelope, payload).errors
    assert error.code == "SecurityFailure"
    with pytest.raises(EbmsNotFoundError):
        pair.ours.client.get_message(message.header.message_id)


UNREADABLE = (
    b'<eb:AckRequested soap:mustUnderstand="1" eb:version="2.0" eb:signed="maybe"/></soap:Header>',
    b'<x soap:mustUnderstand="1"/></soap:Header>',
    b"<eb:MessageOrder/></soap:Header>",
)
ERRORS = (Error("Inconsistent", "//Header", "wrong"),)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("damage", [*UNREADABLE, b"</soap:Header>"], ids=["ack", "block", "element", "readable"])
@pytest.mark.parametrize("action", ["MessageError", "Acknowledgment", "Pong", "StatusResponse", "Rubbish"])
def test_answer_gets_no_error_in_answer(pair: Pair, channel: str, damage: bytes, action: str) -> None:
    """ebMS 2.0, section 4.2.4.1: two adapters would answer each other's errors for ever."""
    cpa = load(pair, f"signals-{channel}", sync_reply=channel == "sync")
    signal = replace(message(pair, cpa, action), errors=ERRORS if action == "MessageError" else ())
    assert post(pair, build(signal).replace(b"</soap:Header>", damage)) == (204, b"")
    assert answers(pair, signal) is None


@pytest.mark.parametrize("damage", [*UNREADABLE, b"</soap:Header>"])
def test_message_that_reports_an_error_gets_none(pair: Pair, damage: bytes) -> None:
    cpa = load(pair, "reports", sync_reply=True)
    refused = composed(pair, cpa, Payload("a", "text/xml", b"<a/>"))
    header = replace(refused.header, action="unknown")
    for severity, status in (("Error", 204), ("Warning", 200)):
        given = replace(refused, header=header, errors=(replace(ERRORS[0], severity=severity),))
        kind, body = pack(build(given).replace(b"</soap:Header>", damage), given.payloads)
        assert post(pair, body, **{"Content-Type": kind})[0] == status


@pytest.mark.parametrize("damage", UNREADABLE)
def test_request_that_is_not_understood_gets_an_error(pair: Pair, damage: bytes) -> None:
    cpa = load(pair, "requests", sync_reply=True)
    status, answer = post(pair, build(message(pair, cpa)).replace(b"</soap:Header>", damage))
    assert (status, read_message("text/xml", answer).header.action) == (200, "MessageError")


def test_error_of_an_unknown_agreement_gets_no_message_in_answer(pair: Pair) -> None:
    """The SOAP Fault is of the HTTP exchange, and nobody answers it."""
    signal = replace(message(pair, "nosuch", "MessageError"), errors=ERRORS)
    status, answer = post(pair, build(signal))
    assert (status, fault_reason(answer)) == (500, "CPA nosuch not found")
    assert answers(pair, signal) is None


def answers(pair: Pair, signal: Message) -> object:
    return pair.ours.server.store.messages.our_reply_to(signal.header.message_id, ["MessageError"])
