"""What the adapter does with a message that comes in.

Who sends is judged by the CPA: the OIN in the client certificate must be one of the From party's. A renewed
certificate of the same OIN passes, another party's does not, whoever signed it. A party without OIN, as the
Compliancevoorziening is, is known by the certificate that the CPA names.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from aansluitkit.digikoppeling import oin_in
from aansluitkit.ebms.certificates import oin_of
from aansluitkit.ebms.cpa import Cpa, Party, Terms
from aansluitkit.ebms.errors import ErrorCode, ErrorListError, MalformedError
from aansluitkit.ebms.message import (
    ACKNOWLEDGMENT,
    NOT_RECOGNIZED,
    PING,
    PONG,
    REPLIES,
    SOAP_ACTION,
    STATUS_REQUEST,
    STATUS_RESPONSE,
    Header,
    Message,
    Status,
    build,
    error,
    fault,
    read_envelope,
    reply,
)
from aansluitkit.ebms.messages import Outgoing, State, Task
from aansluitkit.ebms.mime import CONTENT_TYPE, Limits, unpack
from aansluitkit.ebms.receiving import check_terms
from aansluitkit.ebms.replies import Replies, told
from aansluitkit.ebms.security import Security
from aansluitkit.ebms.store import Store

log = logging.getLogger(__name__)
_MAXIMUM_LENGTH = 255  # of ids that are kept
_STATUS = {State.RECEIVED: "Received", State.PROCESSED: "Processed"}  # section 7.3.2


class Identity(StrEnum):
    """What of the client certificate must be in the CPA: the OIN, or the certificate itself."""

    OIN = "oin"
    CERTIFICATE = "certificate"


@dataclass(frozen=True)
class Response:
    """The answer to an HTTP request; ``sends`` when there is something for the worker too."""

    status: int
    body: bytes = b""
    sends: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        return {"Content-Type": CONTENT_TYPE, "SOAPAction": SOAP_ACTION} if self.body else {}


@dataclass(frozen=True)
class From:
    """What comes from a known party: its header, its bytes, and who they are."""

    header: Header
    envelope: bytes
    cpa: Cpa
    sender: Party
    receiver: Party


@dataclass(frozen=True)
class Arrived(From):
    """A message."""

    message: Message

    @property
    def reports_error(self) -> bool:
        """Whether it says that a message of ours was refused."""
        return self.message.reports_error


@dataclass(frozen=True)
class Unreadable(From):
    """What would be a message, but for ``problem``."""

    problem: ErrorListError

    @property
    def reports_error(self) -> bool:
        """Whether it says that a message of ours was refused."""
        return self.problem.about_error


class Refusal(Exception):  # noqa: N818 - a verdict
    """The sender is not known to be a party: it gets a SOAP Fault, and nobody else hears of it."""


@dataclass(frozen=True)
class Rules:
    """``domain`` stands behind the @ of our message ids; ``identity`` is how a client is known."""

    domain: str
    identity: Identity
    limits: Limits


class Handler:
    """Answers messages with what ``store`` knows."""

    def __init__(self, store: Store, security: Security, replies: Replies, rules: Rules) -> None:
        self._store = store
        self._security = security
        self._replies = replies
        self._domain = rules.domain
        self._rules = rules

    def handle(self, headers: Mapping[str, str], body: bytes, certificate: bytes | None) -> Response:
        """Answer one POST; ``certificate`` is the client's, in DER."""
        try:
            _check_soap_action(headers.get("SOAPAction"))
            arrived = self._read(headers.get("Content-Type", ""), body, certificate)
        except (Refusal, MalformedError) as problem:
            log.warning("refused a message: %s", problem)
            return Response(500, fault(str(problem)))
        log.info("received %s", told(arrived.header))
        if isinstance(arrived, Unreadable):
            return self._refuse(arrived, arrived.problem, arrived.receiver.sync_reply)
        return self._signal(arrived) if arrived.header.is_signal else self._business(arrived)

    def _read(self, content_type: str, body: bytes, certificate: bytes | None) -> Arrived | Unreadable:
        """The message, when its sender is who it says it is."""
        envelope, payloads = unpack(content_type, body, self._rules.limits)
        try:
            message = read_envelope(envelope, payloads)
        except ErrorListError as problem:
            if problem.header is None:
                raise MalformedError(str(problem)) from problem
            return Unreadable(problem.header, envelope, *self._judge(problem.header, certificate), problem)
        return Arrived(message.header, envelope, *self._judge(message.header, certificate), message)

    def _judge(self, header: Header, certificate: bytes | None) -> tuple[Cpa, Party, Party]:
        """The agreement and the two parties, when the sender is who it says it is."""
        _check_kept(header)
        cpa = self._store.agreement(header.cpa_id)
        if cpa is None:
            raise Refusal(f"CPA {header.cpa_id} not found")
        sender, receiver = cpa.party(header.sender), cpa.party(header.receiver)
        for name, identification, party in (("From", header.sender, sender), ("To", header.receiver, receiver)):
            if party is None:
                raise Refusal(f"{name} party {identification} is not a party of CPA {cpa.id}")
        if sender is None or receiver is None or sender is receiver:
            raise Refusal(f"From and To are the same party of CPA {cpa.id}")
        self._identify(header, certificate, cpa, sender)
        return cpa, sender, receiver

    def _identify(self, header: Header, certificate: bytes | None, cpa: Cpa, sender: Party) -> None:
        oin = oin_of(certificate) if certificate else None
        oins = list(filter(None, (oin_in(identification.type, identification.value) for identification in sender.ids)))
        if oins and oin not in oins:
            raise Refusal(
                f"the OIN in the client certificate, {oin or 'none'}, is not the one that CPA {cpa.id} names for the "
                f"From party, {header.sender.value}"
            )
        if self._rules.identity is Identity.CERTIFICATE or not oins:
            named = sender.certificates.get("client")
            if named is None or self._store.certificate_for(named, cpa.id) != certificate:
                raise Refusal(f"the client certificate is not the one that CPA {cpa.id} names for {header.sender}")

    def _signal(self, arrived: Arrived) -> Response:
        header = arrived.header
        if header.action in (*REPLIES, ACKNOWLEDGMENT):
            self._replies.take(arrived.message, arrived.envelope, arrived.cpa)
            return Response(204)
        try:
            _check_dates(arrived.cpa)
            answer = self._answer(arrived)
        except ErrorListError as problem:
            return self._refuse(arrived, problem, arrived.receiver.sync_reply)
        kept = header if header.action == PING else None
        return self._reply(arrived, answer, arrived.receiver.sync_reply, kept)

    def _answer(self, arrived: Arrived) -> Message:
        header = arrived.header
        if header.action == PING:
            return reply(header, PONG, self._domain)
        if header.action == STATUS_REQUEST:
            return self._status(arrived.message)
        raise ErrorListError(
            ErrorCode.NOT_SUPPORTED, "//Header/MessageHeader/Action", f"action {header.action} is not supported"
        )

    def _business(self, arrived: Arrived) -> Response:
        header = arrived.header
        terms = arrived.cpa.terms_of(header)
        sync_reply = terms.channel.sync_reply if terms else arrived.receiver.sync_reply
        try:
            _check_dates(arrived.cpa)
            terms = check_terms(arrived.message, arrived.cpa, terms, datetime.now(UTC))
            payloads = self._security.open(arrived.message, arrived.envelope, terms.channel)
        except ErrorListError as problem:
            return self._again(arrived, sync_reply) or self._refuse(arrived, problem, sync_reply)
        answer = self._acknowledgment(arrived, terms) if terms.channel.ack_requested else None
        if self._store.messages.accept(header, arrived.envelope, payloads, answer):
            return _response(answer)
        return self._again(arrived, sync_reply) or self._business(arrived)

    def _again(self, arrived: Arrived, sync_reply: bool) -> Response | None:
        """The answer that the first of these messages got, once more; None when this is the first."""
        header = arrived.header
        known = self._store.messages.received(header.message_id)
        if known is None:
            return None
        if (known.cpa_id, known.sender) != (header.cpa_id, str(header.sender)):
            location = "//Header/MessageHeader/MessageData/MessageId"
            problem = ErrorListError(ErrorCode.INCONSISTENT, location, "another message bears this MessageId")
            return self._refuse(arrived, problem, sync_reply)
        log.info("%s is here already", told(header))
        found = self._store.messages.our_reply_to(header.message_id, [ACKNOWLEDGMENT])
        if found is None:
            return Response(204)
        identity, action, envelope = found
        if sync_reply:
            return Response(200, envelope)
        self._store.messages.repeat(_task(identity, action, arrived.sender.endpoint, envelope))
        return Response(204, sends=True)

    def _acknowledgment(self, arrived: Arrived, terms: Terms) -> Outgoing:
        message, envelope = self._security.acknowledge(arrived.message, terms, self._domain)
        return _outgoing(message.header, envelope, None if terms.channel.sync_reply else arrived.sender.endpoint)

    def _reply(self, arrived: From, answer: Message, sync_reply: bool, received: Header | None = None) -> Response:
        outgoing = _outgoing(answer.header, build(answer), None if sync_reply else arrived.sender.endpoint)
        self._store.messages.answer(received, arrived.envelope, outgoing)
        return _response(outgoing)

    def _status(self, message: Message) -> Message:
        asked = message.asked_message_id
        if asked is None:
            raise ErrorListError(ErrorCode.INCONSISTENT, "//Body/StatusRequest/RefToMessageId", "no RefToMessageId")
        known = self._store.messages.received(asked)
        status = Status(asked, NOT_RECOGNIZED)
        if known and known.cpa_id == message.header.cpa_id:
            status = Status(asked, _STATUS.get(known.status or State.PROCESSED, NOT_RECOGNIZED), known.at)
        return replace(reply(message.header, STATUS_RESPONSE, self._domain), status=status)

    def _refuse(self, arrived: Arrived | Unreadable, problem: ErrorListError, sync_reply: bool) -> Response:
        """Tell the sender what is wrong, unless its message reports an error or is an answer (section 4.2.4.1).

        Two adapters that can't read each other's errors would otherwise answer each other for ever.
        """
        log.warning("%s: %s", told(arrived.header), problem)
        if not arrived.header.expects_answer or arrived.reports_error:
            return Response(204)
        return self._reply(arrived, error(arrived.header, problem, self._domain), sync_reply)


