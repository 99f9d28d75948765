"""The model accepts the shipped inventory and refuses what the seed and Digikoppeling forbid."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aansluitkit.connection import Component, flows_of, load_connection
from aansluitkit.connection.identifiers import check_fqdn, check_oin
from aansluitkit.errors import InventoryError

ROOT = Path(__file__).parents[3]
LAB = ROOT / "inventories/lab"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return Path(shutil.copytree(LAB, tmp_path / "lab"))


def change(lab: Path, old: str, new: str) -> None:
    """Replace ``old``, which must stand in exactly one of the inventory's files, by ``new``."""
    holders = [path for path in lab.rglob("*.yml") if old in path.read_text()]
    assert len(holders) == 1, f"{old!r} stands in {holders}"
    holders[0].write_text(holders[0].read_text().replace(old, new, 1))


def test_lab_is_accepted() -> None:
    connection = load_connection(LAB)
    assert connection.host_name == "ebms.voorbeeldstad.test"
    assert [host.name for host in connection.hosts_of(Component.ADAPTER)] == ["adapter-1", "adapter-2"]
    assert str(connection.gateway("dmz")) == "192.0.2.1"


def test_flows_publish_inbound_and_translate_outbound() -> None:
    connection = load_connection(LAB)
    flows = {flow.id: flow for flow in flows_of(connection)}
    assert len(flows) == len(flows_of(connection)), "flow ids are unique"
    assert flows["ebms-inbound"].published_address == connection.inbound_address
    assert flows["ebms-outbound-adapter-1"].outbound_address == connection.outbound_address
    assert connection.inbound_address != connection.outbound_address
    assert "app-adapter-1-tcp-8080" in flows
    assert not [flow for flow in flows.values() if flow.source == "partner" and flow.destination == "db"]


BROKEN = [
    ('oin: "00000099000000001000"', 'oin: "0000009900000001000"', "connection_organisation.oin", "20 digits"),
    ('oin: "00000099000000001000"', "oin: 99000000001000", "connection_organisation.oin", "between quotes"),
    ('oin: "00000099000000001000"', 'oin: "00000055000000001000"', "connection_organisation.oin", "no register"),
    ('oin: "00000099000000002000"', 'oin: "00000099000000001000"', "connection_partner.oin", "organisation's own"),
    ("connection_kind: government", "connection_kind: leverancier", "connection_kind", "'leverancier'"),
    ("connection_name: lab", "connection_nmae: lab", "connection_nmae", "nearest known one is 'name'"),
    ("https://ebms.voorbeeldstad.test/ebms", "http://ebms.voorbeeldstad.test/ebms", "connection_endpoint", "https"),
    ("https://ebms.voorbeeldstad.test/ebms", "https://203.0.113.10/ebms", "connection_endpoint", "names a host"),
    ("https://ebms.voorbeeldstad.test/ebms", "https://ebms.voorbeeldstad.test:8443/ebms", "connection_endpoint", "443"),
    ("data: 198.51.100.70", "dta: 198.51.100.70", "db: connection_addresses.dta", "zone 'dta' is not declared"),
    ("data: 198.51.100.70", "data: 192.0.2.70", "db: connection_addresses.data", "lies outside"),
    ("application: 198.51.100.12", "application: 198.51.100.11",
     "adapter-2: connection_addresses.application", "already taken"),
    ("198.51.100.64/26", "198.51.100.0/25", "connection_zones.data.network", "overlaps"),
    ("connection_outbound_address: 203.0.113.11", "connection_outbound_address: 203.0.113.10",
     "connection_outbound_address", "inbound address as well"),
    ('end: "2028', 'end: "2025', "connection_cpa.end", "not after start"),
    ("destination: mijnoverheid", "destination: nergens", "connection_extra_flows.0.destination", "neither a host"),
    ("connection_environment: lab", "connection_environment: production", "connection_organisation.oin", "test OIN"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "variable", "words"), BROKEN, ids=[row[1] for row in BROKEN])
def test_broken_inventory_names_file_and_variable(lab: Path, old: str, new: str, variable: str, words: str) -> None:
    change(lab, old, new)
    with pytest.raises(InventoryError) as caught:
        load_connection(lab)
    problem = next(problem for problem in caught.value.problems if problem.variable == variable)
    assert words in problem.message
    assert Path(problem.file).is_file()
    assert variable.split(".", maxsplit=1)[0].rsplit(": ", maxsplit=1)[-1] in Path(problem.file).read_text()


def test_all_problems_are_reported_at_once(lab: Path) -> None:
    change(lab, "connection_kind: government", "connection_kind: leverancier")
    change(lab, "connection_network: internet", "connection_network: netwerk")
    with pytest.raises(InventoryError) as caught:
        load_connection(lab)
    assert {problem.variable for problem in caught.value.problems} == {"connection_kind", "connection_network"}


def test_vendor_never_reaches_production(lab: Path) -> None:
    change(lab, "connection_kind: government", "connection_kind: vendor")
    change(lab, "connection_environment: lab", "connection_environment: production")
    with pytest.raises(InventoryError, match=r"connection_environment: a vendor connection can never be 'production'"):
        load_connection(lab)


@pytest.mark.parametrize(
    "oin",
    ["00000001002220647000", "00000001822477348000", "00000004194049711000", "00000004003214345001",
     "00000008823631400000", "00000003803078680000", "00000099999999910000"],
)  # fmt: skip
def test_real_oins_pass(oin: str) -> None:
    assert check_oin(oin) == oin


def test_fqdn_is_lowered() -> None:
    assert check_fqdn("EBMS.Voorbeeldstad.test.") == "ebms.voorbeeldstad.test"


def test_folder_without_inventory(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r"hosts\.yml"):
        load_connection(tmp_path)
