"""Rules that need more than one field of the connection: one function each, named after what it guards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

from aansluitkit.connection.identifiers import HRN_PREFIXES, TEST_PREFIX
from aansluitkit.connection.model import Component, Connection, Environment, Kind
from aansluitkit.connection.place_rules import PLACE_RULES

Finding = tuple[str, str]  # dotted path below connection_, sentence
Rule = Callable[[Connection], Iterator[Finding]]

EXTERNAL = "external"
ONE_OF = (Component.FIREWALL, Component.NAME_SERVER, Component.LOAD_BALANCER, Component.DATABASE)


def vendor_has_no_production(connection: Connection) -> Iterator[Finding]:
    """A vendor's connection never takes the step to production (seed 1.2)."""
    if connection.kind is Kind.VENDOR and connection.environment is Environment.PRODUCTION:
        yield (
            "environment",
            "a vendor connection can never be 'production' (seed 1.2): use 'preprod', "
            "or let the organisation itself connect with kind 'government'",
        )


def vendor_has_hrn(connection: Connection) -> Iterator[Finding]:
    """A vendor identifies itself by an HRN, which is built on RSIN or KvK number (seed 3.3.8; IDA annex 1)."""
    oin = connection.organisation.oin
    allowed = (*HRN_PREFIXES, *((TEST_PREFIX,) if connection.environment is Environment.LAB else ()))
    if connection.kind is Kind.VENDOR and not oin.startswith(allowed):
        yield (
            "organisation.oin",
            f"'{oin}' is no HRN, which starts with {' or '.join(HRN_PREFIXES)} (seed 3.3.8): "
            "copy the number from the vendor's certificate",
        )


def test_oin_stays_out_of_production(connection: Connection) -> Iterator[Finding]:
    """Test OINs are for tests alone (OIN-Stelsel chapter 6; seed 4.3.1)."""
    if connection.environment is not Environment.PRODUCTION:
        return
    for path, oin in (("organisation.oin", connection.organisation.oin), ("partner.oin", connection.partner.oin)):
        if oin.startswith(TEST_PREFIX):
            yield path, f"'{oin}' is a test OIN, never allowed in production (seed 4.3.1): write the registered OIN"


def parties_differ(connection: Connection) -> Iterator[Finding]:
    """The two parties of a CPA are two (CPP/CPA 2.0 section 9)."""
    if connection.organisation.oin == connection.partner.oin:
        yield "partner.oin", f"'{connection.partner.oin}' is the organisation's own: write the partner's OIN"


def zones_are_disjoint(connection: Connection) -> Iterator[Finding]:
    """Two zones share no address, or no firewall stands between them."""
    for (first, one), (second, other) in combinations(connection.zones.items(), 2):
        if one.network.overlaps(other.network):
            yield (
                f"zones.{second}.network",
                f"{other.network} overlaps {one.network} of zone '{first}': give each zone a network of its own",
            )


def external_zone_exists(connection: Connection) -> Iterator[Finding]:
    """The partner is reached through the zone named external."""
    if EXTERNAL not in connection.zones:
        yield "zones", f"no zone is named '{EXTERNAL}'; the partner is reached through it: add it with its network"


def hosts_stand_in_their_zones(connection: Connection) -> Iterator[Finding]:
    """Every address of a host lies in a declared zone's network."""
    for host in connection.hosts.values():
        for zone, address in host.addresses.items():
            path = f"hosts.{host.name}.addresses.{zone}"
            if zone not in connection.zones:
                known = ", ".join(connection.zones)
                yield (
                    path,
                    f"zone '{zone}' is not declared; known are {known}: correct it or declare it",
                )
            elif address not in connection.zones[zone].network:
                network = connection.zones[zone].network
                yield path, f"{address} lies outside {network} of zone '{zone}': take an address of that network"
            elif address in (connection.zones[zone].network[0], connection.zones[zone].network[-1]):
                yield path, f"{address} is the network or broadcast address of zone '{zone}': take another"


def single_homed(connection: Connection) -> Iterator[Finding]:
    """Only the firewall stands in several zones; any other host there would be a way round it."""
    for host in connection.hosts.values():
        if Component.FIREWALL not in host.components and len(host.addresses) > 1:
            yield (
                f"hosts.{host.name}.addresses",
                f"has addresses in {', '.join(host.addresses)}; only the firewall may stand in several zones: keep one",
            )


def firewall_stands_in_every_zone(connection: Connection) -> Iterator[Finding]:
    """The firewall is the gateway of every zone."""
    for host in connection.hosts_of(Component.FIREWALL):
        for zone in connection.zones:
            if zone not in host.addresses:
                yield (
                    f"hosts.{host.name}.addresses",
                    f"has no address in zone '{zone}'; the firewall is every zone's gateway: add one",
                )


