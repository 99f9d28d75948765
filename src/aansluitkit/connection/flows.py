"""Who may talk to whom: the one list of which firewall, documents and tests are made.

Flows follow from the topology; what does not is declared as an extra flow with its reason. Everything that is
not in this list is refused. The endpoint is published on the inbound address, messages leave with the outbound
one: two different addresses, which the partner must know both (seed 4.4.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from itertools import permutations
from typing import Literal

from aansluitkit.connection.model import HTTP_PORT, HTTPS_PORT, Component, Connection, DnsWay, Host, Link, Model

PARTNER = "partner"  # what a flow calls the other side, wherever it is
AUTHORITIES = "pkioverheid"  # and those who publish the CRLs of both parties' certificates
NAME_SERVERS = "nameservers"  # and name servers that are not ours
PACKAGE_SOURCES = "packagesources"  # and where the distribution's packages are
TIME_SERVERS = "timeservers"  # and who tells the time
RESOLVERS = "resolvers"  # and who asks our name servers from outside
SSH_PORT = 22
DNS_PORT = 53
NTP_PORT = 123
Protocol = Literal["tcp", "udp", "vrrp"]
DNS_PROTOCOLS: tuple[Protocol, ...] = ("udp", "tcp")


class Purpose(StrEnum):
    """What a flow is for; a document tells it in its own language."""

    MESSAGES_IN = "messages_in"
    MESSAGES_OUT = "messages_out"
    MESSAGES_TO_ADAPTER = "messages_to_adapter"
    MESSAGES_IN_CLEAR = "messages_in_clear"
    SHARING = "sharing"
    STATES = "states"
    HEALTH = "health"
    STORE = "store"
    REPLICATION = "replication"
    APPLICATION = "application"
    METRICS = "metrics"
    FIGURES = "figures"
    NAMES = "names"
    NAMES_GIVEN = "names_given"
    UPDATES = "updates"
    MANAGEMENT = "management"
    REVOCATION = "revocation"
    PACKAGES = "packages"
    TIME = "time"
    EXTRA = "extra"


REASONS = {
    Purpose.MESSAGES_IN: "ebMS messages from the partner (seed 4.3.5)",
    Purpose.MESSAGES_OUT: "ebMS messages to the partner (seed 4.3.5)",
    Purpose.MESSAGES_TO_ADAPTER: "ebMS messages to the adapter, TLS passed through",
    Purpose.MESSAGES_IN_CLEAR: "ebMS messages to the adapter, with the certificate of who sent them, TLS ended before",
    Purpose.SHARING: "signs of life between hosts that share an address (RFC 5798)",
    Purpose.STATES: "states of connections, with which the other firewall goes on when one is gone",
    Purpose.HEALTH: "health check of the load balancer",
    Purpose.STORE: "store of messages and CPAs",
    Purpose.REPLICATION: "the standby follows the primary, whichever of the two that is",
    Purpose.APPLICATION: "application hands over and takes messages",
    Purpose.METRICS: "metrics for Prometheus",
    Purpose.FIGURES: "a person looks at Prometheus, or Grafana asks it",
    Purpose.NAMES: "resolves names",
    Purpose.NAMES_GIVEN: "others resolve the connection's names",
    Purpose.UPDATES: "enters the connection's records at name servers of others (RFC 2136)",
    Purpose.MANAGEMENT: "configuration by Ansible over SSH",
    Purpose.REVOCATION: "CRLs of both parties' certificates (BEV PKI004)",
    Purpose.PACKAGES: "packages and security updates of the distribution",
    Purpose.TIME: "the time, without which messages expire and certificates are refused",
}


class Direction(StrEnum):
    """Which way a flow is begun, seen from the organisation: inbound, outbound, or within it."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INSIDE = "inside"


