"""The tables that the adapter's nodes share; ``migrations`` makes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, ForeignKeyConstraint, Index, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """A moment in UTC; SQLite has no time zones, so what comes out gets its zone back here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give ``value`` its zone."""
        return value.replace(tzinfo=value.tzinfo or UTC) if value else None


class Base(DeclarativeBase):
    """Tables of the adapter."""

    type_annotation_map: dict[Any, Any] = {datetime: Moment}  # noqa: RUF012 - as SQLAlchemy wants it


class CpaRow(Base):
    """A CPA as it was loaded, byte for byte."""

    __tablename__ = "cpa"
    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    document: Mapped[bytes] = mapped_column(LargeBinary)


class UrlMappingRow(Base):
    """Where messages for endpoint ``source`` go instead."""

    __tablename__ = "url_mapping"
    source: Mapped[str] = mapped_column(String(2048), primary_key=True)
    destination: Mapped[str] = mapped_column(String(2048))


class CertificateMappingRow(Base):
    """The certificate that stands for one of a CPA: ``source`` is the SHA-256 of the latter, hexadecimal."""

    __tablename__ = "certificate_mapping"
    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    cpa_id: Mapped[str] = mapped_column(String(255), primary_key=True)  # empty: of every CPA
    certificate: Mapped[bytes] = mapped_column(LargeBinary)
    destination: Mapped[bytes] = mapped_column(LargeBinary)


class MessageRow(Base):
    """A message that went in or out; signals have no status."""

    __tablename__ = "message"
    direction: Mapped[str] = mapped_column(String(8), primary_key=True)
    message_id: Mapped[str] = mapped_column(String(512), primary_key=True)
    cpa_id: Mapped[str] = mapped_column(String(255))
    ref_to_message_id: Mapped[str | None] = mapped_column(String(512), index=True)
    action: Mapped[str] = mapped_column(String(255))
    at: Mapped[datetime] = mapped_column(index=True)
    envelope: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    service: Mapped[str | None] = mapped_column(String(512))  # type:value, as parties are
    sender: Mapped[str | None] = mapped_column(String(512))
    sender_role: Mapped[str | None] = mapped_column(String(255))
    receiver: Mapped[str | None] = mapped_column(String(512))
    receiver_role: Mapped[str | None] = mapped_column(String(255))
    conversation_id: Mapped[str | None] = mapped_column(String(512))
    timestamp: Mapped[datetime | None]
    time_to_live: Mapped[datetime | None]
    status: Mapped[str | None] = mapped_column(String(16))
    problem: Mapped[str | None] = mapped_column(Text)
    webhook_at: Mapped[datetime | None]  # next post to the application, and the lease, as ``next_at`` of a delivery
    webhook_attempts: Mapped[int] = mapped_column(default=0)

    __table_args__ = (Index("ix_message_status_at", "status", "at"),)


class PayloadRow(Base):
    """A payload of a business message, as applications see it."""

    __tablename__ = "payload"
    direction: Mapped[str] = mapped_column(String(8), primary_key=True)
    message_id: Mapped[str] = mapped_column(String(512), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    content_id: Mapped[str] = mapped_column(String(512))
    content_type: Mapped[str] = mapped_column(String(255))
    name: Mapped[str | None] = mapped_column(String(255))
    content: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (
        ForeignKeyConstraint(
            ["direction", "message_id"], ["message.direction", "message.message_id"], ondelete="CASCADE"
        ),
    )


class EventRow(Base):
    """What the application is to hear about a message, in the order in which it happened."""

    __tablename__ = "event"
    number: Mapped[int] = mapped_column(primary_key=True)
    direction: Mapped[str] = mapped_column(String(8))
    message_id: Mapped[str] = mapped_column(String(512))
    type: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime]
    processed: Mapped[bool]

    __table_args__ = (
        ForeignKeyConstraint(
            ["direction", "message_id"], ["message.direction", "message.message_id"], ondelete="CASCADE"
        ),
        Index("ix_event_message", "direction", "message_id"),
        Index("ix_event_processed_number", "processed", "number"),
    )


class DeliveryRow(Base):
    """A message that is still to be sent.

    ``next_at`` is also the lease: who takes a task moves it ahead, and when it comes the task is anybody's again.
    """

    __tablename__ = "delivery"
    message_id: Mapped[str] = mapped_column(String(512), primary_key=True)
    action: Mapped[str] = mapped_column(String(255))
    endpoint: Mapped[str] = mapped_column(String(2048))  # as the CPA has it
    content_type: Mapped[str] = mapped_column(String(1024))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    business: Mapped[bool]
    interval_seconds: Mapped[float]
    deadline: Mapped[datetime | None]
    attempts: Mapped[int]
    next_at: Mapped[datetime] = mapped_column(index=True)
    owner: Mapped[str | None] = mapped_column(String(255), index=True)
