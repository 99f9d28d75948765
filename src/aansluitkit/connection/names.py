"""The names of the connection: the records that its name servers give, to whom asks from inside and from outside.

One list, of which the role's zones, the updates and lists for other name servers, and the checks are made. Inside,
a name is the host's own address; outside, where nobody needs to know our hosts, it is the address that is published.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Literal

from aansluitkit.connection.model import Component, Connection, DnsWay, Host, Model, View


class Record(Model):
    """One record; ``name`` and the name in ``value`` are fully qualified, without the last dot."""

    name: str
    type: Literal["A", "PTR"]
    value: str

    def __str__(self) -> str:
        return f"{self.name} {self.type} {self.value}"


class DnsZone(Model):
    """A zone of one view: what lies at or below ``name``."""

    view: View
    name: str
    records: tuple[Record, ...]
    signed: bool = False


def zones_of(connection: Connection) -> tuple[DnsZone, ...]:
    """The zones of both views, forward ones first."""
    return (*_inside(connection), *_outside(connection))


def own_zones_of(connection: Connection, view: View) -> list[DnsZone]:
    """The zones of ``view`` with names of our own: what others have to enter where the name servers are theirs."""
    foreign = [*_lab_partner(connection, view)]
    return [zone for zone in zones_of(connection) if zone.view is view and zone not in foreign]


def _inside(connection: Connection) -> Iterator[DnsZone]:
    hosts = _own_hosts(connection)
    forward = [_address(connection.host_name, connection.load_balancer_address)]
    forward += [_address(connection.name_of(host), host.address) for host in hosts]
    yield DnsZone(view=View.INTERNAL, name=connection.domain, records=tuple(forward))
    yield from _lab_partner(connection, View.INTERNAL)
    reverse: dict[str, list[Record]] = {}
    for host in hosts:
        if host.zone not in connection.outer_zones:
            reverse.setdefault(_reverse_zone(host.address), []).append(_pointer(connection.name_of(host), host.address))
    for name, records in reverse.items():
        yield DnsZone(view=View.INTERNAL, name=name, records=tuple(records))


def _outside(connection: Connection) -> Iterator[DnsZone]:
    """The endpoint and the name server that answers: nobody outside has any use for the rest."""
    for link in connection.links:
        published = [_address(connection.host_name, link.inbound_address)]
        published += [
            _address(connection.name_of(server), link.inbound_address)
            for server in connection.hosts_of(Component.NAME_SERVER)[:1]
        ]
        view = View(link.zone)
        yield DnsZone(view=view, name=connection.domain, records=tuple(published), signed=True)
        yield from _lab_partner(connection, view)


def _lab_partner(connection: Connection, view: View) -> Iterator[DnsZone]:
    """The partner's own zone, which in the lab nobody else has."""
    records = tuple(_partners(connection))
    if records:
        yield DnsZone(view=view, name=connection.partner.host_name.partition(".")[2], records=records)


def _partners(connection: Connection) -> Iterator[Record]:
    if connection.hosts_of(Component.PARTNER):
        yield _address(connection.partner.host_name, connection.sending.partner.address)
        yield _address(connection.crl_host_name, connection.partner.address)


def _own_hosts(connection: Connection) -> list[Host]:
    return [host for host in connection.hosts.values() if Component.PARTNER not in host.components]


def _address(name: str, address: IPv4Address) -> Record:
    return Record(name=name, type="A", value=str(address))


def _pointer(name: str, address: IPv4Address) -> Record:
    return Record(name=address.reverse_pointer, type="PTR", value=name)


def _reverse_zone(address: IPv4Address) -> str:
    """The zone of the /24 in which ``address`` lies: smaller networks have none of their own (RFC 1035 section 3.5)."""
    return address.reverse_pointer.partition(".")[2]


def resolvers_of(connection: Connection, host: Host) -> list[IPv4Address]:
    """The name servers that ``host`` asks; the lab's partner asks ours from outside, and moves when we do."""
    if Component.PARTNER in host.components:
        return [connection.sending.inbound_address]
    return inner_resolvers(connection)


def inner_resolvers(connection: Connection) -> list[IPv4Address]:
    """The name servers that our hosts ask: our own, or where there are none those of others."""
    if connection.dns.way is DnsWay.LIST:
        return [*connection.dns.resolvers]
    return [server.address for server in connection.hosts_of(Component.NAME_SERVER)]