def no_address_twice(connection: Connection) -> Iterator[Finding]:
    """An address belongs to one host; the connection's own two are the firewall's, beside its interface address."""
    seen: dict[object, str] = {
        connection.inbound_address: "connection_inbound_address",
        connection.outbound_address: "connection_outbound_address",
    }
    if connection.inbound_address == connection.outbound_address:
        yield (
            "outbound_address",
            f"{connection.outbound_address} is the inbound address as well; declare both as they leave and enter "
            "the network, they differ (seed 4.4.2)",
        )
    for host in connection.hosts.values():
        for zone, address in host.addresses.items():
            if address in seen:
                yield (
                    f"hosts.{host.name}.addresses.{zone}",
                    f"{address} is already taken by {seen[address]}: give each its own address",
                )
            seen.setdefault(address, f"host '{host.name}'")


def components_are_present(connection: Connection) -> Iterator[Finding]:
    """A connection needs each component; those that have no cluster yet exactly once."""
    for component in ONE_OF:
        found = connection.hosts_of(component)
        if len(found) != 1:
            names = ", ".join(host.name for host in found) or "none"
            yield "hosts", f"group '{component}' holds {names}; exactly one host is expected: correct hosts.yml"
    if not connection.hosts_of(Component.ADAPTER):
        yield "hosts", "group 'adapter' holds none; at least one host is expected: add it to hosts.yml"


def own_addresses_are_external(connection: Connection) -> Iterator[Finding]:
    """The partner sees the inbound and outbound address, so the firewall carries them in the external zone."""
    if connection.openstack:
        return  # its router carries them (place_rules)
    zone = connection.zones.get(EXTERNAL)
    for field in ("inbound_address", "outbound_address"):
        address = getattr(connection, field)
        if zone is not None and address not in zone.network:
            yield field, f"{address} lies outside {zone.network} of zone '{EXTERNAL}': take an address of that network"


def endpoint_names_differ(connection: Connection) -> Iterator[Finding]:
    """Both parties have an endpoint of their own."""
    if connection.host_name == connection.partner.host_name:
        yield "partner.endpoint", f"'{connection.partner.host_name}' is our own endpoint's host: write the partner's"


def cpa_dates(connection: Connection) -> Iterator[Finding]:
    """Start lies before End (CPP/CPA 2.0 section 9.4); longer than ten years is unusual (BP EB009)."""
    cpa = connection.cpa
    if cpa.start >= cpa.end:
        yield "cpa.end", f"{cpa.end.isoformat()} is not after start {cpa.start.isoformat()}: correct either"
    elif (cpa.end - cpa.start).days > 3660:
        yield "cpa.end", f"{cpa.end.isoformat()} is over ten years after start (BP EB009): take the certificates' end"


def persist_duration_covers_retries(connection: Connection) -> Iterator[Finding]:
    """A message is kept as long as it may be repeated (KV ch. 5: at least (1+Retries) x RetryInterval)."""
    retries = connection.cpa.retries
    window = (1 + retries.count) * retries.interval
    if connection.cpa.profile.reliable and retries.persist_duration < window:
        yield (
            "cpa.retries.persist_duration",
            f"{retries.persist_duration} is shorter than (1 + {retries.count}) x {retries.interval} = {window} "
            "(KV ch. 5): lengthen it or retry less",
        )


def extra_flows_name_known_places(connection: Connection) -> Iterator[Finding]:
    """A declared flow runs between hosts or zones that exist."""
    known = {*connection.hosts, *connection.zones}
    for index, flow in enumerate(connection.extra_flows):
        for field in ("source", "destination"):
            name = getattr(flow, field)
            if name not in known:
                yield (
                    f"extra_flows.{index}.{field}",
                    f"'{name}' is neither a host nor a zone; known are {', '.join(sorted(known))}: correct it",
                )


RULES: tuple[Rule, ...] = (
    vendor_has_no_production,
    vendor_has_hrn,
    test_oin_stays_out_of_production,
    parties_differ,
    zones_are_disjoint,
    external_zone_exists,
    hosts_stand_in_their_zones,
    single_homed,
    firewall_stands_in_every_zone,
    no_address_twice,
    components_are_present,
    own_addresses_are_external,
    endpoint_names_differ,
    cpa_dates,
    persist_duration_covers_retries,
    extra_flows_name_known_places,
    *PLACE_RULES,
)


def findings(connection: Connection) -> list[Finding]:
    """Everything that the rules hold against ``connection``, in their order."""
    return [finding for rule in RULES for finding in rule(connection)]
