"""Reliable messaging under any order of losses, repetitions, crashes and passing time.

Two parties as a server puts them together, each with a database; the wire between them and the clock are the test's.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from aansluitkit.connection import Connection
from aansluitkit.connection.model import Retries
from aansluitkit.ebms.client import Client, Reply, StatusError
from aansluitkit.ebms.cpa import Cpa, read_cpa
from aansluitkit.ebms.delivery import LEASE, Delivery
from aansluitkit.ebms.encryption import load_key
from aansluitkit.ebms.errors import HopError
from aansluitkit.ebms.handler import Handler, Identity, Rules
from aansluitkit.ebms.message import SOAP_ACTION, read_envelope
from aansluitkit.ebms.messages import EVENTS, Direction, Filter, State
from aansluitkit.ebms.mime import Limits, Payload, unpack
from aansluitkit.ebms.replies import Replies
from aansluitkit.ebms.security import Keys, Security
from aansluitkit.ebms.sending import Sending, Wish
from aansluitkit.ebms.signature import Signer
from aansluitkit.ebms.store import Store, open_store
from aansluitkit.ebms.tables import DELIVERY
from aansluitkit.lab.pki import ENDPOINT, PARTNER

from .conftest import cpa_of

RETRIES = Retries(count=10, interval=timedelta(seconds=60), persist_duration=timedelta(hours=1))
LIFE = (RETRIES.count + 1) * RETRIES.interval
DRAINED = LEASE + 4 * RETRIES.interval  # a lease of a dead node, then exchanges without losses
PARALLEL = 16
MODULES = ("delivery", "handler", "message", "messages", "sending")  # that look at the clock
ALL = Filter()


class Clock(datetime):
    """Stands still, but for what the test adds."""

    moment = datetime(2000, 1, 1, tzinfo=UTC)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cast("Self", cls.moment)


class Fate(StrEnum):
    """What becomes of a request."""

    ARRIVES = "arrives"
    TWICE = "twice"
    LOST = "lost"
    UNREADY = "unready"  # the receiver fails before it commits
    UNANSWERED = "unanswered"  # or after it


@dataclass(frozen=True, eq=False)
class Exchange:
    """A request under way; nobody waits for the answer when ``answer`` is cancelled."""

    order: tuple[str, str]  # threads put requests on the wire in any order
    content_type: str
    body: bytes
    answer: asyncio.Future[Reply]


class Wire:
    """What a node's worker has instead of a client."""

    def __init__(self) -> None:
        self.under_way: list[Exchange] = []

    @property
    def awaited(self) -> int:
        return sum(not exchange.answer.done() for exchange in self.under_way)

    async def post(self, endpoint: str, body: bytes, content_type: str, *, repeatable: bool) -> Reply:
        header = read_envelope(*unpack(content_type, body)).header
        order = (header.ref_to_message_id or header.message_id, header.action)
        exchange = Exchange(order, content_type, body, asyncio.get_running_loop().create_future())
        self.under_way.append(exchange)
        return await exchange.answer


@dataclass
class Node:
    party: Party
    name: str

    def __post_init__(self) -> None:
        self.wire = Wire()
        client = cast("Client", self.wire)
        self.delivery = Delivery(self.party.store, client, self.party.replies, self.name, PARALLEL)

    async def work(self) -> None:
        """One round of the worker."""
        await self.delivery._give_back(Clock.now(UTC))
        await self.delivery._claim()
        await self.settle()

    async def settle(self) -> None:
        """Let the worker go on until all it does is wait for answers."""
        await asyncio.sleep(0)
        while len(self.delivery._running) > self.wire.awaited:
            await asyncio.sleep(0.0005)

    async def die(self) -> None:
        for running in self.delivery._running:
            running.cancel()
        await asyncio.sleep(0)
        assert self.wire.awaited == 0


class Party:
    """An adapter as ``Server`` puts it together, without its listeners."""

    def __init__(self, name: str, database: Path, security: Security, partners_certificate: bytes) -> None:
        self.store: Store = open_store(f"sqlite:///{database}", None)
        self.replies = Replies(self.store, security)
        rules = Rules(f"{name}.test", Identity.OIN, Limits())
        self.handler = Handler(self.store, security, self.replies, rules)
        self.sending = Sending(self.store, security, rules.domain)
        self.partners_certificate = partners_certificate

    def take(self, exchange: Exchange) -> Reply:
        """Take a request, and answer as over HTTP."""
        headers = {"Content-Type": exchange.content_type, "SOAPAction": SOAP_ACTION}
        response = self.handler.handle(headers, exchange.body, self.partners_certificate)
        assert response.status in (200, 204), response.body
        return Reply(response.headers.get("Content-Type", ""), response.body)


