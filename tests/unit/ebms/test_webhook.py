"""Received messages are posted to an application that really listens."""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from aansluitkit.connection import Connection
from aansluitkit.ebms import bodies
from aansluitkit.ebms.messages import Filter, Kept
from aansluitkit.ebms.mime import Payload
from aansluitkit.ebms.settings import read_settings
from aansluitkit.ebms.store import Store, open_store
from aansluitkit.ebms.tls import server_context
from aansluitkit.errors import KitError

from .conftest import LOOPBACK, Loop, Node, settings, start
from .test_messages import until
from .test_store import accept

TOKEN = "token-of.this~test=="  # noqa: S105


@dataclass
class Application:
    """Answers with ``statuses`` in turn (0 is silence) and with 200 after them, after ``pause``; has what it got."""

    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0
    pause: float = 0.0

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if self.statuses else 200
        await asyncio.sleep(self.pause if status else 60)
        return web.Response(status=status, headers={"Location": "/elsewhere"} if 300 <= status < 400 else None)

    async def open(self, context: ssl.SSLContext | None = None) -> web.AppRunner:
        served = web.Application()
        served.router.add_post("/messages", self.take)
        runner = web.AppRunner(served, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, LOOPBACK, 0, ssl_context=context).start()
        self.port = runner.addresses[0][1]
        return runner

    @property
    def keys(self) -> list[str]:
        return [headers["Idempotency-Key"] for headers, _ in self.got]

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/messages"


@pytest.fixture
def application(loop: Loop) -> Iterator[Application]:
    made = Application()
    runner = loop.run(made.open())
    yield made
    loop.run(runner.cleanup())


@dataclass
class Nodes:
    """Starts nodes."""

    loop: Loop
    pki: Path
    folder: Path
    connection: Connection
    started: list[Node] = field(default_factory=list)

    def start(self, database: str, webhook: dict[str, Any] | None, **changes: Any) -> Node:
        given = settings(self.folder, self.pki, "party-organisation", "adapter-1", database, webhook=webhook, **changes)
        node = start(self.loop, given, self.connection)
        self.started.append(node)
        return node


