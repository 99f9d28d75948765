"""Alembic's environment: runs on the connection that the store opened."""

from alembic import context

from aansluitkit.ebms.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
