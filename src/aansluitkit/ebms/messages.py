"""Messages in the database: what was received, what was sent, what is still to be sent, and what applications hear.

Each method is one transaction, so that a node that dies leaves a message either as it was or wholly changed. Locks are
taken in one order, message before delivery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Result, and_, delete, func, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from aansluitkit.ebms.database import Database
from aansluitkit.ebms.message import Header
from aansluitkit.ebms.mime import Payload
from aansluitkit.ebms.tables import DeliveryRow, EventRow, MessageRow, PayloadRow


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
    """A message to post: ``body`` to ``endpoint`` (as the CPA names it); ``attempts`` were made.

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


class Messages:
    """The messages of all nodes on ``database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, direction: Direction, header: Header, envelope: bytes) -> None:
        """Remember a signal; one that is there already stays as it was."""
        with self._database.writing() as session:
            self._insert(session, direction, header, envelope)

    def accept(self, header: Header, envelope: bytes, payloads: Sequence[Payload], answer: Outgoing | None) -> bool:
        """Take a business message in, together with our answer to it; False when it is here already."""
        with self._database.writing() as session:
            if not self._insert(session, Direction.RECEIVED, header, envelope, State.RECEIVED):
                return False
            _add_payloads(session, Direction.RECEIVED, header.message_id, payloads)
            _add_event(session, Direction.RECEIVED, header.message_id, State.RECEIVED)
            if answer:
                self._send(session, answer)
        return True

    def submit(self, outgoing: Outgoing, payloads: Sequence[Payload]) -> bool:
        """Take a business message that is to be sent; False when its id is taken."""
        with self._database.writing() as session:
            if not self._insert(session, Direction.SENT, outgoing.header, outgoing.envelope, State.CREATED):
                return False
            _add_payloads(session, Direction.SENT, outgoing.header.message_id, payloads)
            if outgoing.task:
                session.add(_row(outgoing.task))
        return True

    def answer(self, received: Header | None, envelope: bytes, outgoing: Outgoing) -> None:
        """Keep an answer of ours, and the signal ``received`` that it is to, when that is to be kept."""
        with self._database.writing() as session:
            if received:
                self._insert(session, Direction.RECEIVED, received, envelope)
            self._send(session, outgoing)

    def repeat(self, task: Task) -> None:
        """Send again what was sent; nothing when it is still to be sent."""
        values = {name: value for name, value in vars(_row(task)).items() if not name.startswith("_")}
        with self._database.writing() as session:
            session.execute(self._database.insert(DeliveryRow.__table__).values(**values).on_conflict_do_nothing())

    def settle(
        self, message_id: str, state: State, problem: str | None = None, reply: tuple[Header, bytes] | None = None
    ) -> bool:
        """End the sending of a message, for the reason of ``reply`` when there is one; False when it has ended before.

        A state that was reached is never left again: applications have heard of it.
        """
        waiting = (
            MessageRow.direction == Direction.SENT,
            MessageRow.message_id == message_id,
            MessageRow.status == State.CREATED,
        )
        with self._database.writing() as session:
            if reply:
                self._insert(session, Direction.RECEIVED, *reply)
            ended = changed(session.execute(update(MessageRow).where(*waiting).values(status=state, problem=problem)))
            if ended:
                _add_event(session, Direction.SENT, message_id, state)
                session.execute(delete(DeliveryRow).where(DeliveryRow.message_id == message_id))
            return ended > 0

    def claim(self, node: str, number: int, lease: timedelta) -> list[Task]:
        """Up to ``number`` tasks that are due, for ``node`` alone as long as ``lease`` lasts."""
        now = datetime.now(UTC)
        due = select(DeliveryRow).where(DeliveryRow.next_at <= now).order_by(DeliveryRow.next_at).limit(number)
        with self._database.writing() as session:
            rows = session.scalars(due.with_for_update(skip_locked=True)).all()
            for row in rows:
                row.owner, row.next_at, row.attempts = node, now + lease, row.attempts + 1
            return [_task(row) for row in rows]

    def give_back(self, node: str, later: Sequence[tuple[Task, datetime | None]]) -> None:
        """Give tasks back until a moment, or remove those without one; not those that another node has by now."""
        with self._database.writing() as session:
            for task, until in later:
                held = _held(task, node)
                if until is None:
                    session.execute(delete(DeliveryRow).where(*held))
                else:
                    session.execute(update(DeliveryRow).where(*held).values(owner=None, next_at=until))

    def release(self, node: str) -> int:
        """Give back what ``node`` held when it died, and tell how many that were."""
        freed = update(DeliveryRow).where(DeliveryRow.owner == node).values(owner=None, next_at=datetime.now(UTC))
        with self._database.writing() as session:
            return changed(session.execute(freed))

    def queue(self) -> Queue:
        """What is still to be sent."""
        oldest = select(func.min(MessageRow.at)).where(MessageRow.status == State.CREATED)
        with self._database.reading() as session:
            length = session.scalar(select(func.count()).select_from(DeliveryRow)) or 0
            since = session.scalar(oldest)
        return Queue(length, (datetime.now(UTC) - since).total_seconds() if since else 0.0)

    def states(self) -> dict[str, int]:
        """How many business messages are in each state."""
        count = select(MessageRow.status, func.count()).where(MessageRow.status.is_not(None))
        with self._database.reading() as session:
            return {str(status): number for status, number in session.execute(count.group_by(MessageRow.status))}

    def received(self, message_id: str) -> Kept | None:
        """The message that was received as ``message_id``, or None."""
        return self._find(Direction.RECEIVED, message_id)

    def sent(self, message_id: str) -> Kept | None:
        """The message that was sent as ``message_id``, or None."""
        return self._find(Direction.SENT, message_id)

    def sent_envelope(self, message_id: str) -> bytes | None:
        """The envelope that was sent as ``message_id``, or None."""
        wanted = (MessageRow.direction == Direction.SENT, MessageRow.message_id == message_id)
        with self._database.reading() as session:
            return session.scalar(select(MessageRow.envelope).where(*wanted))

    def reply_to(self, message_id: str) -> bytes | None:
        """The envelope that was received in answer to ``message_id``, or None when none came yet."""
        wanted = (MessageRow.direction == Direction.RECEIVED, MessageRow.ref_to_message_id == message_id)
        with self._database.reading() as session:
            return session.scalars(select(MessageRow.envelope).where(*wanted).limit(1)).first()

    def our_reply_to(self, message_id: str, actions: Sequence[str]) -> tuple[str, str, bytes] | None:
        """Id, action and envelope of the signal that was sent in answer to ``message_id``, or None."""
        wanted = (
            MessageRow.direction == Direction.SENT,
            MessageRow.ref_to_message_id == message_id,
            MessageRow.status.is_(None),
            MessageRow.action.in_(actions),
        )
        found = select(MessageRow.message_id, MessageRow.action, MessageRow.envelope).where(*wanted).limit(1)
        with self._database.reading() as session:
            row = session.execute(found).first()
            return (row[0], row[1], row[2]) if row else None

    def payloads(self, direction: Direction, message_id: str) -> list[Payload]:
        """The payloads of a message, in their order."""
        of = (PayloadRow.direction == direction, PayloadRow.message_id == message_id)
        with self._database.reading() as session:
            rows = session.scalars(select(PayloadRow).where(*of).order_by(PayloadRow.number))
            return [Payload(row.content_id, row.content_type, row.content, row.name) for row in rows]

    def unprocessed(self, wanted: Filter, limit: int) -> list[str]:
        """Ids of received messages that no application has taken yet, oldest first; ``limit`` 0 is all."""
        found = (
            select(MessageRow.message_id)
            .where(MessageRow.status == State.RECEIVED, MessageRow.direction == Direction.RECEIVED, *_like(wanted))
            .order_by(MessageRow.at, MessageRow.message_id)
            .limit(limit or None)
        )
        with self._database.reading() as session:
            return list(session.scalars(found))

    def process(self, message_id: str, *, with_event: bool = False) -> None:
        """An application has taken the message: it is no longer among the unprocessed, nor its event if so asked."""
        taken = (
            MessageRow.direction == Direction.RECEIVED,
            MessageRow.message_id == message_id,
            MessageRow.status == State.RECEIVED,
        )
        with self._database.writing() as session:
            session.execute(update(MessageRow).where(*taken).values(status=State.PROCESSED))
            if with_event:
                event = (EventRow.direction == Direction.RECEIVED, EventRow.message_id == message_id)
                session.execute(update(EventRow).where(*event).values(processed=True))

    def claim_received(self, number: int, lease: timedelta) -> list[HandOver]:
        """Up to ``number`` messages for the application, oldest first; the caller's alone while ``lease`` lasts."""
        now = datetime.now(UTC)
        due = (
            select(MessageRow)
            .where(
                MessageRow.status == State.RECEIVED,
                MessageRow.direction == Direction.RECEIVED,
                or_(MessageRow.webhook_at.is_(None), MessageRow.webhook_at <= now),
            )
            .order_by(MessageRow.at)
            .limit(number)
        )
        with self._database.writing() as session:
            rows = session.scalars(due.with_for_update(skip_locked=True)).all()
            for row in rows:
                row.webhook_at, row.webhook_attempts = now + lease, row.webhook_attempts + 1
            return [HandOver(_kept(row), row.webhook_attempts) for row in rows]

    def postpone(self, handed: HandOver, until: datetime) -> None:
        """Post a message again at ``until``; not when another node has it by now."""
        held = (
            MessageRow.direction == Direction.RECEIVED,
            MessageRow.message_id == handed.message.message_id,
            MessageRow.webhook_attempts == handed.attempts,
        )
        with self._database.writing() as session:
            session.execute(update(MessageRow).where(*held).values(webhook_at=until))

    def events(self, wanted: Filter, types: Sequence[str], limit: int) -> list[tuple[str, str]]:
        """Message id and type of the events that no application has taken yet, oldest first; ``limit`` 0 is all."""
        same = and_(EventRow.direction == MessageRow.direction, EventRow.message_id == MessageRow.message_id)
        found = (
            select(EventRow.message_id, EventRow.type)
            .join(MessageRow, same)
            .where(EventRow.processed.is_(False), *_like(wanted))
            .order_by(EventRow.number)
            .limit(limit or None)
        )
        if types:
            found = found.where(EventRow.type.in_(types))
        with self._database.reading() as session:
            return [(identity, kind) for identity, kind in session.execute(found)]

    def process_events(self, message_id: str) -> None:
        """An application has taken the events of a message."""
        of = (EventRow.message_id == message_id, EventRow.processed.is_(False))
        with self._database.writing() as session:
            session.execute(update(EventRow).where(*of).values(processed=True))

    def forget(self, before: datetime) -> int:
        """Remove the messages from before ``before`` that have ended, and tell how many.

        What is still to be sent or to be taken by the application stays, and what could still be repeated by the
        partner too: its id is what a duplicate is known by.
        """
        over = or_(MessageRow.time_to_live.is_(None), MessageRow.time_to_live < datetime.now(UTC))
        ended = or_(MessageRow.status.is_(None), MessageRow.status.not_in([State.CREATED, State.RECEIVED]))
        with self._database.writing() as session:
            return changed(session.execute(delete(MessageRow).where(MessageRow.at < before, over, ended)))

    def _insert(
        self,
        session: Session,
        direction: Direction,
        header: Header,
        envelope: bytes,
        status: State | None = None,
    ) -> bool:
        statement = self._database.insert(MessageRow.__table__).values(
            direction=direction,
            message_id=header.message_id,
            cpa_id=header.cpa_id,
            ref_to_message_id=header.ref_to_message_id,
            action=header.action,
            at=datetime.now(UTC),
            envelope=envelope,
            service=f"{header.service_type}:{header.service}" if header.service_type else header.service,
            sender=str(header.sender),
            sender_role=header.sender_role,
            receiver=str(header.receiver),
            receiver_role=header.receiver_role,
            conversation_id=header.conversation_id,
            timestamp=header.timestamp,
            time_to_live=header.time_to_live,
            status=status,
        )
        made = statement.on_conflict_do_nothing().returning(MessageRow.message_id)
        return session.execute(made).first() is not None

    def _send(self, session: Session, outgoing: Outgoing) -> None:
        self._insert(session, Direction.SENT, outgoing.header, outgoing.envelope)
        if outgoing.task:
            session.add(_row(outgoing.task))

    def _find(self, direction: Direction, message_id: str) -> Kept | None:
        with self._database.reading() as session:
            row = session.get(MessageRow, (direction, message_id))
            return _kept(row) if row else None


