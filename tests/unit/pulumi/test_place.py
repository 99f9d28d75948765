"""What is refused before Pulumi is asked, and what the firewall carries behind a cloud's router."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aansluitkit.connection import load_connection
from aansluitkit.connection.place import OpenStack
from aansluitkit.connection.views import views
from aansluitkit.errors import InventoryError, KitError
from aansluitkit.landscape.stack import settings_of

MakeInventory = Callable[..., Path]

BROKEN = [
    ("flavors:\n    firewall: s.small", "flavors:\n    firewal: s.small", "openstack.flavors.firewal", "no component"),
    ("    adapter: s.medium\n", "", "openstack.flavors", "component 'adapter' has no flavor"),
    ("router_address: 10.20.0.1\n", "router_address: 10.20.1.9\n", "openstack.router_address", "lies outside"),
    ("router_address: 10.20.0.1\n", "router_address: 10.20.0.2\n", "openstack.router_address", "taken by host 'fw'"),
    ("inbound_fixed_address: 10.20.0.10", "inbound_fixed_address: 10.20.0.11", "openstack.outbound_fixed_address",
     "taken by inbound_fixed_address"),
    ("connection_inbound_address: 203.0.113.10", "connection_inbound_address: 10.20.0.12", "inbound_address",
     "floating address"),
    ("connection_environment: preprod", "connection_environment: lab", "openstack", "take it out"),
    ("database_volume_gib: 40", "database_volume_gib: 0", "openstack.database_volume_gib", "greater than"),
    ("  cloud: hoster", "  cloud: hoster\n  password: geheim", "openstack.password", "not a known name"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "variable", "words"), BROKEN, ids=[f"{row[2]}-{row[3]}" for row in BROKEN])
def test_broken_place_is_refused(make_inventory: MakeInventory, old: str, new: str, variable: str, words: str) -> None:
    inventory = make_inventory("preprod")
    path = inventory / "group_vars/all/connection.yml"
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InventoryError) as caught:
        load_connection(inventory)
    problems = {problem.variable: problem.message for problem in caught.value.problems}
    assert words in problems[f"connection_{variable}"]


def test_the_firewall_carries_what_the_router_leaves(make_inventory: MakeInventory) -> None:
    told = views(load_connection(make_inventory("preprod")))["fw"]["firewall"]
    assert told["addresses"] == [
        {"interface": "external", "address": "10.20.0.10"},
        {"interface": "external", "address": "10.20.0.11"},
    ]
    flows = {flow["id"]: flow for flow in told["flows"]}
    assert flows["ebms-inbound"]["published_address"] == "10.20.0.10"
    assert flows["ebms-outbound-adapter-1"]["outbound_address"] == "10.20.0.11"


@pytest.fixture
def place(make_inventory: MakeInventory, monkeypatch: pytest.MonkeyPatch) -> OpenStack:
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    found = load_connection(make_inventory("preprod")).openstack
    assert found
    return found


def test_no_state_and_no_passphrase_are_refused(place: OpenStack, tmp_path: Path) -> None:
    with pytest.raises(KitError, match="no place for Pulumi's state: set 'state'"):
        settings_of(place)
    place = place.model_copy(update={"state": "s3://toestand"})
    with pytest.raises(KitError, match="no passphrase for the secrets"):
        settings_of(place)
    with pytest.raises(KitError, match="is not there: make it"):
        settings_of(place.model_copy(update={"passphrase_file": tmp_path / "absent"}))


def test_state_and_secrets_are_the_users_choice(place: OpenStack, monkeypatch: pytest.MonkeyPatch) -> None:
    key = place.model_copy(update={"state": "s3://toestand", "secrets_provider": "awskms://alias/kit"})
    assert (settings_of(key).backend, settings_of(key).secrets_provider) == ("s3://toestand", "awskms://alias/kit")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "postgres://toestand")
    assert settings_of(key).backend == "postgres://toestand"
