"""Alembic's environment: runs on the connection that the store opened."""

from alembic import context

from aansluitkit.ebms.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
