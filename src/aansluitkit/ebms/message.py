"""ebMS 2.0 signals as SOAP 1.1 envelopes: building, parsing, and the check of a Pong.

Sections are those of the OASIS ebXML Message Service Specification 2.0.
"""

from __future__ import annotations

import email.parser
import email.policy
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lxml import etree
from lxml.builder import ElementMaker

from aansluitkit.ebms.cpa import PartyId
from aansluitkit.ebms.errors import HopError, MalformedError
from aansluitkit.ebms.xml import EB, NAMESPACES, SOAP, XML, parse, required, text

MSH_SERVICE = "urn:oasis:names:tc:ebxml-msg:service"
ERROR_CONTEXT = "urn:oasis:names:tc:ebxml-msg:service:errors"
VERSION = "2.0"
CONTENT_TYPE = "text/xml; charset=UTF-8"
SOAP_ACTION = '"ebXML"'

PING = "Ping"  # section 8.1
PONG = "Pong"  # section 8.2
STATUS_REQUEST = "StatusRequest"  # section 7.1.1
STATUS_RESPONSE = "StatusResponse"  # section 7.1.2
MESSAGE_ERROR = "MessageError"  # section 4.2.4.4
REPLIES = (PONG, STATUS_RESPONSE, MESSAGE_ERROR)

NOT_RECOGNIZED = "NotRecognized"  # section 7.3.2

_soap: Callable[..., etree._Element] = ElementMaker(namespace=SOAP, nsmap={"soap": SOAP, "eb": EB})
_eb: Callable[..., etree._Element] = ElementMaker(namespace=EB, nsmap={"eb": EB})


@dataclass(frozen=True)
class Header:
    """The MessageHeader (section 3.1), without what signals do not have."""

    sender: PartyId
    receiver: PartyId
    cpa_id: str
    conversation_id: str
    service: str
    action: str
    message_id: str
    timestamp: datetime
    ref_to_message_id: str | None = None

    @property
    def is_signal(self) -> bool:
        """Whether the message is of the message service handlers themselves."""
        return self.service == MSH_SERVICE


@dataclass(frozen=True)
class Error:
    """One error of an ErrorList (section 4.2.3); ``location`` is an XPath in the message that it is about."""

    code: str
    location: str
    description: str


@dataclass(frozen=True)
class Status:
    """What a StatusResponse says about message ``message_id``; ``at`` is when it was received, if it was."""

    message_id: str
    value: str
    at: datetime | None = None


@dataclass(frozen=True)
class Message:
    """A message: its header, and of a signal what its kind carries."""

    header: Header
    errors: tuple[Error, ...] = ()
    asked_message_id: str | None = None
    status: Status | None = None


def request(sender: PartyId, receiver: PartyId, cpa_id: str, action: str, domain: str) -> Message:
    """A Ping, or another signal that begins a conversation, with an id of its own (``uuid@domain``, RFC 2822)."""
    identity = uuid.uuid4()
    header = Header(
        sender=sender,
        receiver=receiver,
        cpa_id=cpa_id,
        conversation_id=str(identity),
        service=MSH_SERVICE,
        action=action,
        message_id=f"{identity}@{domain}",
        timestamp=datetime.now(UTC),
    )
    return Message(header)


def reply(to: Header, action: str, domain: str) -> Message:
    """A signal that answers ``to``: parties swapped, same conversation, RefToMessageId."""
    header = replace(
        to,
        sender=to.receiver,
        receiver=to.sender,
        service=MSH_SERVICE,
        action=action,
        message_id=f"{uuid.uuid4()}@{domain}",
        timestamp=datetime.now(UTC),
        ref_to_message_id=to.message_id,
    )
    return Message(header)


