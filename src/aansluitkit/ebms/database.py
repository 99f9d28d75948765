"""The database that the adapter's nodes share: PostgreSQL for several, SQLite for one."""

from __future__ import annotations

import os
import re
import select
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError

from aansluitkit.ebms.tables import CPA, VERSION
from aansluitkit.errors import KitError

_MIGRATIONS = Path(__file__).with_name("migrations")
CONNECTIONS = 8  # of one node at once: as many as it has threads; each keeps room for the largest message it had
_TRIED_BYTES = 2**20
_MIGRATION_LOCK = 0x65624D53  # "ebMS": nodes that start together migrate one after the other


class Database:
    """Connections of ``engine``; each use is one transaction, durable when it ends without an error."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        if engine.dialect.name == "sqlite":
            # It has one writer at a time, and lets the others sleep and try again: here they queue.
            self._turn: AbstractContextManager[Any] = threading.Lock()
            self._reading = engine.execution_options(changes_nothing=True)
            self.insert: Any = sqlite.insert
        else:
            self._turn = nullcontext()
            self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
            self.insert = postgresql.insert

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for statements that change nothing."""
        with self._reading.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection that commits at its end, and leaves nothing when an error ends it."""
        with self._turn, self._engine.begin() as connection:
            yield connection

    def migrate(self) -> bool:
        """Bring the tables to this version, and tell whether they were of another one.

        Raises:
            KitError: when the database can't be reached or changed.
        """
        try:
            with self._engine.connect() as connection, _alone(connection):
                if _version(connection) == VERSION:
                    _try_writing(connection)
                    return False
                _upgrade(connection)
                return True
        except SQLAlchemyError as error:
            raise KitError(f"database {_shown(self._engine.url)} {explain(error)}") from error

    def ping(self) -> None:
        """See that the database answers; raises SQLAlchemyError when it does not."""
        with self.reading() as connection:
            connection.execute(text("select 1"))

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()


def open_database(database: str, password: str | None) -> Database:
    """Open the database at URL ``database``, and bring its tables to this version.

    In PostgreSQL that takes the rights of the tables' owner; ``python -m aansluitkit.ebms.migrate`` does it beforehand.

    Raises:
        KitError: when the URL is wrong or the database can't be reached.
    """
    opened = connect(database, password)
    opened.migrate()
    return opened


def connect(database: str, password: str | None) -> Database:
    """The database at URL ``database``, which is reached with its first use.

    Raises:
        KitError: when the URL is wrong.
    """
    try:
        url = make_url(database)
        options = {} if url.get_backend_name() == "sqlite" else _POSTGRESQL
        engine = create_engine(
            url.set(password=password) if password else url,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_use_lifo=True,
            connect_args=options,
        )
    except (SQLAlchemyError, ImportError) as error:
        raise KitError(f"'{database}' is no usable database URL: postgresql+psycopg://… or sqlite:///…") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    else:
        event.listen(engine, "checkout", _refuse_closed)
    return Database(engine)


_EXPLANATIONS = (
    ("No space left|53100", "is full: make room on its disk; until then nothing is taken"),
    ("authentication failed", "does not accept the password of its role: deploy it with playbooks/site.yml"),
    ("does not support SSL", "does not offer TLS, which is demanded: set it up with playbooks/database.yml"),
    ("certificate verify failed", "shows a certificate that is not trusted: see role certificates"),
    ("does not match host name", "shows the certificate of another host: see role certificates"),
    ("session is read-only", "has no primary: promote the standby (docs/promote.md)"),
    (
        "permission denied|must be owner",
        "has no tables of this version, and the adapter's role may not make them: playbooks/site.yml does",
    ),
)


def explain(error: SQLAlchemyError) -> str:
    """What is the matter with the database and what to do, as the end of a sentence that begins with its name."""
    cause = getattr(error, "orig", None) or error
    told = " ".join(str(cause).split())
    text = f"{getattr(cause, 'sqlstate', None)} {told}"
    found = next((meaning for pattern, meaning in _EXPLANATIONS if re.search(pattern, text)), None)
    return f"{found} ({told[:300]})" if found else f"does not do what it should: {told[:300]}"


class _BinaryCursor(psycopg.Cursor[Any]):
    """Has payloads come as they are, and not in hexadecimal of twice their size."""

    def __init__(self, connection: psycopg.Connection[Any], **options: Any) -> None:
        super().__init__(connection, **options)
        self.format = psycopg.pq.Format.BINARY


# The end of the year 9999 in UTC, which a stranger may write, is no moment for Python in a zone east of it.
_POSTGRESQL = {"cursor_factory": _BinaryCursor, "options": "-c TimeZone=UTC"}


def _prepare(connection: Any, _record: Any) -> None:
    """Let readers and a writer of SQLite go side by side; what is committed is on the disk."""
    connection.isolation_level = None  # the driver begins nothing of its own
    for setting in ("journal_mode=wal", "synchronous=full", "busy_timeout=10000", "foreign_keys=on"):
        connection.execute(f"pragma {setting}")


def _begin(connection: Connection) -> None:
    """Take SQLite's lock at once: a transaction that reads first and writes then could not get it any more."""
    reads = connection.get_execution_options().get("changes_nothing", False)
    connection.exec_driver_sql("begin" if reads else "begin immediate")


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """Take another connection instead of one that the server has closed, as it does when it restarts.

    The server says nothing unasked but that, so there is no need to ask it anything.
    """
    unasked = select.poll()
    unasked.register(connection.fileno(), select.POLLIN)
    if unasked.poll(0):
        raise DisconnectionError("the database has closed the connection")


def _version(connection: Connection) -> str | None:
    """The version of the tables that are there, or None when there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("select version_num from alembic_version"))
    return found


def _try_writing(connection: Connection) -> None:
    """Raise SQLAlchemyError when a message of the usual size has no room; nothing of it stays."""
    connection.execute(CPA.insert(), {"id": "", "document": os.urandom(_TRIED_BYTES)})
    connection.rollback()


def _upgrade(connection: Connection) -> None:
    """Alembic takes a tenth of the memory and of the start, and is needed but once."""
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    configuration = Config()
    configuration.set_main_option("script_location", str(_MIGRATIONS))
    configuration.attributes["connection"] = connection
    try:
        command.upgrade(configuration, "head")
    except CommandError as error:
        raise KitError(
            f"database {_shown(connection.engine.url)} is not of version {VERSION} or an earlier one, as this adapter "
            "is: install the version that it was used with last"
        ) from error
    connection.commit()


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
    """Its name and hosts; nothing secret."""
    hosts = url.query.get("host", ())
    hosts = ",".join([hosts] if isinstance(hosts, str) else hosts) or url.host or ""
    return f"{url.database} {f'on {hosts}' if hosts else ''}".rstrip()
