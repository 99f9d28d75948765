"""Migration of the lab to another network, as an operator would declare it (docs/migrate.md).

``python -m aansluitkit.lab.migration begin INVENTORY`` declares a second network beside the one that is there, with the
same hosts on it; ``send`` has our messages leave by it, ``end`` takes it back. What hosts do is for ``lab up`` and
``site.yml``.
"""

from __future__ import annotations

import argparse
import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from aansluitkit.connection import Component, Connection, load_connection
from aansluitkit.connection.model import EXTERNAL, MIGRATION
from aansluitkit.errors import KitError
from aansluitkit.lab.variables import write_variables

NETWORK = IPv4Network("198.18.5.0/24")  # for tests of networks (RFC 2544): nobody has it
RANGE, ROUTER = NETWORK.supernet(new_prefix=16), NETWORK[254]
VARIABLES = "group_vars/all/migration.yml"  # sorts after what it overrides


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="migration")
    parser.add_argument("action", choices=["begin", "send", "end"])
    parser.add_argument("inventory", type=Path)
    given = parser.parse_args()
    try:
        connection = load_connection(given.inventory)
    except KitError as error:
        sys.exit(f"migration: {error}")
    if given.action == "end":
        forget(given.inventory)
    else:
        declare(given.inventory, connection, sends=given.action == "send")


def declare(inventory: Path, connection: Connection, *, sends: bool) -> None:
    """Declare the second network: every address outside once more, at the same place in ``NETWORK``."""
    partner = connection.partner
    zones = {name: {"network": str(zone.network)} for name, zone in connection.zones.items()}
    shared = {
        str(component): {zone: str(address) for zone, address in _there(connection, addresses).items()}
        for component, addresses in connection.virtual_addresses.items()
    }
    variables = {
        "connection_zones": {**zones, MIGRATION: {"network": str(NETWORK)}},
        "connection_virtual_addresses": shared,
        "connection_diginetwerk": {
            "ranges": [str(RANGE)],
            "router": str(ROUTER),
            "resolvers": [str(_moved(connection, partner.address))],  # nobody's: the lab's own name server knows it all
        },
        "connection_migration": {
            "inbound_address": str(_moved(connection, connection.inbound_address)),
            "outbound_address": str(_moved(connection, connection.outbound_address)),
            "partner": {
                "inbound_addresses": [str(_moved(connection, one[0])) for one in partner.inbound_addresses],
                "outbound_addresses": [str(_moved(connection, one[0])) for one in partner.outbound_addresses],
            },
            "sends": sends,
        },
    }
    write_variables(inventory / VARIABLES, variables)
    for host in connection.hosts.values():
        if {Component.FIREWALL, Component.PARTNER} & {*host.components}:
            addresses = {zone: str(address) for zone, address in _there(connection, host.addresses).items()}
            write_variables(_of_host(inventory, host.name), {"connection_addresses": addresses})


def forget(inventory: Path) -> None:
    """Take the second network out of ``inventory``, if it is there."""
    (inventory / VARIABLES).unlink(missing_ok=True)
    for path in inventory.glob("host_vars/*/migration.yml"):
        path.unlink()
        path.parent.rmdir()
    if (inventory / "host_vars").is_dir():
        (inventory / "host_vars").rmdir()


def _there(connection: Connection, addresses: dict[str, IPv4Address]) -> dict[str, IPv4Address]:
    """``addresses`` by zone, with the one in the new zone of who has one in the present."""
    more = {MIGRATION: _moved(connection, addresses[EXTERNAL])} if EXTERNAL in addresses else {}
    return {**addresses, **more}


def _moved(connection: Connection, address: IPv4Address) -> IPv4Address:
    return NETWORK[int(address) - int(connection.zones[EXTERNAL].network[0])]


def _of_host(inventory: Path, host: str) -> Path:
    return inventory / "host_vars" / host / "migration.yml"


if __name__ == "__main__":
    main()