def build(message: Message) -> bytes:
    """The SOAP envelope of ``message``."""
    content = [_message_header(message.header)]
    if message.errors:
        content.append(_error_list(message.errors))
    body = _soap("Body")
    if message.asked_message_id:
        asked = _eb("StatusRequest", _eb("RefToMessageId", message.asked_message_id), _version())
        body.append(asked)
    if message.status:
        body.append(_status_response(message.status))
    return etree.tostring(
        _soap("Envelope", _soap("Header", *content), body), xml_declaration=True, encoding="UTF-8", pretty_print=True
    )


def fault(reason: str) -> bytes:
    """A SOAP Fault of the sender's making (SOAP 1.1 section 4.4)."""
    element = etree.Element(f"{{{SOAP}}}Fault", nsmap={"soap": SOAP})
    etree.SubElement(element, "faultcode").text = "soap:Client"
    etree.SubElement(element, "faultstring").text = _printable(reason)
    return etree.tostring(_soap("Envelope", _soap("Body", element)), xml_declaration=True, encoding="UTF-8")


def fault_reason(content: bytes) -> str | None:
    """The text of the SOAP Fault in ``content``, or None when there is none."""
    try:
        root = parse(content)
    except MalformedError:
        return None
    return text(root, "soap:Body/soap:Fault/faultstring")


def read_message(content_type: str, content: bytes) -> Message:
    """Read an ebMS message from an HTTP body (sections 2.1 and B.2); of a multipart the root part is read.

    Raises:
        MalformedError: when it is no ebMS 2.0 message.
    """
    root = parse(_envelope(content_type, content))
    if root.tag != f"{{{SOAP}}}Envelope":
        raise MalformedError("the root element is no SOAP 1.1 Envelope")
    header = root.find("soap:Header/eb:MessageHeader", NAMESPACES)
    if header is None:
        raise MalformedError("the SOAP Header has no ebXML MessageHeader")
    if header.get(f"{{{EB}}}version") != VERSION:
        raise MalformedError(f"ebXML MessageHeader has version {header.get(f'{{{EB}}}version')}, not {VERSION}")
    return Message(
        header=_read_header(header),
        errors=tuple(map(_read_error, root.iterfind("soap:Header/eb:ErrorList/eb:Error", NAMESPACES))),
        asked_message_id=text(root, "soap:Body/eb:StatusRequest/eb:RefToMessageId"),
        status=_read_status(root),
    )


def check_pong(ping: Header, message: Message) -> None:
    """See that ``message`` is the Pong of ``ping`` (section 8.2): every field that ties them together.

    Raises:
        HopError: at hop ``ping`` when the partner answered with an error, at hop ``pong`` when the answer is no
            Pong of this Ping; the text names the field, what was found and what was expected.
    """
    answer = message.header
    if message.errors:
        told = "; ".join(f"{error.code} at {error.location}: {error.description}" for error in message.errors)
        raise HopError("ping", f"the partner answers the Ping with an error: {told}")
    expected = {
        "Service": (answer.service, MSH_SERVICE),
        "Action": (answer.action, PONG),
        "RefToMessageId": (answer.ref_to_message_id, ping.message_id),
        "From/PartyId": (answer.sender, ping.receiver),
        "To/PartyId": (answer.receiver, ping.sender),
        "CPAId": (answer.cpa_id, ping.cpa_id),
        "ConversationId": (answer.conversation_id, ping.conversation_id),
    }
    for field, (found, wanted) in expected.items():
        if found != wanted:
            raise HopError("pong", f"{field} of the Pong is {found}, {wanted} was expected")
    if answer.message_id == ping.message_id:
        raise HopError("pong", "the Pong bears the MessageId of the Ping")


def _envelope(content_type: str, content: bytes) -> bytes:
    if not content_type.lower().startswith("multipart/related"):
        return content
    head = f"Content-Type: {content_type}\r\n\r\n".encode("ascii", "replace")
    whole = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + content)
    start = whole.get_param("start")
    parts = list(whole.iter_parts()) if whole.is_multipart() else []
    root = next((part for part in parts if start and part.get("Content-ID") == start), parts[0] if parts else None)
    payload = root.get_payload(decode=True) if root is not None else None
    if not isinstance(payload, bytes):
        raise MalformedError("the multipart message has no root part")
    return payload


