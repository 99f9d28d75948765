"""Who may talk to whom: what was declared passes, everything else does not."""

from __future__ import annotations

import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address

import pytest

from aansluitkit.connection import Component, Connection, Flow, Host, flows_of
from aansluitkit.connection.rule_places import rules_file
from aansluitkit.verification.site import Site, unproved

PATH = "zones"
# What is often there and seldom meant: remote access, files, mail, databases, queues, consoles, metrics.
USUAL = {
    *(21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 389, 443, 445, 636, 853, 873, 953, 1433, 1521, 2049, 2375, 3128),
    *(3306, 3389, 5000, 5432, 5672, 5900, 6379, 8000, 8080, 8081, 8404, 8443, 8888, 9000, 9090, 9100, 9200, 27017),
}
SAMPLE = 48  # other ports, the same ones at each run
SHOWN = 5
ANSWERED = ("open", "refused")  # a packet came there and back


Target = tuple[str, int]
Outcomes = dict[tuple[str, Target], str]


def is_from(flow: Flow, source: Host) -> bool:
    """Whether ``source`` may begin ``flow``: by name, as one of its zone, or as the partner."""
    return any(address in network for address in source.addresses.values() for network in flow.source_networks)


def targets(connection: Connection, flow: Flow) -> list[Target]:
    """What the source of ``flow`` connects to: the published address, the hosts that are meant, or their network."""
    if flow.port is None:
        return []
    if flow.published_address:
        return [(str(flow.published_address), flow.port)]
    hosts = [host for host in connection.hosts.values() if Component.FIREWALL not in host.components]
    hosts += [host for host in connection.hosts.values() if host.name == flow.destination]
    known = dict.fromkeys(address for host in hosts for address in host.addresses.values())
    known |= dict.fromkeys(address for _, _, address in shared(connection))
    meant = [address for address in known if any(address in network for network in flow.destination_networks)]
    return [(str(address), flow.port) for address in meant or [next(iter(flow.destination_networks[0].hosts()))]]


def ports(connection: Connection) -> list[int]:
    """Ports to try: of every flow, the usual ones, and a sample of all others."""
    known = USUAL | {flow.port for flow in flows_of(connection) if flow.port}
    others = [port for port in range(1, 65536) if port not in known]
    seeded = random.Random(f"{connection.name}.{connection.environment}")  # noqa: S311 - repeatable, not secret
    return sorted(known | {*seeded.sample(others, SAMPLE)})


def declared(connection: Connection, source: Host) -> set[Target]:
    """What ``source`` may reach."""
    flows = [flow for flow in flows_of(connection) if flow.protocol == "tcp" and is_from(flow, source)]
    return {place for flow in flows for place in targets(connection, flow)}


def addresses_beyond(connection: Connection, source: Host) -> dict[str, str]:
    """Addresses that ``source`` reaches through the firewall, the firewall's own included, each with whose it is."""
    hosts = [host for host in connection.hosts.values() if source.zone not in host.addresses]
    hosts.append(connection.host_of(Component.FIREWALL))
    found = {str(address): host.name for host in hosts for address in host.addresses.values()}
    found |= {str(address): name for name, zone, address in shared(connection) if zone not in source.addresses}
    return found | {
        str(connection.inbound_address): "the inbound address",
        str(connection.outbound_address): "the outbound address",
    }


def addresses_beside(connection: Connection, source: Host) -> dict[str, str]:
    """Addresses of the other hosts in the zone of ``source``: no firewall stands between."""
    others = [host for host in connection.hosts.values() if host.zone == source.zone and host is not source]
    found = {
        str(host.address): host.name
        for host in others
        if not {Component.FIREWALL, Component.MANAGEMENT} & {*host.components}
    }
    return found | {str(address): name for name, zone, address in shared(connection) if zone == source.zone}


def shared(connection: Connection) -> list[tuple[str, str, IPv4Address]]:
    """The addresses that several hosts share: what they are together, the zone, and the address."""
    return [
        (component.value, zone, address)
        for component, addresses in connection.virtual_addresses.items()
        for zone, address in addresses.items()
    ]


def services(connection: Connection) -> set[Target]:
    """What each host offers to anybody at all."""
    flows = [flow for flow in flows_of(connection) if flow.protocol == "tcp"]
    return {
        (str(network.network_address), flow.port)
        for flow in flows
        for network in flow.destination_networks
        if flow.port
    }


def guests(connection: Connection) -> list[Host]:
    """Hosts from which traffic is tried; the manager's is, by every check that runs over it."""
    return [host for host in connection.hosts.values() if Component.MANAGEMENT not in host.components]


