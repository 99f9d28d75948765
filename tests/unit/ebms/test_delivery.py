"""What the sender does with what its partner answers, or does not."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from ebms_adapter_client.models import URLMapping

from aansluitkit.connection.model import Profile, Retries
from aansluitkit.ebms.tls import server_context

from .conftest import LOOPBACK, Loop, Node, Pair, cpa_of, introduce, settings, start
from .test_messages import arrives, asked, ends, until

SOON = Retries(count=1, interval=timedelta(seconds=1), persist_duration=timedelta(seconds=10))
LONG = Retries(count=60, interval=timedelta(seconds=1), persist_duration=timedelta(minutes=10))
pytestmark = pytest.mark.parametrize("pair", ["g4"], indirect=True)
LARGE = 64 * 1024
RELIABLE, BEST_EFFORT = Profile.RELIABLE, Profile.BEST_EFFORT


@dataclass
class Partner:
    """An endpoint that answers as it is told, large messages when ``gate`` is open; ``bodies`` has what it got."""

    status: int = 200
    answer: bytes = b""
    content_type: bytes = b"text/xml"
    pause: float = 0.0  # seconds before it answers
    bodies: list[bytes] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        if len(body) > LARGE:
            self.gate.wait(60)


@contextmanager
def partner(pair: Pair, told: Partner, sender: Node | None = None) -> Iterator[None]:
    """Answer ``sender``, a node of ours, in the partner's place."""
    node = sender or pair.ours

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.take(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(told.pause)
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(told.answer)))
            self.send_header("Content-Type", told.content_type.decode("latin-1"))
            self.end_headers()
            self.wfile.write(told.answer)

        def log_message(self, *_: object) -> None:
            pass

    folder = pair.pki / "party-partner"
    context = server_context(folder / "certificate.pem", folder / "key.pem", folder / "trust.pem")
    with http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"https://{pair.connection.partner.host_name}:{server.server_port}/"
        node.client.create_url_mapping(URLMapping(source=pair.partner.endpoint, destination=place))
        try:
            yield
        finally:
            server.shutdown()
            introduce(pair.ours, pair.partner)


def reliable(pair: Pair, name: str, retries: Retries = SOON, profile: Profile = RELIABLE) -> str:
    document = cpa_of(pair.connection, name, profile=profile, retries=retries)
    for node in (pair.ours, pair.partner):
        node.client.insert_cpa(document, overwrite=True)
    return name


@pytest.mark.parametrize(
    ("status", "profile", "end"),
    [
        *[(status, RELIABLE, "EXPIRED") for status in (200, 204, 429, 503)],
        *[(status, RELIABLE, "FAILED") for status in (302, 400, 403, 404, 413, 501, 505, 510)],
        *[(status, BEST_EFFORT, "DELIVERED") for status in (200, 202, 204)],
        *[(status, BEST_EFFORT, "FAILED") for status in (302, 404, 429, 500, 503)],
    ],
)
def test_http_status_decides(pair: Pair, status: int, profile: Profile, end: str) -> None:
    told = Partner(status)
    with partner(pair, told):
        identity = pair.ours.client.send_message(asked(pair, reliable(pair, f"code-{profile}", profile=profile)))
        assert ends(pair.ours, identity) == [end]
    assert 1 <= len(told.bodies) <= (1 + SOON.count if end == "EXPIRED" else 1)
    assert len(set(told.bodies)) == 1


@pytest.mark.parametrize(("profile", "end"), [(RELIABLE, "EXPIRED"), (BEST_EFFORT, "FAILED")])
def test_nothing_listens(pair: Pair, profile: Profile, end: str) -> None:
    away = URLMapping(source=pair.partner.endpoint, destination=f"https://{LOOPBACK}:9/")
    pair.ours.client.create_url_mapping(away)
    try:
        identity = pair.ours.client.send_message(asked(pair, reliable(pair, "gone", profile=profile)))
        assert ends(pair.ours, identity) == [end]
    finally:
        introduce(pair.ours, pair.partner)


@pytest.mark.parametrize("content_type", [b"\xff\xfe/x", b"text/xml; charset=\xe9", b"\x80" * 4000])
@pytest.mark.parametrize(("profile", "end"), [(RELIABLE, "EXPIRED"), (BEST_EFFORT, "FAILED")])
def test_answer_that_no_database_takes_ends_the_message(
    pair: Pair, profile: Profile, end: str, content_type: bytes
) -> None:
    told = Partner(200, b"<a/>", content_type)
    with partner(pair, told):
        identity = pair.ours.client.send_message(asked(pair, reliable(pair, f"odd-{profile}", profile=profile)))
        assert ends(pair.ours, identity) == [end]
    assert 1 <= len(told.bodies) <= (1 + SOON.count if end == "EXPIRED" else 1)


