"""A message that an application hands over to be sent.

It is made once: each attempt posts the very same bytes, so that the partner sees a repetition for what it is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from aansluitkit.ebms.cpa import Channel, Terms
from aansluitkit.ebms.message import Header, compose
from aansluitkit.ebms.messages import Direction, Kept, Outgoing, Task
from aansluitkit.ebms.mime import Payload
from aansluitkit.ebms.security import Security
from aansluitkit.ebms.store import Store
from aansluitkit.errors import KitError

log = logging.getLogger(__name__)
_MAXIMUM_LENGTH = 255  # of ids


class NotSentError(KitError):
    """What was handed over can't be sent; nothing of it is kept."""


@dataclass(frozen=True)
class Wish:
    """What an application says about a message; parties and service are ``type:value``.

    What is None follows from the CPA, or is made: ids of conversation and message.
    """

    cpa_id: str
    sender: str
    service: str
    action: str
    sender_role: str | None = None
    receiver: str | None = None
    receiver_role: str | None = None
    conversation_id: str | None = None
    message_id: str | None = None
    ref_to_message_id: str | None = None


class Sending:
    """Makes messages for the CPAs of ``store``; ``domain`` stands behind the @ of their ids."""

    def __init__(self, store: Store, security: Security, domain: str) -> None:
        self._store = store
        self._security = security
        self._domain = domain

    def send(self, wish: Wish, payloads: Sequence[Payload]) -> str:
        """Keep a message that the worker is to send, and return its id.

        Raises:
            NotSentError: when the CPA is not there, does not hold now, or has no such action; or when the id is taken.
            SecurityFailure: when it can't be signed or encrypted.
        """
        terms = self._terms(wish)
        message = compose(terms, tuple(payloads), self._domain, wish.conversation_id, wish.ref_to_message_id)
        if wish.message_id:
            identity = f"{wish.message_id}@{self._domain}"
            message = replace(message, header=replace(message.header, message_id=identity))
        header, channel = message.header, terms.channel
        wire = self._security.seal(message, channel)
        task = Task(
            message_id=header.message_id,
            action=header.action,
            endpoint=channel.endpoint,
            content_type=wire.content_type,
            body=wire.body,
            business=True,
            interval=channel.reliability.interval if channel.reliability else timedelta(0),
            deadline=_deadline(header, channel),
        )
        if not self._store.messages.submit(Outgoing(header, wire.envelope, task), payloads):
            raise NotSentError(f"message id {header.message_id} is taken")
        log.info("took %s %s to be sent", header.action, header.message_id)
        return header.message_id

    def resend(self, message_id: str) -> str | None:
        """Send what was sent as ``message_id`` once more, as a new message, and return its id; None when it is unknown.

        Raises:
            NotSentError: as ``send``.
        """
        sent = self._store.messages.sent(message_id)
        if sent is None or sent.status is None:
            return None
        return self.send(_wish_of(sent), self._store.messages.payloads(Direction.SENT, message_id))

    def _terms(self, wish: Wish) -> Terms:
        for name, value in (("messageId", wish.message_id), ("conversationId", wish.conversation_id)):
            if value and len(value) + len(self._domain) + 1 > _MAXIMUM_LENGTH:
                raise NotSentError(f"{name} has more than {_MAXIMUM_LENGTH - len(self._domain) - 1} characters")
        cpa = self._store.agreement(wish.cpa_id)
        if cpa is None:
            raise NotSentError(f"No CPA found for message.cpaId={wish.cpa_id}")
        objection = cpa.objection(datetime.now(UTC))
        if objection:
            raise NotSentError(objection)
        for terms in cpa.terms:
            if _is_meant(wish, terms):
                return terms
        raise NotSentError(f"No CanSend action found for {wish}")


def _is_meant(wish: Wish, terms: Terms) -> bool:
    return (
        (wish.service, wish.action) == (str(terms.service), terms.action)
        and wish.sender in map(str, terms.sender.ids)
        and wish.sender_role in (None, terms.sender_role)
        and (wish.receiver is None or wish.receiver in map(str, terms.receiver.ids))
        and wish.receiver_role in (None, terms.receiver_role)
    )


def _deadline(header: Header, channel: Channel) -> datetime | None:
    """Until when it is tried: neither longer than the message lives, nor than the CPA has us keep it."""
    if not channel.ack_requested or channel.reliability is None or header.time_to_live is None:
        return None
    return min(header.time_to_live, header.timestamp + channel.reliability.persist_duration)


def _wish_of(sent: Kept) -> Wish:
    return Wish(
        cpa_id=sent.cpa_id,
        sender=sent.sender or "",
        service=sent.service or "",
        action=sent.action,
        sender_role=sent.sender_role,
        receiver=sent.receiver,
        receiver_role=sent.receiver_role,
        conversation_id=sent.conversation_id,
        ref_to_message_id=sent.ref_to_message_id,
    )
