"""Sending what is to be sent: one worker per node, all on the same table.

A task is claimed for as long as an exchange can last. A node that dies leaves its claims to run out, and another one
takes them over; the same node, started again, takes them at once. So a message can be posted twice when a node dies
between the exchange and its record, never when all nodes live; the receiver knows it by its id.

Tasks are given back in batches, a moment after their exchange: most have been acknowledged by then, and are gone.

Messages of one conversation may overtake each other: Digikoppeling has MessageOrderSemantics NotGuaranteed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from aansluitkit.ebms.client import CONNECT_SECONDS, EXCHANGE_SECONDS, Client, Reply, StatusError
from aansluitkit.ebms.errors import ErrorListError, HopError, MalformedError, short
from aansluitkit.ebms.messages import State, Task
from aansluitkit.ebms.replies import Replies
from aansluitkit.ebms.store import Store
from aansluitkit.errors import KitError

log = logging.getLogger(__name__)
LEASE = timedelta(seconds=CONNECT_SECONDS + EXCHANGE_SECONDS + 20)
POLL_SECONDS = 1.0  # for what became due, and for what another node left
_STOP_SECONDS = 10
_PATIENCE = timedelta(seconds=0.5)


@dataclass(frozen=True, eq=False)
class _Over:
    """A task whose exchange is over ``since`` then: to be given back ``until`` a moment, or for good."""

    task: Task
    since: datetime
    until: datetime | None = None


class Delivery:
    """The worker of ``node``, whose name is its own among all on ``store``; ``parallel`` exchanges go on at once."""

    def __init__(self, store: Store, client: Client, replies: Replies, node: str, parallel: int) -> None:
        self._store = store
        self._client = client
        self._replies = replies
        self._node = node
        self._parallel = parallel
        self._woken = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._over: list[_Over] = []
        self._seen = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """How long ago the worker last looked for work: far above ``POLL_SECONDS`` it is stuck."""
        return time.monotonic() - self._seen

    def wake(self) -> None:
        """Look for work now; from the thread of the event loop alone."""
        self._woken.set()

    async def run(self) -> None:
        """Send until cancelled."""
        await self._release()
        try:
            while True:
                self._woken.clear()
                await self._give_back(datetime.now(UTC) - _PATIENCE)
                full = await self._claim()
                self._seen = time.monotonic()
                if full:
                    await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED, timeout=POLL_SECONDS)
                else:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
        finally:
            await self._end()

    async def _release(self) -> None:
        """Give back what this node was sending when it ended, or ends."""
        try:
            freed = await asyncio.to_thread(self._store.messages.release, self._node)
        except SQLAlchemyError as error:  # their leases run out
            log.warning("could not give back what this node was sending: %s", short(error))
        else:
            log.info("gave back %d messages that this node was sending", freed)

    async def _give_back(self, before: datetime) -> None:
        """Give back what was over at ``before``."""
        over = [each for each in self._over if each.since <= before or (each.until and each.until <= datetime.now(UTC))]
        if not over:
            return
        self._over = [each for each in self._over if each not in over]
        try:
            later = [(each.task, each.until) for each in over]
            await asyncio.to_thread(self._store.messages.give_back, self._node, later)
        except SQLAlchemyError as error:  # their leases run out
            log.warning("could not give %d tasks back: %s", len(over), short(error))

    async def _claim(self) -> bool:
        """Begin what is due; True when there may be more."""
        free = self._parallel - len(self._running)
        if free <= 0:
            return True
        try:
            tasks = await asyncio.to_thread(self._store.messages.claim, self._node, free, LEASE)
        except SQLAlchemyError as error:
            log.warning("could not look for messages to send: %s", short(error))
            return False
        for task in tasks:
            running = asyncio.create_task(self._work(task))
            self._running.add(running)
            running.add_done_callback(self._running.discard)
        return len(tasks) == free

    async def _end(self) -> None:
        """Let exchanges end, and leave the rest to others."""
        if self._running:
            await asyncio.wait(self._running, timeout=_STOP_SECONDS)
        for running in self._running:
            running.cancel()
        await self._give_back(datetime.now(UTC))
        await self._release()

    async def _work(self, task: Task) -> None:
        try:
            if task.deadline and datetime.now(UTC) >= task.deadline:
                await self._settle(task, State.EXPIRED, "no acknowledgment came in time")
            else:
                await self._send(task)
        except SQLAlchemyError as error:  # the lease runs out, and it is tried again
            log.warning("%s %s: the database does not answer: %s", task.action, task.message_id, short(error))

    async def _send(self, task: Task) -> None:
        try:
            reply = await self._client.post(task.endpoint, task.body, task.content_type)
            log.info("sent %s %s", task.action, task.message_id)
            settled = bool(reply.body) and await asyncio.to_thread(self._take, task, reply)
        except (HopError, MalformedError, ErrorListError) as error:
            await self._failed(task, error)
            return
        if settled:
            return
        if not task.business:
            self._over.append(_Over(task, datetime.now(UTC)))
        elif task.deadline is None:
            await self._settle(task, State.DELIVERED)
        else:
            self._later(task, task.deadline)

    def _take(self, task: Task, reply: Reply) -> bool:
        """Take what came in the same exchange; True when it ends the message."""
        return self._replies.take_from_exchange(task.message_id, reply.content_type, reply.body)

    async def _failed(self, task: Task, error: KitError) -> None:
        passing = error.passing if isinstance(error, StatusError) else True
        log.warning("could not send %s %s: %s", task.action, task.message_id, short(error))
        if not task.business:  # the partner asks again when it does not come
            self._over.append(_Over(task, datetime.now(UTC)))
        elif task.deadline and passing:
            self._later(task, task.deadline)
        else:
            await self._settle(task, State.DELIVERY_FAILED, str(error))

    def _later(self, task: Task, deadline: datetime) -> None:
        until = min(datetime.now(UTC) + task.interval, deadline)
        self._over.append(_Over(task, datetime.now(UTC), until))
        pause = (until - datetime.now(UTC)).total_seconds()
        asyncio.get_running_loop().call_later(max(pause, 0), self.wake)

    async def _settle(self, task: Task, state: State, problem: str | None = None) -> None:
        if await asyncio.to_thread(self._store.messages.settle, task.message_id, state, problem):
            log.info("%s %s is %s%s", task.action, task.message_id, state, f": {problem}" if problem else "")
