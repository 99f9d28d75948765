"""The one output of every landscape."""

from __future__ import annotations

from aansluitkit.connection import Connection


def addresses_of(connection: Connection) -> dict[str, dict[str, str]]:
    """Each host's address in each of its zones, as declared."""
    return {
        host.name: {zone: str(address) for zone, address in host.addresses.items()}
        for host in connection.hosts.values()
    }
