"""What each firewall lets through: the flows, seen from every host that they begin at, pass, or end at.

The firewall hosts stand between the zones. Every other host of ours refuses for itself what no flow declares, also
from its own zone, in and out. The partner's host is not ours, and the manager's is where all this comes from: neither
gets rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from aansluitkit.connection.flows import (
    AUTHORITIES,
    PARTNER,
    RESOLVERS,
    Direction,
    Flow,
    direction_of,
    flows_of,
    hosts_at,
    link_in,
    meeting_zone,
    merged,
    ranges_by,
    zone_of,
)
from aansluitkit.connection.model import Component, Connection, Host, Network


def guarded_hosts(connection: Connection) -> list[Host]:
    """The hosts that have a firewall, the firewall hosts first."""
    return sorted(connection.own_hosts, key=lambda host: Component.FIREWALL not in host.components)


def firewall_of(connection: Connection, host: Host) -> dict[str, Any]:
    """What the role of ``host`` gets: its rules, the sets that they use, and what else a firewall host carries."""
    flows = list(_rules(connection, host))
    used = {flow[side] for flow in flows for side in ("source", "destination")}
    return {
        "forwarding": Component.FIREWALL in host.components,
        "addresses": [
            entry
            for entry in carried_addresses(connection, host)
            if connection.virtual_address(host, entry["interface"]) is None
        ],
        "routes": routes_of(connection, host),
        "state": _state(connection, host),
        "sets": [
            {"name": name, "networks": [str(network) for network in networks]}
            for name, networks in _sets(connection).items()
            if f"@{name}" in used
        ],
        "flows": flows,
    }


def _rules(connection: Connection, host: Host) -> Iterator[dict[str, Any]]:
    between = Component.FIREWALL in host.components
    for flow in flows_of(connection):
        if begins_at(connection, flow, host):
            called = {"destination": str(flow.published_address)} if flow.published_address else {}
            yield {**_rule(connection, flow, "output"), **called}
        if ends_at(connection, flow, host):
            yield {**_rule(connection, flow, "input"), "from_outside": between and _from_outside(connection, flow)}
        if between and _passes(connection, flow, host):
            yield {
                **_rule(connection, flow, "forward"),
                "from_outside": _from_outside(connection, flow),
                "published_address": _carried(connection, flow.published_address),
                "outbound_address": _carried(connection, flow.outbound_address),
            }


def begins_at(connection: Connection, flow: Flow, host: Host) -> bool:
    """Whether ``host`` may begin ``flow``."""
    return _is_meant(connection, flow.source, flow.source_networks, host)


def ends_at(connection: Connection, flow: Flow, host: Host) -> bool:
    """Whether ``flow`` reaches ``host``."""
    return _is_meant(connection, flow.destination, flow.destination_networks, host)


def _is_meant(connection: Connection, name: str, networks: tuple[IPv4Network, ...], host: Host) -> bool:
    """A flow names hosts, or a zone and thereby all that stand in it; the firewall is of no zone."""
    if name not in connection.zones:
        return host in hosts_at(connection, name)
    inside = any(address in network for address in host.addresses.values() for network in networks)
    return inside and Component.FIREWALL not in host.components


def _passes(connection: Connection, flow: Flow, host: Host) -> bool:
    """Whether packets of ``flow`` go through the firewall ``host``: those within a zone never do."""
    within = zone_of(connection, flow.source_networks[0]) == zone_of(connection, flow.destination_networks[0])
    return not within and host.name not in (flow.source, flow.destination)


def _rule(connection: Connection, flow: Flow, chain: str) -> dict[str, Any]:
    return {
        "id": flow.id,
        "chain": chain,
        "source": _named(connection, _SOURCES, flow.source, flow.source_networks),
        "destination": _named(connection, _DESTINATIONS, flow.destination, flow.destination_networks),
        "protocol": flow.protocol,
        **({"port": flow.port} if flow.port else {}),
    }


_SOURCES = {PARTNER: "partner_outbound", RESOLVERS: RESOLVERS}
_DESTINATIONS = {PARTNER: "partner_inbound", AUTHORITIES: AUTHORITIES}


def _named(connection: Connection, sets: dict[str, str], name: str, networks: tuple[IPv4Network, ...]) -> str:
    """The set with ``networks``, where what is called ``name`` has one; else the network, of which there is one."""
    link = link_in(connection, zone_of(connection, networks[0]))
    return f"@{sets[name]}{link.suffix}" if link and name in sets else str(networks[0])


def _from_outside(connection: Connection, flow: Flow) -> bool:
    return direction_of(connection, flow) is Direction.INBOUND


def _carried(connection: Connection, address: IPv4Address | None) -> str:
    return str(connection.carried(address)) if address else ""


def carried_addresses(connection: Connection, host: Host) -> list[dict[str, str]]:
    """The connection's own two addresses of each link, where a firewall host carries them.

    Firewalls that share any share these.
    """
    if Component.FIREWALL not in host.components:
        return []
    return [
        {"interface": link.zone, "address": _carried(connection, address)}
        for link in connection.links
        for address in (link.inbound_address, link.outbound_address)
    ]


def routes_of(connection: Connection, host: Host) -> list[dict[str, str]]:
    """The way to Diginetwerk, which is that to its ranges alone: a default route would seek the internet there.

    What lies in the zone itself needs none, and one would take the place of the zone's own.
    """
    there = connection.diginetwerk
    if Component.FIREWALL not in host.components or there is None:
        return []
    [zone] = [link.zone for link in connection.links if link.network is Network.DIGINETWERK]
    beyond = [one for one in merged(there.ranges) if not one.subnet_of(connection.zones[zone].network)]
    networks = [str(network).removesuffix("/32") for network in beyond]
    return [{"network": network, "router": str(there.router), "interface": zone} for network in networks]


def _state(connection: Connection, host: Host) -> dict[str, Any]:
    """Whom a firewall tells of its connections; empty when it is alone."""
    others = [other for other in connection.hosts_of(Component.FIREWALL) if other is not host]
    if Component.FIREWALL not in host.components or not others:
        return {}
    zone = meeting_zone(connection)
    own = (*host.addresses.values(), *connection.virtual_addresses[Component.FIREWALL].values())
    return {
        "interface": zone,
        "address": str(host.addresses[zone]),
        "peer": str(others[0].addresses[zone]),
        "port": connection.ports.firewall_state,
        "own_addresses": [str(address) for address in own],
    }


def _sets(connection: Connection) -> dict[str, tuple[IPv4Network, ...]]:
    """The ranges of others, which grow: a firewall keeps them in sets, so that its rules stay as they are."""
    return {
        f"{name}{link.suffix}": networks
        for link in connection.links
        for name, networks in (
            (_SOURCES[PARTNER], merged(link.partner.outbound_addresses)),
            (_DESTINATIONS[PARTNER], merged(link.partner.inbound_addresses)),
            (_DESTINATIONS[AUTHORITIES], ranges_by(connection, link, connection.crl_addresses)),
            (_SOURCES[RESOLVERS], ranges_by(connection, link, connection.dns.published_to)),
        )
    }
