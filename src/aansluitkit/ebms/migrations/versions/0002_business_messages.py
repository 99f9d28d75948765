"""Business messages: payloads, events, deliveries; certificate mappings."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_MOMENT = sa.DateTime(timezone=True)
_ADDED: dict[str, sa.types.TypeEngine[Any]] = {
    "service": sa.String(512),
    "sender": sa.String(512),
    "sender_role": sa.String(255),
    "receiver": sa.String(512),
    "receiver_role": sa.String(255),
    "conversation_id": sa.String(512),
    "timestamp": _MOMENT,
    "time_to_live": _MOMENT,
    "status": sa.String(16),
    "problem": sa.Text(),
}


def _of_message() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["direction", "message_id"], ["message.direction", "message.message_id"], ondelete="CASCADE"
    )


def upgrade() -> None:
    """Add columns and tables."""
    for name, kind in _ADDED.items():
        op.add_column("message", sa.Column(name, kind))
    op.create_index("ix_message_status_at", "message", ["status", "at"])
    op.create_table(
        "certificate_mapping",
        sa.Column("source", sa.String(64), primary_key=True),
        sa.Column("cpa_id", sa.String(255), primary_key=True),
        sa.Column("certificate", sa.LargeBinary, nullable=False),
        sa.Column("destination", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "payload",
        sa.Column("direction", sa.String(8), primary_key=True),
        sa.Column("message_id", sa.String(512), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("content_id", sa.String(512), nullable=False),
        sa.Column("content_type", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("content", sa.LargeBinary, nullable=False),
        _of_message(),
    )
    op.create_table(
        "event",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("message_id", sa.String(512), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("processed", sa.Boolean, nullable=False),
        _of_message(),
    )
    op.create_index("ix_event_message", "event", ["direction", "message_id"])
    op.create_index("ix_event_processed_number", "event", ["processed", "number"])
    op.create_table(
        "delivery",
        sa.Column("message_id", sa.String(512), primary_key=True),
        sa.Column("action", sa.String(255), nullable=False),
        sa.Column("endpoint", sa.String(2048), nullable=False),
        sa.Column("content_type", sa.String(1024), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("business", sa.Boolean, nullable=False),
        sa.Column("interval_seconds", sa.Float, nullable=False),
        sa.Column("deadline", _MOMENT),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", _MOMENT, nullable=False, index=True),
        sa.Column("owner", sa.String(255), index=True),
    )


def downgrade() -> None:
    """Remove what was added; messages that are under way are lost."""
    for table in ("delivery", "event", "payload", "certificate_mapping"):
        op.drop_table(table)
    op.drop_index("ix_message_status_at", "message")
    with op.batch_alter_table("message") as message:
        for name in _ADDED:
            message.drop_column(name)
