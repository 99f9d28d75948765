"""Signals that answer a message of ours: in the same exchange, or in one of their own.

An answer counts when it comes from the party that the message went to, under the same CPA. Whatever else it may be is
logged, and changes nothing: the sender goes on trying.
"""

from __future__ import annotations

import logging
from functools import partial

from aansluitkit.ebms.cpa import Cpa, Terms
from aansluitkit.ebms.errors import ErrorListError
from aansluitkit.ebms.message import ACKNOWLEDGMENT, ERROR, MESSAGE_ERROR, Header, Message, read_envelope
from aansluitkit.ebms.messages import Direction, Kept, State
from aansluitkit.ebms.mime import unpack
from aansluitkit.ebms.security import Security
from aansluitkit.ebms.store import Store

log = logging.getLogger(__name__)


class Replies:
    """Takes answers to what ``store`` knows to have been sent."""

    def __init__(self, store: Store, security: Security) -> None:
        self._store = store
        self._security = security

    def take_from_exchange(self, message_id: str, content_type: str, body: bytes) -> bool:
        """As ``take``, of what came in the exchange that sent ``message_id``.

        Raises:
            MalformedError: when it is no ebMS message.
            ErrorListError: when it is one that can't be understood.
        """
        envelope, payloads = unpack(content_type, body)
        message = read_envelope(envelope, payloads)
        if message.header.ref_to_message_id != message_id:
            log.warning("the answer to %s says it is to %r", message_id, message.header.ref_to_message_id)
            return False
        cpa = self._store.agreement(message.header.cpa_id)
        return cpa is not None and self.take(message, envelope, cpa)

    def take(self, message: Message, envelope: bytes, cpa: Cpa) -> bool:
        """Take an answer under ``cpa``; True when it ends the sending of a message of ours, or is what we asked for."""
        header = message.header
        sent = self._store.messages.sent(header.ref_to_message_id) if header.ref_to_message_id else None
        if sent is None or not _is_to(header, sent):
            log.info("nobody here asked for %s", told(header))
            return False
        if header.action == ACKNOWLEDGMENT:
            return sent.status is not None and self._acknowledged(message, envelope, sent, cpa)
        if header.action == MESSAGE_ERROR and sent.status is not None:
            return self._refused(message, envelope, sent)
        self._store.messages.record(Direction.RECEIVED, header, envelope)
        return True

    def _acknowledged(self, message: Message, envelope: bytes, sent: Kept, cpa: Cpa) -> bool:
        terms = _terms(sent, cpa)
        if terms is None:
            log.warning("%s can't be judged: CPA %s no longer has its terms", told(message.header), sent.cpa_id)
            return False
        try:
            original = partial(self._store.messages.sent_envelope, sent.message_id)
            self._security.check_acknowledgment(message, envelope, terms, original)
        except ErrorListError as error:
            log.warning("the acknowledgment of %s does not count: %s", sent.message_id, error)
            return False
        return self._ended(sent, State.DELIVERED, None, message, envelope)

    def _refused(self, message: Message, envelope: bytes, sent: Kept) -> bool:
        told_errors = "; ".join(f"{error.code} at {error.location}: {error.description}" for error in message.errors)
        if message.errors and all(error.severity != ERROR for error in message.errors):
            log.warning("the partner warns about %s: %s", sent.message_id, told_errors)
            return False
        problem = told_errors or "the partner answers with an error"
        return self._ended(sent, State.DELIVERY_FAILED, problem, message, envelope)

    def _ended(self, sent: Kept, state: State, problem: str | None, message: Message, envelope: bytes) -> bool:
        reply = (message.header, envelope)
        if self._store.messages.settle(sent.message_id, state, problem, reply):
            log.info("%s %s is %s%s", sent.action, sent.message_id, state, f": {problem}" if problem else "")
        else:
            log.info("%s comes when %s has ended already", told(message.header), sent.message_id)
        return True


def _is_to(header: Header, sent: Kept) -> bool:
    found = (header.cpa_id, str(header.sender), str(header.receiver))
    return found == (sent.cpa_id, sent.receiver, sent.sender)


def _terms(sent: Kept, cpa: Cpa) -> Terms | None:
    for terms in cpa.terms:
        senders = [str(identification) for identification in terms.sender.ids]
        if (str(terms.service), terms.action) == (sent.service, sent.action) and sent.sender in senders:
            return terms
    return None


def told(header: Header) -> str:
    """A message in one line of the log; what a stranger wrote is quoted."""
    return f"{header.action!r} {header.message_id!r} from {str(header.sender)!r} (CPA {header.cpa_id!r})"
