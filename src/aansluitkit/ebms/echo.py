"""The application behind a stand-in: it answers each EchoRequest by an EchoResponse with the same payloads.

An answer's message id follows from that of its request, so a request that is taken up twice is answered once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from aansluitkit.ebms.delivery import POLL_SECONDS
from aansluitkit.ebms.errors import short
from aansluitkit.ebms.messages import Direction, Filter, Kept
from aansluitkit.ebms.sending import Sending, Wish
from aansluitkit.ebms.store import Store
from aansluitkit.errors import KitError

log = logging.getLogger(__name__)
REQUEST = "EchoRequest"
RESPONSE = "EchoResponse"
_AT_ONCE = 16


class Echo:
    """Takes the requests in ``store`` and has ``sending`` answer them; ``wake`` tells the worker that posts."""

    def __init__(self, store: Store, sending: Sending, wake: Callable[[], None]) -> None:
        self._store = store
        self._sending = sending
        self._wake_delivery = wake
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look for requests now; from the thread of the event loop alone."""
        self._woken.set()

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            self._woken.clear()
            answered = await self._answer_some()
            if answered == _AT_ONCE:
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)

    async def _answer_some(self) -> int:
        """Answer what waits, up to a number, and tell how many that were."""
        try:
            waiting = await asyncio.to_thread(self._store.messages.unprocessed, Filter(action=REQUEST), _AT_ONCE)
            for identity in waiting:
                await asyncio.to_thread(self._answer, identity)
                self._wake_delivery()
        except SQLAlchemyError as error:
            log.warning("could not answer a request: %s", short(error))
            return 0
        return len(waiting)

    def _answer(self, identity: str) -> None:
        messages = self._store.messages
        request = messages.received(identity)
        if request:
            payloads = messages.payloads(Direction.RECEIVED, identity)
            own = [replace(payload, content_id=str(uuid.uuid4())) for payload in payloads]
            try:
                self._sending.send(_response_to(request), own)
            except KitError as error:
                log.warning("%s %r is not answered: %s", request.action, identity, error)
        messages.process(identity, with_event=True)


def _response_to(request: Kept) -> Wish:
    return Wish(
        cpa_id=request.cpa_id,
        sender=request.receiver or "",
        sender_role=request.receiver_role,
        receiver=request.sender,
        receiver_role=request.sender_role,
        service=request.service or "",
        action=RESPONSE,
        conversation_id=request.conversation_id,
        message_id=str(uuid.uuid5(uuid.NAMESPACE_URL, request.message_id)),
        ref_to_message_id=request.message_id,
    )