class Flow(Model):
    """One allowed conversation, as its initiator starts it.

    ``source`` and ``destination`` are names for people; the networks are what packets carry inside. A protocol without
    ports, as VRRP (IP protocol 112) is, has none. ``published_address`` is the address that the source uses instead of
    the destination's own (destination NAT), ``outbound_address`` the one that the destination sees instead of the
    source's own (source NAT).
    """

    id: str
    source: str
    source_networks: tuple[IPv4Network, ...]
    destination: str
    destination_networks: tuple[IPv4Network, ...]
    protocol: Protocol
    port: int | None
    purpose: Purpose
    reason: str
    published_address: IPv4Address | None = None
    outbound_address: IPv4Address | None = None

    def __str__(self) -> str:
        return self.id


class FlowGroup(Model):
    """Flows that are one thing to people: each source may reach each destination, in the same way, for one purpose.

    ``number`` is what picture, table and command call it; the flows in it are ``number``.1 and so on.
    """

    number: int
    direction: Direction
    flows: tuple[Flow, ...]

    @property
    def first(self) -> Flow:
        """The flow that stands for all in what they share."""
        return self.flows[0]

    @property
    def service(self) -> str:
        """Such as tcp 443, udp/tcp 53, or vrrp."""
        protocols = "/".join(dict.fromkeys(flow.protocol for flow in self.flows))
        return f"{protocols} {self.first.port}" if self.first.port else protocols


def _networks(*addresses: IPv4Address) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(address) for address in addresses)


def merged(ranges: tuple[IPv4Network, ...]) -> tuple[IPv4Network, ...]:
    """``ranges`` without overlap: a firewall's set takes no address twice."""
    return tuple(collapse_addresses(ranges))


def _flow(
    source: Host,
    destination: Host,
    port: int,
    purpose: Purpose,
    protocol: Protocol = "tcp",
) -> Flow:
    return Flow(
        id=f"{source.name}-{destination.name}-{protocol}-{port}",
        source=source.name,
        source_networks=_networks(source.address),
        destination=destination.name,
        destination_networks=_networks(destination.address),
        protocol=protocol,
        port=port,
        purpose=purpose,
        reason=REASONS[purpose],
    )


def _management(connection: Connection) -> Iterator[Flow]:
    for manager in connection.hosts_of(Component.MANAGEMENT):
        for host in connection.hosts.values():
            if host is not manager and Component.PARTNER not in host.components:
                # The firewall is managed in the manager's own zone, where no rule of its forward chain can lock it out.
                address = host.addresses.get(manager.zone, host.address)
                flow = _flow(manager, host, SSH_PORT, Purpose.MANAGEMENT)
                yield flow.model_copy(update={"destination_networks": _networks(address)})


def _metrics(connection: Connection) -> Iterator[Flow]:
    for monitor in connection.hosts_of(Component.MONITORING):
        for _, host, port in metrics_of(connection):
            if host is not monitor:
                address = host.addresses.get(monitor.zone, host.address)
                flow = _flow(monitor, host, port, Purpose.METRICS)
                yield flow.model_copy(update={"destination_networks": _networks(address)})
        for manager in connection.hosts_of(Component.MANAGEMENT):
            yield _flow(manager, monitor, connection.ports.monitoring, Purpose.FIGURES)


HOST = "host"  # what metrics are of that are of no component


def metrics_of(connection: Connection) -> list[tuple[str, Host, int]]:
    """What of which host Prometheus finds metrics at which port: the host itself, and what runs on it."""
    ports = connection.ports
    of_component = {
        Component.LOAD_BALANCER: ports.load_balancer_status,
        Component.ADAPTER: ports.health,
        Component.DATABASE: ports.database_metrics,
    }
    return [(HOST, host, ports.host_metrics) for host in connection.own_hosts] + [
        (component.value, host, port)
        for component, port in of_component.items()
        for host in connection.hosts_of(component)
    ]


def _names(connection: Connection) -> Iterator[Flow]:
    yield from _names_of_others(connection)
    if connection.dns.way is DnsWay.LIST:
        return
    primary, *secondaries = connection.hosts_of(Component.NAME_SERVER)
    for host in connection.hosts.values():
        if Component.MANAGEMENT in host.components:
            continue
        if Component.PARTNER in host.components:
            yield from _names_outside(connection, host, primary)
            continue
        for server in [primary, *secondaries]:
            for protocol in DNS_PROTOCOLS if host is not server else ():
                address = host.addresses.get(server.zone, host.address)
                flow = _flow(host, server, DNS_PORT, Purpose.NAMES, protocol)
                yield flow.model_copy(update={"source_networks": _networks(address)})
    yield from _names_published(connection, primary)


