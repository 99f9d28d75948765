"""Received messages are posted to the application."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add when a message is posted next, and how often it was."""
    op.add_column("message", sa.Column("webhook_at", sa.DateTime(timezone=True)))
    op.add_column("message", sa.Column("webhook_attempts", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    """Remove both."""
    with op.batch_alter_table("message") as message:
        message.drop_column("webhook_attempts")
        message.drop_column("webhook_at")
