"""Who may talk to whom: the one list of which firewall, documents and tests are made.

Flows follow from the topology; what does not is declared as an extra flow with its reason. Everything that is
not in this list is refused. The endpoint is published on the inbound address, messages leave with the outbound
one: two different addresses, which the partner must know both (seed 4.4.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from typing import Literal

from aansluitkit.connection.model import HTTP_PORT, HTTPS_PORT, Component, Connection, Host, Model

SSH_PORT = 22
DNS_PORT = 53


class Flow(Model):
    """One allowed conversation, as its initiator starts it.

    ``source`` and ``destination`` are names for people; the networks are what packets carry inside.
    ``published_address`` is the address that the source uses instead of the destination's own (destination NAT),
    ``outbound_address`` the one that the destination sees instead of the source's own (source NAT).
    """

    id: str
    source: str
    source_networks: tuple[IPv4Network, ...]
    destination: str
    destination_networks: tuple[IPv4Network, ...]
    protocol: Literal["tcp", "udp"]
    port: int
    reason: str
    published_address: IPv4Address | None = None
    outbound_address: IPv4Address | None = None

    def __str__(self) -> str:
        return self.id


def _networks(*addresses: IPv4Address) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(address) for address in addresses)


def _merged(ranges: tuple[IPv4Network, ...]) -> tuple[IPv4Network, ...]:
    """``ranges`` without overlap: a firewall's set takes no address twice."""
    return tuple(collapse_addresses(ranges))


def _flow(source: Host, destination: Host, port: int, reason: str, protocol: Literal["tcp", "udp"] = "tcp") -> Flow:
    return Flow(
        id=f"{source.name}-{destination.name}-{protocol}-{port}",
        source=source.name,
        source_networks=_networks(source.address),
        destination=destination.name,
        destination_networks=_networks(destination.address),
        protocol=protocol,
        port=port,
        reason=reason,
    )


def _management(connection: Connection) -> Iterator[Flow]:
    for manager in connection.hosts_of(Component.MANAGEMENT):
        for host in connection.hosts.values():
            if host is not manager and Component.PARTNER not in host.components:
                # The firewall is managed in the manager's own zone, where no rule of its forward chain can lock it out.
                address = host.addresses.get(manager.zone, host.address)
                flow = _flow(manager, host, SSH_PORT, "configuration by Ansible over SSH")
                yield flow.model_copy(update={"destination_networks": _networks(address)})


def _names(connection: Connection) -> Iterator[Flow]:
    server = connection.host_of(Component.NAME_SERVER)
    for host in connection.hosts.values():
        if host is server or Component.MANAGEMENT in host.components:
            continue
        for protocol in ("udp", "tcp"):
            address = host.addresses.get(server.zone, host.address)
            flow = _flow(host, server, DNS_PORT, "resolves names", protocol)
            update: dict[str, object] = {"source_networks": _networks(address)}
            if Component.PARTNER in host.components:
                update["published_address"] = connection.inbound_address
            yield flow.model_copy(update=update)


def _messages(connection: Connection) -> Iterator[Flow]:
    balancer = connection.host_of(Component.LOAD_BALANCER)
    yield Flow(
        id="ebms-inbound",
        source="partner",
        source_networks=_merged(connection.partner.outbound_addresses),
        destination=balancer.name,
        destination_networks=_networks(balancer.address),
        protocol="tcp",
        port=HTTPS_PORT,
        reason="ebMS messages from the partner (seed 4.3.5)",
        published_address=connection.inbound_address,
    )
    for adapter in connection.hosts_of(Component.ADAPTER):
        yield _flow(balancer, adapter, connection.ports.ebms, "ebMS messages to the adapter, TLS passed through")
        yield _flow(balancer, adapter, connection.ports.health, "health check of the load balancer")
        yield Flow(
            id=f"ebms-outbound-{adapter.name}",
            source=adapter.name,
            source_networks=_networks(adapter.address),
            destination="partner",
            destination_networks=_merged(connection.partner.inbound_addresses),
            protocol="tcp",
            port=connection.partner.port,
            reason="ebMS messages to the partner (seed 4.3.5)",
            outbound_address=connection.outbound_address,
        )


def _revocation(connection: Connection) -> Iterator[Flow]:
    for adapter in connection.hosts_of(Component.ADAPTER) if connection.crl_addresses else []:
        yield Flow(
            id=f"crl-{adapter.name}",
            source=adapter.name,
            source_networks=_networks(adapter.address),
            destination="certificate authorities",
            destination_networks=_merged(connection.crl_addresses),
            protocol="tcp",
            port=HTTP_PORT,
            reason="revocation lists of both parties' certificates (BEV PKI004)",
            outbound_address=connection.outbound_address,
        )


def _inside(connection: Connection) -> Iterator[Flow]:
    database = connection.host_of(Component.DATABASE)
    for adapter in connection.hosts_of(Component.ADAPTER):
        yield _flow(adapter, database, connection.ports.database, "store of messages and CPAs")
        for application in connection.hosts_of(Component.APPLICATION):
            yield _flow(application, adapter, connection.ports.rest, "application hands over and takes messages")


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
            reason=extra.reason,
        )


def flows_of(connection: Connection) -> tuple[Flow, ...]:
    """All allowed flows of a connection that the rules accept, derived ones first, in a stable order."""
    return (
        *_messages(connection),
        *_revocation(connection),
        *_inside(connection),
        *_names(connection),
        *_management(connection),
        *_extra(connection),
    )
