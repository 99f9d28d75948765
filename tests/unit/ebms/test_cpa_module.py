"""The Ansible module on CPAs, against an adapter that runs: it changes what differs, and nothing that it refuses."""

from __future__ import annotations

import importlib.util
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from ebms_adapter_client.models import MessageFilter, MessageRequest, MessageRequestProperties

from aansluitkit.connection import Profile
from aansluitkit.connection.model import Service
from aansluitkit.project import ROOT

from ..bad_cpas import BAD_CPAS
from .conftest import PASSWORD, Node, Pair, cpa_of


def _module() -> ModuleType:
    specification = importlib.util.spec_from_file_location("ebms_cpa", ROOT / "plugins/modules/ebms_cpa.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


ebms_cpa = _module()


@dataclass
class Play:
    """One task with the module, against our adapter of ``pair``."""

    pair: Pair
    id: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def run(self, document: str | None, *, check: bool = False, **changes: Any) -> dict[str, Any]:
        rest = f"https://127.0.0.1:{self.pair.ours.server.ports['rest']}"
        parameters = {
            "id": self.id,
            "state": "present" if document else "absent",
            "document": document,
            "parties": [self.pair.our_id, self.pair.their_id],
            "certificates": [],
            "url": rest,
            "server_name": self.pair.connection.name_of(self.pair.connection.hosts["adapter-1"]),
            "trust": str(self.pair.pki / "adapter-1/internal-trust.pem"),
            "user": "ebms",
            "password": PASSWORD,
            **changes,
        }
        result: dict[str, Any] = ebms_cpa.ensure(ebms_cpa.Adapter(parameters), parameters, check)
        return result

    @property
    def loaded(self) -> str | None:
        ids = self.pair.ours.client.list_cpa_ids()
        return self.pair.ours.client.get_cpa(self.id) if self.id in ids else None


@pytest.fixture
def play(pair: Pair, request: pytest.FixtureRequest) -> Play:
    return Play(pair, re.sub(r"\W", "_", request.node.name))


def document(play: Play, **changes: Any) -> str:
    return cpa_of(play.pair.connection, play.id, **changes)


@pytest.mark.parametrize("profile", Profile)
def test_it_loads_once_and_says_so(play: Play, profile: Profile) -> None:
    wanted = document(play, profile=profile)
    assert play.run(wanted, check=True)["changed"]
    assert play.loaded is None
    first = play.run(wanted)
    assert (first["changed"], first["diff"]["before"], first["diff"]["after"]) == (True, "", wanted)
    assert play.loaded == wanted
    assert not play.run(wanted)["changed"]
    assert not play.run(wanted, check=True)["changed"]


def test_it_replaces_what_differs(play: Play) -> None:
    play.run(document(play))
    other = document(play, sync_reply=True)
    assert play.run(other, check=True)["changed"]
    assert play.loaded != other
    assert play.run(other)["changed"]
    assert play.loaded == other


def test_the_same_content_is_the_same(play: Play) -> None:
    """As the reference adapter gives a CPA back: other prefixes, every part of a duration, no default values."""
    wanted = document(play)
    play.run(wanted)
    rewritten = wanted.replace("tns:", "ns3:").replace("xmlns:tns", "xmlns:ns3").replace("\n", "\n    ")
    rewritten = rewritten.replace("PT3H", "P0Y0M0DT3H0M0.000S").replace("P1DT3H", "P0Y0M1DT3H0M0.000S")
    rewritten = rewritten.replace('"P2D"', '"P0Y0M2DT0H0M0.000S"').replace(' ns3:type="allPurpose"', "")
    assert not play.run(rewritten)["changed"]
    assert play.loaded == wanted
    assert play.run(rewritten.replace("P0Y0M1DT3H", "P0Y0M1DT4H"))["changed"]


@pytest.mark.parametrize("name", BAD_CPAS)
def test_a_bad_cpa_leaves_the_loaded_one(play: Play, name: str) -> None:
    spoil, _, words = BAD_CPAS[name]
    good = document(play)
    play.run(good)
    files = play.pair.connection.certificates
    ours = x509.load_pem_x509_certificate(files.organisation.read_bytes()).fingerprint(hashes.SHA256()).hex()
    bad = spoil(good.encode()).decode()
    certificates = ["00" * 32] if name == "other certificates" else [ours]
    for check in (True, False):
        with pytest.raises(ebms_cpa.Unusable, match=re.escape(words)) as refused:
            play.run(bad, check=check, certificates=certificates if name == "other certificates" else [])
        assert "\n" not in str(refused.value)
    assert play.loaded == good


def test_certificates_may_be_named(play: Play) -> None:
    files = play.pair.connection.certificates
    prints = [
        x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()).hex(":")
        for path in (files.organisation, files.partner)
    ]
    assert play.run(document(play), certificates=prints)["changed"]
    with pytest.raises(ebms_cpa.Unusable, match="none of connection_certificates"):
        play.run(document(play), certificates=prints[:1])


