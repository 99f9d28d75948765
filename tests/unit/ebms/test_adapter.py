"""Two adapters talk over two-way TLS; whoever should be refused is refused, at the right layer."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ebms_adapter_client.exceptions import EbmsBadRequestError, EbmsNotFoundError, EbmsServerError
from ebms_adapter_client.models import URLMapping

from aansluitkit.ebms.cpa import PartyId
from aansluitkit.ebms.errors import HopError
from aansluitkit.ebms.message import PING, STATUS_REQUEST, build, fault_reason, read_message, request
from aansluitkit.ebms.ping import Credentials, ping
from aansluitkit.errors import KitError

from .conftest import LOOPBACK, Loop, Pair, cpa_of, introduce, post, settings, start


def message(pair: Pair, cpa: str = "sync", action: str = PING, sender: str = "", receiver: str = "") -> Any:
    return request(
        PartyId(sender or pair.connection.partner.oin, "urn:osb:oin"),
        PartyId(receiver or pair.connection.organisation.oin, "urn:osb:oin"),
        cpa,
        action,
        "mijnoverheid.test",
    )


@pytest.mark.parametrize("cpa", ["sync", "async"])
def test_ping_is_answered_both_ways(pair: Pair, cpa: str) -> None:
    pair.ours.client.ping(cpa, pair.our_id, pair.their_id)
    pair.partner.client.ping(cpa, pair.their_id, pair.our_id)


def test_one_shot_ping(pair: Pair, tmp_path: Path) -> None:
    file = tmp_path / "cpa.xml"
    port = pair.ours.server.ports["ebms"]
    document = cpa_of(pair.connection, "sync", sync_reply=True)
    file.write_text(document.replace(pair.ours.endpoint, f"https://{pair.connection.host_name}:{port}/ebms"))
    folder = pair.pki / "party-partner"
    credentials = Credentials(folder / "certificate.pem", folder / "key.pem", folder / "trust.pem")
    answered = ping(file, credentials, pair.connection.partner.oin, address=LOOPBACK)
    assert answered.pong.header.action == "Pong"


def test_one_shot_ping_names_the_layer(pair: Pair, tmp_path: Path) -> None:
    file = tmp_path / "cpa.xml"
    port = pair.ours.server.ports["ebms"]
    document = cpa_of(pair.connection, "sync", sync_reply=True)
    file.write_text(document.replace(pair.ours.endpoint, f"https://{pair.connection.host_name}:{port}/ebms"))

    def attempt(party: str, trust: str = "party-partner/trust.pem") -> str:
        folder = pair.pki / party
        credentials = Credentials(folder / "certificate.pem", folder / "key.pem", pair.pki / trust)
        with pytest.raises(HopError) as caught:
            ping(file, credentials, pair.connection.partner.oin, address=LOOPBACK)
        return caught.value.hop

    assert attempt("refused-foreign-authority") == "tls_client"
    assert attempt("refused-wrong-oin") == "cpa"
    assert attempt("party-partner", trust="adapter-1/internal-trust.pem") == "tls_server"


def test_one_shot_ping_cannot_wait_for_an_async_pong(pair: Pair, tmp_path: Path) -> None:
    file = tmp_path / "cpa.xml"
    file.write_text(cpa_of(pair.connection, "async"))
    folder = pair.pki / "party-partner"
    credentials = Credentials(folder / "certificate.pem", folder / "key.pem", folder / "trust.pem")
    with pytest.raises(KitError, match="does not listen"):
        ping(file, credentials, pair.connection.partner.oin)


@pytest.mark.parametrize(
    ("party", "alert"), [(None, "CERTIFICATE_REQUIRED"), ("refused-foreign-authority", "UNKNOWN_CA")]
)
def test_strangers_are_refused_by_tls(
    pair: Pair, party: str | None, alert: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The peer gets an alert that says why, and our log has a line."""
    context = ssl.create_default_context(cafile=str(pair.pki / "party-partner/trust.pem"))
    if party:
        context.load_cert_chain(pair.pki / party / "certificate.pem", pair.pki / party / "key.pem")
    address = (LOOPBACK, pair.ours.server.ports["ebms"])
    with (
        socket.create_connection(address, timeout=10) as raw,
        context.wrap_socket(raw, server_hostname=pair.connection.host_name) as secure,
        pytest.raises(ssl.SSLError, match=alert),
    ):
        secure.recv(1)
    assert "refused TLS with 127.0.0.1" in caplog.text


