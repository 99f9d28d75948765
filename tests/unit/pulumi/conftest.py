"""The lab's inventory as a preprod or production one: private networks, floating addresses, a cloud."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

LAB = Path(__file__).parents[3] / "inventories/lab"
OPENSTACK = {
    "cloud": "hoster",
    "image": "debian-12",
    "flavors": {
        "firewall": "s.small",
        "name_server": "s.small",
        "load_balancer": "s.small",
        "adapter": "s.medium",
        "application": "s.small",
        "database": "s.large",
        "management": "s.small",
        "monitoring": "s.small",
    },
    "external_network": "public",
    "availability_zones": ["ams-1", "ams-2"],
    "keypair": "beheer",
    "router_address": "10.20.0.1",
    "inbound_fixed_address": "10.20.0.10",
    "outbound_fixed_address": "10.20.0.11",
    "database_volume_gib": 40,
}
# The lab's networks, and what stands for them.
NETWORKS = {
    "203.0.113.0/24": "10.20.0.0/24",
    "192.0.2.0/24": "10.20.1.0/24",
    "198.51.100.0/26": "10.20.2.0/26",
    "198.51.100.64/26": "10.20.2.64/26",
    "198.51.100.128/26": "10.20.2.128/26",
}
STARTS = {"203.0.113.": "10.20.0.", "192.0.2.": "10.20.1.", "198.51.100.": "10.20.2."}

MakeInventory = Callable[..., Path]


def write(folder: Path, environment: str, *without: str) -> Path:
    """Write the inventory of ``environment`` to ``folder`` and return it; groups ``without`` are left out."""
    variables = folder / "group_vars/all"
    variables.mkdir(parents=True)
    hosts = yaml.safe_load((LAB / "hosts.yml").read_text())
    for group in ("partner", *without):
        del hosts["all"]["children"][group]
    for entry in hosts["all"]["children"].values():
        for host in entry["hosts"].values():
            host["connection_addresses"] = {zone: _moved(at) for zone, at in host["connection_addresses"].items()}
    hosts["all"]["children"]["firewall"]["hosts"]["fw"]["connection_addresses"]["external"] = "10.20.0.2"
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts, sort_keys=False))
    shared = {}
    for file in ("customer.yml", "connection.yml"):
        shared |= yaml.safe_load((LAB / "group_vars/all" / file).read_text())
    del shared["connection_extra_flows"]
    for zone in shared["connection_zones"].values():
        zone["network"] = NETWORKS[zone["network"]]
    for addresses in shared["connection_virtual_addresses"].values():
        addresses |= {zone: _moved(at) for zone, at in addresses.items()}
    shared |= {
        "connection_name": "voorbeeldstad",
        "connection_example": True,
        "connection_sender_id": "AFZ-VOORBEELD-0101",
        "connection_environment": environment,
        "connection_inbound_address": "203.0.113.10",
        "connection_outbound_address": "203.0.113.11",
        "connection_openstack": OPENSTACK,
        "connection_certificates": {"organisation": "organisation.pem", "partner": "partner.pem"},
        "connection_organisation": {"name": "Gemeente Voorbeeldstad", "oin": "00000001001234567000"},
        "connection_partner": {**shared["connection_partner"], "oin": "00000004003214345001"},
        "connection_cpa": {**shared["connection_cpa"], "id": f"VOORBEELDSTAD-{environment}", "retired": []},
    }
    (variables / "connection.yml").write_text(yaml.safe_dump(shared, sort_keys=False))
    return folder


def _moved(address: str) -> str:
    start = next(start for start in STARTS if address.startswith(start))
    return address.replace(start, STARTS[start])


@pytest.fixture(scope="module", autouse=True)
def loop() -> Iterator[None]:
    """Pulumi's SDK takes the thread's event loop, which other tests may have closed."""
    own = asyncio.new_event_loop()
    asyncio.set_event_loop(own)
    yield
    asyncio.set_event_loop(None)
    own.close()


@pytest.fixture(scope="session")
def make_inventory(tmp_path_factory: pytest.TempPathFactory) -> MakeInventory:
    """Makes an inventory of an environment, in a new folder each time."""

    def make(environment: str, *without: str) -> Path:
        return write(tmp_path_factory.mktemp("inventory") / environment, environment, *without)

    return make