def _names_published(connection: Connection, server: Host) -> Iterator[Flow]:
    """Others outside ask our name server, by each link at the address that is published there."""
    for link in connection.links:
        asking = ranges_by(connection, link, connection.dns.published_to)
        for protocol in DNS_PROTOCOLS if asking else ():
            yield Flow(
                id=f"dns-inbound-{protocol}{link.suffix}",
                source=RESOLVERS,
                source_networks=asking,
                destination=server.name,
                destination_networks=_networks(server.address),
                protocol=protocol,
                port=DNS_PORT,
                purpose=Purpose.NAMES_GIVEN,
                reason=REASONS[Purpose.NAMES_GIVEN],
                published_address=link.inbound_address,
            )


def _names_outside(connection: Connection, host: Host, server: Host) -> Iterator[Flow]:
    """The lab's partner asks our name server, by each link at the address that is published there."""
    for link in connection.links:
        for protocol in DNS_PROTOCOLS:
            flow = _flow(host, server, DNS_PORT, Purpose.NAMES, protocol)
            there = {
                "id": flow.id + link.suffix,
                "source_networks": _networks(host.addresses[link.zone]),
                "published_address": link.inbound_address,
            }
            yield flow.model_copy(update=there)


def _names_of_others(connection: Connection) -> Iterator[Flow]:
    """To name servers that are not ours: by our own, or by every host where there are none of our own."""
    for server in dict.fromkeys(place.server for place in connection.dns.updates.values()):
        for manager in connection.hosts_of(Component.MANAGEMENT):
            there = (NAME_SERVERS, server)
            yield _flow_away(connection, manager, there, ("tcp", DNS_PORT), Purpose.UPDATES)
    by_all = connection.dns.way is DnsWay.LIST
    asking = connection.own_hosts if by_all else connection.hosts_of(Component.NAME_SERVER)
    for server in _asked_name_servers(connection):
        for host in asking:
            for protocol in DNS_PROTOCOLS:
                yield _flow_away(connection, host, (NAME_SERVERS, server), (protocol, DNS_PORT), Purpose.NAMES)


def _of_hosts(connection: Connection) -> Iterator[Flow]:
    """What every host needs for itself."""
    for host in connection.own_hosts:
        for source in connection.package_sources:
            there = (PACKAGE_SOURCES, source.address)
            yield _flow_away(connection, host, there, ("tcp", source.port), Purpose.PACKAGES)
        for server in connection.time_servers:
            yield _flow_away(connection, host, (TIME_SERVERS, server), ("udp", NTP_PORT), Purpose.TIME)


def _flow_away(
    connection: Connection, host: Host, there: tuple[str, IPv4Address], service: tuple[Protocol, int], purpose: Purpose
) -> Flow:
    """From ``host`` to somebody who is not ours: what a flow calls them, and where they are."""
    (name, address), (protocol, port) = there, service
    zone = zone_of(connection, IPv4Network(address))
    link = link_in(connection, zone)
    return Flow(
        id=f"{host.name}-{address}-{protocol}-{port}",
        source=host.name,
        source_networks=_networks(host.addresses.get(zone, host.address)),  # a firewall stands in every zone
        destination=name,
        destination_networks=_networks(address),
        protocol=protocol,
        port=port,
        purpose=purpose,
        reason=REASONS[purpose],
        outbound_address=link.outbound_address if link else None,
    )


def foreign_name_servers(connection: Connection) -> tuple[IPv4Address, ...]:
    """The name servers of others that anybody here asks or updates, each once."""
    updated = (place.server for place in connection.dns.updates.values())
    return tuple(dict.fromkeys((*_asked_name_servers(connection), *updated)))


