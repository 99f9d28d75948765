"""Who may talk to whom: what was declared passes, everything else does not."""

from __future__ import annotations

import pytest

from aansluitkit.connection import Component, Connection, Flow, Host, flows_of
from aansluitkit.verification.site import Site, unproved

PATH = "zones"


def is_from(connection: Connection, flow: Flow, source: Host) -> bool:
    return flow.source == source.name or (flow.source == "partner" and Component.PARTNER in source.components)


def target(flow: Flow) -> str:
    """The address that the source uses."""
    return str(flow.published_address or flow.destination_networks[0].network_address)


@pytest.mark.check(PATH, "firewall")
def test_declared_flow_passes(site: Site, connection: Connection, flow: Flow) -> None:
    """What was declared is let through."""
    sources = [host for host in connection.hosts.values() if is_from(connection, flow, host)]
    if not sources:
        pytest.skip(f"{flow.source} is not ours to run checks on")
    outcome = site.connect(sources[0], target(flow), flow.port)
    if outcome not in ("open", "refused"):
        firewall = connection.host_of(Component.FIREWALL).name
        unproved(
            f"firewall {firewall}: flow {flow.id} ({flow.reason}) is {outcome}",
            site.redeploy(firewall),
            connection.contacts.network_operator,
        )


@pytest.mark.check(PATH, "firewall")
def test_nothing_else_passes(site: Site, connection: Connection, source: Host) -> None:
    """No other port of this connection's hosts can be reached from here."""
    flows = flows_of(connection)
    declared = {(target(flow), flow.port) for flow in flows if is_from(connection, flow, source)}
    others = [host for host in connection.hosts.values() if source.zone not in host.addresses]
    addresses = {str(address) for host in others for address in host.addresses.values()}
    firewall = connection.host_of(Component.FIREWALL)
    addresses |= {str(address) for address in firewall.addresses.values()}
    addresses |= {str(connection.inbound_address), str(connection.outbound_address)}
    targets = sorted({(address, flow.port) for address in addresses for flow in flows} - declared)
    outcomes = site.probe(source, "connect", targets=targets)["outcomes"]
    passed = [
        f"{address}:{port}"
        for (address, port), outcome in zip(targets, outcomes, strict=True)
        if outcome in ("open", "refused")
    ]
    if passed:
        unproved(
            f"firewall {firewall.name} lets {source.name} through to {', '.join(passed[:5])}"
            f"{f' and {len(passed) - 5} more' if len(passed) > 5 else ''}, which no flow declares",
            f"{site.redeploy(firewall.name)}, or declare it in connection_extra_flows",
            connection.contacts.network_operator,
        )
