"""The store on both databases: who has a task, what is kept, and what is forgotten."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, inspect

from aansluitkit.ebms.cpa import PartyId
from aansluitkit.ebms.message import Header, request
from aansluitkit.ebms.messages import Filter, Outgoing, State, Task
from aansluitkit.ebms.mime import Payload
from aansluitkit.ebms.store import Store, open_store
from aansluitkit.ebms.tables import METADATA
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


def test_queues_are_indexed(store: Store) -> None:
    """With many messages that are over, what is to be done is found without looking at them."""
    plans = {
        "message": "select message_id from message where status = 'RECEIVED' order by at limit 10",
        "event": "select message_id from event where processed = false order by number limit 10",
        "delivery": "select message_id from delivery where next_at <= '2030-01-01' order by next_at limit 10",
    }
    for table, query in plans.items():
        with store._database._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("set enable_seqscan = off")
                plan = connection.exec_driver_sql(f"explain {query}")
            else:
                plan = connection.exec_driver_sql(f"explain query plan {query}")
            told = " ".join(str(row) for row in plan).lower()
        assert "index" in told, (table, told)
        assert "temp b-tree" not in told, (table, told)
