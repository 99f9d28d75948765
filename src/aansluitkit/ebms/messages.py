"""Messages in the database: what was received, what was sent, what is still to be sent, and what applications hear.

Each method is one transaction, so that a node that dies leaves a message either as it was or wholly changed. Locks are
taken in one order, message before delivery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, or_, select, tuple_, update

from aansluitkit.ebms.database import Database
from aansluitkit.ebms.errors import cleaned
from aansluitkit.ebms.message import Header
from aansluitkit.ebms.mime import Payload
from aansluitkit.ebms.tables import DELIVERY, EVENT, MESSAGE, PAYLOAD, URL_MAPPING


class Direction(StrEnum):
    """Which way a message went."""

    RECEIVED = "received"
    SENT = "sent"


class State(StrEnum):
    """What became of a business message; the names are those of the REST interface."""

    RECEIVED = "RECEIVED"
    PROCESSED = "PROCESSED"
    CREATED = "CREATED"
    DELIVERED = "DELIVERED"
    DELIVERY_FAILED = "DELIVERY_FAILED"
    EXPIRED = "EXPIRED"


EVENTS = {
    State.RECEIVED: "RECEIVED",
    State.DELIVERED: "DELIVERED",
    State.DELIVERY_FAILED: "FAILED",
    State.EXPIRED: "EXPIRED",
}


@dataclass(frozen=True)
class Task:
    """A message to post: ``body`` to ``endpoint``, as the CPA names it, or once claimed as it is mapped.

    ``attempts`` were made.
    With ``deadline`` (UTC) it is tried every ``interval`` until then, or until it is acknowledged; without, once.
    """

    message_id: str
    action: str
    endpoint: str
    content_type: str
    body: bytes
    business: bool
    interval: timedelta = timedelta(0)
    deadline: datetime | None = None
    attempts: int = 0


@dataclass(frozen=True)
class Outgoing:
    """A message of ours; ``task`` is absent when the answer to a request carries it."""

    header: Header
    envelope: bytes
    task: Task | None = None


@dataclass(frozen=True)
class Kept:
    """A message as it is kept; texts of parties and service are ``type:value``."""

    direction: Direction
    message_id: str
    cpa_id: str
    ref_to_message_id: str | None
    action: str
    service: str | None
    sender: str | None
    sender_role: str | None
    receiver: str | None
    receiver_role: str | None
    conversation_id: str | None
    timestamp: datetime | None
    at: datetime
    status: State | None
    problem: str | None


@dataclass(frozen=True)
class Filter:
    """Which messages are meant; what is None does not matter."""

    cpa_id: str | None = None
    sender: str | None = None
    sender_role: str | None = None
    receiver: str | None = None
    receiver_role: str | None = None
    service: str | None = None
    action: str | None = None
    conversation_id: str | None = None
    message_id: str | None = None
    ref_to_message_id: str | None = None


@dataclass(frozen=True)
class Queue:
    """What is still to be sent: how many, and how long the oldest business message has been waiting (seconds)."""

    length: int
    oldest_seconds: float


@dataclass(frozen=True)
class HandOver:
    """A received message that is to be posted to the application, for the ``attempts``-th time."""

    message: Kept
    attempts: int


_KEPT = [MESSAGE.c[field.name] for field in fields(Kept)]
# Where a task goes: the endpoint that the CPA has for it can be mapped to another one.
_DESTINATION = (
    select(URL_MAPPING.c.destination)
    .where(URL_MAPPING.c.source == DELIVERY.c.endpoint)
    .scalar_subquery()
    .label("destination")
)


class Messages:
    """The messages of all nodes on ``database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, direction: Direction, header: Header, envelope: bytes) -> None:
        """Remember a signal; one that is there already stays as it was."""
        with self._database.writing() as connection:
            self._insert(connection, direction, header, envelope)

    def accept(self, header: Header, envelope: bytes, payloads: Sequence[Payload], answer: Outgoing | None) -> bool:
        """Take a business message in, together with our answer to it; False when it is here already."""
        with self._database.writing() as connection:
            if not self._insert(connection, Direction.RECEIVED, header, envelope, State.RECEIVED):
                return False
            _add_payloads(connection, Direction.RECEIVED, header.message_id, payloads)
            _add_event(connection, Direction.RECEIVED, header.message_id, State.RECEIVED)
            if answer:  # it is needed as long as the message can be repeated
                lasting = replace(answer.header, time_to_live=header.time_to_live)
                self._send(connection, replace(answer, header=lasting))
        return True

    def submit(self, outgoing: Outgoing, payloads: Sequence[Payload]) -> bool:
        """Take a business message that is to be sent; False when its id is taken."""
        with self._database.writing() as connection:
            if not self._insert(connection, Direction.SENT, outgoing.header, outgoing.envelope, State.CREATED):
                return False
            _add_payloads(connection, Direction.SENT, outgoing.header.message_id, payloads)
            if outgoing.task:
                connection.execute(DELIVERY.insert(), _row(outgoing.task))
        return True

    def answer(self, received: Header | None, envelope: bytes, outgoing: Outgoing) -> None:
        """Keep an answer of ours, and the signal ``received`` that it is to, when that is to be kept."""
        with self._database.writing() as connection:
            if received:
                self._insert(connection, Direction.RECEIVED, received, envelope)
            self._send(connection, outgoing)

    def repeat(self, task: Task) -> None:
        """Send again what was sent; nothing when it is still to be sent."""
        statement = self._database.insert(DELIVERY).on_conflict_do_nothing()
        with self._database.writing() as connection:
            connection.execute(statement, _row(task))

    def settle(
        self, message_id: str, state: State, problem: str | None = None, reply: tuple[Header, bytes] | None = None
    ) -> bool:
        """End the sending of a message, for the reason of ``reply`` when there is one; False when it has ended before.

        A state that was reached is never left again: applications have heard of it. ``problem`` may hold what a partner
        wrote: it is cleaned before it is kept.
        """
        problem = None if problem is None else cleaned(problem)
        waiting = (*_is(Direction.SENT, message_id), MESSAGE.c.status == State.CREATED)
        with self._database.writing() as connection:
            if reply:
                self._insert(connection, Direction.RECEIVED, *reply)
            ended = connection.execute(update(MESSAGE).where(*waiting).values(status=state, problem=problem)).rowcount
            if ended:
                _add_event(connection, Direction.SENT, message_id, state)
                connection.execute(delete(DELIVERY).where(DELIVERY.c.message_id == message_id))
            return ended > 0

    def claim(self, node: str, number: int, lease: timedelta, largest: int | None = None) -> list[Task]:
        """Up to ``number`` tasks that are due, for ``node`` alone as long as ``lease`` lasts.

        With ``largest`` only those whose body has no more bytes.
        """
        now = datetime.now(UTC)
        wanted = [DELIVERY.c.next_at <= now]
        if largest is not None:
            wanted.append(func.length(DELIVERY.c.body) <= largest)
        due = (
            select(DELIVERY.c.message_id)
            .where(*wanted)
            .order_by(DELIVERY.c.next_at)
            .limit(number)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        claimed = (
            update(DELIVERY)
            .where(DELIVERY.c.message_id.in_(select(due.c.message_id)))
            .values(owner=node, next_at=now + lease, attempts=DELIVERY.c.attempts + 1)
            .returning(DELIVERY, _DESTINATION)
        )
        with self._database.writing() as connection:
            return [_task(row) for row in connection.execute(claimed)]

    def give_back(self, node: str, later: Sequence[tuple[Task, datetime | None]]) -> None:
        """Give tasks back until a moment, or remove those without one; not those that another node has by now."""
        over = [task for task, until in later if until is None]
        with self._database.writing() as connection:
            if over:
                connection.execute(delete(DELIVERY).where(*_held(over, node)))
            for task, until in later:
                if until is not None:
                    freed = update(DELIVERY).where(*_held([task], node)).values(owner=None, next_at=until)
                    connection.execute(freed)

    def release(self, node: str) -> int:
        """Give back what ``node`` held when it died, and tell how many that were."""
        freed = update(DELIVERY).where(DELIVERY.c.owner == node).values(owner=None, next_at=datetime.now(UTC))
        with self._database.writing() as connection:
            return connection.execute(freed).rowcount

    def hasten(self, margin: timedelta) -> int:
        """Make due what waits for longer than its interval and ``margin``, and tell how many that were.

        The clock that set the moment was ahead: a node's that is right by now, or another node's.
        """
        now, hastened = datetime.now(UTC), 0
        with self._database.writing() as connection:
            for interval in connection.scalars(select(DELIVERY.c.interval_seconds).distinct()).all():
                late = DELIVERY.c.next_at > now + timedelta(seconds=interval) + margin
                due = update(DELIVERY).where(DELIVERY.c.interval_seconds == interval, late)
                hastened += connection.execute(due.values(owner=None, next_at=now)).rowcount
        return hastened

    def queue(self) -> Queue:
        """What is still to be sent."""
        oldest = select(func.min(MESSAGE.c.at)).where(MESSAGE.c.status == State.CREATED)
        with self._database.reading() as connection:
            length = connection.scalar(select(func.count()).select_from(DELIVERY)) or 0
            since = connection.scalar(oldest)
        return Queue(length, (datetime.now(UTC) - since).total_seconds() if since else 0.0)

    def states(self) -> dict[str, int]:
        """How many business messages are in each state."""
        count = select(MESSAGE.c.status, func.count()).where(MESSAGE.c.status.is_not(None)).group_by(MESSAGE.c.status)
        with self._database.reading() as connection:
            return {str(status): number for status, number in connection.execute(count)}

    def received(self, message_id: str) -> Kept | None:
        """The message that was received as ``message_id``, or None."""
        return self._find(Direction.RECEIVED, message_id)

    def sent(self, message_id: str) -> Kept | None:
        """The message that was sent as ``message_id``, or None."""
        return self._find(Direction.SENT, message_id)

    def sent_envelope(self, message_id: str) -> bytes | None:
        """The envelope that was sent as ``message_id``, or None."""
        with self._database.reading() as connection:
            return connection.scalar(select(MESSAGE.c.envelope).where(*_is(Direction.SENT, message_id)))

    def reply_to(self, message_id: str) -> bytes | None:
        """The envelope that was received in answer to ``message_id``, or None when none came yet."""
        wanted = (MESSAGE.c.direction == Direction.RECEIVED, MESSAGE.c.ref_to_message_id == message_id)
        with self._database.reading() as connection:
            return connection.scalar(select(MESSAGE.c.envelope).where(*wanted).limit(1))

    def our_reply_to(self, message_id: str, actions: Sequence[str]) -> tuple[str, str, bytes] | None:
        """Id, action and envelope of the signal that was sent in answer to ``message_id``, or None."""
        wanted = (
            MESSAGE.c.direction == Direction.SENT,
            MESSAGE.c.ref_to_message_id == message_id,
            MESSAGE.c.status.is_(None),
            MESSAGE.c.action.in_(actions),
        )
        found = select(MESSAGE.c.message_id, MESSAGE.c.action, MESSAGE.c.envelope).where(*wanted).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(found).first()
            return (row[0], row[1], row[2]) if row else None

    def payloads(self, direction: Direction, message_id: str) -> list[Payload]:
        """The payloads of a message, in their order."""
        of = (PAYLOAD.c.direction == direction, PAYLOAD.c.message_id == message_id)
        with self._database.reading() as connection:
            rows = connection.execute(select(PAYLOAD).where(*of).order_by(PAYLOAD.c.number))
            return [Payload(row.content_id, row.content_type, row.content, row.name) for row in rows]

    def unprocessed(self, wanted: Filter, limit: int) -> list[str]:
        """Ids of received messages that no application has taken yet, oldest first; ``limit`` 0 is all."""
        return self._ids(State.RECEIVED, wanted, limit)

    def pending(self, wanted: Filter, limit: int) -> list[str]:
        """Ids of messages of ours whose sending has not ended, oldest first; ``limit`` 0 is all."""
        return self._ids(State.CREATED, wanted, limit)

    def _ids(self, state: State, wanted: Filter, limit: int) -> list[str]:
        found = (
            select(MESSAGE.c.message_id)
            .where(MESSAGE.c.status == state, *_like(wanted))
            .order_by(MESSAGE.c.at, MESSAGE.c.message_id)
            .limit(limit or None)
        )
        with self._database.reading() as connection:
            return list(connection.scalars(found))

    def process(self, message_id: str, *, with_event: bool = False) -> None:
        """An application has taken the message: it is no longer among the unprocessed, nor its event if so asked."""
        taken = (*_is(Direction.RECEIVED, message_id), MESSAGE.c.status == State.RECEIVED)
        processed = {"status": State.PROCESSED, "webhook_at": None, "webhook_owner": None}
        with self._database.writing() as connection:
            connection.execute(update(MESSAGE).where(*taken).values(**processed))
            if with_event:
                event = (EVENT.c.direction == Direction.RECEIVED, EVENT.c.message_id == message_id)
                connection.execute(update(EVENT).where(*event).values(processed=True))

    def claim_received(self, node: str, number: int, lease: timedelta) -> list[HandOver]:
        """Up to ``number`` messages for the application, oldest first; ``node``'s alone while ``lease`` lasts."""
        now = datetime.now(UTC)
        due = (
            select(MESSAGE.c.message_id)
            .where(MESSAGE.c.webhook_at <= now, MESSAGE.c.status == State.RECEIVED)
            .order_by(MESSAGE.c.webhook_at)
            .limit(number)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        claimed = (
            update(MESSAGE)
            .where(MESSAGE.c.direction == Direction.RECEIVED, MESSAGE.c.message_id.in_(select(due.c.message_id)))
            .values(webhook_owner=node, webhook_at=now + lease, webhook_attempts=MESSAGE.c.webhook_attempts + 1)
            .returning(*_KEPT, MESSAGE.c.webhook_attempts)
        )
        with self._database.writing() as connection:
            handed = [HandOver(_kept(row), row.webhook_attempts) for row in connection.execute(claimed)]
        return sorted(handed, key=lambda each: each.message.at)

    def postpone(self, node: str, handed: HandOver, until: datetime) -> None:
        """Post a message again at ``until``; not when another node has it by now."""
        held = (
            *_is(Direction.RECEIVED, handed.message.message_id),
            MESSAGE.c.webhook_owner == node,
            MESSAGE.c.webhook_attempts == handed.attempts,
        )
        with self._database.writing() as connection:
            connection.execute(update(MESSAGE).where(*held).values(webhook_at=until, webhook_owner=None))

    def release_received(self, node: str) -> int:
        """Post what ``node`` was posting when it ended, and what an older version took in; tell how many that were."""
        held = or_(MESSAGE.c.webhook_owner == node, MESSAGE.c.webhook_at.is_(None))
        freed = update(MESSAGE).where(MESSAGE.c.status == State.RECEIVED, held)
        with self._database.writing() as connection:
            return connection.execute(freed.values(webhook_owner=None, webhook_at=datetime.now(UTC))).rowcount

    def events(self, wanted: Filter, types: Sequence[str], limit: int) -> list[tuple[str, str]]:
        """Message id and type of the events that no application has taken yet, oldest first; ``limit`` 0 is all."""
        same = and_(EVENT.c.direction == MESSAGE.c.direction, EVENT.c.message_id == MESSAGE.c.message_id)
        found = (
            select(EVENT.c.message_id, EVENT.c.type)
            .join(MESSAGE, same)
            .where(EVENT.c.processed.is_(False), *_like(wanted))
            .order_by(EVENT.c.number)
            .limit(limit or None)
        )
        if types:
            found = found.where(EVENT.c.type.in_(types))
        with self._database.reading() as connection:
            return [(identity, kind) for identity, kind in connection.execute(found)]

    def process_events(self, message_id: str) -> None:
        """An application has taken the events of a message."""
        of = (EVENT.c.direction.in_(list(Direction)), EVENT.c.message_id == message_id, EVENT.c.processed.is_(False))
        with self._database.writing() as connection:
            connection.execute(update(EVENT).where(*of).values(processed=True))

    def forget(self, before: datetime, number: int) -> int:
        """Remove up to ``number`` messages from before ``before`` that have ended, and tell how many.

        What is still to be sent or to be taken by the application stays, and what could still be repeated by the
        partner too: its id is what a duplicate is known by, and our answer is what a duplicate gets.
        """
        now = datetime.now(UTC)
        over = or_(MESSAGE.c.time_to_live.is_(None), MESSAGE.c.time_to_live < now)
        ended = or_(MESSAGE.c.status.is_(None), MESSAGE.c.status.not_in([State.CREATED, State.RECEIVED]))
        key = tuple_(MESSAGE.c.direction, MESSAGE.c.message_id)
        old = select(MESSAGE.c.direction, MESSAGE.c.message_id).where(MESSAGE.c.at < before, over, ended).limit(number)
        with self._database.writing() as connection:
            return connection.execute(delete(MESSAGE).where(key.in_(old))).rowcount

    def _insert(
        self,
        connection: Connection,
        direction: Direction,
        header: Header,
        envelope: bytes,
        status: State | None = None,
    ) -> bool:
        now = datetime.now(UTC)
        row = {
            "direction": direction,
            "message_id": header.message_id,
            "cpa_id": header.cpa_id,
            "ref_to_message_id": header.ref_to_message_id,
            "action": header.action,
            "at": now,
            "envelope": envelope,
            "service": f"{header.service_type}:{header.service}" if header.service_type else header.service,
            "sender": str(header.sender),
            "sender_role": header.sender_role,
            "receiver": str(header.receiver),
            "receiver_role": header.receiver_role,
            "conversation_id": header.conversation_id,
            "timestamp": header.timestamp,
            "time_to_live": header.time_to_live,
            "status": status,
            "webhook_at": now if status is State.RECEIVED else None,
        }
        statement = self._database.insert(MESSAGE).on_conflict_do_nothing().returning(MESSAGE.c.message_id)
        return connection.execute(statement, row).first() is not None

    def _send(self, connection: Connection, outgoing: Outgoing) -> None:
        self._insert(connection, Direction.SENT, outgoing.header, outgoing.envelope)
        if outgoing.task:
            connection.execute(DELIVERY.insert(), _row(outgoing.task))

    def _find(self, direction: Direction, message_id: str) -> Kept | None:
        with self._database.reading() as connection:
            row = connection.execute(select(*_KEPT).where(*_is(direction, message_id))).first()
            return _kept(row) if row else None


def _is(direction: Direction, message_id: str) -> tuple[ColumnElement[bool], ...]:
    return MESSAGE.c.direction == direction, MESSAGE.c.message_id == message_id


def _add_payloads(connection: Connection, direction: Direction, message_id: str, payloads: Sequence[Payload]) -> None:
    rows = [
        {
            "direction": direction,
            "message_id": message_id,
            "number": number,
            "content_id": payload.content_id,
            "content_type": payload.content_type,
            "name": payload.name,
            "content": payload.content,
        }
        for number, payload in enumerate(payloads)
    ]
    if rows:
        connection.execute(PAYLOAD.insert(), rows)


def _add_event(connection: Connection, direction: Direction, message_id: str, state: State) -> None:
    row = {
        "direction": direction,
        "message_id": message_id,
        "type": EVENTS[state],
        "at": datetime.now(UTC),
        "processed": False,
    }
    connection.execute(EVENT.insert().inline(), row)


def _kept(row: Row[Any]) -> Kept:
    return Kept(**{column.name: getattr(row, column.name) for column in _KEPT})


def _row(task: Task) -> dict[str, Any]:
    return {
        "message_id": task.message_id,
        "action": task.action,
        "endpoint": task.endpoint,
        "content_type": task.content_type,
        "body": task.body,
        "business": task.business,
        "interval_seconds": task.interval.total_seconds(),
        "deadline": task.deadline,
        "attempts": task.attempts,
        "next_at": datetime.now(UTC),
        "owner": None,
    }


def _task(row: Row[Any]) -> Task:
    return Task(
        message_id=row.message_id,
        action=row.action,
        endpoint=row.destination or row.endpoint,
        content_type=row.content_type,
        body=row.body,
        business=row.business,
        interval=timedelta(seconds=row.interval_seconds),
        deadline=row.deadline,
        attempts=row.attempts,
    )


def _held(tasks: Sequence[Task], node: str) -> tuple[ColumnElement[bool], ...]:
    """The tasks, as long as they are the very ones that ``node`` claimed."""
    claims = [(task.message_id, task.attempts) for task in tasks]
    return DELIVERY.c.owner == node, tuple_(DELIVERY.c.message_id, DELIVERY.c.attempts).in_(claims)


def _like(wanted: Filter) -> list[ColumnElement[bool]]:
    given = {field.name: getattr(wanted, field.name) for field in fields(Filter)}
    return [MESSAGE.c[name] == value for name, value in given.items() if value is not None]
