"""What the adapter's nodes share: CPAs, URL mappings, and the messages seen.

Nothing is remembered in a process: an answer can arrive at another node than the one that asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    URL,
    Connection,
    DateTime,
    Engine,
    LargeBinary,
    String,
    create_engine,
    delete,
    event,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from aansluitkit.ebms.message import Header
from aansluitkit.errors import KitError

RETENTION = timedelta(days=7)
_MIGRATIONS = Path(__file__).with_name("migrations")
_MIGRATION_LOCK = 0x65624D53  # "ebMS": nodes that start together migrate one after the other


class Direction(StrEnum):
    """Which way a message went."""

    RECEIVED = "received"
    SENT = "sent"


class Base(DeclarativeBase):
    """Tables of the adapter; ``migrations`` makes them."""


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


class MessageRow(Base):
    """A message that went in or out."""

    __tablename__ = "message"
    direction: Mapped[str] = mapped_column(String(8), primary_key=True)
    message_id: Mapped[str] = mapped_column(String(512), primary_key=True)
    cpa_id: Mapped[str] = mapped_column(String(255))
    ref_to_message_id: Mapped[str | None] = mapped_column(String(512), index=True)
    action: Mapped[str] = mapped_column(String(255))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    envelope: Mapped[bytes] = mapped_column(LargeBinary)


class Store:
    """The database; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def migrate(self) -> None:
        """Bring the tables to this version.

        Raises:
            KitError: when the database can't be reached or changed.
        """
        try:
            with self._engine.connect() as connection, _alone(connection):
                configuration = Config()
                configuration.set_main_option("script_location", str(_MIGRATIONS))
                configuration.attributes["connection"] = connection
                command.upgrade(configuration, "head")
                connection.commit()
        except SQLAlchemyError as error:
            raise KitError(f"database {_shown(self._engine.url)}: {_reason(error)}") from error

    def ping(self) -> None:
        """See that the database answers; raises SQLAlchemyError when it does not."""
        with self._engine.connect() as connection:
            connection.execute(text("select 1"))

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    def put_cpa(self, identity: str, document: bytes) -> None:
        """Keep a CPA, in place of the one with the same id."""
        with Session(self._engine) as session, session.begin():
            session.merge(CpaRow(id=identity, document=document))

    def cpa(self, identity: str) -> bytes | None:
        """The CPA ``identity`` as it was loaded, or None."""
        with Session(self._engine) as session:
            row = session.get(CpaRow, identity)
            return row.document if row else None

    def cpa_ids(self) -> list[str]:
        """Ids of all CPAs, sorted."""
        with Session(self._engine) as session:
            return list(session.scalars(select(CpaRow.id).order_by(CpaRow.id)))

    def remove_cpa(self, identity: str) -> bool:
        """Remove a CPA; False when there was none."""
        return self._delete(delete(CpaRow).where(CpaRow.id == identity))

    def put_mapping(self, source: str, destination: str) -> None:
        """Send messages for ``source`` to ``destination``."""
        with Session(self._engine) as session, session.begin():
            session.merge(UrlMappingRow(source=source, destination=destination))

    def mappings(self) -> dict[str, str]:
        """All URL mappings, by source."""
        with Session(self._engine) as session:
            rows = session.scalars(select(UrlMappingRow).order_by(UrlMappingRow.source))
            return {row.source: row.destination for row in rows}

    def destination_of(self, endpoint: str) -> str:
        """Where messages for ``endpoint`` go."""
        with Session(self._engine) as session:
            row = session.get(UrlMappingRow, endpoint)
            return row.destination if row else endpoint

    def remove_mapping(self, source: str) -> bool:
        """Remove a URL mapping; False when there was none."""
        return self._delete(delete(UrlMappingRow).where(UrlMappingRow.source == source))

    def record(self, direction: Direction, header: Header, envelope: bytes) -> None:
        """Remember a message; one that is there already stays as it was."""
        insert = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert
        statement = insert(MessageRow).values(
            direction=direction.value,
            message_id=header.message_id,
            cpa_id=header.cpa_id,
            ref_to_message_id=header.ref_to_message_id,
            action=header.action,
            at=datetime.now(UTC),
            envelope=envelope,
        )
        with self._engine.begin() as connection:
            connection.execute(statement.on_conflict_do_nothing())

    def received_at(self, message_id: str, cpa_id: str) -> datetime | None:
        """When message ``message_id`` of CPA ``cpa_id`` was received, or None."""
        row = self._message(Direction.RECEIVED, message_id)
        return row.at.replace(tzinfo=row.at.tzinfo or UTC) if row and row.cpa_id == cpa_id else None

    def sent(self, message_id: str) -> bytes | None:
        """The envelope that was sent as ``message_id``, or None."""
        row = self._message(Direction.SENT, message_id)
        return row.envelope if row else None

    def reply_to(self, message_id: str) -> bytes | None:
        """The envelope that was received in answer to ``message_id``, or None when none came yet."""
        wanted = (MessageRow.direction == Direction.RECEIVED.value) & (MessageRow.ref_to_message_id == message_id)
        with Session(self._engine) as session:
            return session.scalars(select(MessageRow.envelope).where(wanted).limit(1)).first()

    def forget(self, before: datetime) -> None:
        """Remove the messages from before ``before``."""
        self._delete(delete(MessageRow).where(MessageRow.at < before))

    def _message(self, direction: Direction, message_id: str) -> MessageRow | None:
        with Session(self._engine) as session:
            return session.get(MessageRow, (direction.value, message_id))

    def _delete(self, statement: Any) -> bool:
        with self._engine.begin() as connection:
            return bool(connection.execute(statement).rowcount)


def open_store(database: str, password: str | None) -> Store:
    """Open the database at URL ``database``, and bring its tables to this version.

    Raises:
        KitError: when the URL is wrong or the database can't be reached.
    """
    try:
        url = make_url(database)
        engine = create_engine(url.set(password=password) if password else url, pool_pre_ping=True)
    except (SQLAlchemyError, ImportError) as error:
        raise KitError(f"'{database}' is no usable database URL: postgresql+psycopg://… or sqlite:///…") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _share)
    store = Store(engine)
    store.migrate()
    return store


def _share(connection: Any, _record: Any) -> None:
    """Let readers and a writer of SQLite go side by side."""
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma busy_timeout=5000")


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    if connection.dialect.name != "postgresql":
        yield
        return
    connection.execute(text("select pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("select pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
        connection.commit()


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True).partition("?")[0]


def _reason(error: SQLAlchemyError) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())[:300]
