"""Pings and reliable messages per second between two nodes of ours on this machine, over two-way TLS.

``python tests/bench/messages.py [SECONDS]`` (per figure): two processes with a database each (a PostgreSQL of this
run's own where it is installed, else SQLite), a client that hands over and takes as an application does. Load
generator, nodes and databases share the processors, so figures of different machines do not compare; the processor time
that a message costs both nodes is the one that other work on the machine disturbs least.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from rich.console import Console
from rich.table import Table
from sqlalchemy import String, cast, literal, select, true

from aansluitkit.certificates.pkioverheid import Generation
from aansluitkit.connection import Connection, Profile, load_connection
from aansluitkit.documents import render_cpa
from aansluitkit.ebms.store import open_store
from aansluitkit.ebms.tables import EVENT, MESSAGE
from aansluitkit.lab.pki import ENDPOINT, PARTNER, make_pki
from aansluitkit.project import ROOT

sys.path.insert(0, str(ROOT / "tests/unit"))
from ebms.postgres import installed, running

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0  # per figure
STORED = 100_000  # messages that are over, which must slow nothing down
SENDERS = 8
SIZES = {"1 kB": 1000, "1 MB": 1_000_000}
PASSWORD = "bench"  # noqa: S105
LOOPBACK = "127.0.0.1"
RUN = f"""
import socket, sys
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, *a, **o: real("{LOOPBACK}" if str(host).endswith(".test") else host, *a, **o)
from aansluitkit.ebms.__main__ import main
sys.exit(main())
"""


def _free_ports() -> tuple[int, int, int]:
    """For partners, for applications, for health."""
    with socket.socket() as ebms, socket.socket() as rest, socket.socket() as health:
        for found in (ebms, rest, health):
            found.bind((LOOPBACK, 0))
        return ebms.getsockname()[1], rest.getsockname()[1], health.getsockname()[1]


PORTS = {party: _free_ports() for party in (ENDPOINT, PARTNER)}


@dataclass
class Node:
    """One adapter."""

    process: subprocess.Popen[bytes]
    rest: str
    session: aiohttp.ClientSession

    async def call(self, method: str, path: str, **options: Any) -> bytes:
        """One REST call, whose answer must be good."""
        async with self.session.request(method, self.rest + path, **options) as answer:
            body = await answer.read()
            if answer.status >= 300:
                raise SystemExit(f"{path}: {answer.status} {body[:300]!r}")
            return body

    @property
    def resident(self) -> float:
        """MiB of memory in use."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    @property
    def busy(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def process(folder: Path, pki: Path, party: str, database: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node."""
    ebms, rest, health = PORTS[party]
    host = "mijnoverheid" if party == PARTNER else "adapter-1"
    password = folder / "password"
    password.write_text(PASSWORD)
    own = {f"{name}_file": str(pki / party / f"{name}.pem") for name in ("certificate", "key", "trust")}
    internal = {f"{name}_file": str(pki / host / f"internal-{name}.pem") for name in ("certificate", "key")}
    given = {
        "node": party,
        "domain": f"{host}.test",
        "database": database,
        "ebms": {"address": LOOPBACK, "port": ebms, "path": "/ebms", **own},
        "rest": {"address": LOOPBACK, "port": rest, "user": "ebms", "password_file": str(password), **internal},
        "health": {"address": LOOPBACK, "port": health},
    }
    file = folder / f"{party}.yml"
    file.write_text(yaml.safe_dump(given))
    with (folder / f"{party}.log").open("wb") as log:
        command = [sys.executable, "-c", RUN, "--settings", str(file)]
        environment = os.environ | {"MALLOC_ARENA_MAX": "1"}  # as the service has it
        node = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield node
    finally:
        node.terminate()
        node.wait()


async def ready(session: aiohttp.ClientSession, party: str) -> None:
    """Wait until the node is."""
    for _ in range(300):
        try:
            async with session.get(f"http://{LOOPBACK}:{PORTS[party][2]}/health/ready") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit(f"{party} does not become ready")


async def agree(connection: Connection, nodes: dict[str, Node]) -> None:
    """Both load the CPAs, and learn where the other one is."""
    for party, other, who in (
        (ENDPOINT, PARTNER, connection.partner),
        (PARTNER, ENDPOINT, connection),
    ):
        place = f"https://{who.host_name}:{PORTS[other][0]}/ebms"
        await nodes[party].call("POST", "/urlMappings", json={"source": who.endpoint, "destination": place})
        for profile in (Profile.RELIABLE, Profile.RELIABLE_SIGNED):
            for sync in (True, False):
                identity = f"{profile.value}-{'sync' if sync else 'async'}"
                service = connection.cpa.services[0].model_copy(update={"profile": profile})
                changes = {"id": identity, "services": (service,), "sync_reply": sync}
                cpa = connection.cpa.model_copy(update=changes)
                document = render_cpa(connection.model_copy(update={"cpa": cpa}))
                await nodes[party].call("POST", "/cpas", data=document, headers={"Content-Type": "text/plain"})


@dataclass(frozen=True)
class Figures:
    """How many per second, what each costs both nodes together, and how long they take."""

    rate: float
    cost: float  # milliseconds of processor time
    median: float  # milliseconds
    ninety_ninth: float

    @classmethod
    def of(cls, took: list[float], seconds: float, busy: float) -> Figures:
        """Of what ``took`` so many seconds each, in so many seconds all together."""
        hundredths = statistics.quantiles(took, n=100)
        return cls(len(took) / seconds, busy / len(took) * 1000, hundredths[49] * 1000, hundredths[98] * 1000)


def busy(nodes: dict[str, Node]) -> float:
    """Seconds of processor time of all nodes so far."""
    return sum(node.busy for node in nodes.values())


async def measure(work: Callable[[], Awaitable[None]], workers: int, nodes: dict[str, Node]) -> Figures:
    """Do ``work`` again and again, ``workers`` at once."""
    took: list[float] = []
    began, before = time.monotonic(), busy(nodes)

    async def repeat() -> None:
        while time.monotonic() - began < SECONDS:
            start = time.monotonic()
            await work()
            took.append(time.monotonic() - start)

    await asyncio.gather(*(repeat() for _ in range(workers)))
    return Figures.of(took, time.monotonic() - began, busy(nodes) - before)


async def pings(connection: Connection, nodes: dict[str, Node], cpa: str, workers: int) -> Figures:
    """Pings, each with its checked Pong."""
    ours, theirs = connection.organisation.oin, connection.partner.oin
    path = f"/ebms/ping/{cpa}/from/urn:osb:oin:{ours}/to/urn:osb:oin:{theirs}"

    async def work() -> None:
        await nodes[ENDPOINT].call("POST", path)

    return await measure(work, workers, nodes)


async def messages(connection: Connection, nodes: dict[str, Node], cpa: str, size: int, senders: int) -> Figures:
    """Messages end to end: handed over here, unprocessed there; the latency is that of the way in between."""
    service = connection.cpa.services[0]
    given = {
        "cpaId": cpa,
        "fromPartyId": f"urn:osb:oin:{connection.organisation.oin}",
        "fromRole": "SR",
        "service": f"{service.type}:{service.name}",
        "action": "zaakbericht",
        "conversationId": str(uuid.uuid4()),
    }
    source = {"contentType": "application/octet-stream", "content": base64.b64encode(os.urandom(size)).decode()}
    request = {"properties": given, "dataSources": [source]}
    handed: dict[str, float] = {}
    took: list[float] = []
    began, before = time.monotonic(), busy(nodes)

    async def send() -> None:
        while time.monotonic() - began < SECONDS:
            start = time.monotonic()
            identity = await nodes[ENDPOINT].call("POST", "/ebms/messages", json=request)
            handed[identity.decode()] = start

    async def take(sending: asyncio.Task[None]) -> None:
        query = {"conversationId": given["conversationId"], "maxNr": "50"}
        while not sending.done() or len(took) < len(handed):
            found = await nodes[PARTNER].session.get(nodes[PARTNER].rest + "/ebms/messages/unprocessed", params=query)
            at = time.monotonic()
            for identity in await found.json():
                await nodes[PARTNER].call("PATCH", f"/ebms/messages/{identity}")
                if identity in handed:
                    took.append(at - handed[identity])
            await asyncio.sleep(0.02)

    async def all_senders() -> None:
        await asyncio.gather(*(send() for _ in range(senders)))

    await take(asyncio.create_task(all_senders()))
    return Figures.of(took, time.monotonic() - began, busy(nodes) - before)


def fill(database: str) -> None:
    """Store messages that are over in ``database``, half of them received and half sent."""
    store = open_store(database, None)
    numbers = select(literal(1).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < STORED // 2))
    identity = literal("stored-") + cast(numbers.c.n, String)
    at = datetime.now(UTC) - timedelta(days=1)
    with store._database.writing() as connection:
        for direction, status in (("received", "PROCESSED"), ("sent", "DELIVERED")):
            columns: dict[str, Any] = {
                "direction": direction,
                "cpa_id": "osb-rm-async",
                "action": "zaakbericht",
                "status": status,
            }
            columns |= {"at": at, "envelope": b"<e/>" * 500, "service": "s", "webhook_attempts": 0}
            values = [literal(value, MESSAGE.c[name].type) for name, value in columns.items()]
            rows = select(identity, *values)
            connection.execute(MESSAGE.insert().from_select(["message_id", *columns], rows))
            rows = select(literal(direction), identity, literal("DELIVERED"), literal(at, EVENT.c.at.type), true())
            connection.execute(EVENT.insert().from_select(["direction", "message_id", "type", "at", "processed"], rows))
        connection.exec_driver_sql("analyze")  # as PostgreSQL does by itself, in time
    store.close()


async def run(
    connection: Connection, processes: dict[str, subprocess.Popen[bytes]], databases: dict[str, str]
) -> Table:
    """Everything."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # on loopback, of this very run
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    headers = {"Authorization": aiohttp.encode_basic_auth("ebms", PASSWORD)}
    table = Table("what", "per second", "CPU (ms)", "p50 (ms)", "p99 (ms)")
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        nodes = {
            party: Node(made, f"https://{LOOPBACK}:{PORTS[party][1]}/service/rest/v19", session)
            for party, made in processes.items()
        }
        for party in nodes:
            await ready(session, party)
        await agree(connection, nodes)
        rest = [node.resident for node in nodes.values()]
        for mode in ("sync", "async"):
            for workers in (1, SENDERS):
                figures = await pings(connection, nodes, f"osb-rm-{mode}", workers)
                _add(table, f"Ping, {mode}, {workers} at once", figures)
        for profile in ("osb-rm", "osb-rm-s"):
            for name, size in SIZES.items():
                for senders in (1, SENDERS):
                    figures = await messages(connection, nodes, f"{profile}-async", size, senders)
                    _add(table, f"{profile}, {name}, {senders} at once", figures)
        load = [node.resident for node in nodes.values()]
        for database in databases.values():
            fill(database)
        await messages(connection, nodes, "osb-rm-async", SIZES["1 kB"], SENDERS)  # until the disk has caught up
        figures = await messages(connection, nodes, "osb-rm-async", SIZES["1 kB"], SENDERS)
        _add(table, f"osb-rm, 1 kB, {SENDERS} at once, {STORED} stored", figures)
    table.caption = f"MiB per node: {max(rest):.0f} at rest, {max(load):.0f} after all this"
    return table


def _add(table: Table, what: str, figures: Figures) -> None:
    table.add_row(what, *(f"{figure:.1f}" for figure in astuple(figures)))


def main() -> None:
    """Measure and print."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ebms-bench-")))
        folder.chmod(0o755)
        connection = load_connection(ROOT / "inventories/lab")
        make_pki(connection, Generation.G4, folder / "pki", lambda _: None)
        files = {
            "organisation": folder / "pki" / ENDPOINT / "certificate.pem",
            "partner": folder / "pki" / PARTNER / "certificate.pem",
        }
        connection = connection.model_copy(update={"certificates": connection.certificates.model_copy(update=files)})
        server = stack.enter_context(running()) if installed() else None
        processes, databases = {}, {}
        for party in PORTS:
            database = server.database() if server else f"sqlite:///{folder}/{party}.db"
            open_store(database, None).close()  # the nodes find the tables there, as they do but once in their lives
            databases[party] = database
            processes[party] = stack.enter_context(process(folder, folder / "pki", party, database))
        Console(file=sys.stdout).print(asyncio.run(run(connection, processes, databases)))


if __name__ == "__main__":
    main()