def _asked_name_servers(connection: Connection) -> tuple[IPv4Address, ...]:
    diginetwerk = connection.diginetwerk.resolvers if connection.diginetwerk else ()
    asked = connection.dns.resolvers if connection.dns.way is DnsWay.LIST else connection.dns.forwarders + diginetwerk
    return tuple(dict.fromkeys(asked))


def hosts_at(connection: Connection, name: str) -> list[Host]:
    """The hosts that a flow calls ``name``: one, or those of a component that share an address."""
    if name in connection.hosts:
        return [connection.hosts[name]]
    return connection.hosts_of(Component(name)) if name in connection.virtual_addresses else []


def _messages(connection: Connection) -> Iterator[Flow]:
    balancers = connection.hosts_of(Component.LOAD_BALANCER)
    inward = Purpose.MESSAGES_IN_CLEAR if connection.offload else Purpose.MESSAGES_TO_ADAPTER
    for link in connection.links:
        yield Flow(
            id=f"ebms-inbound{link.suffix}",
            source=PARTNER,
            source_networks=merged(link.partner.outbound_addresses),
            destination=balancers[0].name if len(balancers) == 1 else Component.LOAD_BALANCER.value,
            destination_networks=_networks(connection.load_balancer_address),
            protocol="tcp",
            port=HTTPS_PORT,
            purpose=Purpose.MESSAGES_IN,
            reason=REASONS[Purpose.MESSAGES_IN],
            published_address=link.inbound_address,
        )
    for adapter in connection.hosts_of(Component.ADAPTER):
        for balancer in balancers:
            yield _flow(balancer, adapter, connection.ports.ebms, inward)
            yield _flow(balancer, adapter, connection.ports.health, Purpose.HEALTH)
        for link in connection.links:
            yield Flow(
                id=f"ebms-outbound-{adapter.name}{link.suffix}",
                source=adapter.name,
                source_networks=_networks(adapter.address),
                destination=PARTNER,
                destination_networks=merged(link.partner.inbound_addresses),
                protocol="tcp",
                port=connection.partner.port,
                purpose=Purpose.MESSAGES_OUT,
                reason=REASONS[Purpose.MESSAGES_OUT],
                outbound_address=link.outbound_address,
            )


def _sharing(connection: Connection) -> Iterator[Flow]:
    for component, shared in connection.virtual_addresses.items():
        for source, destination in permutations(connection.hosts_of(component), 2):
            for zone in shared:
                yield Flow(
                    id=f"{source.name}-{destination.name}-{zone}-vrrp",
                    source=source.name,
                    source_networks=_networks(source.addresses[zone]),
                    destination=destination.name,
                    destination_networks=_networks(destination.addresses[zone]),
                    protocol="vrrp",
                    port=None,
                    purpose=Purpose.SHARING,
                    reason=REASONS[Purpose.SHARING],
                )


def meeting_zone(connection: Connection) -> str:
    """Where two firewalls tell each other of their connections: the zone of management, which others stay out of."""
    return connection.host_of(Component.MANAGEMENT).zone


def _states(connection: Connection) -> Iterator[Flow]:
    for source, destination in permutations(connection.hosts_of(Component.FIREWALL), 2):
        zone = meeting_zone(connection)
        flow = _flow(source, destination, connection.ports.firewall_state, Purpose.STATES, "udp")
        addresses = {
            "source_networks": _networks(source.addresses[zone]),
            "destination_networks": _networks(destination.addresses[zone]),
        }
        yield flow.model_copy(update=addresses)


def _revocation(connection: Connection) -> Iterator[Flow]:
    for link in connection.links:
        published = ranges_by(connection, link, connection.crl_addresses)
        for host in connection.judges if published else []:
            yield Flow(
                id=f"crl-{host.name}{link.suffix}",
                source=host.name,
                source_networks=_networks(host.address),
                destination=AUTHORITIES,
                destination_networks=published,
                protocol="tcp",
                port=HTTP_PORT,
                purpose=Purpose.REVOCATION,
                reason=REASONS[Purpose.REVOCATION],
                outbound_address=link.outbound_address,
            )