def test_a_new_cpa_overlaps_the_old_one_until_that_is_retired(play: Play) -> None:
    old = Play(play.pair, f"{play.id}_old")
    old.run(document(old))
    play.run(document(play))
    assert old.loaded
    assert old.run(None, check=True)["changed"]
    assert old.loaded
    assert old.run(None)["changed"]
    assert old.loaded is None
    assert not old.run(None)["changed"]
    assert play.loaded


def send(node: Node, cpa_id: str, sender: str, service: Service, code: str) -> None:
    action = next(action.name for action in service.actions if action.sender == code)
    properties = MessageRequestProperties(
        cpa_id=cpa_id,
        from_party_id=sender,
        from_role=code,
        service=f"{service.type}:{service.name}",
        action=action,
    )
    node.client.send_message(MessageRequest(properties=properties, data_sources=[]))


def test_a_cpa_stays_while_it_is_sent_with(play: Play) -> None:
    play.run(document(play))  # which the partner does not have, so that it acknowledges nothing
    send(play.pair.ours, play.id, play.pair.our_id, play.pair.connection.cpa.services[0], "SR")
    for check in (True, False):
        with pytest.raises(ebms_cpa.Unusable, match=r"1 message\(s\) of it are still being sent"):
            play.run(None, check=check)
    assert play.loaded


def test_a_cpa_stays_until_the_application_took_its_messages(play: Play) -> None:
    pair = play.pair
    wanted = document(play)
    play.run(wanted)
    pair.partner.client.insert_cpa(wanted)
    send(pair.partner, play.id, pair.their_id, pair.connection.cpa.services[0], "SP")
    asked = MessageFilter(cpa_id=play.id)
    until = time.monotonic() + 30
    while not (waiting := pair.ours.client.list_unprocessed_message_ids(asked)) and time.monotonic() < until:
        time.sleep(0.05)
    with pytest.raises(ebms_cpa.Unusable, match=r"1 received message\(s\) of it wait for the application"):
        play.run(None)
    pair.ours.client.process_message(waiting[0])
    assert play.run(None)["changed"]
    assert play.loaded is None


def test_an_adapter_that_does_not_tell_keeps_a_cpa_until_its_end(play: Play) -> None:
    """The reference adapter has no list of what it is sending: it answers 404."""

    class Silent(ebms_cpa.Adapter):  # type: ignore[name-defined, misc]
        def call(self, method: str, path: str, body: str = "") -> tuple[int, str]:
            return (404, "") if "/pending" in path else (200, "[]")

    rest = {"url": "http://127.0.0.1:1", "server_name": None, "trust": None, "user": None, "password": None}
    now = datetime.now(UTC)
    with pytest.raises(ebms_cpa.Unusable, match="wait until the CPA ends, on 2") as refused:
        ebms_cpa._refuse_pending(Silent(rest), play.id, document(play, end=now + timedelta(days=1)))
    assert f"{now + timedelta(days=1):%Y-%m-%d}" in str(refused.value)
    ebms_cpa._refuse_pending(Silent(rest), play.id, document(play, start=now - timedelta(2), end=now - timedelta(1)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "http://198.51.100.11:8080"}, "is not https, and not on the host itself"),
        ({"server_name": None}, "needs cpa_server_name and cpa_trust"),
        ({"password": "wrong"}, "refuses cpa_user and cpa_password"),
        ({"server_name": "elsewhere.test"}, "can't be reached"),
    ],
)
def test_adapter_that_cannot_be_asked(play: Play, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ebms_cpa.Unusable, match=words):
        play.run(document(play), **changes)