@pytest.mark.parametrize("error", [RuntimeError("\0 \udcff"), RecursionError(), KeyError("x")], ids=repr)
@pytest.mark.parametrize(("profile", "end"), [(RELIABLE, "EXPIRED"), (BEST_EFFORT, "FAILED")])
def test_whatever_the_worker_meets_ends_the_message(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, profile: Profile, end: str, error: Exception
) -> None:
    def take(*_: object) -> bool:
        raise error

    told = Partner(200, b"<a/>")
    monkeypatch.setattr(pair.ours.server._delivery, "_take", take)
    with partner(pair, told):
        identity = pair.ours.client.send_message(asked(pair, reliable(pair, f"odd-{profile}", profile=profile)))
        assert ends(pair.ours, identity) == [end]
    assert 1 <= len(told.bodies) <= (1 + SOON.count if end == "EXPIRED" else 1)


def test_planned_stop_ends_what_is_under_way(pair: Pair, loop: Loop, tmp_path: Path) -> None:
    """A partner that takes its time gets nothing twice, though it would not know it again."""
    document = cpa_of(pair.connection, "stop", profile=BEST_EFFORT)
    given = settings(tmp_path, pair.pki, "party-organisation", "adapter-1", f"sqlite:///{tmp_path}/stop.db")
    told = Partner(200, pause=12)
    node = start(loop, given, pair.connection)
    with partner(pair, told, node):
        node.client.insert_cpa(document)
        for _ in range(4):
            node.client.send_message(asked(pair, "stop"))
        until(lambda: len(told.bodies) == 4, "all are under way")
        loop.run(node.server.stop())
        again = start(loop, given, pair.connection)
        try:
            until(lambda: again.server.store.messages.states() == {"DELIVERED": 4}, "the end of all")
        finally:
            loop.run(again.server.stop())
    assert len(told.bodies) == 4


@pytest.mark.parametrize("answer", [b"rubbish", b"<a/>"])
def test_answer_that_is_none_does_not_count(pair: Pair, answer: bytes) -> None:
    told = Partner(200, answer)
    with partner(pair, told):
        identity = pair.ours.client.send_message(asked(pair, reliable(pair, "rubbish")))
        assert ends(pair.ours, identity) == ["EXPIRED"]


def test_acknowledgment_of_another_message_does_not_count(pair: Pair) -> None:
    """The first message's own acknowledgment is all that the second one gets."""
    document = cpa_of(pair.connection, "other-ack", retries=SOON, sync_reply=True)
    for node in (pair.ours, pair.partner):
        node.client.insert_cpa(document, overwrite=True)
    first = pair.ours.client.send_message(asked(pair, "other-ack"))
    assert ends(pair.ours, first) == ["DELIVERED"]
    acknowledgment = pair.ours.server.store.messages.reply_to(first)
    assert acknowledgment
    with partner(pair, Partner(200, acknowledgment)):
        second = pair.ours.client.send_message(asked(pair, "other-ack"))
        assert ends(pair.ours, second) == ["EXPIRED"]


def test_partner_that_comes_back_gets_it_once(pair: Pair) -> None:
    told = Partner(503)
    with partner(pair, told):
        identity = pair.ours.client.send_message(asked(pair, reliable(pair, "back", LONG), b"<zaak/>"))
        until(lambda: len(told.bodies) >= 2, "a second try")
    arrives(pair.partner, identity)
    assert ends(pair.ours, identity) == ["DELIVERED"]
    assert ends(pair.partner, identity) == ["RECEIVED"]


def test_late_acknowledgment_changes_nothing(pair: Pair) -> None:
    """The partner took the message, but could not reach us until we had given up."""
    away = URLMapping(source=pair.ours.endpoint, destination=f"https://{LOOPBACK}:9/")
    pair.partner.client.create_url_mapping(away)
    try:
        identity = pair.ours.client.send_message(asked(pair, reliable(pair, "late")))
        assert ends(pair.ours, identity) == ["EXPIRED"]
    finally:
        introduce(pair.ours, pair.partner)
    arrives(pair.partner, identity)
    [found] = [pair.partner.server.store.messages.our_reply_to(identity, ["Acknowledgment"])]
    assert found
    assert ends(pair.ours, identity) == ["EXPIRED"]


def test_small_message_passes_large_ones_that_wait(pair: Pair) -> None:
    told = Partner(status=204)
    name = reliable(pair, "large", profile=BEST_EFFORT)
    with partner(pair, told):
        large = [pair.ours.client.send_message(asked(pair, name, bytes(LARGE + 1))) for _ in range(9)]
        small = pair.ours.client.send_message(asked(pair, name, b"<a/>"))
        assert ends(pair.ours, small) == ["DELIVERED"]
        until(lambda: len(told.bodies) == 5, "four large ones and the small one")
        told.gate.set()
        assert [ends(pair.ours, identity) for identity in large] == [["DELIVERED"]] * len(large)
    assert len(told.bodies) == len(large) + 1
