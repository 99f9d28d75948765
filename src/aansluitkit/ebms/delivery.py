"""Sending what is to be sent: one worker per node, all on the same table.

A task is claimed for as long as an exchange can last. A node that is told to stop takes no more and ends the exchanges
under way. A node that dies leaves its claims to run out, and another one takes them over; the same node, started again,
takes them at once. So a message can be posted twice when a node dies
between the exchange and its record, never when all nodes live; the receiver knows it by its id.

Tasks are given back in batches, a moment after their exchange: most have been acknowledged by then, and are gone.

Large messages take memory, and more than a few at once go no faster: others pass those that wait for their turn.

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
from aansluitkit.ebms.errors import ErrorListError, HopError, MalformedError, short, unexpected
from aansluitkit.ebms.messages import State, Task
from aansluitkit.ebms.replies import Replies
from aansluitkit.ebms.store import Store
from aansluitkit.errors import KitError

log = logging.getLogger(__name__)
LEASE = timedelta(seconds=CONNECT_SECONDS + EXCHANGE_SECONDS + 20)
POLL_SECONDS = 1.0  # for what became due, and for what another node left
_CLOCK_SECONDS = 600.0  # between two looks for what a wrong clock put off
_PATIENCE = timedelta(seconds=0.5)
_LARGE = 64 * 1024  # bytes
_LARGE_AT_ONCE = 4


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
        self._running: dict[asyncio.Task[None], Task] = {}
        self._more = False  # there may be tasks that are due, and wait for one that runs
        self._over: list[_Over] = []
        self._seen = time.monotonic()
        self._clock_seen = -_CLOCK_SECONDS

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
                await self._hasten()
                await self._claim()
                self._seen = time.monotonic()
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

    async def _hasten(self) -> None:
        """Now and then, make due what a clock that was ahead put off."""
        if time.monotonic() < self._clock_seen + _CLOCK_SECONDS:
            return
        try:
            number = await asyncio.to_thread(self._store.messages.hasten, 2 * LEASE)
        except SQLAlchemyError as error:  # the next time
            log.warning("could not look for messages that wait too long: %s", short(error))
            return
        self._clock_seen = time.monotonic()
        if number:
            log.warning("%d messages were to wait for longer than they may, by a clock that is ahead: sent now", number)

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

    async def _claim(self) -> None:
        """Begin what is due: of any size as many as there may be large ones, and small ones."""
        free = self._parallel - len(self._running)
        any_size = min(free, _LARGE_AT_ONCE - sum(_is_large(task) for task in self._running.values()))
        self._more = await self._begin(any_size)
        if self._more and free > any_size:
            await self._begin(free - any_size, _LARGE)

    async def _begin(self, number: int, largest: int | None = None) -> bool:
        """Begin up to ``number`` tasks that are due; True when there may be more."""
        if number <= 0:
            return True
        try:
            tasks = await asyncio.to_thread(self._store.messages.claim, self._node, number, LEASE, largest)
        except SQLAlchemyError as error:
            log.warning("could not look for messages to send: %s", short(error))
            return False
        for task in tasks:
            running = asyncio.create_task(self._work(task))
            self._running[running] = task
            running.add_done_callback(self._ended)
        return len(tasks) == number

    def _ended(self, running: asyncio.Task[None]) -> None:
        del self._running[running]
        if self._more:
            self.wake()

    async def _end(self) -> None:
        """Let the exchanges under way end: one that is broken off is sent twice."""
        if self._running:
            await asyncio.wait(self._running, timeout=LEASE.total_seconds())
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
            known_again = not task.business or task.deadline is not None  # by its id, where the CPA has it so
            reply = await self._client.post(task.endpoint, task.body, task.content_type, repeatable=known_again)
            log.info("sent %s %s", task.action, task.message_id)
            settled = bool(reply.body) and await asyncio.to_thread(self._take, task, reply)
        except (HopError, MalformedError, ErrorListError) as error:
            await self._failed(task, error)
            return
        except SQLAlchemyError:
            raise
        except Exception as error:  # whatever an answer makes us stumble over, its message comes to an end
            log.error("%s %s: %s", task.action, task.message_id, unexpected(error))  # noqa: TRY400 - in its words
            await self._failed(task, KitError(f"the exchange ended in an unexpected error: {error!r}"))
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


def _is_large(task: Task) -> bool:
    return len(task.body) > _LARGE