def _check_soap_action(found: str | None) -> None:
    """Section B.2.2 demands it, quotes included."""
    if found != SOAP_ACTION:
        raise Refusal(f"SOAPAction is {found}, not {SOAP_ACTION}")


def _check_kept(header: Header) -> None:
    """What is kept of a stranger's header has an end, and is one line."""
    kept = {
        "CPAId": header.cpa_id,
        "MessageId": header.message_id,
        "ConversationId": header.conversation_id,
        "RefToMessageId": header.ref_to_message_id or "",
        "From/Role": header.sender_role or "",
        "To/Role": header.receiver_role or "",
        "Service/@type": header.service_type,
    }
    for name, value in kept.items():
        if len(value) > _MAXIMUM_LENGTH or not value.isprintable():
            raise Refusal(f"{name} has more than {_MAXIMUM_LENGTH} characters, or some that are not printable")


def _check_dates(cpa: Cpa) -> None:
    objection = cpa.objection(datetime.now(UTC))
    if objection:
        raise ErrorListError(ErrorCode.INCONSISTENT, "//Header/MessageHeader/CPAId", objection)


def _outgoing(header: Header, envelope: bytes, endpoint: str | None) -> Outgoing:
    """A signal; without ``endpoint`` it goes in the answer to the request."""
    task = _task(header.message_id, header.action, endpoint, envelope) if endpoint else None
    return Outgoing(header, envelope, task)


def _task(message_id: str, action: str, endpoint: str, envelope: bytes) -> Task:
    return Task(message_id, action, endpoint, CONTENT_TYPE, envelope, business=False)


def _response(answer: Outgoing | None) -> Response:
    if answer is None:
        return Response(204)
    return Response(204, sends=True) if answer.task else Response(200, answer.envelope)
