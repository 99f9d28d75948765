"""A partner that misbehaves: what our sender and our receiver make of it, and that nothing is lost or doubled."""

from __future__ import annotations

import base64
import json
import logging
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ebms_adapter_client.exceptions import EbmsAdapterError
from ebms_adapter_client.models import MessageFilter, URLMapping

from aansluitkit.connection.model import Profile
from aansluitkit.ebms.scenarios import Scenario
from aansluitkit.ebms.settings import Settings, StandInSettings
from aansluitkit.errors import KitError

from .conftest import LOOPBACK, PASSWORD, Loop, Node, Pair, cpa_of, introduce, settings, start
from .test_delivery import LONG, SOON
from .test_messages import arrives, asked, ends, until

pytestmark = pytest.mark.parametrize("pair", ["g4"], indirect=True)
CPA = "played"
# How a message to a partner that plays it ends, once it behaves again, and the word that the one line of the log has.
TO_PARTNER = {
    Scenario.LATE: ("DELIVERED", ""),
    Scenario.SILENT: ("DELIVERED", ""),
    Scenario.DROP: ("DELIVERED", "could not send"),
    Scenario.SOAP_FAULT: ("DELIVERED", "the scenario soap_fault is played here"),
    Scenario.ERROR_LIST: (
        "FAILED",
        "is DELIVERY_FAILED: Unknown at //Envelope: the scenario error_list is played here",
    ),
    Scenario.BROKEN_SIGNATURE: ("DELIVERED", "does not count: SecurityFailure"),
    Scenario.WRONG_REF_TO_MESSAGE_ID: ("DELIVERED", "says it is to 'no-message'"),
    Scenario.REPEAT: ("DELIVERED", ""),
    Scenario.EXPIRED_CERTIFICATE: ("DELIVERED", "certificate has expired"),
    Scenario.WRONG_CERTIFICATE: ("DELIVERED", "Hostname mismatch"),
}