def test_party_without_oin_is_known_by_its_certificate(pair: Pair) -> None:
    """As the Compliancevoorziening is: its number is in no certificate, its certificate is in the CPA."""
    without = pair.connection.partner.model_copy(update={"party_id_type": "urn:cv:oin", "oin": "0" * 20})
    files = pair.connection.certificates.model_copy(update={"partner": pair.pki / "party-partner/certificate.pem"})
    connection = pair.connection.model_copy(update={"partner": without, "certificates": files})
    pair.ours.client.insert_cpa(cpa_of(connection, "cv", sync_reply=True), overwrite=True)
    own = PartyId(pair.connection.organisation.oin, "urn:osb:oin")
    asked = build(request(PartyId("0" * 20, "urn:cv:oin"), own, "cv", PING, "mijnoverheid.test"))
    assert post(pair, asked)[0] == 200
    status, body = post(pair, asked, "refused-wrong-oin")
    assert status == 500
    assert "the client certificate is not the one" in (fault_reason(body) or "")


@pytest.mark.parametrize(("kind", "suffix"), [("urn:osb:oin", "_OTA"), ("urn:oin", ""), ("urn:oin", "_T")])
def test_oin_in_a_party_id_is_that_of_the_certificate(pair: Pair, kind: str, suffix: str) -> None:
    """Another type or a suffix in the CPA changes nothing in who may speak for the party."""
    number = pair.connection.partner.oin
    document = cpa_of(pair.connection, "suffix", sync_reply=True)
    old, new = (f'tns:type="{kind}">{number}' for kind, number in (("urn:osb:oin", number), (kind, number + suffix)))
    assert old in document
    pair.ours.client.insert_cpa(document.replace(old, new), overwrite=True)
    own = PartyId(pair.connection.organisation.oin, "urn:osb:oin")
    asked = build(request(PartyId(number + suffix, kind), own, "suffix", PING, "mijnoverheid.test"))
    assert post(pair, asked)[0] == 200
    status, body = post(pair, asked, "refused-wrong-oin")
    assert (status, number in (fault_reason(body) or "")) == (500, True)


def test_wrong_oin_is_refused_by_the_cpa(pair: Pair) -> None:
    status, body = post(pair, build(message(pair)), "refused-wrong-oin")
    assert status == 500
    reason = fault_reason(body) or ""
    assert "00000099000000009000" in reason
    assert pair.connection.partner.oin in reason


def test_other_party_cannot_speak_for_the_partner(pair: Pair) -> None:
    status, body = post(pair, build(message(pair)), "party-organisation")
    assert (status, pair.connection.organisation.oin in (fault_reason(body) or "")) == (500, True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cpa": "nosuch"}, "CPA nosuch not found"),
        ({"sender": "00000001003214345000"}, "From party"),
        ({"receiver": "00000001003214345000"}, "To party"),
        ({"receiver": "00000099000000002000"}, "same party"),
        ({"cpa": "x" * 300}, "more than 255"),
    ],
)
def test_unknown_agreement_or_party_gets_a_fault(pair: Pair, changes: dict[str, str], words: str) -> None:
    status, body = post(pair, build(message(pair, **changes)))
    assert status == 500
    assert words in (fault_reason(body) or "")


BOMB = b'<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]><a>&d;</a>'
FILE = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'


@pytest.mark.parametrize("body", [b"", b"no xml", b"<a/>", BOMB, FILE, b"\xff\xfe\x00", b"<a>" * 20_000])
def test_what_is_no_message_gets_a_fault(pair: Pair, body: bytes) -> None:
    status, answer = post(pair, body)
    assert status == 500
    reason = fault_reason(answer)
    assert reason
    assert "root:" not in reason


def test_http_limits(pair: Pair) -> None:
    assert post(pair, b"x" * 200_000)[0] == 413
    assert post(pair, b"", method="GET")[0] == 405
    assert post(pair, build(message(pair)), path="/other")[0] == 404
    assert post(pair, build(message(pair)), SOAPAction="ebXML")[0] == 500


def test_status_request(pair: Pair) -> None:
    known = message(pair)
    post(pair, build(known))

    def ask(identity: str) -> Any:
        question = message(pair, action=STATUS_REQUEST)
        asked = type(question)(header=question.header, asked_message_id=identity)
        _, body = post(pair, build(asked))
        return read_message("text/xml", body).status

    assert ask(known.header.message_id).value == "Processed"
    assert ask("nobody@nowhere").value == "NotRecognized"


def test_multipart_root_part_is_read(pair: Pair) -> None:
    body = b"--b\r\nContent-Type: text/xml\r\nContent-ID: <1>\r\n\r\n" + build(message(pair)) + b"\r\n--b--\r\n"
    headers = {"Content-Type": 'multipart/related; boundary="b"; type="text/xml"; start="<1>"'}
    status, answer = post(pair, body, **headers)
    assert status == 200
    assert read_message("text/xml", answer).header.action == "Pong"


def test_cpa_dates_hold_for_signals(pair: Pair) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    pair.ours.client.insert_cpa(cpa_of(pair.connection, "tomorrow", start=tomorrow, sync_reply=True))
    status, body = post(pair, build(message(pair, cpa="tomorrow")))
    assert status == 200
    assert read_message("text/xml", body).errors[0].code == "Inconsistent"
    with pytest.raises(EbmsServerError, match="starts on"):
        pair.ours.client.ping("tomorrow", pair.our_id, pair.their_id)


