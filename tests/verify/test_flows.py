"""Who may talk to whom: what was declared passes, everything else does not."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address

import pytest

from aansluitkit.connection import Component, Connection, Flow, Host, flows_of
from aansluitkit.connection.firewalls import begins_at, ends_at, guarded_hosts
from aansluitkit.connection.flows import PARTNER, SSH_PORT
from aansluitkit.verification.firewalls import SHOWN, Firewalls
from aansluitkit.verification.site import Site, unproved

PATH = "zones"
# What is often there and seldom meant: remote access, files, mail, databases, queues, consoles, metrics.
USUAL = {
    "tcp": {
        *(21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 389, 443, 445, 636, 853, 873, 953, 1433, 1521, 2049, 2375, 3128),
        *(3306, 3389, 5000, 5432, 5672, 5900, 6379, 8000, 8080, 8081, 8404, 8443, 8888, 9000, 9090, 9100, 9200, 27017),
    },
    "udp": {53, 67, 69, 111, 123, 137, 161, 389, 500, 514, 1194, 1900, 3780, 4500, 5353, 11211, 51820},
}
SAMPLE = {"tcp": 48, "udp": 16}  # other ports, the same ones at each run
DO = {"tcp": "connect", "udp": "query"}  # what the probe is asked
ANSWERED = ("open", "refused")  # a packet came there and back


Target = tuple[str, int]


def is_from(connection: Connection, flow: Flow, source: Host) -> bool:
    """Whether ``source`` may begin ``flow``: by name, as one of its zone, or as the partner."""
    ours = Component.PARTNER in source.components and flow.source == PARTNER
    return begins_at(connection, flow, source) or (
        ours and any(address in network for address in source.addresses.values() for network in flow.source_networks)
    )


def targets(connection: Connection, flow: Flow) -> list[Target]:
    """What the source of ``flow`` connects to: the published address, the hosts that are meant, or their network."""
    if flow.port is None:
        return []
    if flow.published_address:
        return [(str(flow.published_address), flow.port)]
    hosts = [host for host in connection.hosts.values() if Component.FIREWALL not in host.components]
    hosts += [host for host in connection.hosts.values() if host.name == flow.destination]
    known = dict.fromkeys(address for host in hosts for address in host.addresses.values())
    meant = [address for address in known if any(address in network for network in flow.destination_networks)]
    return [(str(address), flow.port) for address in meant or [next(iter(flow.destination_networks[0].hosts()))]]


def ports(connection: Connection, protocol: str) -> list[int]:
    """Ports to try: of every flow, the usual ones, and a sample of all others."""
    known = USUAL[protocol] | {flow.port for flow in flows_of(connection) if flow.port and flow.protocol == protocol}
    others = [port for port in range(1, 65536) if port not in known]
    seeded = random.Random(f"{connection.name}.{connection.environment}")  # noqa: S311 - repeatable, not secret
    return sorted(known | {*seeded.sample(others, SAMPLE[protocol])})


def declared(connection: Connection, source: Host, protocol: str) -> set[Target]:
    """What ``source`` may reach."""
    flows = [flow for flow in flows_of(connection) if flow.protocol == protocol and is_from(connection, flow, source)]
    return {place for flow in flows for place in targets(connection, flow)}


def addresses_beside(connection: Connection, source: Host) -> dict[str, str]:
    """Addresses of the other hosts in the zones of ``source``: between them stand their own firewalls alone."""
    others = [host for host in connection.hosts.values() if Component.FIREWALL not in host.components]
    found = {str(host.address): host.name for host in others if host is not source and host.zone in source.addresses}
    return found | {
        str(address): name for name, zone, address in shared(connection, source) if zone in source.addresses
    }


def shared(connection: Connection, source: Host) -> list[tuple[str, str, IPv4Address]]:
    """The addresses that several hosts share, ``source`` not one of them: what these are, the zone, and the address."""
    return [
        (component.value, zone, address)
        for component, addresses in connection.virtual_addresses.items()
        for zone, address in addresses.items()
        if component not in source.components  # else it may be the one that has it
    ]


def addresses_beyond(connection: Connection, source: Host) -> dict[str, str]:
    """Addresses that ``source`` reaches through a firewall host, its own included, each with whose it is."""
    hosts = [host for host in connection.hosts.values() if host is not source]
    found = {str(address): host.name for host in hosts for address in host.addresses.values()}
    found |= {str(address): name for name, _, address in shared(connection, source)}
    if Component.FIREWALL not in source.components:
        for link in connection.links:
            there = f" in zone {link.zone}" if link.path else ""
            found |= {
                str(link.inbound_address): f"the inbound address{there}",
                str(link.outbound_address): f"the outbound address{there}",
            }
    return {address: name for address, name in found.items() if address not in addresses_beside(connection, source)}


def guests(connection: Connection) -> list[Host]:
    """Hosts from which traffic is tried; the manager's is, by every check that runs over it."""
    return [host for host in connection.hosts.values() if Component.MANAGEMENT not in host.components]


