"""Who may talk to whom: what was declared passes, everything else does not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from aansluitkit.connection import Component, Connection, Flow, Host, flows_of
from aansluitkit.verification.site import Site, unproved

PATH = "zones"


def is_from(connection: Connection, flow: Flow, source: Host) -> bool:
    return flow.source == source.name or (flow.source == "partner" and Component.PARTNER in source.components)


def target(flow: Flow) -> str:
    """The address that the source uses."""
    return str(flow.published_address or flow.destination_networks[0].network_address)


Target = tuple[str, int]
Outcomes = dict[tuple[str, Target], str]


def refused_targets(connection: Connection, source: Host) -> list[Target]:
    """Addresses beyond the firewall with every port that some flow has, but for what ``source`` may reach."""
    flows = flows_of(connection)
    declared = {(target(flow), flow.port) for flow in flows if is_from(connection, flow, source)}
    hosts = [host for host in connection.hosts.values() if source.zone not in host.addresses]
    hosts.append(connection.host_of(Component.FIREWALL))
    addresses = {str(address) for host in hosts for address in host.addresses.values()}
    addresses |= {str(connection.inbound_address), str(connection.outbound_address)}
    return sorted({(address, flow.port) for address in addresses for flow in flows} - declared)


def guests(connection: Connection) -> list[Host]:
    """Hosts from which traffic is tried."""
    return [host for host in connection.hosts.values() if Component.MANAGEMENT not in host.components]


@pytest.fixture(scope="session")
def outcomes(site: Site, connection: Connection) -> Outcomes:
    """How every connection ends, tried from all hosts at once: one that is dropped takes its time."""
    flows = [flow for flow in flows_of(connection) if flow.protocol == "tcp"]

    def attempt(source: Host) -> list[tuple[Target, str]]:
        declared = [(target(flow), flow.port) for flow in flows if is_from(connection, flow, source)]
        targets = [*declared, *refused_targets(connection, source)]
        found = site.probe(source, "connect", targets=targets)["outcomes"]
        return list(zip(targets, found, strict=True))

    sources = guests(connection)
    with ThreadPoolExecutor(len(sources)) as pool:
        results = zip(sources, pool.map(attempt, sources), strict=True)
        return {(source.name, place): outcome for source, found in results for place, outcome in found}


@pytest.mark.check(PATH, "firewall")
def test_declared_flow_passes(site: Site, connection: Connection, outcomes: Outcomes, flow: Flow) -> None:
    """What was declared is let through."""
    sources = [host for host in connection.hosts.values() if is_from(connection, flow, host)]
    if not sources:
        pytest.skip(f"{flow.source} is not ours to run checks on")
    outcome = outcomes[sources[0].name, (target(flow), flow.port)]
    if outcome not in ("open", "refused"):
        firewall = connection.host_of(Component.FIREWALL).name
        unproved(
            f"firewall {firewall}: flow {flow.id} ({flow.reason}) is {outcome}",
            site.redeploy(firewall),
            connection.contacts.network_operator,
        )


@pytest.mark.check(PATH, "firewall")
def test_nothing_else_passes(site: Site, connection: Connection, outcomes: Outcomes, source: Host) -> None:
    """No other port of this connection's hosts can be reached from here."""
    tried = {place: outcomes[source.name, place] for place in refused_targets(connection, source)}
    passed = [f"{address}:{port}" for (address, port), outcome in tried.items() if outcome in ("open", "refused")]
    if passed:
        firewall = connection.host_of(Component.FIREWALL)
        unproved(
            f"firewall {firewall.name} lets {source.name} through to {', '.join(passed[:5])}"
            f"{f' and {len(passed) - 5} more' if len(passed) > 5 else ''}, which no flow declares",
            f"{site.redeploy(firewall.name)}, or declare it in connection_extra_flows",
            connection.contacts.network_operator,
        )
