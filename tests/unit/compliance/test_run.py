"""The whole compliance run between two adapters that really run, and what it says when something is wrong."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from ebms_adapter_client.models import URLMapping
from lxml import etree

from aansluitkit.compliance.adapter import BASE, Adapter, Answer, Call
from aansluitkit.compliance.facility import ROLES, SERVICES, played_by
from aansluitkit.compliance.report import Outcome, Report, Result, write_html
from aansluitkit.compliance.run import PING_IN, Run, Sides
from aansluitkit.connection import Connection, Environment, Profile, load_connection
from aansluitkit.documents import render_cpa
from aansluitkit.errors import KitError
from aansluitkit.project import ROOT

from ..ebms.conftest import LOOPBACK, PASSWORD, Loop, Node, introduce, loop, names, settings, start

__all__ = ["loop", "names"]  # fixtures


class Direct:
    """The REST interface of a node, without the way to its host."""

    def __init__(self, node: Node) -> None:
        self._port = node.server.ports["rest"]
        self._token = base64.b64encode(f"ebms:{PASSWORD}".encode()).decode()

    def calls(self, requests: Sequence[Call]) -> list[Answer]:
        return [self._call(request) for request in requests]

    def _call(self, request: Call) -> Answer:
        context = ssl._create_unverified_context()  # noqa: S323 - a certificate of this test, on loopback
        connection = http.client.HTTPSConnection(LOOPBACK, self._port, context=context, timeout=30)
        headers = {"Authorization": f"Basic {self._token}", "Accept": "*/*", "Content-Type": request.content_type}
        try:
            connection.request(request.method, BASE + request.path, request.body.encode(), headers)
            response = connection.getresponse()
            return Answer(response.status, response.read().decode())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def agreed(connection: Connection) -> Connection:
    return played_by(connection)


@pytest.fixture(scope="module")
def nodes(
    loop: Loop, agreed: Connection, pki_g4: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Node, Node]]:
    folder = tmp_path_factory.mktemp("compliance")
    played = {
        "echo": True,
        "switchable": True,
        "expired_certificate_file": pki_g4 / "mijnoverheid/stand-in-expired-key.pem",
        "wrong_certificate_file": pki_g4 / "mijnoverheid/stand-in-wrong-key.pem",
    }
    ours = settings(folder, pki_g4, "party-organisation", "adapter-1", f"sqlite:///{folder}/ours.db")
    database = f"sqlite:///{folder}/partner.db"
    theirs = settings(folder, pki_g4, "party-partner", "mijnoverheid", database, stand_in=played)
    both = start(loop, ours, agreed), start(loop, theirs, agreed.partner)
    introduce(*both)
    yield both
    for node in both:
        loop.run(node.server.stop())


@pytest.fixture(scope="module")
def sides(nodes: tuple[Node, Node], agreed: Connection) -> Sides:
    own, other = agreed.organisation.party_id, agreed.partner.party_id
    ours = Adapter(Direct(nodes[0]), agreed.cpa.id, (own, agreed.cpa.roles.requester), other)
    theirs = Adapter(Direct(nodes[1]), agreed.cpa.id, (other, agreed.cpa.roles.provider), own)
    for adapter in (ours, theirs):
        adapter.load(render_cpa(agreed))
    return Sides(ours, theirs)


def played(sides: Sides, patience: float = 30) -> dict[str, Outcome]:
    outcomes: list[Outcome] = []
    Run(sides, SERVICES, outcomes.append, patience).play()
    assert len({outcome.case.id for outcome in outcomes}) == len(outcomes)
    return {outcome.case.id: outcome for outcome in outcomes}


@pytest.fixture(scope="module")
def whole(sides: Sides) -> dict[str, Outcome]:
    return played(sides)


def test_every_case_passes(whole: dict[str, Outcome]) -> None:
    assert [outcome for outcome in whole.values() if outcome.result is not Result.PASSED] == []


def test_every_profile_is_played_both_ways(whole: dict[str, Outcome]) -> None:
    """The thirteen cases of the Compliancevoorziening, and its own Ping."""
    wanted = {"ping.out", "ping.in", *(f"{way}.{profile}" for way in ("out", "in") for profile in Profile)}
    assert {identity for identity in whole if not identity.startswith("partner.")} == wanted
    assert all(whole[identity].message_ids for identity in wanted if not identity.startswith("ping."))


def test_nothing_is_left_for_an_application(sides: Sides, whole: dict[str, Outcome]) -> None:
    assert whole
    for adapter in (sides.ours, sides.partner):
        assert adapter
        adapter.take(adapter.waiting())
        assert adapter.waiting() == []


def test_misbehaviour_is_not_played_with_others(sides: Sides, whole: dict[str, Outcome]) -> None:
    """Nor is it passed over in silence."""
    found = played(replace(sides, partner=None))
    assert set(found) == set(whole)
    assert found["ping.in"].result is Result.NOT_PLAYED
    assert {outcome.result for key, outcome in found.items() if key.startswith("partner.")} == {Result.NOT_PLAYED}
    assert {outcome.result for key, outcome in found.items() if key.startswith(("out.", "in."))} == {Result.PASSED}


def test_partner_that_does_not_answer_fails_the_run(sides: Sides, nodes: tuple[Node, Node]) -> None:
    away = URLMapping(source=nodes[1].endpoint, destination=f"https://{LOOPBACK}:9/")
    nodes[0].client.create_url_mapping(away)
    try:
        found = played(replace(sides, partner=None), patience=1)
    finally:
        introduce(*nodes)
    assert "no Pong" in found["ping.out"].found
    assert found["out.osb-be"].found == "the message is FAILED, DELIVERED was expected"
    assert found["out.osb-rm"].found == "the message is still under way, DELIVERED was expected"
    assert "0 answers came" in found["in.osb-rm"].found


def test_report_tells_ids_and_no_payloads(whole: dict[str, Outcome], agreed: Connection, tmp_path: Path) -> None:
    report = Report("inventories/lab", agreed.cpa.id, outcomes=list(whole.values()))
    assert report.passed
    write_html(report, agreed, tmp_path / "rapport.html")
    page = (tmp_path / "rapport.html").read_text()
    assert etree.fromstring(page.encode()).get("lang") == "nl"
    for outcome in whole.values():
        assert all(identity in page for identity in outcome.message_ids)
        assert outcome.case.dutch in page
    assert "echo profiel" not in page
    given = json.loads(json.dumps(report.as_json(), default=str))
    assert given["passed"] == len(whole)
    assert given["not_played"] == 0


def test_nothing_played_is_nothing_passed(agreed: Connection) -> None:
    assert not Report("x", agreed.cpa.id, outcomes=[Outcome(PING_IN, Result.NOT_PLAYED, "")]).passed


def test_example_has_the_services_of_the_compliancevoorziening() -> None:
    example = load_connection(ROOT / "inventories/voorbeeldgemeente/compliance")
    assert example.cpa.services == SERVICES
    assert example.cpa.roles == ROLES
    assert played_by(example) is example


@pytest.mark.parametrize("environment", [Environment.PREPROD, Environment.PRODUCTION])
def test_mijnoverheid_is_left_alone(connection: Connection, environment: Environment) -> None:
    with pytest.raises(KitError, match="Compliancevoorziening alone"):
        played_by(connection.model_copy(update={"environment": environment}))


def test_cpa_without_echo_is_refused(connection: Connection) -> None:
    with pytest.raises(KitError, match=r"connection_cpa\.services"):
        played_by(connection.model_copy(update={"environment": Environment.COMPLIANCE}))
