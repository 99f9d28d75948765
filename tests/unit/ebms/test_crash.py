"""Two nodes that are killed at any instant while messages flow: none lost, none doubled.

The nodes are processes of their own, ended by SIGKILL at random moments and started again. What the sender's
application was told is kept must be at the receiver's application, once, and be reported delivered, once.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import socket
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ebms_adapter_client import EbmsAdapterClient, EbmsAdapterClientConfig
from ebms_adapter_client.exceptions import EbmsConnectionError, EbmsServerError
from ebms_adapter_client.models import DataSource, MessageRequest, MessageRequestProperties, URLMapping

from aansluitkit.connection import Connection
from aansluitkit.connection.model import Profile, Retries
from aansluitkit.ebms.store import open_store

from .conftest import LOOPBACK, PASSWORD, cpa_of, settings
from .test_messages import CHANNELS, until
from .test_store import accept
from .test_webhook import Application, all_taken, application  # noqa: F401 - the last is a fixture

# The environment makes a long run: KILLS=2000 pytest tests/unit/ebms/test_crash.py
KILLS = int(os.environ.get("KILLS", "8"))
POSTING_KILLS = max(3, KILLS // 4)
SEED = int(os.environ.get("SEED", "20261124"))
RETRIES = Retries(count=100, interval=timedelta(seconds=6), persist_duration=timedelta(minutes=30))
UNDER_WAY = 30  # messages: a machine that has more to do than it can must not have them expire
# All names are on loopback, as in the other tests; then the adapter as it is.
RUN = f"""
import os, socket, sys
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, *a, **o: real("{LOOPBACK}" if str(host).endswith(".test") else host, *a, **o)
log = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.dup2(log, 1), os.dup2(log, 2)
sys.argv = ["adapter", "--settings", SETTINGS]
from aansluitkit.ebms.__main__ import main
sys.exit(main())
"""
# A process that has read the program forks the nodes: most of a start would be that.
NODES = multiprocessing.get_context("forkserver")
NODES.set_forkserver_preload(["aansluitkit.ebms.__main__", "pytest", "psycopg", "sqlite3"])


@dataclass
class Process:
    """A node that can be killed."""

    file: Path
    rest: int
    health: int
    running: BaseProcess | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.file.with_suffix(".log")

    def start(self) -> None:
        given = {"LOG": str(self.log), "SETTINGS": str(self.file)}
        self.running = NODES.Process(target=exec, args=(RUN, given))
        self.running.start()

    def kill(self) -> None:
        assert self.running
        self.running.kill()
        self.running.join()

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.health}/health/live", timeout=5):
                return True
        except OSError:
            return False

    @property
    def client(self) -> EbmsAdapterClient:
        config = EbmsAdapterClientConfig(
            base_url=f"https://{LOOPBACK}:{self.rest}", username="ebms", password=PASSWORD, verify_ssl=False
        )
        return EbmsAdapterClient(config)


def free_port() -> int:
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        port: int = found.getsockname()[1]
        return port


@dataclass
class Side:
    """A party: its nodes on one database."""

    nodes: list[Process]
    endpoint: str
    addresses: list[str]


def side(folder: Path, pki: Path, party: str, database: str, who: Any, nodes: int) -> Side:
    made, addresses = [], []
    for number in range(nodes):
        host = "mijnoverheid" if party == "party-partner" else f"adapter-{number + 1}"
        given = settings(folder, pki, party, host, database).model_dump(mode="json")
        given["node"] = f"{party}-{number}"
        for listener in ("ebms", "rest", "health"):
            given[listener]["port"] = free_port()
        file = folder / f"{party}-{number}.yml"
        file.write_text(yaml.safe_dump(given))
        made.append(Process(file, given["rest"]["port"], given["health"]["port"]))
        addresses.append(f"https://{who.host_name}:{given['ebms']['port']}{who.path}")
    return Side(made, who.endpoint, addresses)


@pytest.fixture
def sides(
    database: Callable[[], str], connection: Connection, pki_g4: Path, tmp_path: Path
) -> Iterator[tuple[Side, Side]]:
    one_database = database()
    # SQLite is for one node.
    number = 1 if one_database.startswith("sqlite") else 2
    ours = side(tmp_path, pki_g4, "party-organisation", one_database, connection, number)
    partner = side(tmp_path, pki_g4, "party-partner", database(), connection.partner, 1)
    nodes = [*ours.nodes, *partner.nodes]
    for node in nodes:
        node.start()
    try:
        yield ours, partner
    finally:
        for node in nodes:
            node.kill()


def again(call: Callable[[], Any]) -> Any:
    """Ask until there is an answer: the node may be down."""

    def attempt() -> Any:
        try:
            return [call()]
        except EbmsConnectionError:
            return None

    return until(attempt, "answer")[0]


def submit(node: Process, request: MessageRequest) -> None:
    """Hand a message over; one that is taken already was kept before the node died."""
    try:
        again(lambda: node.client.send_message(request))
    except EbmsServerError as error:
        if "is taken" not in str(error):
            raise


def agree(ours: Side, partner: Side, connection: Connection) -> None:
    for each, other in ((ours, partner), (partner, ours)):
        client = each.nodes[0].client
        again(partial(client.create_url_mapping, URLMapping(source=other.endpoint, destination=other.addresses[-1])))
        for channel in CHANNELS:
            document = cpa_of(
                connection, channel, sync_reply=channel == "sync", retries=RETRIES, profile=Profile.RELIABLE_SIGNED
            )
            again(partial(client.insert_cpa, document, overwrite=True))


def test_killed_node_posts_every_message_to_the_application(
    database: Callable[[], str],
    application: Application,  # noqa: F811 - the fixture
    pki_g4: Path,
    tmp_path: Path,
) -> None:
    """By webhook: at least once; again only what was being posted when the node was killed."""
    url = database()
    given = settings(tmp_path, pki_g4, "party-partner", "mijnoverheid", url, webhook={"url": application.url})
    values = given.model_dump(mode="json")
    values["health"]["port"] = free_port()
    file = tmp_path / "node.yml"
    file.write_text(yaml.safe_dump(values))
    node, store, chance = Process(file, 0, values["health"]["port"]), open_store(url, None), random.Random(SEED)  # noqa: S311
    ids: list[str] = []
    node.start()
    try:
        for kill in range(POSTING_KILLS):
            for number in range(40):
                ids.append(f"m-{kill}-{number}")
                accept(store, ids[-1])
            posted = len(application.got)
            until(lambda posted=posted: len(application.got) > posted, "a post")
            time.sleep(chance.uniform(0, 0.1))
            node.kill()
            node.start()
        until(lambda: all_taken(store), f"taking (seed {SEED})")
    finally:
        node.kill()
        store.close()
    counts = Counter(application.keys)
    assert set(counts) == set(ids), f"seed {SEED}"
    assert counts.total() - len(ids) <= POSTING_KILLS * given.delivery.parallel, f"seed {SEED}"
    bodies = {(headers["Idempotency-Key"], body) for headers, body in application.got}
    assert len(bodies) == len(ids), "a repetition differs from the first"


def strike(nodes: list[Process], chance: random.Random) -> int:
    """Kill some, have them start again, and tell how many that were."""
    struck = chance.sample(nodes, chance.randint(1, len(nodes)))
    if chance.random() < 0.8:  # else they may be killed while they start
        for node in struck:
            until(node.is_ready, "start")
    time.sleep(chance.uniform(0, 0.5))
    for node in struck:
        node.kill()
    for node in struck:
        node.start()
    return len(struck)


def test_killed_nodes_lose_nothing_and_double_nothing(sides: tuple[Side, Side], connection: Connection) -> None:
    ours, partner = sides
    agree(ours, partner, connection)
    chance = random.Random(SEED)  # noqa: S311 - chance, no secret
    over = threading.Event()
    given: list[str] = []
    taken: Counter[str] = Counter()
    domain, service = "adapter-1.test", connection.cpa.services[0]

    def send(channel: str) -> None:
        for number in itertools.count():
            while len(given) - len(taken) > UNDER_WAY and not over.is_set():
                time.sleep(0.05)
            if over.is_set():
                return
            identity = f"{channel}-{number}"
            properties = MessageRequestProperties(
                cpa_id=channel,
                from_party_id=f"urn:osb:oin:{connection.organisation.oin}",
                from_role="SR",
                service=f"{service.type}:{service.name}",
                action="zaakbericht",
                message_id=identity,
            )
            node = ours.nodes[0]
            submit(node, MessageRequest(properties, [DataSource("text/plain", identity.encode(), "n")]))
            given.append(f"{identity}@{domain}")

    def take() -> None:
        """An application that notes a message only when it is sure that the adapter knows it has it."""
        client = partner.nodes[0].client
        for identity in again(client.list_unprocessed_message_ids):
            message = again(lambda identity=identity: client.get_message(identity))
            assert message.data_sources[0].content.decode() + f"@{domain}" == identity
            again(lambda identity=identity: client.process_message(identity))
            taken[identity] += 1

    def receive() -> None:
        while not over.is_set():
            take()
            time.sleep(0.05)

    nodes = [*ours.nodes, *partner.nodes]
    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(send, channel) for channel in CHANNELS] + [pool.submit(receive)]
        try:
            kills = 0
            while kills < KILLS:
                kills += strike(nodes, chance)
        finally:
            over.set()
        for each in working:
            each.result()

    print(f"{kills} kills while {len(given)} messages were sent")
    assert given, "the nodes were never up long enough"
    client = ours.nodes[0].client
    until(lambda: take() or len(taken) >= len(given), f"arrival of all {len(given)} (seed {SEED})")
    assert Counter(given) == taken, f"seed {SEED}"
    until(lambda: len(again(client.list_unprocessed_message_events)) >= len(given), "report of all")
    told = Counter((event.message_id, event.type.value) for event in again(client.list_unprocessed_message_events))
    assert told == Counter((identity, "DELIVERED") for identity in given), f"seed {SEED}"
    events = again(partner.nodes[0].client.list_unprocessed_message_events)
    assert Counter(event.message_id for event in events) == Counter(given), f"seed {SEED}"