def events(party: Party) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for identity, kind in party.store.messages.events(ALL, (), 0):
        found.setdefault(identity, []).append(kind)
    return found


class Messaging(RuleBasedStateMachine):
    """A sends to B. Of each its keys, and the certificate of the other; ``databases`` has a database to begin with."""

    parties: dict[str, tuple[Security, bytes]]
    databases: Path
    cpas: dict[str, Cpa]

    def __init__(self) -> None:
        super().__init__()
        Clock.moment = datetime.now(UTC).replace(microsecond=0)
        self.folder = Path(tempfile.mkdtemp(dir=self.databases))
        self.runner = asyncio.Runner()
        self.numbers = itertools.count(1)
        self.sent: dict[str, list[bytes]] = {}
        self.deadlines: dict[str, datetime] = {}
        self.ended: dict[str, State] = {}
        self.taken: Counter[str] = Counter()

    @initialize()
    def begin(self) -> None:
        self.a, self.b = (
            Party(name, Path(shutil.copy(self.databases / "empty.db", self.folder / f"{name}.db")), *given)
            for name, given in self.parties.items()
        )
        self.nodes = [Node(self.a, "a1"), Node(self.a, "a2"), Node(self.b, "b1")]

    @rule(cpa=st.sampled_from(["sync", "async"]), contents=st.lists(st.binary(max_size=20), max_size=2))
    def submit(self, cpa: str, contents: list[bytes]) -> None:
        terms = self.cpas[cpa].terms[0]
        payloads = [Payload(f"{i}@a.test", "application/octet-stream", content) for i, content in enumerate(contents)]
        number = f"{next(self.numbers):03}"
        wish = Wish(cpa, str(terms.sender.ids[0]), str(terms.service), terms.action, message_id=number)
        identity = self.a.sending.send(wish, payloads)
        self.sent[identity] = contents
        self.deadlines[identity] = Clock.moment + LIFE

    @rule(number=st.integers(0, 2))
    def work(self, number: int) -> None:
        self.runner.run(self.nodes[number].work())

    @precondition(lambda self: self.under_way())
    @rule(number=st.integers(0, 99), fate=st.sampled_from(Fate))
    def exchange(self, number: int, fate: Fate) -> None:
        found = self.under_way()
        self.runner.run(self.carry_out(*found[number % len(found)], fate))

    @rule(number=st.integers(0, 2), returns=st.booleans())
    def crash(self, number: int, returns: bool) -> None:
        """What a node posted may still arrive; what it held it takes up again, or the leases run out."""
        dead = self.nodes[number]
        self.runner.run(dead.die())
        name = dead.name if returns else f"{dead.name}+"
        self.nodes[number] = Node(dead.party, name)
        self.nodes[number].wire.under_way = dead.wire.under_way
        dead.party.store.messages.release(name)

    @rule(seconds=st.sampled_from([1, 60, 60, 100, 100, 600]))
    def wait(self, seconds: int) -> None:
        Clock.moment += timedelta(seconds=seconds)

    @rule()
    def process(self) -> None:
        for identity in self.b.store.messages.unprocessed(ALL, 0):
            self.taken[identity] += 1
            self.b.store.messages.process(identity)

    def under_way(self) -> list[tuple[Node, Exchange]]:
        found = [(node, exchange) for node in self.nodes for exchange in node.wire.under_way]
        return sorted(found, key=lambda each: (self.nodes.index(each[0]), each[1].order))

    async def carry_out(self, node: Node, exchange: Exchange, fate: Fate) -> None:
        node.wire.under_way.remove(exchange)
        receiver = self.b if node.party is self.a else self.a
        reply = None
        for _ in range({Fate.ARRIVES: 1, Fate.UNANSWERED: 1, Fate.TWICE: 2}.get(fate, 0)):
            reply = receiver.take(exchange)
        if exchange.answer.done():
            return
        if fate is Fate.UNREADY:
            exchange.answer.set_exception(StatusError("http", "not now", 503))
        elif reply is None or fate is Fate.UNANSWERED:
            exchange.answer.set_exception(HopError("http", "no answer"))
        else:
            exchange.answer.set_result(reply)
        await node.settle()

    @invariant()
    def application_has_each_once(self) -> None:
        waiting = Counter(self.b.store.messages.unprocessed(ALL, 0))
        assert max((waiting + self.taken).values(), default=1) == 1
        for identity in waiting:
            found = self.b.store.messages.payloads(Direction.RECEIVED, identity)
            assert [payload.content for payload in found] == self.sent[identity]

    @invariant()
    def states_hold(self) -> None:
        heard, tasks = events(self.a), self.tasks()
        for identity in self.sent:
            kept = self.a.store.messages.sent(identity)
            assert kept
            assert kept.status
            assert self.ended.get(identity, kept.status) == kept.status, "an end was left"
            assert (identity in tasks) == (kept.status == State.CREATED)
            if kept.status == State.CREATED:
                assert identity not in heard
                continue
            self.ended[identity] = kept.status
            assert heard[identity] == [EVENTS[kept.status]]
            assert kept.status == State.DELIVERED or Clock.moment >= self.deadlines[identity]

    @invariant()
    def reports_are_true(self) -> None:
        received = events(self.b)
        for identity in self.sent:
            known = self.b.store.messages.received(identity) is not None
            assert received.get(identity, []) == ["RECEIVED"] * known
            if self.ended.get(identity) == State.DELIVERED:
                assert known
            if self.ended.get(identity) == State.DELIVERY_FAILED:  # it came too late, and B said so
                assert not known

    def tasks(self) -> set[str]:
        with self.a.store._database.reading() as connection:
            return set(connection.scalars(select(DELIVERY.c.message_id)))

    def teardown(self) -> None:
        try:
            if hasattr(self, "nodes"):
                self.drain()
        finally:
            self.runner.close()
            for party in (getattr(self, name, None) for name in "ab"):
                if party:
                    party.store.close()
            shutil.rmtree(self.folder)

    def drain(self) -> None:
        """Nothing is lost any more."""
        safe = [identity for identity, deadline in self.deadlines.items() if Clock.moment + DRAINED < deadline]
        over = Clock.moment + LIFE + DRAINED
        while self.tasks() and Clock.moment < over:
            for number in range(len(self.nodes)):
                self.work(number)
            for found in self.under_way():
                self.runner.run(self.carry_out(*found, Fate.ARRIVES))
            Clock.moment += timedelta(seconds=30)
        self.application_has_each_once()
        self.process()
        self.states_hold()
        self.reports_are_true()
        self.application_has_each_once()
        assert set(self.ended) == set(self.sent)
        assert {self.ended[identity] for identity in safe} <= {State.DELIVERED}
        assert all(self.taken[identity] == 1 for identity, end in self.ended.items() if end == State.DELIVERED)


