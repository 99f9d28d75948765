"""ebMS 2.0 messages as SOAP 1.1 envelopes: building, reading, and the check of a Pong.

Sections are those of the OASIS ebXML Message Service Specification 2.0. Multi-hop messaging is not done, as
Digikoppeling has none: what is meant for the next MSH on the way is not acted upon.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from lxml import etree
from lxml.builder import ElementMaker

from aansluitkit.ebms.cpa import PartyId, Terms
from aansluitkit.ebms.errors import ErrorCode, ErrorListError, HopError, MalformedError
from aansluitkit.ebms.mime import DEFAULT_LIMITS, Limits, Payload, unpack
from aansluitkit.ebms.xml import DS, EB, NAMESPACES, SOAP, XLINK, XML, parse, read_moment, required, text

MSH_SERVICE = "urn:oasis:names:tc:ebxml-msg:service"
ERROR_CONTEXT = "urn:oasis:names:tc:ebxml-msg:service:errors"
VERSION = "2.0"
SOAP_ACTION = '"ebXML"'
TO_PARTY_MSH = "urn:oasis:names:tc:ebxml-msg:actor:toPartyMSH"  # section 2.3.11
NEXT_MSH = "urn:oasis:names:tc:ebxml-msg:actor:nextMSH"  # section 2.3.10
NEXT = "http://schemas.xmlsoap.org/soap/actor/next"
MOST_REFERENCES = 1 + DEFAULT_LIMITS.payloads  # of a signature: the envelope and each payload
ON_THE_WAY = (NEXT_MSH, NEXT)  # what is for these actors is not signed (section 4.1.3)

PING = "Ping"  # section 8.1
PONG = "Pong"  # section 8.2
STATUS_REQUEST = "StatusRequest"  # section 7.1.1
STATUS_RESPONSE = "StatusResponse"  # section 7.1.2
MESSAGE_ERROR = "MessageError"  # section 4.2.4.4
ACKNOWLEDGMENT = "Acknowledgment"  # section 6.3.2.7
REPLIES = (PONG, STATUS_RESPONSE, MESSAGE_ERROR)
REQUESTS = (PING, STATUS_REQUEST)

NOT_RECOGNIZED = "NotRecognized"  # section 7.3.2
ERROR, WARNING = "Error", "Warning"  # section 4.2.3.2.4

_soap: Callable[..., etree._Element] = ElementMaker(
    namespace=SOAP, nsmap={"soap": SOAP, "eb": EB, "ds": DS, "xlink": XLINK}
)
_eb: Callable[..., etree._Element] = ElementMaker(namespace=EB, nsmap={"eb": EB})
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_URI_CHARACTERS = "-._~!$&'()*+,;=:@"  # of RFC 3986 that stand for themselves in a cid: URI
_ACTED_UPON = ("MessageHeader", "AckRequested", "Acknowledgment", "SyncReply", "ErrorList")


@dataclass(frozen=True)
class Header:
    """The MessageHeader (section 3.1)."""

    sender: PartyId
    receiver: PartyId
    cpa_id: str
    conversation_id: str
    service: str
    action: str
    message_id: str
    timestamp: datetime
    ref_to_message_id: str | None = None
    sender_role: str | None = None
    receiver_role: str | None = None
    service_type: str = ""
    time_to_live: datetime | None = None
    duplicate_elimination: bool = False

    @property
    def is_signal(self) -> bool:
        """Whether the message is of the message service handlers themselves."""
        return self.service == MSH_SERVICE

    @property
    def expects_answer(self) -> bool:
        """Whether the sender may get an answer, or an error: for each message, and of signals for requests only."""
        return not self.is_signal or self.action in REQUESTS


@dataclass(frozen=True)
class Error:
    """One error of an ErrorList (section 4.2.3); ``location`` is an XPath in the message that it is about.

    A message with a ``severity`` of Warning is processed all the same.
    """

    code: str
    location: str
    description: str
    severity: str = ERROR


@dataclass(frozen=True)
class Status:
    """What a StatusResponse says about message ``message_id``; ``at`` is when it was received, if it was."""

    message_id: str
    value: str
    at: datetime | None = None


@dataclass(frozen=True)
class AckRequested:
    """The wish for an Acknowledgment, signed or not, by the receiving party (section 6.3.1)."""

    signed: bool


@dataclass(frozen=True)
class Acknowledgment:
    """That message ``ref_to_message_id`` was received (section 6.3.2).

    ``references`` are the ds:Reference elements of its signature, each serialised: the proof of what was received.
    """

    ref_to_message_id: str
    timestamp: datetime
    references: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Message:
    """A message: its header, and what its kind carries.

    ``references`` are the ds:Reference elements of the signature that it was received with, each serialised.
    """

    header: Header
    errors: tuple[Error, ...] = ()
    asked_message_id: str | None = None
    status: Status | None = None
    payloads: tuple[Payload, ...] = ()
    ack_requested: AckRequested | None = None
    sync_reply: bool = False
    acknowledgment: Acknowledgment | None = None
    references: tuple[bytes, ...] = ()

    @property
    def reports_error(self) -> bool:
        """Whether it has an ErrorList that is more than a warning."""
        return any(error.severity != WARNING for error in self.errors)


def compose(
    terms: Terms,
    payloads: tuple[Payload, ...],
    domain: str,
    conversation_id: str | None = None,
    ref_to_message_id: str | None = None,
) -> Message:
    """A business message as the CPA wants it, with an id of its own (``uuid@domain``, RFC 2822).

    It lives until the last retry has had its interval (section 6.4.6).
    """
    identity, channel, now = uuid.uuid4(), terms.channel, _now()
    reliability = channel.reliability
    header = Header(
        sender=terms.sender.ids[0],
        receiver=terms.receiver.ids[0],
        cpa_id=terms.cpa_id,
        conversation_id=conversation_id or str(identity),
        service=terms.service.value,
        action=terms.action,
        message_id=f"{identity}@{domain}",
        timestamp=now,
        ref_to_message_id=ref_to_message_id,
        sender_role=terms.sender_role,
        receiver_role=terms.receiver_role,
        service_type=terms.service.type,
        time_to_live=now + (reliability.retries + 1) * reliability.interval if reliability else None,
        duplicate_elimination=channel.duplicate_elimination,
    )
    asked = AckRequested(channel.ack_signed) if channel.ack_requested else None
    return Message(header, payloads=payloads, ack_requested=asked, sync_reply=channel.sync_reply)


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
        timestamp=_now(),
    )
    return Message(header)


def reply(to: Header, action: str, domain: str) -> Message:
    """A signal that answers ``to``: parties swapped, same conversation, RefToMessageId; it never asks for an ack."""
    header = Header(
        sender=to.receiver,
        receiver=to.sender,
        cpa_id=to.cpa_id,
        conversation_id=to.conversation_id,
        service=MSH_SERVICE,
        action=action,
        message_id=f"{uuid.uuid4()}@{domain}",
        timestamp=_now(),
        ref_to_message_id=to.message_id,
    )
    return Message(header)


def acknowledgment(to: Message, domain: str) -> Message:
    """The Acknowledgment of ``to``; one that is to be signed repeats what was signed (section 6.3.2.6)."""
    answer = reply(to.header, ACKNOWLEDGMENT, domain)
    references = to.references if to.ack_requested and to.ack_requested.signed else ()
    return replace(answer, acknowledgment=Acknowledgment(to.header.message_id, answer.header.timestamp, references))


def error(to: Header, found: ErrorListError, domain: str) -> Message:
    """The MessageError that tells the sender of ``to`` what was found (section 4.2.4)."""
    answer = reply(to, MESSAGE_ERROR, domain)
    return replace(answer, errors=(Error(found.code.value, found.location, found.description),))


def build(message: Message) -> bytes:
    """The SOAP envelope of ``message``, with a Manifest of its payloads."""
    content = [_message_header(message.header)]
    if message.ack_requested:
        signed = {f"{{{EB}}}signed": "true" if message.ack_requested.signed else "false"}
        content.append(_eb("AckRequested", _extension() | _actor(TO_PARTY_MSH) | signed))
    if message.sync_reply:
        content.append(_eb("SyncReply", _extension() | _actor(NEXT)))
    if message.acknowledgment:
        content.append(_acknowledgment(message.acknowledgment, message.header.sender))
    if message.errors:
        content.append(_error_list(message.errors))
    body = _soap("Body")
    if message.payloads:
        body.append(_manifest(message.payloads))
    if message.asked_message_id:
        body.append(_eb("StatusRequest", _eb("RefToMessageId", message.asked_message_id), _version()))
    if message.status:
        body.append(_status_response(message.status))
    return etree.tostring(_soap("Envelope", _soap("Header", *content), body), xml_declaration=True, encoding="UTF-8")


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


def read_message(content_type: str, content: bytes, limits: Limits = DEFAULT_LIMITS) -> Message:
    """Read an ebMS message from an HTTP body (sections 2.1 and B.2), as ``unpack`` and ``read_envelope`` do.

    Raises:
        MalformedError: when it is no ebMS 2.0 message.
        ErrorListError: when something is wrong with it that its sender can be told; ``header`` is set.
    """
    return read_envelope(*unpack(content_type, content, limits))


def read_envelope(envelope: bytes, payloads: tuple[Payload, ...] = ()) -> Message:
    """Read the message that ``envelope`` and ``payloads`` are; nothing is acted upon that occurs twice.

    Raises:
        MalformedError: when it is no SOAP 1.1 envelope with a readable MessageHeader; that is worth a SOAP Fault.
        ErrorListError: when something else is wrong with it; ``header`` is set.
    """
    root = parse(envelope)
    if root.tag != f"{{{SOAP}}}Envelope":
        raise MalformedError("the root element is no SOAP 1.1 Envelope")
    heading, body = _single(root, "soap:Header"), _single(root, "soap:Body")
    _check_actors(root)
    header = _read_header(_single(heading, "eb:MessageHeader"))
    try:
        _check_understood(heading)
        return Message(
            header=header,
            errors=_read_errors(heading),
            asked_message_id=text(body, "eb:StatusRequest/eb:RefToMessageId"),
            status=_read_status(body),
            payloads=_listed(body, payloads),
            ack_requested=_read_ack_requested(heading),
            sync_reply=heading.find("eb:SyncReply", NAMESPACES) is not None,  # never signed, and the CPA decides
            acknowledgment=_read_acknowledgment(heading),
            references=_references(heading, "ds:Signature/ds:SignedInfo/ds:Reference"),
        )
    except MalformedError as error:
        unreadable = ErrorListError(ErrorCode.OTHER_XML, "//Envelope", str(error), header)
        unreadable.about_error = _reports_error(heading)
        raise unreadable from error
    except ErrorListError as error:
        error.header = header
        error.about_error = _reports_error(heading)
        raise


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


def _single(parent: etree._Element, path: str) -> etree._Element:
    found = _optional(parent, path)
    if found is None:
        raise MalformedError(f"the SOAP {etree.QName(parent).localname} has no {path.partition(':')[2]}")
    return found


def _optional(parent: etree._Element, path: str) -> etree._Element | None:
    """The one element at ``path`` that is for us: what is for an actor on the way is not signed, and does not count."""
    found = [
        element for element in parent.iterfind(path, NAMESPACES) if element.get(f"{{{SOAP}}}actor") not in ON_THE_WAY
    ]
    if len(found) > 1:
        raise MalformedError(f"{etree.QName(parent).localname} has {len(found)} elements {path.partition(':')[2]}")
    return found[0] if found else None


def _check_actors(root: etree._Element) -> None:
    """No signature covers what is for actors on the way, so only what never counts may be for them."""
    allowed = {f"{{{EB}}}AckRequested", f"{{{EB}}}Acknowledgment", f"{{{EB}}}SyncReply"}
    for element in root.iter("*"):
        parent = element.getparent()
        block = parent is not None and parent.tag == f"{{{SOAP}}}Header" and parent.getparent() is root
        ours = etree.QName(element).namespace in (EB, DS, SOAP) and element.tag not in allowed
        if element.get(f"{{{SOAP}}}actor") in ON_THE_WAY and (ours or not block):
            raise MalformedError(f"{etree.QName(element).localname} must not be for an actor on the way")


def _check_understood(heading: etree._Element) -> None:
    """Header blocks that must be understood are (SOAP 1.1, section 4.2.3); ours bear version 2.0 (section 2.3.8)."""
    for block in heading.iterchildren("*"):
        name = etree.QName(block)
        if name.namespace == EB:
            if name.localname not in _ACTED_UPON:
                raise ErrorListError(
                    ErrorCode.NOT_SUPPORTED, f"//Header/{name.localname}", f"{name.localname} is not supported"
                )
            version = block.get(f"{{{EB}}}version")
            if version != VERSION:
                raise ErrorListError(
                    ErrorCode.INCONSISTENT,
                    f"//Header/{name.localname}/@version",
                    f"version is {version}, {VERSION} is expected",
                )
        elif name.namespace != DS and block.get(f"{{{SOAP}}}mustUnderstand") in ("1", "true"):
            raise ErrorListError(
                ErrorCode.NOT_SUPPORTED, f"//Header/{name.localname}", f"{name.localname} is not understood"
            )


def _listed(body: etree._Element, payloads: tuple[Payload, ...]) -> tuple[Payload, ...]:
    """The payloads in the order of the Manifest, which lists each of them, and nothing else (section 3.2.2)."""
    manifest = _optional(body, "eb:Manifest")
    found = {payload.content_id: payload for payload in payloads}
    listed = []
    for reference in manifest.iterfind("eb:Reference", NAMESPACES) if manifest is not None else ():
        uri = reference.get(f"{{{XLINK}}}href", "")
        payload = found.pop(unquote(uri[4:]), None) if uri.startswith("cid:") else None
        if payload is None:
            raise ErrorListError(
                ErrorCode.MIME_PROBLEM, uri, "the Manifest refers to what is not in the message, or does so twice"
            )
        listed.append(payload)
    if found:
        raise ErrorListError(ErrorCode.MIME_PROBLEM, content_uri(next(iter(found))), "a payload is not in the Manifest")
    return tuple(listed)


def content_uri(content_id: str) -> str:
    """The ``cid:`` URI of a payload (RFC 2392)."""
    return f"cid:{quote(content_id, safe=_URI_CHARACTERS)}"


def _version() -> dict[str, str]:
    return {f"{{{EB}}}version": VERSION}


def _extension() -> dict[str, str]:
    return _version() | {f"{{{SOAP}}}mustUnderstand": "1"}


def _actor(actor: str) -> dict[str, str]:
    return {f"{{{SOAP}}}actor": actor}


def _message_header(header: Header) -> etree._Element:
    data = _eb("MessageData", _eb("MessageId", header.message_id), _eb("Timestamp", _moment(header.timestamp)))
    if header.ref_to_message_id:
        data.append(_eb("RefToMessageId", header.ref_to_message_id))
    if header.time_to_live:
        data.append(_eb("TimeToLive", _moment(header.time_to_live)))
    element = _eb(
        "MessageHeader",
        _eb("From", _party_id(header.sender), *_role(header.sender_role)),
        _eb("To", _party_id(header.receiver), *_role(header.receiver_role)),
        _eb("CPAId", header.cpa_id),
        _eb("ConversationId", header.conversation_id),
        _eb("Service", header.service, _type(header.service_type)),
        _eb("Action", header.action),
        data,
        _extension(),
    )
    if header.duplicate_elimination:
        element.append(_eb("DuplicateElimination"))
    return element


def _role(role: str | None) -> list[etree._Element]:
    return [_eb("Role", role)] if role else []


def _type(value: str) -> dict[str, str]:
    return {f"{{{EB}}}type": value} if value else {}


def _party_id(party: PartyId) -> etree._Element:
    return _eb("PartyId", party.value, _type(party.type))


def _acknowledgment(found: Acknowledgment, sender: PartyId) -> etree._Element:
    return _eb(
        "Acknowledgment",
        _eb("Timestamp", _moment(found.timestamp)),
        _eb("RefToMessageId", found.ref_to_message_id),
        _eb("From", _party_id(sender)),
        *map(parse, found.references),
        _extension() | _actor(TO_PARTY_MSH),
    )


def _manifest(payloads: tuple[Payload, ...]) -> etree._Element:
    references = [
        _eb("Reference", {f"{{{XLINK}}}href": content_uri(payload.content_id), f"{{{XLINK}}}type": "simple"})
        for payload in payloads
    ]
    return _eb("Manifest", *references, _version())


def _error_list(errors: tuple[Error, ...]) -> etree._Element:
    elements = [
        _eb(
            "Error",
            _eb("Description", _printable(error.description), {f"{{{XML}}}lang": "en-US"}),
            {
                f"{{{EB}}}codeContext": ERROR_CONTEXT,
                f"{{{EB}}}errorCode": error.code,
                f"{{{EB}}}severity": error.severity,
                f"{{{EB}}}location": error.location,
            },
        )
        for error in errors
    ]
    highest = ERROR if any(error.severity == ERROR for error in errors) else errors[0].severity
    return _eb("ErrorList", *elements, _extension() | {f"{{{EB}}}highestSeverity": highest})


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
    time_to_live = text(element, "eb:MessageData/eb:TimeToLive")
    for name in ("eb:From", "eb:To", "eb:CPAId", "eb:ConversationId", "eb:Service", "eb:Action", "eb:MessageData"):
        _single(element, name)
    return Header(
        sender=_read_party(element, "eb:From/eb:PartyId"),
        receiver=_read_party(element, "eb:To/eb:PartyId"),
        cpa_id=required(element, "eb:CPAId"),
        conversation_id=required(element, "eb:ConversationId"),
        service=required(element, "eb:Service"),
        action=required(element, "eb:Action"),
        message_id=required(element, "eb:MessageData/eb:MessageId"),
        timestamp=read_moment(required(element, "eb:MessageData/eb:Timestamp")),
        ref_to_message_id=text(element, "eb:MessageData/eb:RefToMessageId"),
        sender_role=text(element, "eb:From/eb:Role"),
        receiver_role=text(element, "eb:To/eb:Role"),
        service_type=_read_type(element, "eb:Service"),
        time_to_live=read_moment(time_to_live) if time_to_live else None,
        duplicate_elimination=_optional(element, "eb:DuplicateElimination") is not None,
    )


def _read_party(header: etree._Element, path: str) -> PartyId:
    """The first PartyId; others name the same party in other schemes (section 3.1.1.1)."""
    return PartyId(required(header, path), _read_type(header, path))


def _read_type(header: etree._Element, path: str) -> str:
    element = header.find(path, NAMESPACES)
    return element.get(f"{{{EB}}}type", "") if element is not None else ""


def _read_errors(heading: etree._Element) -> tuple[Error, ...]:
    found = _optional(heading, "eb:ErrorList")
    return tuple(map(_read_error, found.iterfind("eb:Error", NAMESPACES))) if found is not None else ()


def _reports_error(heading: etree._Element) -> bool:
    """Whether there is an ErrorList that is more than a warning, readable or not."""
    severities = [found.get(f"{{{EB}}}highestSeverity") for found in heading.iterfind("eb:ErrorList", NAMESPACES)]
    return any(severity != WARNING for severity in severities)


def _read_error(element: etree._Element) -> Error:
    return Error(
        code=element.get(f"{{{EB}}}errorCode", ErrorCode.UNKNOWN.value),
        location=element.get(f"{{{EB}}}location", ""),
        description=text(element, "eb:Description") or "",
        severity=element.get(f"{{{EB}}}severity", ERROR),
    )


def _read_ack_requested(heading: etree._Element) -> AckRequested | None:
    found = _optional(heading, "eb:AckRequested")
    if found is None:
        return None
    signed = found.get(f"{{{EB}}}signed")
    if signed not in _BOOLEANS:
        raise ErrorListError(
            ErrorCode.INCONSISTENT, "//Header/AckRequested/@signed", f"signed is {signed}, true or false is expected"
        )
    return AckRequested(_BOOLEANS[signed])


def _read_acknowledgment(heading: etree._Element) -> Acknowledgment | None:
    found = _optional(heading, "eb:Acknowledgment")
    if found is None:
        return None
    return Acknowledgment(
        ref_to_message_id=required(found, "eb:RefToMessageId"),
        timestamp=read_moment(required(found, "eb:Timestamp")),
        references=_references(found, "ds:Reference"),
    )


def _references(parent: etree._Element, path: str) -> tuple[bytes, ...]:
    """The ds:Reference elements at ``path``, each with all namespaces that its XPath may need."""
    found = parent.findall(path, NAMESPACES)
    if len(found) > MOST_REFERENCES:
        raise MalformedError(f"there are {len(found)} ds:Reference elements, at most {MOST_REFERENCES} are accepted")
    return tuple(etree.tostring(element, with_tail=False) for element in found)


def _read_status(body: etree._Element) -> Status | None:
    element = _optional(body, "eb:StatusResponse")
    if element is None:
        return None
    at = text(element, "eb:Timestamp")
    return Status(
        message_id=required(element, "eb:RefToMessageId"),
        value=element.get(f"{{{EB}}}messageStatus", NOT_RECOGNIZED),
        at=read_moment(at) if at else None,
    )


def _now() -> datetime:
    """Now, in the milliseconds that a Timestamp has."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _printable(value: str) -> str:
    """XML has no control characters, and what a stranger sent may come back in a text of ours."""
    return "".join(character if character.isprintable() else " " for character in value)
