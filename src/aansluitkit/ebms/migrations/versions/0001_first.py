"""CPAs, URL mappings and messages."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "cpa",
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "url_mapping",
        sa.Column("source", sa.String(2048), primary_key=True),
        sa.Column("destination", sa.String(2048), nullable=False),
    )
    op.create_table(
        "message",
        sa.Column("direction", sa.String(8), primary_key=True),
        sa.Column("message_id", sa.String(512), primary_key=True),
        sa.Column("cpa_id", sa.String(255), nullable=False),
        sa.Column("ref_to_message_id", sa.String(512), index=True),
        sa.Column("action", sa.String(255), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Remove the tables."""
    for table in ("message", "url_mapping", "cpa"):
        op.drop_table(table)