def ranges_by(connection: Connection, link: Link, ranges: tuple[IPv4Network, ...]) -> tuple[IPv4Network, ...]:
    """Those of ``ranges``, which lie outside, that ``link`` leads to."""
    return merged(tuple(one for one in ranges if connection.link_to(one).zone == link.zone))


def _inside(connection: Connection) -> Iterator[Flow]:
    databases = connection.hosts_of(Component.DATABASE)
    for adapter in connection.hosts_of(Component.ADAPTER):
        for database in databases:
            yield _flow(adapter, database, connection.ports.database, Purpose.STORE)
        for application in connection.hosts_of(Component.APPLICATION):
            yield _flow(application, adapter, connection.ports.rest, Purpose.APPLICATION)
    for one, other in permutations(databases, 2):
        yield _flow(one, other, connection.ports.database, Purpose.REPLICATION)


def _extra(connection: Connection) -> Iterator[Flow]:
    def place(name: str) -> tuple[IPv4Network, ...]:
        if name in connection.hosts:
            return _networks(connection.hosts[name].address)
        return (connection.zones[name].network,)

    for extra in connection.extra_flows:
        yield Flow(
            id=f"{extra.source}-{extra.destination}-{extra.protocol}-{extra.port}",
            source=extra.source,
            source_networks=place(extra.source),
            destination=extra.destination,
            destination_networks=place(extra.destination),
            protocol=extra.protocol,
            port=extra.port,
            purpose=Purpose.EXTRA,
            reason=extra.reason,
        )


def flows_of(connection: Connection) -> tuple[Flow, ...]:
    """All allowed flows of a connection that the rules accept, derived ones first, in a stable order."""
    return (
        *_messages(connection),
        *_sharing(connection),
        *_states(connection),
        *_revocation(connection),
        *_inside(connection),
        *_names(connection),
        *_of_hosts(connection),
        *_metrics(connection),
        *_management(connection),
        *_extra(connection),
    )


def flow_groups(connection: Connection) -> tuple[FlowGroup, ...]:
    """All flows, numbered as documents show them.

    An extra flow is a group of its own, and so is what hosts of one component do to share their addresses.
    """
    groups: dict[object, list[Flow]] = {}
    for flow in flows_of(connection):
        own: object = flow.id if flow.purpose is Purpose.EXTRA else ""
        if flow.purpose is Purpose.SHARING:
            own = connection.hosts[flow.source].components
        key = (flow.purpose, flow.port, flow.published_address, flow.outbound_address, own)
        groups.setdefault(key, []).append(flow)
    return tuple(
        FlowGroup(number=number, direction=direction_of(connection, flows[0]), flows=tuple(flows))
        for number, flows in enumerate(groups.values(), start=1)
    )


def direction_of(connection: Connection, flow: Flow) -> Direction:
    """Whether ``flow`` comes from outside, goes there, or does neither."""
    outside = [link is not None for link in _links_of(connection, flow)]
    if outside[0] == outside[1]:
        return Direction.INSIDE
    return Direction.INBOUND if outside[0] else Direction.OUTBOUND


def link_of(connection: Connection, flow: Flow) -> Link | None:
    """The link by which ``flow`` comes from outside or goes there; None for one inside."""
    return next((link for link in _links_of(connection, flow) if link), None)


def _links_of(connection: Connection, flow: Flow) -> list[Link | None]:
    """The links beyond which ``flow`` begins and ends; None for our own zones."""
    ends = (flow.source_networks, flow.destination_networks)
    return [link_in(connection, zone_of(connection, networks[0])) for networks in ends]


def zone_of(connection: Connection, network: IPv4Network) -> str:
    """The zone in which ``network`` lies; what lies in none is outside, beyond the link that leads there."""
    inside = (name for name, zone in connection.zones.items() if network.subnet_of(zone.network))
    return next(inside, "") or connection.link_to(network).zone


def link_in(connection: Connection, zone: str) -> Link | None:
    """The link that ends in ``zone``; None for a zone of our own."""
    return next((link for link in connection.links if link.zone == zone), None)