def changed(result: Result[Any]) -> int:
    """How many rows a statement changed."""
    return result.rowcount if isinstance(result, CursorResult) else 0


def _add_payloads(session: Session, direction: Direction, message_id: str, payloads: Sequence[Payload]) -> None:
    for number, payload in enumerate(payloads):
        session.add(
            PayloadRow(
                direction=direction,
                message_id=message_id,
                number=number,
                content_id=payload.content_id,
                content_type=payload.content_type,
                name=payload.name,
                content=payload.content,
            )
        )


def _add_event(session: Session, direction: Direction, message_id: str, state: State) -> None:
    session.add(
        EventRow(direction=direction, message_id=message_id, type=EVENTS[state], at=datetime.now(UTC), processed=False)
    )


def _kept(row: MessageRow) -> Kept:
    return Kept(**{field.name: getattr(row, field.name) for field in fields(Kept)})


def _row(task: Task) -> DeliveryRow:
    return DeliveryRow(
        message_id=task.message_id,
        action=task.action,
        endpoint=task.endpoint,
        content_type=task.content_type,
        body=task.body,
        business=task.business,
        interval_seconds=task.interval.total_seconds(),
        deadline=task.deadline,
        attempts=task.attempts,
        next_at=datetime.now(UTC),
        owner=None,
    )


def _task(row: DeliveryRow) -> Task:
    return Task(
        message_id=row.message_id,
        action=row.action,
        endpoint=row.endpoint,
        content_type=row.content_type,
        body=row.body,
        business=row.business,
        interval=timedelta(seconds=row.interval_seconds),
        deadline=row.deadline,
        attempts=row.attempts,
    )


def _held(task: Task, node: str) -> tuple[ColumnElement[bool], ...]:
    """The task, as long as it is the very one that ``node`` claimed."""
    return (
        DeliveryRow.message_id == task.message_id,
        DeliveryRow.owner == node,
        DeliveryRow.attempts == task.attempts,
    )


def _like(wanted: Filter) -> list[ColumnElement[bool]]:
    given = {field.name: getattr(wanted, field.name) for field in fields(Filter)}
    return [getattr(MessageRow, name) == value for name, value in given.items() if value is not None]
