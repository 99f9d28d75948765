"""Posting received messages to the application, until it answers that it has them.

A message is claimed for as long as a post can last. A node that is told to stop ends its posts. A node that dies leaves
its claims to run out, or takes them up when it starts again, and the message is posted once more: at least once, that
is, and more than once only when a node or the database fails between the application's answer and its record. The
application knows it by its Idempotency-Key, the message id. What it does not take is never dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta

import aiohttp
from sqlalchemy.exc import SQLAlchemyError

from aansluitkit.ebms import bodies
from aansluitkit.ebms.delivery import POLL_SECONDS
from aansluitkit.ebms.errors import short, unexpected
from aansluitkit.ebms.messages import HandOver, Messages
from aansluitkit.ebms.settings import WebhookSettings, read_secret
from aansluitkit.ebms.tls import webhook_context

log = logging.getLogger(__name__)
_LEASE_MARGIN_SECONDS = 20  # for the database, on top of the post
_LONGEST_PAUSE_SECONDS = 300
_DOUBLINGS = 9  # from 1 s to beyond the longest pause


class Webhook:
    """The worker of ``node`` that posts ``messages`` as ``settings`` say; ``parallel`` posts go on at once."""

    def __init__(self, messages: Messages, settings: WebhookSettings, node: str, parallel: int) -> None:
        self._messages = messages
        self._node = node
        self._settings = settings
        self._parallel = parallel
        self._lease = timedelta(seconds=settings.timeout_seconds + _LEASE_MARGIN_SECONDS)
        self._context = webhook_context(settings.trust_file)
        self._headers = {"Content-Type": "application/json"}
        if settings.token_file:
            self._headers["Authorization"] = f"Bearer {read_secret(settings.token_file)}"
        self._woken = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    @property
    def stop_seconds(self) -> float:
        """How long posts that are under way can take."""
        return self._lease.total_seconds()

    def wake(self) -> None:
        """Look for messages now; from the thread of the event loop alone."""
        self._woken.set()

    async def run(self) -> None:
        """Post until cancelled."""
        await self._release()
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout_seconds)
        connector = aiohttp.TCPConnector(ssl=self._context)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self._headers) as session:
            try:
                while True:
                    self._woken.clear()
                    if await self._begin(session):
                        await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                    else:
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
            finally:  # a post that is broken off is made twice
                if self._running:
                    await asyncio.wait(self._running, timeout=self._lease.total_seconds())
                for task in self._running:
                    task.cancel()
                await asyncio.gather(*self._running, return_exceptions=True)

    async def _release(self) -> None:
        """Take up what this node was posting when it ended."""
        try:
            freed = await asyncio.to_thread(self._messages.release_received, self._node)
        except SQLAlchemyError as error:  # their leases run out
            log.warning("could not look for what this node was posting: %s", short(error))
        else:
            log.info("posting %d messages that this node had not finished when it ended", freed)

    async def _begin(self, session: aiohttp.ClientSession) -> bool:
        """Begin what is due; True when there may be more."""
        free = self._parallel - len(self._running)
        handed = await self._claim(free) if free else []
        for each in handed:
            task = asyncio.create_task(self._work(session, each))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return len(handed) == free

    async def _claim(self, number: int) -> list[HandOver]:
        try:
            return await asyncio.to_thread(self._messages.claim_received, self._node, number, self._lease)
        except SQLAlchemyError as error:
            log.warning("could not look for messages for the application: %s", short(error))
            return []

    async def _work(self, session: aiohttp.ClientSession, handed: HandOver) -> None:
        identity = handed.message.message_id
        try:
            problem = await self._outcome(session, handed)
            if problem is None:
                await asyncio.to_thread(self._messages.process, identity, with_event=True)
                log.info("the application has taken %r", identity)
                return
            pause = min(2 ** min(handed.attempts - 1, _DOUBLINGS), _LONGEST_PAUSE_SECONDS)
            log.warning("the application does not take %r, again in %d s: %s", identity, pause, problem)
            until = datetime.now(UTC) + timedelta(seconds=pause)
            await asyncio.to_thread(self._messages.postpone, self._node, handed, until)
        except SQLAlchemyError as error:  # the lease runs out, and it is posted again
            log.warning("%r for the application: the database does not answer: %s", identity, short(error))

    async def _outcome(self, session: aiohttp.ClientSession, handed: HandOver) -> str | None:
        """As ``_post``; whatever else goes wrong with one message is a reason to try that one later."""
        try:
            return await self._post(session, handed)
        except SQLAlchemyError:
            raise
        except Exception as error:  # no message may be posted without a pause
            log.error("%r for the application: %s", handed.message.message_id, unexpected(error))  # noqa: TRY400 - in its words
            return f"an unexpected error: {error!r}"

    async def _post(self, session: aiohttp.ClientSession, handed: HandOver) -> str | None:
        """Post a message; None when it was taken, else why not."""
        kept = handed.message
        payloads = await asyncio.to_thread(self._messages.payloads, kept.direction, kept.message_id)
        body = bodies.written(bodies.message_of(kept, payloads)).encode()
        headers = {"Idempotency-Key": kept.message_id}
        try:
            async with session.post(self._settings.url, data=body, headers=headers, allow_redirects=False) as response:
                return None if 200 <= response.status < 300 else f"HTTP status {response.status}"
        except TimeoutError:
            return f"no answer within {self._settings.timeout_seconds:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return short(error)
