"""What the interfaces of a cloud must let through: the flows of the connection, seen from each that they pass.

A flow between two zones passes four interfaces: its source's, two of the firewall, its destination's. A filter that
keeps state lets the answers through, so each passage is one rule, in the direction of who asks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses
from itertools import product
from typing import Literal

from aansluitkit.connection import Component, Connection, Flow, flows_of
from aansluitkit.connection.flows import hosts_at, zone_of


@dataclass(frozen=True)
class Interface:
    """The interface of ``host`` in ``zone``."""

    host: str
    zone: str

    def __str__(self) -> str:
        return f"{self.host}-{self.zone}"


@dataclass(frozen=True)
class Filter:
    """One thing that ``interface`` lets through: to or from ``remote``, as the packet names it there."""

    interface: Interface
    direction: Literal["ingress", "egress"]
    protocol: str
    port: int | None
    remote: IPv4Network

    def __str__(self) -> str:
        remote = str(self.remote).removesuffix("/32").replace("/", "-")
        return f"{self.interface}-{self.direction}-{self.service.replace(' ', '-')}-{remote}"

    @property
    def service(self) -> str:
        """Such as tcp 443, or vrrp."""
        return f"{self.protocol} {self.port}" if self.port else self.protocol


def filters_of(connection: Connection) -> dict[Filter, set[str]]:
    """Every filter, with the ids of the flows that it serves: several flows may share one."""
    found: dict[Filter, set[str]] = defaultdict(set)
    for flow in flows_of(connection):
        for source, destination in product(flow.source_networks, flow.destination_networks):
            for filter_ in _passages(connection, flow, source, destination):
                found[filter_].add(flow.id)
    return dict(found)


def forwarded(connection: Connection) -> dict[Interface, list[IPv4Network]]:
    """The addresses of others under which the firewall sends, per interface: of who asks, and of who answers."""
    found: dict[Interface, list[IPv4Network]] = defaultdict(list)
    for flow in flows_of(connection):
        for source, destination in product(flow.source_networks, flow.destination_networks):
            through = _through(connection, flow, source, destination)
            if through and not flow.outbound_address:
                found[through[1]].append(source)
            if through and not flow.published_address:
                found[through[0]].append(destination)
    return {interface: list(collapse_addresses(networks)) for interface, networks in found.items()}


def _passages(connection: Connection, flow: Flow, source: IPv4Network, destination: IPv4Network) -> Iterator[Filter]:
    seen = flow.outbound_address and IPv4Network(connection.carried(flow.outbound_address))
    called = flow.published_address and IPv4Network(connection.carried(flow.published_address))
    for interface in _ends(connection, flow.source, source):
        yield Filter(interface, "egress", flow.protocol, flow.port, called or destination)
    through = _through(connection, flow, source, destination)
    if through:
        yield Filter(through[0], "ingress", flow.protocol, flow.port, source)
        yield Filter(through[1], "egress", flow.protocol, flow.port, destination)
    for interface in _ends(connection, flow.destination, destination):
        yield Filter(interface, "ingress", flow.protocol, flow.port, seen or source)


def _ends(connection: Connection, name: str, network: IPv4Network) -> Iterator[Interface]:
    """The interfaces in ``network`` of the hosts called ``name``, or of all but the firewall when it is a zone."""
    hosts = hosts_at(connection, name)
    if name in connection.zones:
        hosts = [host for host in connection.hosts.values() if Component.FIREWALL not in host.components]
    for host in hosts:
        for zone, address in host.addresses.items():
            shared = connection.virtual_address(host, zone)
            if address in network or (shared and shared in network):
                yield Interface(host.name, zone)


def _through(
    connection: Connection, flow: Flow, source: IPv4Network, destination: IPv4Network
) -> tuple[Interface, Interface] | None:
    """Where the flow enters and leaves the firewall; None when it does not pass it."""
    firewall = connection.host_of(Component.FIREWALL).name
    came, goes = zone_of(connection, source), zone_of(connection, destination)
    if firewall in (flow.source, flow.destination) or came == goes:
        return None
    return Interface(firewall, came), Interface(firewall, goes)
