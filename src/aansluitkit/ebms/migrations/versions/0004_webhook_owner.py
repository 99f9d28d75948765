"""What is to be posted to the application is found without a look at what is not due, and each node knows its own."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add who posts a message, and an index of what is to be posted."""
    due = sa.text("webhook_at is not null")
    op.add_column("message", sa.Column("webhook_owner", sa.String(255)))
    op.create_index("ix_message_webhook_at", "message", ["webhook_at"], postgresql_where=due, sqlite_where=due)


def downgrade() -> None:
    """Remove both."""
    op.drop_index("ix_message_webhook_at", "message")
    with op.batch_alter_table("message") as message:
        message.drop_column("webhook_owner")