def party(own: Path, other: Path) -> tuple[Security, bytes]:
    certificate = x509.load_pem_x509_certificate((other / "certificate.pem").read_bytes())
    security = Security(Keys(Signer(own / "key.pem", own / "certificate.pem"), load_key(own / "key.pem")))
    return security, certificate.public_bytes(Encoding.DER)


@pytest.fixture
def machine(connection: Connection, pki_g4: Path, tmp_path: Path) -> Iterator[type[Messaging]]:
    documents = {
        name: cpa_of(connection, name, retries=RETRIES, sync_reply=sync)
        for name, sync in (("sync", True), ("async", False))
    }
    store = open_store(f"sqlite:///{tmp_path}/empty.db", None)
    for name, document in documents.items():
        store.put_cpa(name, document.encode())
    store.close()
    own, other = pki_g4 / ENDPOINT, pki_g4 / PARTNER
    values: dict[str, Any] = {
        "parties": {"a": party(own, other), "b": party(other, own)},
        "databases": tmp_path,
        "cpas": {name: read_cpa(document.encode()) for name, document in documents.items()},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in MODULES:
            patch.setattr(f"aansluitkit.ebms.{name}.datetime", Clock)
        yield type("Messaging", (Messaging,), values)


def test_any_order_of_events(machine: type[Messaging]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
