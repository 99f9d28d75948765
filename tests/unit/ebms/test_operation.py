"""What operators see and set: who is let in, figures, log and health."""

from __future__ import annotations

import http.client
import json
import logging
import ssl
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from ebms_adapter_client.models import MessageFilter, URLMapping

from aansluitkit.connection import Profile
from aansluitkit.ebms.logs import JsonLines
from aansluitkit.ebms.message import build, fault_reason, read_message
from aansluitkit.ebms.store import CertificateMapping
from aansluitkit.errors import KitError

from .conftest import HEADERS, LOOPBACK, Loop, Node, Pair, cpa_of, post, settings, start
from .test_adapter import message
from .test_messages import arrives, asked, ends, load, until

pytestmark = pytest.mark.parametrize("pair", ["g4"], indirect=True)
HEADER = "X-Client-Certificate"


def node(pair: Pair, loop: Loop, folder: Path, **ebms: Any) -> Iterator[Node]:
    given = settings(folder, pair.pki, "party-organisation", "adapter-1", f"sqlite:///{folder}/node.db")
    given = given.model_copy(update={"ebms": type(given.ebms).model_validate({**given.ebms.model_dump(), **ebms})})
    made = start(loop, given, pair.connection)
    made.client.insert_cpa(cpa_of(pair.connection, "sync", sync_reply=True))
    yield made
    loop.run(made.server.stop())


def pem(pair: Pair, party: str) -> str:
    return (pair.pki / party / "certificate.pem").read_text()


def offloaded(made: Node, body: bytes, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, made.server.ports["ebms"], timeout=10)
    connection.request("POST", "/ebms", body, {**HEADERS, **headers})
    response = connection.getresponse()
    return response.status, response.read()


@pytest.fixture
def behind(pair: Pair, loop: Loop, tmp_path: Path) -> Iterator[Node]:
    yield from node(pair, loop, tmp_path, offload={"header": HEADER, "addresses": [LOOPBACK]})


@pytest.fixture
def elsewhere(pair: Pair, loop: Loop, tmp_path: Path) -> Iterator[Node]:
    yield from node(pair, loop, tmp_path, offload={"header": HEADER, "addresses": ["192.0.2.1"]})


def test_load_balancer_says_who_the_client_is(pair: Pair, behind: Node) -> None:
    body = build(message(pair))
    status, answer = offloaded(behind, body, **{HEADER: quote(pem(pair, "party-partner"))})
    assert (status, read_message("text/xml", answer).header.action) == (200, "Pong")
    status, answer = offloaded(behind, body, **{HEADER: quote(pem(pair, "refused-wrong-oin"))})
    assert (status, "OIN" in (fault_reason(answer) or "")) == (500, True)


@pytest.mark.parametrize(
    "header", ["", "rubbish", "-----BEGIN CERTIFICATE-----%0Ax%0A-----END CERTIFICATE-----", "%ff"]
)
def test_header_without_certificate_is_refused(pair: Pair, behind: Node, header: str) -> None:
    assert offloaded(behind, build(message(pair)), **{HEADER: header}) == (403, b"")


def test_header_from_anybody_else_is_refused(pair: Pair, elsewhere: Node) -> None:
    assert offloaded(elsewhere, build(message(pair)), **{HEADER: quote(pem(pair, "party-partner"))}) == (403, b"")


def test_header_means_nothing_without_a_load_balancer(pair: Pair) -> None:
    status, answer = post(
        pair, build(message(pair)), "refused-wrong-oin", **{HEADER: quote(pem(pair, "party-partner"))}
    )
    assert (status, "OIN" in (fault_reason(answer) or "")) == (500, True)


@pytest.fixture
def exact(pair: Pair, loop: Loop, tmp_path: Path) -> Iterator[Node]:
    yield from node(pair, loop, tmp_path, client_identity="certificate")


def test_very_certificate_is_demanded(pair: Pair, exact: Node) -> None:
    """A certificate mapping says that the CPA's certificate was replaced: then the old one is nobody's."""
    strict = Pair(exact, pair.partner, pair.pki, pair.connection)
    assert post(strict, build(message(pair)))[0] == 200
    old = x509_of(pair, "party-partner")
    exact.server.store.put_certificate(CertificateMapping(old, x509_of(pair, "party-organisation"), "sync"))
    status, answer = post(strict, build(message(pair)))
    assert (status, "not the one" in (fault_reason(answer) or "")) == (500, True)


def x509_of(pair: Pair, party: str) -> bytes:
    leaf, end, _ = pem(pair, party).partition("-----END CERTIFICATE-----")
    return ssl.PEM_cert_to_DER_cert(leaf + end + "\n")


PARTIES = ("organisation", "partner")


