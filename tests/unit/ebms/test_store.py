"""The store on both databases: who has a task, what is kept, and what is forgotten."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event, inspect, make_url
from sqlalchemy.exc import OperationalError

from aansluitkit.ebms import migrate
from aansluitkit.ebms.cpa import PartyId
from aansluitkit.ebms.database import _MIGRATIONS, explain
from aansluitkit.ebms.message import Header, request
from aansluitkit.ebms.messages import Direction, Filter, Messages, Outgoing, State, Task
from aansluitkit.ebms.mime import Payload
from aansluitkit.ebms.store import Store, open_store
from aansluitkit.ebms.tables import METADATA, VERSION
from aansluitkit.errors import KitError

A, B = PartyId("1", "urn:osb:oin"), PartyId("2", "urn:osb:oin")
LEASE = timedelta(minutes=1)


@pytest.fixture
def store(database: Callable[[], str]) -> Iterator[Store]:
    store = open_store(database(), None)
    yield store
    store.close()


def header(identity: str, **changes: object) -> Header:
    return replace(request(A, B, "cpa", "action", "test").header, message_id=identity, service="s", **changes)


def submit(store: Store, identity: str, deadline: datetime | None = None) -> None:
    task = Task(identity, "action", "https://x.test", "text/xml", b"body", business=True, deadline=deadline)
    assert store.messages.submit(Outgoing(header(identity), b"<e/>", task), [])


def accept(store: Store, identity: str) -> bool:
    return store.messages.accept(header(identity), b"<e/>", [Payload("c@x", "text/plain", b"p", "n")], None)


def test_each_task_is_claimed_once(store: Store) -> None:
    ids = {f"m-{number}" for number in range(60)}
    for identity in ids:
        submit(store, identity)

    def work(node: str) -> list[str]:
        claims = iter(lambda: store.messages.claim(node, 7, LEASE), [])
        return [task.message_id for task in itertools.chain.from_iterable(claims)]

    with ThreadPoolExecutor(4) as pool:
        claimed = list(itertools.chain.from_iterable(pool.map(work, ["a", "b", "c", "d"])))
    assert sorted(claimed) == sorted(ids)


def test_end_of_time_stops_nobody(store: Store) -> None:
    """A stranger's Timestamp that has no later moment; the database's own time zone lies east of UTC."""
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert store.messages.accept(header("last", timestamp=last, time_to_live=last), b"<e/>", [], None)
    assert accept(store, "next")
    assert [handed.message.message_id for handed in store.messages.claim_received("a", 9, LEASE)] == ["last", "next"]
    kept = store.messages.received("last")
    assert kept
    assert kept.timestamp == last


def test_small_tasks_alone_are_claimed_when_asked_for(store: Store) -> None:
    submit(store, "m")
    [task] = store.messages.claim("a", 5, LEASE)
    store.messages.give_back("a", [(task, datetime.now(UTC))])
    assert store.messages.claim("a", 5, LEASE, largest=len(task.body) - 1) == []
    assert len(store.messages.claim("a", 5, LEASE, largest=len(task.body))) == 1


def test_dead_nodes_work_is_taken_over(store: Store) -> None:
    submit(store, "m")
    [first] = store.messages.claim("dead", 5, timedelta(0))  # its lease runs out at once
    [second] = store.messages.claim("alive", 5, LEASE)
    assert (first.attempts, second.attempts) == (1, 2)
    now = datetime.now(UTC)
    store.messages.give_back("dead", [(first, None), (first, now)])  # it was not dead after all
    assert store.messages.claim("third", 5, LEASE) == []
    store.messages.give_back("alive", [(second, now)])
    assert [task.attempts for task in store.messages.claim("third", 5, LEASE)] == [3]


def test_what_a_wrong_clock_put_off_is_hastened(store: Store) -> None:
    for identity in ("m", "n"):
        submit(store, identity)
    tasks = {task.message_id: task for task in store.messages.claim("ahead", 5, LEASE)}
    now, interval = datetime.now(UTC), tasks["m"].interval
    waits = {"m": now + interval + timedelta(hours=1), "n": now + interval + LEASE}
    store.messages.give_back("ahead", [(tasks[identity], until) for identity, until in waits.items()])
    assert store.messages.hasten(2 * LEASE) == 1
    assert [task.message_id for task in store.messages.claim("right", 5, LEASE)] == ["m"]
    assert store.messages.hasten(2 * LEASE) == 0


def test_node_that_starts_again_takes_up_its_own_work(store: Store) -> None:
    for identity in ("m", "n"):
        submit(store, identity)
    assert len(store.messages.claim("a", 1, LEASE)) == 1
    assert len(store.messages.claim("b", 1, LEASE)) == 1
    assert store.messages.release("a") == 1
    assert [task.attempts for task in store.messages.claim("a", 5, LEASE)] == [2]


def test_postponed_task_waits(store: Store) -> None:
    submit(store, "m")
    [task] = store.messages.claim("a", 1, LEASE)
    store.messages.give_back("a", [(task, datetime.now(UTC) + LEASE)])
    assert store.messages.claim("a", 1, LEASE) == []
    assert store.messages.queue().length == 1
    assert store.messages.release("a") == 0


@pytest.mark.parametrize("end", [State.DELIVERED, State.DELIVERY_FAILED, State.EXPIRED])
def test_message_ends_once(store: Store, end: State) -> None:
    submit(store, "m")
    with ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(lambda _: store.messages.settle("m", end, "why"), range(8)))
    assert sorted(ended) == [False] * 7 + [True]
    assert not store.messages.settle("m", State.DELIVERED)
    assert len(store.messages.events(Filter(), [], 0)) == 1
    kept = store.messages.sent("m")
    assert kept
    assert (kept.status, kept.problem) == (end, "why")
    assert store.messages.queue().length == 0
    assert store.messages.claim("a", 5, LEASE) == []


def test_message_is_taken_once(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda _: accept(store, "m"), range(8))) == [False] * 7 + [True]
    assert store.messages.unprocessed(Filter(), 0) == ["m"]
    assert store.messages.events(Filter(), [], 0) == [("m", "RECEIVED")]


def test_events_come_in_their_order(store: Store) -> None:
    for identity in ("a", "b", "c"):
        submit(store, identity)
    for identity in ("c", "a", "b"):
        store.messages.settle(identity, State.DELIVERED)
    accept(store, "d")
    assert [identity for identity, _ in store.messages.events(Filter(), [], 0)] == ["c", "a", "b", "d"]
    assert [identity for identity, _ in store.messages.events(Filter(), ["DELIVERED"], 2)] == ["c", "a"]
    store.messages.process_events("a")
    assert [identity for identity, _ in store.messages.events(Filter(message_id="a"), [], 0)] == []


def test_only_what_has_ended_is_forgotten(store: Store) -> None:
    for identity in ("waiting", "ended"):
        submit(store, identity)
    for identity in ("unprocessed", "processed"):
        accept(store, identity)
    living = header("living", time_to_live=datetime.now(UTC) + timedelta(hours=1))
    store.messages.accept(living, b"", [], None)
    store.messages.settle("ended", State.DELIVERED)
    store.messages.process("processed")
    store.messages.process("living")
    assert store.messages.forget(datetime.now(UTC) - timedelta(days=1), 100) == 0
    assert store.messages.forget(datetime.now(UTC) + timedelta(seconds=1), 100) == 2
    assert store.messages.sent("waiting")
    assert store.messages.sent("ended") is None
    assert store.messages.received("processed") is None
    assert store.messages.received("living")
    assert store.messages.unprocessed(Filter(), 0) == ["unprocessed"]
    assert store.messages.events(Filter(message_id="ended"), [], 0) == []


def test_figures(store: Store) -> None:
    assert store.messages.queue().oldest_seconds == 0
    for identity in ("a", "b"):
        submit(store, identity)
    accept(store, "c")
    assert store.messages.states() == {"CREATED": 2, "RECEIVED": 1}
    assert store.messages.queue().length == 2


def test_migrations_make_the_tables_that_are_declared(database: Callable[[], str]) -> None:
    url = database()
    open_store(url, None).close()
    found = inspect(create_engine(url))
    for table in METADATA.sorted_tables:
        assert {column["name"] for column in found.get_columns(table.name)} == {each.name for each in table.columns}
        nullable = {column["name"] for column in found.get_columns(table.name) if column["nullable"]}
        assert nullable == {each.name for each in table.columns if each.nullable}
        assert {index["name"] for index in found.get_indexes(table.name)} == {each.name for each in table.indexes}


def test_unknown_database_is_refused() -> None:
    for url in ("nonsense", "oracle://x/y"):
        with pytest.raises(KitError, match="no usable database URL"):
            open_store(url, None)


def everything(messages: Messages) -> None:
    """Whatever an adapter asks of its messages, but for the figures that count them all."""
    header_, task = header("new"), Task("new", "action", "https://x.test", "text/xml", b"", business=True)
    messages.submit(Outgoing(header_, b"", task), [])
    messages.accept(header_, b"", [Payload("c@x", "text/plain", b"p")], None)
    messages.repeat(task)
    messages.record(Direction.RECEIVED, header("signal"), b"")
    claimed = messages.claim("node", 10, LEASE)
    messages.give_back("node", [(each, None if each.message_id == "new" else datetime.now(UTC)) for each in claimed])
    messages.release("node")
    messages.settle("new", State.DELIVERED)
    messages.queue()
    messages.received("new")
    messages.sent_envelope("new")
    messages.reply_to("new")
    messages.our_reply_to("new", ["Acknowledgment"])
    messages.payloads(Direction.RECEIVED, "new")
    messages.unprocessed(Filter(), 10)
    messages.pending(Filter(), 10)
    for handed in messages.claim_received("node", 10, LEASE):
        messages.postpone("node", handed, datetime.now(UTC))
    messages.release_received("node")
    messages.process("new", with_event=True)
    messages.events(Filter(), ["DELIVERED"], 10)
    messages.process_events("new")
    messages.forget(datetime.now(UTC) - timedelta(days=7), 10)


def test_no_statement_looks_at_what_is_over(store: Store) -> None:
    """With many messages that are over, the plan of each statement finds its rows by an index."""
    asked: list[tuple[str, Any]] = []
    engine = store._database._engine

    def listen(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", listen)
    everything(store.messages)
    event.remove(engine, "before_cursor_execute", listen)
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("set enable_seqscan = off")
        for statement, parameters in asked:
            if statement.startswith("INSERT") or ("FROM delivery" in statement and "count" in statement):
                continue
            for plan in plans(connection, statement, parameters):
                assert "Seq Scan" not in plan, (statement, plan)
                assert not (plan.startswith("SCAN") and "INDEX" not in plan), (statement, plan)
                assert "TEMP B-TREE" not in plan, (statement, plan)


def plans(connection: Connection, statement: str, parameters: Any) -> list[str]:
    """The lines of its plan on the tables of messages."""
    explain = "explain" if connection.dialect.name == "postgresql" else "explain query plan"
    rows = connection.exec_driver_sql(f"{explain} {statement}", parameters)
    return [row[-1] for row in rows if any(table in row[-1] for table in ("message", "payload", "event", "delivery"))]


def test_answer_lasts_as_long_as_its_message_can_be_repeated(store: Store) -> None:
    """Longer than all else is kept, when its TimeToLive is that long."""
    lasting = header("lasting", time_to_live=datetime.now(UTC) + timedelta(days=30))
    answer = Outgoing(header("answer", ref_to_message_id="lasting"), b"<ack/>")
    store.messages.accept(lasting, b"<e/>", [], answer)
    store.messages.process("lasting")
    assert store.messages.forget(datetime.now(UTC) + timedelta(days=8), 100) == 0
    assert store.messages.our_reply_to("lasting", ["action"]) == ("answer", "action", b"<ack/>")


def test_old_messages_are_forgotten_in_batches(store: Store) -> None:
    for number in range(5):
        store.messages.record(Direction.RECEIVED, header(f"m-{number}"), b"<e/>")
    later = datetime.now(UTC) + timedelta(seconds=1)
    assert [store.messages.forget(later, 2) for _ in range(4)] == [2, 2, 1, 0]


def test_node_that_starts_again_posts_its_own(store: Store) -> None:
    for identity in ("m", "n"):
        accept(store, identity)
    assert len(store.messages.claim_received("a", 1, LEASE)) == 1
    assert len(store.messages.claim_received("b", 1, LEASE)) == 1
    assert store.messages.release_received("a") == 1
    assert [each.attempts for each in store.messages.claim_received("a", 5, LEASE)] == [2]


def test_connection_that_the_server_closed_is_replaced(store: Store) -> None:
    """As it does when it restarts; nobody sees an error of it."""
    if store._database._engine.dialect.name == "sqlite":
        return
    submit(store, "m")
    others = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = "
    with create_engine(store._database._engine.url).begin() as connection:
        connection.exec_driver_sql(f"{others} current_database()")
    time.sleep(0.2)  # until the word of it is here
    assert store.messages.sent("m")
    submit(store, "n")


def test_tables_of_a_newer_version_are_refused(database: Callable[[], str]) -> None:
    url = database()
    open_store(url, None).close()
    with create_engine(url).begin() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    with pytest.raises(KitError, match="install the version"):
        open_store(url, None)


def test_role_without_rights_is_told_who_makes_tables(database: Callable[[], str]) -> None:
    url = make_url(database())
    if url.get_backend_name() == "sqlite":
        return
    with create_engine(url).begin() as connection:
        connection.exec_driver_sql(f"create role adapter_{url.database} login")
    with pytest.raises(KitError, match=r"the adapter's role may not make them: playbooks/site.yml does") as told:
        open_store(url.set(username=f"adapter_{url.database}").render_as_string(), None)
    assert str(told.value).startswith(f"database {url.database} on {url.query['host']} has no tables of this version")


def test_migration_is_told(database: Callable[[], str], capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.argv", ["migrate", database()])
    for said in (f"migrated to version {VERSION}", f"is of version {VERSION}"):
        migrate.main()
        assert capsys.readouterr().out.strip() == said


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ('connection failed: FATAL:  password authentication failed for user "x"', "does not accept the password"),
        ("connection failed: server does not support SSL, but SSL was required", "does not offer TLS"),
        ("connection failed: SSL error: certificate verify failed", "certificate that is not trusted"),
        ('server certificate for "a" does not match host name "b"', "certificate of another host"),
        ("connection failed: session is read-only", "has no primary: promote the standby"),
        ('could not extend file "base/1/2": No space left on device', "is full: make room"),
        ("something else", "does not do what it should: something else"),
    ],
)
def test_what_is_the_matter_is_said(cause: str, words: str) -> None:
    assert words in explain(OperationalError(None, None, psycopg.OperationalError(cause)))


def test_version_is_that_of_the_newest_migration() -> None:
    configuration = Config()
    configuration.set_main_option("script_location", str(_MIGRATIONS))
    assert ScriptDirectory.from_config(configuration).get_current_head() == VERSION