def _version() -> dict[str, str]:
    return {f"{{{EB}}}version": VERSION}


def _must_understand() -> dict[str, str]:
    return {f"{{{SOAP}}}mustUnderstand": "1"}


def _message_header(header: Header) -> etree._Element:
    data = _eb("MessageData", _eb("MessageId", header.message_id), _eb("Timestamp", _moment(header.timestamp)))
    if header.ref_to_message_id:
        data.append(_eb("RefToMessageId", header.ref_to_message_id))
    return _eb(
        "MessageHeader",
        _eb("From", _party_id(header.sender)),
        _eb("To", _party_id(header.receiver)),
        _eb("CPAId", header.cpa_id),
        _eb("ConversationId", header.conversation_id),
        _eb("Service", header.service),
        _eb("Action", header.action),
        data,
        _version() | _must_understand(),
    )


def _party_id(party: PartyId) -> etree._Element:
    return _eb("PartyId", party.value, {f"{{{EB}}}type": party.type} if party.type else {})


def _error_list(errors: tuple[Error, ...]) -> etree._Element:
    elements = [
        _eb(
            "Error",
            _eb("Description", _printable(error.description), {f"{{{XML}}}lang": "en-US"}),
            {
                f"{{{EB}}}codeContext": ERROR_CONTEXT,
                f"{{{EB}}}errorCode": error.code,
                f"{{{EB}}}severity": "Error",
                f"{{{EB}}}location": error.location,
            },
        )
        for error in errors
    ]
    return _eb("ErrorList", *elements, _version() | _must_understand() | {f"{{{EB}}}highestSeverity": "Error"})


def _status_response(status: Status) -> etree._Element:
    element = _eb(
        "StatusResponse",
        _eb("RefToMessageId", status.message_id),
        _version() | {f"{{{EB}}}messageStatus": status.value},
    )
    if status.at:
        element.append(_eb("Timestamp", _moment(status.at)))
    return element


def _read_header(element: etree._Element) -> Header:
    return Header(
        sender=_read_party(element, "eb:From/eb:PartyId"),
        receiver=_read_party(element, "eb:To/eb:PartyId"),
        cpa_id=required(element, "eb:CPAId"),
        conversation_id=required(element, "eb:ConversationId"),
        service=required(element, "eb:Service"),
        action=required(element, "eb:Action"),
        message_id=required(element, "eb:MessageData/eb:MessageId"),
        timestamp=_read_moment(required(element, "eb:MessageData/eb:Timestamp")),
        ref_to_message_id=text(element, "eb:MessageData/eb:RefToMessageId"),
    )


def _read_party(header: etree._Element, path: str) -> PartyId:
    value = required(header, path)
    element = header.find(path, NAMESPACES)
    return PartyId(value, element.get(f"{{{EB}}}type", "") if element is not None else "")


def _read_error(element: etree._Element) -> Error:
    return Error(
        code=element.get(f"{{{EB}}}errorCode", "Unknown"),
        location=element.get(f"{{{EB}}}location", ""),
        description=text(element, "eb:Description") or "",
    )


def _read_status(root: etree._Element) -> Status | None:
    element = root.find("soap:Body/eb:StatusResponse", NAMESPACES)
    if element is None:
        return None
    at = text(element, "eb:Timestamp")
    return Status(
        message_id=required(element, "eb:RefToMessageId"),
        value=element.get(f"{{{EB}}}messageStatus", NOT_RECOGNIZED),
        at=_read_moment(at) if at else None,
    )


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read_moment(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise MalformedError(f"'{value}' is no date and time") from error


def _printable(value: str) -> str:
    """XML has no control characters, and what a stranger sent may come back in a text of ours."""
    return "".join(character if character.isprintable() else " " for character in value)