def undeclared(connection: Connection, source: Host, protocol: str) -> list[Target]:
    """Everything that is tried from ``source`` although it may not be."""
    addresses = {**addresses_beyond(connection, source), **addresses_beside(connection, source)}
    tried = {(address, port) for address in addresses for port in ports(connection, protocol)}
    return sorted(tried - declared(connection, source, protocol))


class Outcomes:
    """How what is tried from every host ends; a host that can't be asked fails the checks that need it alone."""

    def __init__(self, site: Site, tried: Callable[[Host, str], list[Target]]) -> None:
        def attempt(source: Host) -> dict[str, dict[Target, str]]:
            found = {}
            for protocol, do in DO.items():
                places = tried(source, protocol)
                ended = site.probe(source, do, targets=places)["outcomes"] if places else []
                found[protocol] = dict(zip(places, ended, strict=True))
            return found

        self._found = site.ask_all(guests(site.connection), attempt)

    def of(self, source: Host, protocol: str) -> dict[Target, str]:
        """What was tried from ``source``, and how it ended.

        Raises:
            KitError: when ``source`` could not be asked.
        """
        found: dict[str, dict[Target, str]] = self._found[source.name]()
        return found[protocol]


@pytest.fixture(scope="session")
def allowed(site: Site, connection: Connection) -> Outcomes:
    """How everything that is declared ends."""
    return Outcomes(site, lambda source, protocol: sorted(declared(connection, source, protocol)))


@pytest.fixture(scope="session")
def outcomes(site: Site, connection: Connection) -> Outcomes:
    """How everything else ends, from every host to every other."""
    return Outcomes(site, lambda source, protocol: undeclared(connection, source, protocol))


@pytest.mark.check(PATH, "firewall")
def test_declared_flow_passes(
    site: Site, connection: Connection, firewalls: Firewalls, allowed: Outcomes, flow: Flow
) -> None:
    """What was declared is let through."""
    sources = [host for host in guests(connection) if is_from(connection, flow, host)]
    if not sources:
        pytest.skip(f"{flow.source} is not ours to run checks on")
    places = targets(connection, flow)
    found = {allowed.of(source, flow.protocol)[place] for source in sources for place in places}
    if found <= {*ANSWERED} or (flow.protocol == "udp" and arrives(site, connection, flow, sources)):
        return
    firewalls.blame(flow.id, ", ".join(sorted(found - {*ANSWERED})))


def arrives(site: Site, connection: Connection, flow: Flow, sources: list[Host]) -> bool:
    """Whether the firewall where ``flow`` ends counts what ``sources`` send: not every service answers a datagram."""
    ends = [host for host in guarded_hosts(connection) if ends_at(connection, flow, host)]

    def counted() -> int:
        rules = [rule for host in ends for rule in site.probe(host, "counters")["counted"]]
        return sum(packets for chain, comment, packets in rules if (chain, comment) == ("input", flow.id))

    before = counted()
    for source in sources:
        site.probe(source, "query", targets=targets(connection, flow), timeout=0)
    return counted() > before


def named(targets: Iterable[Target], addresses: dict[str, str]) -> str:
    """``targets`` for people, the first few of them."""
    told = [f"{addresses[address]} {address}:{port}" for address, port in sorted(targets)]
    return ", ".join(told[:SHOWN]) + (f" and {len(told) - SHOWN} more" if len(told) > SHOWN else "")