def test_rest_serves_the_public_client(pair: Pair) -> None:
    client = pair.ours.client
    document = cpa_of(pair.connection, "rest")
    client.validate_cpa(document)
    assert client.insert_cpa(document) == "rest"
    with pytest.raises(EbmsBadRequestError, match="already exists"):
        client.insert_cpa(document)
    client.insert_cpa(document, overwrite=True)
    assert "rest" in client.list_cpa_ids()
    assert client.get_cpa("rest") == document
    client.clear_cpa_cache()
    client.delete_cpa("rest")
    with pytest.raises(EbmsNotFoundError):
        client.get_cpa("rest")
    client.create_url_mapping(URLMapping(source="https://a.test/x", destination="https://b.test/y"))
    client.delete_url_mapping("https://a.test/x")
    assert "https://a.test/x" not in [mapping.source for mapping in client.list_url_mappings()]


def test_rest_refuses_bad_cpas(pair: Pair) -> None:
    client = pair.ours.client
    for broken in ("no xml", "<a/>", BOMB.decode()):
        with pytest.raises(EbmsBadRequestError):
            client.insert_cpa(broken)
    past = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(EbmsServerError, match="expired on"):
        client.insert_cpa(cpa_of(pair.connection, "past", start=past, end=past + timedelta(days=1)))
    proposed = cpa_of(pair.connection, "proposed").replace('value="agreed"', 'value="proposed"')
    with pytest.raises(EbmsServerError, match="proposed"):
        client.insert_cpa(proposed)


def test_rest_says_why_a_ping_failed(pair: Pair) -> None:
    client = pair.ours.client
    with pytest.raises(EbmsServerError, match="cpa: No CPA found for cpaId=nosuch"):
        client.ping("nosuch", pair.our_id, pair.their_id)
    with pytest.raises(EbmsServerError, match="cpa: No fromParty found"):
        client.ping("sync", "urn:osb:oin:9", pair.their_id)
    pair.ours.client.insert_cpa(cpa_of(pair.connection, "only-here", sync_reply=True))
    with pytest.raises(EbmsServerError, match=r"cpa: .*CPA only-here not found"):
        client.ping("only-here", pair.our_id, pair.their_id)


def test_rest_wants_the_password(pair: Pair) -> None:
    context = ssl.create_default_context(cafile=str(pair.pki / "adapter-1/internal-trust.pem"))
    context.check_hostname = False
    for given in (None, "ebms:wrong", "other:a password of this test"):
        asked = urllib.request.Request(pair.ours.rest + "/cpas")  # noqa: S310
        if given:
            asked.add_header("Authorization", "Basic " + base64.b64encode(given.encode()).decode())
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(asked, context=context)  # noqa: S310
        assert caught.value.code == 401


def test_health_says_the_truth(pair: Pair) -> None:
    for what in ("live", "ready"):
        url = f"http://{LOOPBACK}:{pair.ours.server.ports['health']}/health/{what}"
        with urllib.request.urlopen(url) as answer:
            assert json.load(answer)["status"] == "UP"


def test_pong_reaches_the_node_that_asked(pair: Pair, loop: Loop, tmp_path: Path) -> None:
    """Two nodes share a database; the partner's Pong comes in at the other one than the Ping left from."""
    database = f"sqlite:///{tmp_path}/shared.db"
    nodes = [
        start(loop, settings(tmp_path, pair.pki, "party-organisation", host, database), pair.connection)
        for host in ("adapter-1", "adapter-2")
    ]
    asking, answering = nodes
    introduce(asking, pair.partner)
    introduce(answering, pair.partner)
    try:
        asking.client.insert_cpa(cpa_of(pair.connection, "async"))
        asking.client.ping("async", pair.our_id, pair.their_id)
    finally:
        introduce(pair.ours, pair.partner)
        for node in nodes:
            loop.run(node.server.stop())


def test_nobody_answers(pair: Pair) -> None:
    """The partner can't reach us: its Pong is missed, and the message says so."""
    away = URLMapping(source=pair.ours.endpoint, destination="https://localhost:9/ebms")
    pair.partner.client.create_url_mapping(away)
    try:
        with pytest.raises(EbmsServerError, match=r"pong: .*no answer came"):
            pair.ours.client.ping("async", pair.our_id, pair.their_id)
    finally:
        introduce(pair.ours, pair.partner)


def test_nothing_listens(pair: Pair) -> None:
    away = URLMapping(source=pair.partner.endpoint, destination=f"https://{LOOPBACK}:9/ebms")
    pair.ours.client.create_url_mapping(away)
    try:
        with pytest.raises(EbmsServerError, match=r"load_balancer: .*refuses the connection"):
            pair.ours.client.ping("async", pair.our_id, pair.their_id)
    finally:
        introduce(pair.ours, pair.partner)
