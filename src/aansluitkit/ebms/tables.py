"""The tables that the adapter's nodes share; ``migrations`` makes them."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator

VERSION = "0004"  # of the tables: the newest of ``migrations``
METADATA = MetaData()
_TO_POST = text("webhook_at is not null")


class Moment(TypeDecorator[datetime]):
    """A moment in UTC; SQLite has no time zones, so what comes out gets its zone back here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give ``value`` its zone."""
        return value.replace(tzinfo=value.tzinfo or UTC) if value else None


def _of_message() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["direction", "message_id"], ["message.direction", "message.message_id"], ondelete="CASCADE"
    )


# A CPA as it was loaded, byte for byte.
CPA = Table(
    "cpa",
    METADATA,
    Column("id", String(255), primary_key=True),
    Column("document", LargeBinary, nullable=False),
)

# Where messages for endpoint ``source`` go instead.
URL_MAPPING = Table(
    "url_mapping",
    METADATA,
    Column("source", String(2048), primary_key=True),
    Column("destination", String(2048), nullable=False),
)

# The certificate that stands for one of a CPA: ``source`` is the SHA-256 of the latter, hexadecimal.
CERTIFICATE_MAPPING = Table(
    "certificate_mapping",
    METADATA,
    Column("source", String(64), primary_key=True),
    Column("cpa_id", String(255), primary_key=True),  # empty: of every CPA
    Column("certificate", LargeBinary, nullable=False),
    Column("destination", LargeBinary, nullable=False),
)

# A message that went in or out; signals have no status.
MESSAGE = Table(
    "message",
    METADATA,
    Column("direction", String(8), primary_key=True),
    Column("message_id", String(512), primary_key=True),
    Column("cpa_id", String(255), nullable=False),
    Column("ref_to_message_id", String(512), index=True),
    Column("action", String(255), nullable=False),
    Column("at", Moment, nullable=False, index=True),
    Column("envelope", LargeBinary, nullable=False),
    Column("service", String(512)),  # type:value, as parties are
    Column("sender", String(512)),
    Column("sender_role", String(255)),
    Column("receiver", String(512)),
    Column("receiver_role", String(255)),
    Column("conversation_id", String(512)),
    Column("timestamp", Moment),
    Column("time_to_live", Moment),
    Column("status", String(16)),
    Column("problem", Text),
    # Until the application has it: when it is to be posted there; also the lease, as ``next_at`` of a delivery.
    Column("webhook_at", Moment),
    Column("webhook_attempts", Integer, nullable=False, default=0),
    Column("webhook_owner", String(255)),
    Index("ix_message_status_at", "status", "at"),
    Index("ix_message_webhook_at", "webhook_at", postgresql_where=_TO_POST, sqlite_where=_TO_POST),
)

# A payload of a business message, as applications see it.
PAYLOAD = Table(
    "payload",
    METADATA,
    Column("direction", String(8), primary_key=True),
    Column("message_id", String(512), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("content_id", String(512), nullable=False),
    Column("content_type", String(255), nullable=False),
    Column("name", String(255)),
    Column("content", LargeBinary, nullable=False),
    _of_message(),
)

# What the application is to hear about a message, in the order in which it happened.
EVENT = Table(
    "event",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("direction", String(8), nullable=False),
    Column("message_id", String(512), nullable=False),
    Column("type", String(16), nullable=False),
    Column("at", Moment, nullable=False),
    Column("processed", Boolean, nullable=False),
    _of_message(),
    Index("ix_event_message", "direction", "message_id"),
    Index("ix_event_processed_number", "processed", "number"),
)

# A message that is still to be sent. ``next_at`` is also the lease: who takes a task moves it ahead, and when it comes
# the task is anybody's again.
DELIVERY = Table(
    "delivery",
    METADATA,
    Column("message_id", String(512), primary_key=True),
    Column("action", String(255), nullable=False),
    Column("endpoint", String(2048), nullable=False),  # as the CPA has it
    Column("content_type", String(1024), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("business", Boolean, nullable=False),
    Column("interval_seconds", Float, nullable=False),
    Column("deadline", Moment),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Moment, nullable=False, index=True),
    Column("owner", String(255), index=True),
)