def refuse_undeclared(
    connection: Connection, firewalls: Firewalls, outcomes: Outcomes, source: Host, addresses: dict[str, str]
) -> None:
    """Fail when ``source`` had an answer from one of ``addresses`` where no flow is declared."""
    passed = {
        protocol: {
            place
            for place, outcome in outcomes.of(source, protocol).items()
            if outcome in ANSWERED and place[0] in addresses
        }
        for protocol in DO
    }
    reached = {addresses[address] for places in passed.values() for address, _ in places}
    if reached:
        told, hosts = firewalls.openings()
        ends = [host.name for host in guarded_hosts(connection) if host.name in reached]
        mended = ",".join(hosts or ends or [connection.host_of(Component.FIREWALL).name])
        through = " and ".join(f"{named(places, addresses)} ({name})" for name, places in passed.items() if places)
        unproved(
            f"{source.name} gets through to {through}, which no flow declares{told}",
            f"{firewalls.site.redeploy(mended)}, or declare it in connection_extra_flows",
            connection.contacts.network_operator,
        )


@pytest.mark.check(PATH, "firewall")
def test_nothing_else_passes(connection: Connection, firewalls: Firewalls, outcomes: Outcomes, source: Host) -> None:
    """Nothing but what is declared is let through from here to any address, on any port that was tried."""
    refuse_undeclared(connection, firewalls, outcomes, source, addresses_beyond(connection, source))


@pytest.mark.check(PATH, "firewall")
def test_neighbours_refuse_the_rest(
    connection: Connection, firewalls: Firewalls, outcomes: Outcomes, source: Host
) -> None:
    """Within the zone, where only the hosts' own firewalls stand, nothing passes but what some flow declares."""
    refuse_undeclared(connection, firewalls, outcomes, source, addresses_beside(connection, source))


@pytest.fixture(scope="session")
def outcomes6(site: Site, connection: Connection) -> Outcomes:
    """The same over IPv6, which no flow uses: to every address that a host happens to have."""
    asked = site.ask_all(guests(connection), lambda host: site.probe(host, "addresses6")["addresses"])
    tried = sorted({SSH_PORT, *(flow.port for flow in flows_of(connection) if flow.port and flow.protocol == "tcp")})

    def places(source: Host, protocol: str) -> list[Target]:
        own = {interface for interface, _ in asked[source.name]()}
        held = [pair for name, ask in asked.items() if name != source.name and not ask.failed for pair in ask()]
        return [
            (f"{address}%{interface}" if address.startswith("fe80") else address, port)
            for interface, address in held
            if protocol == "tcp" and own and (interface in own or not address.startswith("fe80"))
            for port in tried
        ]

    return Outcomes(site, places)


@pytest.mark.check(PATH, "firewall")
def test_nothing_passes_over_ipv6(
    connection: Connection, firewalls: Firewalls, outcomes6: Outcomes, source: Host
) -> None:
    """Nothing passes over IPv6 from here to any address that another host has."""
    passed = sorted(place for place, outcome in outcomes6.of(source, "tcp").items() if outcome in ANSWERED)
    if passed:
        told, hosts = firewalls.openings()
        reached = ", ".join(f"[{address}]:{port}" for address, port in passed[:SHOWN])
        unproved(
            f"{source.name} gets through over IPv6 to {reached}, and no flow is declared for IPv6{told}",
            firewalls.site.redeploy(",".join(hosts) or "all"),
            connection.contacts.network_operator,
        )


@pytest.mark.check(PATH, "firewall")
def test_rules_in_force_are_the_declared_ones(
    site: Site, connection: Connection, firewalls: Firewalls, guarded: Host
) -> None:
    """The rules of this firewall are those of the declared flows, on every port and protocol, and none besides."""
    found = firewalls.differences(guarded.name)
    differing = [f"{kind} is '{rule}'" for kind in ("undeclared", "missing") for rule in found[kind]]
    if differing:
        more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        declare = ", or declare it in connection_extra_flows" if found["undeclared"] else ""
        unproved(
            f"firewall {guarded.name}: {'; '.join(differing[:SHOWN])}{more}",
            f"{site.redeploy(guarded.name)}{declare}",
            connection.contacts.network_operator,
        )
