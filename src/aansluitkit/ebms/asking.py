"""Asking the partner something and waiting for its answer, which may arrive at another node."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime

from aansluitkit.ebms.client import Client
from aansluitkit.ebms.cpa import Cpa, Party
from aansluitkit.ebms.errors import ErrorListError, HopError, MalformedError
from aansluitkit.ebms.message import (
    PING,
    STATUS_REQUEST,
    Message,
    Status,
    build,
    check_pong,
    read_message,
    request,
)
from aansluitkit.ebms.messages import Direction
from aansluitkit.ebms.mime import CONTENT_TYPE
from aansluitkit.ebms.store import Store

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5


class Asking:
    """Sends requests of our own for any CPA of ``store``; an answer has ``timeout`` seconds to come."""

    def __init__(self, store: Store, client: Client, domain: str, timeout: float) -> None:
        self._store = store
        self._client = client
        self._domain = domain
        self._timeout = timeout

    async def ping(self, cpa_id: str, sender: str, receiver: str) -> None:
        """Send a Ping and check its Pong; parties are ``type:value``.

        Raises:
            HopError: when the Pong did not come or is not of this Ping.
        """
        cpa = await self._cpa(cpa_id)
        party = cpa.party_named(sender)
        if party is None:
            raise HopError("cpa", f"No fromParty found for cpaId={cpa_id}, fromPartyId={sender}")
        partner = cpa.party_named(receiver)
        if partner is None or partner is party:
            raise HopError("cpa", f"No toParty found for cpaId={cpa_id}, toPartyId={receiver}")
        message = request(party.ids[0], partner.ids[0], cpa_id, PING, self._domain)
        check_pong(message.header, await self._ask(message, party, partner))

    async def status(self, message_id: str) -> Status | None:
        """What the partner says about message ``message_id`` of ours, or None when we sent no such message.

        Raises:
            HopError: when no answer came.
        """
        sent = await asyncio.to_thread(self._store.messages.sent, message_id)
        if sent is None or sent.sender is None or sent.receiver is None:
            return None
        cpa = await self._cpa(sent.cpa_id)
        party, partner = cpa.party_named(sent.sender), cpa.party_named(sent.receiver)
        if party is None or partner is None:
            raise HopError("cpa", f"CPA {cpa.id} no longer names the parties of message {message_id}")
        question = request(party.ids[0], partner.ids[0], cpa.id, STATUS_REQUEST, self._domain)
        answer = await self._ask(replace(question, asked_message_id=message_id), party, partner)
        if answer.status is None or answer.status.message_id != message_id:
            raise HopError("pong", f"{partner.name} does not answer the question for the status of {message_id}")
        return answer.status

    async def _cpa(self, cpa_id: str) -> Cpa:
        cpa = await asyncio.to_thread(self._store.agreement, cpa_id)
        if cpa is None:
            raise HopError("cpa", f"No CPA found for cpaId={cpa_id}")
        objection = cpa.objection(datetime.now(UTC))
        if objection:
            raise HopError("cpa", objection)
        return cpa

    async def _ask(self, message: Message, party: Party, partner: Party) -> Message:
        envelope = build(message)
        endpoint = await asyncio.to_thread(self._store.destination_of, partner.endpoint)
        # Before it is sent: the answer can be here before the exchange is over.
        await asyncio.to_thread(self._store.messages.record, Direction.SENT, message.header, envelope)
        reply = await self._client.post(endpoint, envelope)
        if reply.body:
            return _understood(partner, reply.content_type, reply.body)
        if partner.sync_reply:
            raise HopError("pong", f"{endpoint} takes the {message.header.action} and answers nothing")
        return await self._wait(message, party, partner)

    async def _wait(self, message: Message, party: Party, partner: Party) -> Message:
        until = time.monotonic() + self._timeout
        pause = _FIRST_PAUSE
        while time.monotonic() < until:
            found = await asyncio.to_thread(self._store.messages.reply_to, message.header.message_id)
            if found is not None:
                return _understood(partner, CONTENT_TYPE, found)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        raise HopError(
            "pong",
            f"{partner.name} took the {message.header.action}, but no answer came within {self._timeout:.0f} s: it "
            f"must be able to reach {party.endpoint}",
        )


def _understood(partner: Party, content_type: str, body: bytes) -> Message:
    try:
        return read_message(content_type, body)
    except (MalformedError, ErrorListError) as error:
        raise HopError("pong", f"the answer of {partner.name} is not understood: {error}") from error