def scenario_of(node: Node, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
    context = ssl._create_unverified_context()  # noqa: S323 - a certificate of this test, on loopback
    token = base64.b64encode(f"ebms:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(
        f"https://{LOOPBACK}:{node.server.ports['rest']}/service/rest/v19/scenario",
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": f"Basic {token}"},
        method=method,
    )
    with urllib.request.urlopen(request, context=context, timeout=10) as response:  # noqa: S310
        return json.loads(response.read() or b"{}")


def turn(node: Node, scenario: Scenario | None, late: float = 1) -> None:
    scenario_of(node, "PUT", {"scenario": scenario, "lateSeconds": late})


def stand_in(pair: Pair, folder: Path, **changes: Any) -> Settings:
    played = {
        "echo": True,
        "switchable": True,
        "expired_certificate_file": pair.pki / "mijnoverheid/stand-in-expired-key.pem",
        "wrong_certificate_file": pair.pki / "mijnoverheid/stand-in-wrong-key.pem",
        **changes,
    }
    database = f"sqlite:///{folder}/stand-in.db"
    return settings(folder, pair.pki, "party-partner", "mijnoverheid", database, stand_in=played)


@contextmanager
def playing(pair: Pair, loop: Loop, folder: Path, **changes: Any) -> Iterator[Node]:
    node = start(loop, stand_in(pair, folder, **changes), pair.connection.partner)
    agree(pair, node)
    try:
        yield node
    finally:
        introduce(pair.ours, pair.partner)
        loop.run(node.server.stop())


def agree(pair: Pair, node: Node, **changes: Any) -> None:
    """Our adapter and ``node`` are each other's partners, under one CPA."""
    pair.ours.client.create_url_mapping(URLMapping(source=node.endpoint, destination=node.address))
    node.client.create_url_mapping(URLMapping(source=pair.ours.endpoint, destination=pair.ours.address))
    given = {"profile": Profile.RELIABLE_SIGNED, "retries": LONG, "sync_reply": True, **changes}
    for client in (pair.ours.client, node.client):
        client.insert_cpa(cpa_of(pair.connection, CPA, **given), overwrite=True)


@pytest.fixture(scope="module")
def partner(pair: Pair, loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with playing(pair, loop, tmp_path_factory.mktemp("stand-in")) as node:
        yield node


@pytest.fixture(autouse=True)
def behaving(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test finds a partner that behaves, and leaves one."""
    node: Node | None = request.getfixturevalue("partner") if "partner" in request.fixturenames else None
    if node:
        agree(request.getfixturevalue("pair"), node)
    yield
    if node:
        turn(node, None)


def told(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if words in record.getMessage()]


@pytest.mark.parametrize("scenario", Scenario)
def test_sender_is_not_misled(pair: Pair, partner: Node, scenario: Scenario, caplog: pytest.LogCaptureFixture) -> None:
    """The message ends as it should, after retries where those help, and the partner has it once, or not at all."""
    caplog.set_level(logging.INFO, "aansluitkit")
    end, words = TO_PARTNER[scenario]
    turn(partner, scenario)
    identity = pair.ours.client.send_message(asked(pair, CPA, b"<zaak/>"))
    if words:
        until(lambda: told(caplog, words), "a line in the log")
    else:
        until(lambda: scenario_of(partner)["requests"], "first attempt")
    kept = pair.ours.server.store.messages.sent(identity)
    assert kept
    if scenario not in (Scenario.LATE, Scenario.REPEAT, Scenario.ERROR_LIST):
        assert kept.status == "CREATED", "it was believed"
    turn(partner, None)
    assert ends(pair.ours, identity) == [end]
    assert all(identity in line for line in told(caplog, words or "could not send"))
    got = partner.client.list_unprocessed_message_ids(MessageFilter(message_id=identity))
    assert got == ([] if end == "FAILED" else [identity])


def test_silent_partner_is_told_of_when_time_is_up(pair: Pair, partner: Node) -> None:
    agree(pair, partner, retries=SOON)
    turn(partner, Scenario.SILENT)
    identity = pair.ours.client.send_message(asked(pair, CPA))
    assert ends(pair.ours, identity) == ["EXPIRED"]
    assert scenario_of(partner)["requests"] >= 1
    turn(partner, None)
    assert partner.client.list_unprocessed_message_ids(MessageFilter(message_id=identity)) == []


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        (Scenario.WRONG_REF_TO_MESSAGE_ID, "pong: "),
        (Scenario.SILENT, "pong: "),
        (Scenario.DROP, "breaks off|closes|disconnect"),
        (Scenario.SOAP_FAULT, "cpa: .*soap_fault"),
        (Scenario.EXPIRED_CERTIFICATE, "tls_server: .*expired"),
        (Scenario.WRONG_CERTIFICATE, "tls_server: .*mismatch"),
    ],
)
def test_ping_is_not_misled(pair: Pair, partner: Node, scenario: Scenario, words: str, sync: bool) -> None:
    agree(pair, partner, sync_reply=sync)
    turn(partner, scenario)
    with pytest.raises(EbmsAdapterError, match=words):
        pair.ours.client.ping(CPA, pair.our_id, pair.their_id)
    turn(partner, None)
    pair.ours.client.ping(CPA, pair.our_id, pair.their_id)


def test_late_pong_is_a_pong(pair: Pair, partner: Node) -> None:
    turn(partner, Scenario.LATE)
    pair.ours.client.ping(CPA, pair.our_id, pair.their_id)


@pytest.mark.parametrize("scenario", [Scenario.EXPIRED_CERTIFICATE, Scenario.WRONG_CERTIFICATE])
def test_partner_with_the_wrong_certificate_is_not_let_in(
    pair: Pair, partner: Node, scenario: Scenario, caplog: pytest.LogCaptureFixture
) -> None:
    """It is refused, in a line of the log; with its own certificate its message arrives, once."""
    caplog.set_level(logging.INFO, "aansluitkit")
    turn(partner, scenario)
    identity = partner.client.send_message(asked(pair, CPA, b"<fout/>", sender="partner"))
    expired = scenario is Scenario.EXPIRED_CERTIFICATE
    until(
        lambda: told(caplog, "certificate has expired" if expired else "the OIN in the client certificate"), "refusal"
    )
    assert pair.ours.server.store.messages.received(identity) is None
    turn(partner, None)
    assert ends(partner, identity) == ["DELIVERED"]
    assert ends(pair.ours, identity) == ["RECEIVED"]


def test_message_with_a_broken_signature_is_refused(
    pair: Pair, partner: Node, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "aansluitkit")
    turn(partner, Scenario.BROKEN_SIGNATURE)
    identity = partner.client.send_message(asked(pair, CPA, b"<fout/>", sender="partner"))
    assert ends(partner, identity) == ["FAILED"]
    assert [identity in line for line in told(caplog, "SecurityFailure")] == [True]
    assert pair.ours.server.store.messages.received(identity) is None


def test_repeated_messages_are_taken_once(pair: Pair, partner: Node) -> None:
    agree(pair, partner, sync_reply=False)
    turn(partner, Scenario.REPEAT)
    sent = [partner.client.send_message(asked(pair, CPA, sender="partner")) for _ in range(5)]
    for identity in sent:
        assert ends(partner, identity) == ["DELIVERED"]
        assert ends(pair.ours, identity) == ["RECEIVED"]
    ids = MessageFilter(cpa_id=CPA)
    until(lambda: set(sent) <= set(pair.ours.client.list_unprocessed_message_ids(ids)), "arrival")
    found = pair.ours.client.list_unprocessed_message_ids(ids)
    assert sorted(identity for identity in found if identity in sent) == sorted(sent)


def test_adapter_has_no_scenario(pair: Pair) -> None:
    """Only a stand-in whose settings allow it can be told to misbehave."""
    for method, body in (("GET", None), ("PUT", {"scenario": "silent"})):
        with pytest.raises(urllib.error.HTTPError) as caught:
            scenario_of(pair.ours, method, body)
        assert caught.value.code == 404
    assert "/scenario" not in pair.ours.client._client.get("/service/rest/v19/openapi.json").text


def test_stand_in_that_may_not_be_switched(pair: Pair, loop: Loop, tmp_path: Path) -> None:
    with playing(pair, loop, tmp_path, switchable=False, scenario=Scenario.SOAP_FAULT) as node:
        with pytest.raises(urllib.error.HTTPError) as caught:
            turn(node, None)
        assert caught.value.code == 404
        with pytest.raises(EbmsAdapterError, match="soap_fault"):
            pair.ours.client.ping(CPA, pair.our_id, pair.their_id)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"scenario": "kwaadaardig"}, "scenario"),
        ({"scenario": "late", "lateSeconds": 0}, "lateSeconds"),
        ({"scenario": "late", "seconds": 1}, "seconds"),
    ],
)
def test_wrong_wish_changes_nothing(pair: Pair, partner: Node, body: dict[str, Any], words: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        scenario_of(partner, "PUT", body)
    assert caught.value.code == 400
    assert words in caught.value.read().decode()
    assert "scenario" not in scenario_of(partner)


def test_scenario_wants_its_certificate(pair: Pair, loop: Loop, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wrong_certificate_file"):
        StandInSettings(scenario=Scenario.WRONG_CERTIFICATE)
    with playing(pair, loop, tmp_path, wrong_certificate_file=None) as node:
        with pytest.raises(urllib.error.HTTPError) as caught:
            turn(node, Scenario.WRONG_CERTIFICATE)
        assert b"stand_in.wrong_certificate_file" in caught.value.read()


def test_file_without_certificate_is_refused_at_start(pair: Pair, loop: Loop, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    with pytest.raises(KitError, match=r"empty\.pem"):
        start(
            loop,
            stand_in(pair, tmp_path, expired_certificate_file=tmp_path / "empty.pem"),
            pair.connection.partner,
        )


def test_other_messages_than_requests_are_not_echoed(pair: Pair, partner: Node) -> None:
    identity = pair.ours.client.send_message(asked(pair, CPA, b"<zaak/>"))
    assert arrives(partner, identity).properties.message_status.value == "RECEIVED"