def tries(connection: Connection, source: Host) -> list[Target]:
    """Everything that is tried from ``source``; of the firewall, which no firewall stands before, what it may."""
    addresses = {**addresses_beyond(connection, source), **addresses_beside(connection, source)}
    own = Component.FIREWALL in source.components
    undeclared = {(address, port) for address in addresses for port in ports(connection) if not own}
    return sorted(undeclared | declared(connection, source))


@pytest.fixture(scope="session")
def outcomes(site: Site, connection: Connection) -> Outcomes:
    """How every connection from every host to every other ends, tried from all hosts at once."""

    def attempt(source: Host) -> list[tuple[Target, str]]:
        places = tries(connection, source)
        return list(zip(places, site.probe(source, "connect", targets=places)["outcomes"], strict=True))

    sources = guests(connection)
    with ThreadPoolExecutor(len(sources)) as pool:
        results = zip(sources, pool.map(attempt, sources), strict=True)
        return {(source.name, place): outcome for source, found in results for place, outcome in found}


@pytest.mark.check(PATH, "firewall")
def test_declared_flow_passes(site: Site, connection: Connection, outcomes: Outcomes, flow: Flow) -> None:
    """What was declared is let through."""
    sources = [host for host in guests(connection) if is_from(flow, host)]
    if not sources:
        pytest.skip(f"{flow.source} is not ours to run checks on")
    found = {outcomes[source.name, place] for source in sources for place in targets(connection, flow)}
    if not found <= {*ANSWERED}:
        outcome = ", ".join(sorted(found - {*ANSWERED}))
        firewall = connection.host_of(Component.FIREWALL).name
        unproved(
            f"firewall {firewall}: flow {flow.id} ({flow.reason}) is {outcome}",
            site.redeploy(firewall),
            connection.contacts.network_operator,
        )


def named(targets: Iterable[Target], addresses: dict[str, str]) -> str:
    """``targets`` for people, the first few of them."""
    told = [f"{addresses[address]} {address}:{port}" for address, port in sorted(targets)]
    return ", ".join(told[:SHOWN]) + (f" and {len(told) - SHOWN} more" if len(told) > SHOWN else "")


@pytest.mark.check(PATH, "firewall")
def test_nothing_else_passes(site: Site, connection: Connection, outcomes: Outcomes, source: Host) -> None:
    """Nothing but what is declared is let through from here to any address, on any port that was tried."""
    addresses = addresses_beyond(connection, source)
    answered = {place for (name, place), outcome in outcomes.items() if name == source.name and outcome in ANSWERED}
    passed = {place for place in answered if place[0] in addresses} - declared(connection, source)
    if passed:
        firewall = connection.host_of(Component.FIREWALL)
        unproved(
            f"firewall {firewall.name} lets {source.name} through to {named(passed, addresses)}, which no flow "
            "declares",
            f"{site.redeploy(firewall.name)}, or declare it in connection_extra_flows",
            connection.contacts.network_operator,
        )


@pytest.mark.check(PATH, "firewall")
def test_neighbours_offer_what_is_declared(
    site: Site, connection: Connection, outcomes: Outcomes, source: Host
) -> None:
    """Within the zone, where no firewall stands between, nothing listens but what some flow declares."""
    addresses = addresses_beside(connection, source)
    opened = {place for (name, place), outcome in outcomes.items() if name == source.name and outcome == "open"}
    undeclared = {place for place in opened if place[0] in addresses} - services(connection)
    if undeclared:
        hosts = ",".join(sorted({addresses[address] for address, _ in undeclared}))  # names, or a group's
        unproved(
            f"{source.name} reaches {named(undeclared, addresses)} within the zone, a service that no flow declares",
            f"stop that service, {site.redeploy(hosts)}, or declare it in connection_extra_flows",
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "firewall")
def test_rules_in_force_are_the_declared_ones(site: Site, connection: Connection) -> None:
    """The firewall's rules are those of the declared flows, on every port and protocol, and none besides."""
    firewall = connection.host_of(Component.FIREWALL)
    found = site.probe(firewall, "rules", declared=rules_file(connection))
    differing = [f"{kind} is '{rule}'" for kind in ("undeclared", "missing") for rule in found[kind]]
    if differing:
        more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        declare = ", or declare it in connection_extra_flows" if found["undeclared"] else ""
        unproved(
            f"firewall {firewall.name}: {'; '.join(differing[:SHOWN])}{more}",
            f"{site.redeploy(firewall.name)}{declare}",
            connection.contacts.network_operator,
        )
