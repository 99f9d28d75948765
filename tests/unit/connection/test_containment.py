"""Whatever a rule, a value or a file does, only its own finding is lost; other rules and customers go on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from corpus import HOSTS, LAB, PREPROD, PRODUCTION, ROOT, VENDOR, replaced, written
from hypothesis import given, settings
from hypothesis import strategies as st

from aansluitkit.connection import examine, rules
from aansluitkit.connection.identifiers import TEST_PREFIX
from aansluitkit.connection.model import Connection
from aansluitkit.errors import Problem
from aansluitkit.fleet.survey import Result, survey

DEFECT = "by a defect of the kit"


@pytest.fixture
def inventories(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "inventories", tmp_path / "inventories", symlinks=True))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's inventory, of which a test may rewrite the hosts as often as it likes."""
    return Path(shutil.copytree(ROOT / "inventories/lab", tmp_path_factory.mktemp("fleet") / LAB))


HOSTS_OF_LAB = yaml.safe_load((ROOT / "inventories/lab" / HOSTS).read_text())["all"]["children"]
LAST = "group_vars/all/zz.yml"  # read last, so it wins
ADDRESS, ANYWHERE = "connection_addresses", ("dmz", "external", "data", "nowhere")
Change = tuple[str, str, str, str]  # kind, group, host, zone


def all_changes() -> Iterator[Change]:
    """Everything that is done to one host: gone, without an address, elsewhere, twice, twice without an address."""
    for group, content in HOSTS_OF_LAB.items():
        yield "no group", group, "", ""
        for host, variables in content["hosts"].items():
            yield "gone", group, host, ""
            yield "twice", group, host, ""
            for zone in variables[ADDRESS]:
                yield "without", group, host, zone
                yield "twice", group, host, zone
            for zone in ANYWHERE:
                yield "elsewhere", group, host, zone


CHANGES = list(all_changes())


def changed(lab: Path, changes: list[Change]) -> list[Problem]:
    """The problems of the lab after ``changes`` of its hosts."""
    groups = yaml.safe_load(yaml.safe_dump(HOSTS_OF_LAB))
    for kind, group, host, zone in changes:
        hosts = groups.get(group, {}).get("hosts", {})
        if kind == "no group":
            groups.pop(group, None)
        elif host in hosts:
            addresses = hosts[host][ADDRESS]
            if kind == "gone":
                del hosts[host]
            elif kind == "without":
                addresses.pop(zone, None)
            elif kind == "elsewhere":
                hosts[host][ADDRESS] = {zone: next(iter(addresses.values()), "192.0.2.99")}
            else:
                others = {name: address for name, address in addresses.items() if name != zone}
                hosts[f"{host}-again"] = {ADDRESS: others}
    (lab / HOSTS).write_text(yaml.safe_dump({"all": {"children": groups}}))
    return list(examine(lab).problems)


def test_each_change_of_a_host_is_judged_by_every_rule(lab: Path) -> None:
    for change in CHANGES:
        assert not [str(problem) for problem in changed(lab, [change]) if DEFECT in problem.message], change


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(changes=st.lists(st.sampled_from(CHANGES), min_size=2, max_size=5))
def test_any_hosts_are_judged_by_every_rule(lab: Path, changes: list[Change]) -> None:
    assert not [str(problem) for problem in changed(lab, changes) if DEFECT in problem.message]


def test_second_firewall_without_a_way_to_management_is_a_sentence(lab: Path) -> None:
    found = {problem.rule: problem.message for problem in changed(lab, [("twice", "firewall", "fw", "management")])}
    assert found["firewall_stands_in_every_zone"].startswith("has no address in zone 'management'")


def test_two_firewalls_without_management_host_are_a_sentence(lab: Path) -> None:
    changes = [("twice", "firewall", "fw", ""), ("gone", "management", "controller", "")]
    assert "management_is_there" in {problem.rule for problem in changed(lab, changes)}


def test_rule_that_breaks_is_one_problem_and_loses_nothing(inventories: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_done(connection: Connection) -> Iterator[rules.Finding]:
        yield "name", "is found before it breaks"
        raise KeyError(connection.name)

    folder = inventories / PREPROD
    (folder / LAST).write_text("connection_example: false\n")
    before = examine(folder).problems
    assert before
    monkeypatch.setattr(rules, "RULES", (half_done, *rules.RULES))
    found = [problem for problem in examine(folder).problems if problem not in before]
    assert {problem.rule for problem in found} == {"half_done"}
    assert [problem.variable for problem in found] == ["connection_name", "inventory"]
    assert found[1].message.startswith(f"rule half_done can't be judged, {DEFECT}: KeyError 'voorbeeldgemeente'")
    assert set(before) <= {*examine(folder).problems}


def named_by_a_loop(folder: Path) -> None:
    certificates = folder.parent / "files" / folder.name / "certificates"
    certificates.mkdir(parents=True, exist_ok=True)
    (certificates / "organisation.pem").symlink_to("organisation.pem")


def long_chain(folder: Path) -> None:
    names = [f"connection_link_{number}: '{{{{ connection_link_{number + 1} }}}}'\n" for number in range(3000)]
    (folder / LAST).write_text("".join(names))


ODD: dict[str, Callable[[Path], None]] = {
    "a zone of 900 letters": replaced(HOSTS, "{application: 10.21.2.20}", f"{{{'z' * 900}: 10.21.2.20}}"),
    "NUL in a path": written(LAST, rb'connection_certificates: {organisation: "a\0b", partner: "a\0b"}'),
    "a link to itself": named_by_a_loop,
    "templates in a long chain": long_chain,
    "a file name that is no UTF-8": lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/\xff.yml")).touch(),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_odd_inventory_stops_nobody(inventories: Path, odd: Callable[[Path], None]) -> None:
    odd(inventories / PREPROD)
    for entry in survey([inventories / PREPROD, inventories / VENDOR]):
        assert entry.result is (Result.REFUSED if entry.inventory.match(PREPROD) else Result.VALID)
    [alone] = survey([inventories / VENDOR])  # and not when it only stands beside
    assert alone.result is Result.VALID


def test_blank_partner_hides_nothing_else(inventories: Path) -> None:
    """What is known is judged, though the same rule asks for the partner too."""
    folder = inventories / PRODUCTION
    replaced("../customer.yml", 'oin: "00000001', f'oin: "{TEST_PREFIX}')(folder)
    (folder / LAST).write_text("connection_example: false\nconnection_partner: TODO\n")
    found = {(problem.rule, problem.variable) for problem in examine(folder).problems}
    assert ("no_documentation_addresses", "connection_inbound_address") in found
    assert ("no_example_names", "connection_endpoint") in found
    assert ("test_oin_fits_environment", "connection_organisation.oin") in found
    assert [problem for problem in examine(folder).blanks if problem.variable == "connection_partner"]
