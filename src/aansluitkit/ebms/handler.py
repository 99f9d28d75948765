"""What the adapter does with a message that comes in.

Who sends is judged by the CPA: the OIN in the client certificate must be one of the From party's. A renewed
certificate of the same OIN passes, another party's does not, whoever signed it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from aansluitkit.ebms.certificates import oin_of
from aansluitkit.ebms.cpa import Cpa, Party, read_cpa
from aansluitkit.ebms.errors import ErrorListError, MalformedError
from aansluitkit.ebms.message import (
    MESSAGE_ERROR,
    NOT_RECOGNIZED,
    PING,
    PONG,
    REPLIES,
    SOAP_ACTION,
    STATUS_REQUEST,
    STATUS_RESPONSE,
    Error,
    Header,
    Message,
    Status,
    build,
    fault,
    read_message,
    reply,
)
from aansluitkit.ebms.mime import CONTENT_TYPE
from aansluitkit.ebms.store import Direction, Store

log = logging.getLogger(__name__)
_MAXIMUM_LENGTH = 255  # of ids that are kept


@dataclass(frozen=True)
class Delivery:
    """An envelope to post to an endpoint, in an exchange of its own."""

    endpoint: str
    envelope: bytes
    what: str


@dataclass(frozen=True)
class Response:
    """The answer to an HTTP request, and what to send afterwards."""

    status: int
    body: bytes = b""
    delivery: Delivery | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        return {"Content-Type": CONTENT_TYPE, "SOAPAction": SOAP_ACTION} if self.body else {}


class Refusal(Exception):  # noqa: N818 - a verdict
    """The sender is not known to be a party: it gets a SOAP Fault, and nobody else hears of it."""


class Handler:
    """Answers messages with what ``store`` knows; ``domain`` stands behind the @ of our message ids."""

    def __init__(self, store: Store, domain: str) -> None:
        self._store = store
        self._domain = domain

    def handle(self, headers: Mapping[str, str], body: bytes, certificate: bytes | None) -> Response:
        """Answer one POST; ``certificate`` is the client's, in DER."""
        try:
            _check_soap_action(headers.get("SOAPAction"))
            message = read_message(headers.get("Content-Type", ""), body)
            cpa, sender, receiver = self._judge(message.header, certificate)
        except (Refusal, MalformedError, ErrorListError) as error:
            log.warning("refused a message: %s", error)
            return Response(500, fault(str(error)))
        log.info("received %s", told(message.header))
        answer = self._answer(message, cpa, body)
        if answer is None:
            return Response(204)
        envelope = build(answer)
        if receiver.sync_reply:
            return Response(200, envelope)
        return Response(204, delivery=Delivery(sender.endpoint, envelope, told(answer.header)))

    def _judge(self, header: Header, certificate: bytes | None) -> tuple[Cpa, Party, Party]:
        """The agreement and the two parties, when the sender is who it says it is."""
        for name, value in (("CPAId", header.cpa_id), ("MessageId", header.message_id)):
            if len(value) > _MAXIMUM_LENGTH:
                raise Refusal(f"{name} has more than {_MAXIMUM_LENGTH} characters")
        document = self._store.cpa(header.cpa_id)
        if document is None:
            raise Refusal(f"CPA {header.cpa_id} not found")
        cpa = read_cpa(document)
        sender, receiver = cpa.party(header.sender), cpa.party(header.receiver)
        for name, identification, party in (("From", header.sender, sender), ("To", header.receiver, receiver)):
            if party is None:
                raise Refusal(f"{name} party {identification} is not a party of CPA {cpa.id}")
        if sender is None or receiver is None or sender is receiver:
            raise Refusal(f"From and To are the same party of CPA {cpa.id}")
        oin = oin_of(certificate) if certificate else None
        if oin not in [identification.value for identification in sender.ids]:
            raise Refusal(
                f"the OIN in the client certificate, {oin or 'none'}, is not the one that CPA {cpa.id} names for the "
                f"From party, {header.sender.value}"
            )
        return cpa, sender, receiver

    def _answer(self, message: Message, cpa: Cpa, body: bytes) -> Message | None:
        header = message.header
        if header.is_signal and header.action in REPLIES:
            self._take_reply(header, body)
            return None
        objection = cpa.objection(datetime.now(UTC))
        if objection:
            return self._error(header, "Inconsistent", "//Header/MessageHeader/CPAId", objection)
        if header.is_signal and header.action == PING:
            self._store.record(Direction.RECEIVED, header, body)
            return reply(header, PONG, self._domain)
        if header.is_signal and header.action == STATUS_REQUEST:
            return self._status(message)
        return self._error(
            header, "NotSupported", "//Header/MessageHeader/Action", f"action {header.action} is not supported"
        )

    def _take_reply(self, header: Header, body: bytes) -> None:
        if header.ref_to_message_id and self._store.sent(header.ref_to_message_id):
            self._store.record(Direction.RECEIVED, header, body)
        else:
            log.info("nobody here asked for %s", told(header))

    def _status(self, message: Message) -> Message:
        asked = message.asked_message_id
        if asked is None:
            return self._error(
                message.header, "Inconsistent", "//Body/StatusRequest/RefToMessageId", "no RefToMessageId"
            )
        at = self._store.received_at(asked, message.header.cpa_id)
        status = Status(asked, "Processed" if at else NOT_RECOGNIZED, at)
        return replace(reply(message.header, STATUS_RESPONSE, self._domain), status=status)

    def _error(self, header: Header, code: str, location: str, description: str) -> Message:
        log.warning("%s: %s: %s", told(header), code, description)
        return replace(reply(header, MESSAGE_ERROR, self._domain), errors=(Error(code, location, description),))


def _check_soap_action(found: str | None) -> None:
    """Section B.2.2 demands it, quotes included."""
    if found != SOAP_ACTION:
        raise Refusal(f"SOAPAction is {found}, not {SOAP_ACTION}")


def told(header: Header) -> str:
    """A message in one line of the log; what a stranger wrote is quoted."""
    return f"{header.action!r} {header.message_id!r} from {str(header.sender)!r} (CPA {header.cpa_id!r})"
