"""Two adapters that really run: on loopback, with two-way TLS and a database each."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from ebms_adapter_client import EbmsAdapterClient, EbmsAdapterClientConfig

from aansluitkit.connection import Connection
from aansluitkit.documents import render_cpa
from aansluitkit.ebms.server import Server
from aansluitkit.ebms.settings import Settings
from aansluitkit.lab.pki import CRLS

from ..conftest import agreed
from .postgres import Postgres, running

PASSWORD = "a password of this test"  # noqa: S105
LOOPBACK = "127.0.0.1"
HEADERS = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '"ebXML"'}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Gives the URL of a new database each time."""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        return server.database
    numbers = itertools.count(1)
    return lambda: f"sqlite:///{tmp_path}/{next(numbers)}.db"


class Loop:
    """An event loop in a thread of its own, so that tests can be plain functions."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Node:
    server: Server
    client: EbmsAdapterClient
    endpoint: str  # as the CPA names it
    address: str  # where it is for now

    @property
    def rest(self) -> str:
        return f"https://localhost:{self.server.ports['rest']}/service/rest/v19"


def write_crls(pki: Path, path: Path) -> Path:
    """What a host has fetched of the lab's authorities."""
    crls = [x509.load_der_x509_crl(crl.read_bytes()) for crl in sorted((pki / CRLS).iterdir())]
    making = path.with_suffix(".new")
    making.write_bytes(b"".join(crl.public_bytes(Encoding.PEM) for crl in crls))
    return making.rename(path)


def settings(folder: Path, pki: Path, party: str, host: str, database: str, **changes: Any) -> Settings:
    password = folder / "password"
    password.write_text(PASSWORD)
    own = {name: pki / party / f"{name}.pem" for name in ("certificate", "key", "trust")}
    values: dict[str, Any] = {
        "node": host,
        "domain": f"{host}.test",
        "database": database,
        "ebms": {
            "address": LOOPBACK,
            "port": 0,
            "path": "/ebms",
            "certificate_file": own["certificate"],
            "key_file": own["key"],
            "trust_file": own["trust"],
            "issuers_file": own["certificate"],  # the lab's parties have one provider
            "crl_file": write_crls(pki, folder / "crls.pem"),
            "maximum_body_bytes": 100_000,
        },
        "rest": {
            "address": LOOPBACK,
            "port": 0,
            "certificate_file": pki / host / "internal-certificate.pem",
            "key_file": pki / host / "internal-key.pem",
            "user": "ebms",
            "password_file": password,
        },
        "health": {"address": LOOPBACK, "port": 0},
        "pong_timeout_seconds": 5,
    }
    return Settings.model_validate({**values, **changes})


@pytest.fixture(scope="session")
def names() -> Iterator[None]:
    """All names below .test are on loopback: these tests have no name server."""
    real = socket.getaddrinfo

    def look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        return real(LOOPBACK if str(host).endswith(".test") else host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield


@pytest.fixture(scope="session")
def loop(names: None) -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def start(loop: Loop, given: Settings, party: Any) -> Node:
    server = Server(given)
    loop.run(server.start())
    port = server.ports["ebms"]
    config = EbmsAdapterClientConfig(
        base_url=f"https://{LOOPBACK}:{server.ports['rest']}", username="ebms", password=PASSWORD, verify_ssl=False
    )
    return Node(server, EbmsAdapterClient(config), party.endpoint, f"https://{party.host_name}:{port}{party.path}")


@dataclass
class Pair:
    ours: Node
    partner: Node
    pki: Path
    connection: Connection

    @property
    def our_id(self) -> str:
        return self.connection.organisation.party_id

    @property
    def their_id(self) -> str:
        return self.connection.partner.party_id


def cpa_of(connection: Connection, identity: str, **changes: Any) -> str:
    return render_cpa(agreed(connection, id=identity, **changes))


def introduce(*nodes: Node) -> None:
    """The nodes listen on ports of the moment: a URL mapping says where."""
    from ebms_adapter_client.models import URLMapping  # noqa: PLC0415

    for node in nodes:
        for other in nodes:
            node.client.create_url_mapping(URLMapping(source=other.endpoint, destination=other.address))


@pytest.fixture(scope="session", params=["g4", "g1"])
def pair(
    request: pytest.FixtureRequest, loop: Loop, connection: Connection, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    pki = request.getfixturevalue(f"pki_{request.param}")
    folder = tmp_path_factory.mktemp("adapters")
    ours = start(
        loop, settings(folder, pki, "party-organisation", "adapter-1", f"sqlite:///{folder}/ours.db"), connection
    )
    partner = start(
        loop,
        settings(folder, pki, "party-partner", "mijnoverheid", f"sqlite:///{folder}/partner.db"),
        connection.partner,
    )
    introduce(ours, partner)
    for node in (ours, partner):
        node.client.insert_cpa(cpa_of(connection, "sync", sync_reply=True))
        node.client.insert_cpa(cpa_of(connection, "async"))
    yield Pair(ours, partner, pki, connection)
    loop.run(ours.server.stop())
    loop.run(partner.server.stop())


def post(
    pair: Pair,
    body: bytes,
    party: str = "party-partner",
    method: str = "POST",
    path: str = "/ebms",
    **headers: str,
) -> tuple[int, bytes]:
    """Send to our adapter with the certificate of ``party``."""
    context = ssl.create_default_context(cafile=str(pair.pki / "party-partner/trust.pem"))
    context.load_cert_chain(pair.pki / party / "certificate.pem", pair.pki / party / "key.pem")
    port = pair.ours.server.ports["ebms"]
    connection = http.client.HTTPSConnection(pair.connection.host_name, port, context=context, timeout=10)
    try:
        connection.request(method, path, body, {**HEADERS, **headers})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