@pytest.fixture
def nodes(loop: Loop, pki_g4: Path, connection: Connection, tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(loop, pki_g4, tmp_path, connection)
    yield made
    for node in made.started:
        loop.run(node.server.stop())


@pytest.fixture
def url(database: Callable[[], str]) -> str:
    return database()


def all_taken(store: Store) -> bool:
    states = store.messages.states()
    return bool(states) and set(states) == {"PROCESSED"} and not store.messages.events(Filter(), [], 0)


def test_message_is_posted_once_as_rest_gives_it(
    nodes: Nodes, application: Application, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    token = nodes.folder / "token"
    token.write_text(f"{TOKEN}\n")
    plain = nodes.start(url, None)
    accept(plain.server.store, "m@test")
    by_rest = plain.client._client.get("/ebms/messages/m@test").json()
    node = nodes.start(url, {"url": application.url, "token_file": token}, node="other")
    until(lambda: all_taken(node.server.store), "taking")
    [(headers, body)] = application.got
    assert json.loads(body) == by_rest
    assert (headers["Idempotency-Key"], headers["Authorization"]) == ("m@test", f"Bearer {TOKEN}")
    assert headers["Content-Type"] == "application/json"
    assert "the application has taken 'm@test'" in caplog.text
    assert TOKEN not in caplog.text
    assert by_rest["dataSources"][0]["content"] not in caplog.text


def test_message_stays_until_it_is_taken(nodes: Nodes, application: Application, url: str) -> None:
    application.statuses = [500, 0, 302]
    node = nodes.start(url, {"url": application.url, "timeout_seconds": 0.5})
    accept(node.server.store, "m")
    until(lambda: application.got, "a first try")
    assert node.server.store.messages.unprocessed(Filter(), 0) == ["m"]
    health = f"http://{LOOPBACK}:{node.server.ports['health']}/metrics"
    with urllib.request.urlopen(health) as answer:
        assert b'ebms_messages{state="RECEIVED"} 1.0' in answer.read()
    until(lambda: all_taken(node.server.store), "taking")
    assert application.keys == ["m"] * 4
    assert len({body for _, body in application.got}) == 1


def test_nodes_post_each_message_once(nodes: Nodes, application: Application, url: str) -> None:
    store = open_store(url, None)
    ids = [f"m-{number}" for number in range(60)]
    for identity in ids:
        accept(store, identity)
    for name in ("a", "b"):
        nodes.start(url, {"url": application.url}, node=name, delivery={"parallel": 4})
    until(lambda: all_taken(store), "taking")
    store.close()
    assert sorted(application.keys) == sorted(ids)


def test_message_of_a_dead_node_is_posted_by_another(nodes: Nodes, application: Application, url: str) -> None:
    store = open_store(url, None)
    accept(store, "m")
    [dead] = store.messages.claim_received("dead", 5, timedelta(0))  # its lease runs out at once
    [held] = store.messages.claim_received("held", 5, timedelta(minutes=1))
    store.messages.postpone("dead", dead, datetime.now(UTC))  # it was not dead after all
    assert store.messages.claim_received("third", 5, timedelta(minutes=1)) == []
    store.messages.postpone("held", held, datetime.now(UTC))
    nodes.start(url, {"url": application.url})
    until(lambda: all_taken(store), "taking")
    store.close()
    assert application.keys == ["m"]


def test_planned_stop_ends_the_posts(nodes: Nodes, application: Application, url: str) -> None:
    application.pause = 2
    node = nodes.start(url, {"url": application.url})
    ids = [f"m-{number}" for number in range(4)]
    for identity in ids:
        accept(node.server.store, identity)
    until(lambda: len(application.got) == len(ids), "all are posted")
    nodes.loop.run(node.server.stop())
    assert all_taken(nodes.start(url, {"url": application.url}).server.store)
    assert sorted(application.keys) == ids


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError()], ids=repr)
def test_whatever_goes_wrong_with_one_message_holds_up_no_other(
    nodes: Nodes,
    application: Application,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    message_of = bodies.message_of

    def broken(kept: Kept, payloads: Sequence[Payload]) -> bodies.Message:
        if kept.message_id == "poison":
            raise error
        return message_of(kept, payloads)

    monkeypatch.setattr(bodies, "message_of", broken)
    node = nodes.start(url, {"url": application.url})
    for identity in ("poison", "next"):
        accept(node.server.store, identity)
    until(lambda: application.keys == ["next"], "the other")
    until(lambda: "'poison', again in 2 s" in caplog.text, "a second try, after a pause")


def test_without_webhook_the_application_asks(nodes: Nodes, application: Application, url: str) -> None:
    other = nodes.start(url, None)
    accept(other.server.store, "first")
    other.client.process_message("first")  # by REST: not posted any more
    accept(other.server.store, "second")
    assert other.server.store.messages.events(Filter(), [], 0) == [("first", "RECEIVED"), ("second", "RECEIVED")]
    assert application.got == []
    nodes.start(url, {"url": application.url}, node="b")
    until(lambda: not other.client.list_unprocessed_message_ids(), "taking")
    assert application.keys == ["second"]


@pytest.mark.parametrize("trusted", [True, False])
def test_https_goes_to_whom_the_roots_know(
    nodes: Nodes, loop: Loop, tmp_path: Path, caplog: pytest.LogCaptureFixture, trusted: bool
) -> None:
    folder = nodes.pki / "party-organisation"
    secured = Application()
    runner = loop.run(secured.open(server_context(folder / "certificate.pem", folder / "key.pem", None)))
    target: dict[str, Any] = {"url": f"https://{nodes.connection.host_name}:{secured.port}/messages"}
    if trusted:
        target["trust_file"] = folder / "trust.pem"
    node = nodes.start(f"sqlite:///{tmp_path}/secured.db", target)
    accept(node.server.store, "m")
    if trusted:
        until(lambda: all_taken(node.server.store), "taking")
    else:
        until(lambda: "again in 2 s" in caplog.text, "a second try")
        assert "certificate verify failed" in caplog.text.lower()
    assert secured.keys == (["m"] if trusted else [])
    loop.run(runner.cleanup())


@pytest.mark.parametrize(
    ("webhook", "told"),
    [
        ({"url": "http://application.test/x"}, "webhook.url: expected is https://"),
        ({"url": "http://192.0.2.1/x"}, "webhook.url: expected is https://"),
        ({"url": "ftp://localhost/x"}, "webhook.url: expected is https://"),
        ({"url": "https://user:secret@application.test/x"}, "webhook.url: expected is https://"),
        ({"url": "https://application.test:x/"}, "webhook.url: expected is https://"),
        ({"url": "https://application.test/", "token_file": "/nowhere"}, "webhook.token_file: Path does not point"),
        ({"url": "https://application.test/", "trust_file": "/nowhere"}, "webhook.trust_file: Path does not point"),
        ({"url": "https://application.test/", "token_file": "{two lines}"}, "webhook.token_file: expected is one line"),
        ({"url": "https://application.test/", "timeout_seconds": 0}, "webhook.timeout_seconds: "),
        ({}, "webhook.url: "),
    ],
)
def test_wrong_settings_are_refused(nodes: Nodes, tmp_path: Path, webhook: dict[str, Any], told: str) -> None:
    lines = tmp_path / "lines"
    lines.write_text("secret one\nsecret two\n")
    given = settings(tmp_path, nodes.pki, "party-organisation", "adapter-1", "sqlite://").model_dump(mode="json")
    given["webhook"] = {key: lines.as_posix() if value == "{two lines}" else value for key, value in webhook.items()}
    path = tmp_path / "adapter.yml"
    path.write_text(yaml.safe_dump(given))
    with pytest.raises(KitError) as caught:
        read_settings(path)
    assert str(caught.value).startswith(f"{path}: {told}")
    assert "secret" not in str(caught.value)


def test_roots_that_are_none_are_refused(nodes: Nodes, tmp_path: Path) -> None:
    rubbish = tmp_path / "roots"
    rubbish.write_text("rubbish")
    with pytest.raises(KitError, match=r"webhook\.trust_file: .*has no usable roots"):
        nodes.start(f"sqlite:///{tmp_path}/x.db", {"url": "https://application.test/", "trust_file": rubbish})