def test_figures_name_nobody(pair: Pair) -> None:
    cpa = load(pair, "figures", sync_reply=True)
    arrives(pair.partner, pair.ours.client.send_message(asked(pair, cpa)))
    pair.partner.client.ping(cpa, pair.their_id, pair.our_id)
    text = health(pair, "/metrics").decode()
    for name in ("ebms_queue_length", "ebms_oldest_undelivered_seconds", "ebms_messages", "ebms_requests_total"):
        assert f"\n{name}" in text
    assert "ebms_database_up 1.0" in text
    for name in (pair.connection.organisation.oin, pair.connection.partner.oin, cpa):
        assert name not in text


def test_figures_tell_when_agreements_and_their_certificates_end(pair: Pair) -> None:
    """Of two CPAs between the same parties the one that ends last counts: they overlap when one replaces the other."""
    last = pair.connection.cpa.end
    for identity, end in (("old", last - timedelta(days=100)), ("new", last)):
        pair.ours.server.store.put_cpa(identity, cpa_of(pair.connection, identity, end=end).encode())
    certificates = [x509.load_der_x509_certificate(x509_of(pair, f"party-{party}")) for party in PARTIES]
    figures = dict(
        line.rsplit(maxsplit=1) for line in health(pair, "/metrics").decode().splitlines() if line[:1] != "#"
    )
    assert float(figures["ebms_cpa_ends_timestamp_seconds"]) == last.timestamp()
    expires = min(certificate.not_valid_after_utc for certificate in certificates)
    assert float(figures["ebms_cpa_certificate_expires_timestamp_seconds"]) == expires.timestamp()


def health(pair: Pair, path: str) -> bytes:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{pair.ours.server.ports['health']}{path}") as answer:
        return bytes(answer.read())


def test_log_has_no_payload(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "aansluitkit")
    cpa = load(pair, "logged", sync_reply=True)
    identity = pair.ours.client.send_message(asked(pair, cpa, b"<bsn>999990019</bsn>"))
    arrives(pair.partner, identity)
    assert ends(pair.ours, identity) == ["DELIVERED"]
    pair.partner.client.insert_cpa(
        cpa_of(pair.connection, cpa, sync_reply=True).replace("zaakbericht", "anders"), overwrite=True
    )
    refused = pair.ours.client.send_message(asked(pair, cpa, b"<bsn>999990019</bsn>"))
    assert ends(pair.ours, refused) == ["FAILED"]
    assert identity in caplog.text
    assert "999990019" not in caplog.text


def test_log_as_json(pair: Pair) -> None:
    record = logging.LogRecord("a.b", logging.WARNING, "x.py", 1, 'met "%s"\n', ("ë",), None)
    line = JsonLines("node-1").format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert (told["level"], told["node"], told["message"]) == ("WARNING", "node-1", 'met "ë"\n')


def test_stuck_worker_is_not_ready(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(pair.ours.server._delivery), "idle_seconds", 3600)
    with pytest.raises(urllib.error.HTTPError) as caught:
        health(pair, "/health/ready")
    assert caught.value.code == 503
    assert "worker" in json.load(caught.value)["problem"]


def test_two_nodes_send_each_message_once(
    pair: Pair, loop: Loop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aansluitkit")
    profile = Profile.BEST_EFFORT
    cpa = load(pair, "two-nodes", profile=profile)
    database = f"sqlite:///{tmp_path}/shared.db"
    nodes = [
        start(loop, settings(tmp_path, pair.pki, "party-organisation", host, database), pair.connection)
        for host in ("adapter-1", "adapter-2")
    ]
    try:
        place = URLMapping(source=pair.partner.endpoint, destination=pair.partner.address)
        nodes[0].client.create_url_mapping(place)
        nodes[0].client.insert_cpa(cpa_of(pair.connection, cpa, profile=profile))
        ids = [nodes[number % 2].client.send_message(asked(pair, cpa)) for number in range(40)]
        wanted = MessageFilter(cpa_id=cpa)
        until(lambda: len(nodes[0].client.list_unprocessed_message_events(wanted)) == len(ids), "end of all")
        assert sorted(pair.partner.client.list_unprocessed_message_ids(wanted)) == sorted(ids)
        assert caplog.text.count("received 'zaakbericht'") == len(ids)
    finally:
        for each in nodes:
            loop.run(each.server.stop())


def test_key_that_cannot_be_used_is_named(pair: Pair, loop: Loop, tmp_path: Path) -> None:
    broken = tmp_path / "key.pem"
    broken.write_text("no key")
    with pytest.raises(KitError, match=r"key\.pem"):
        next(node(pair, loop, tmp_path, key_file=broken))
