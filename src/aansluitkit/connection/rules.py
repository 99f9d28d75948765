"""Rules that need more than one field of the connection: one function each, named after what it guards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

from aansluitkit.connection.flows import (
    AUTHORITIES,
    NAME_SERVERS,
    PACKAGE_SOURCES,
    PARTNER,
    RESOLVERS,
    SSH_PORT,
    TIME_SERVERS,
    flows_of,
)
from aansluitkit.connection.identifiers import TEST_PREFIX, check_hrn, doubt_oin
from aansluitkit.connection.model import (
    EXTERNAL,
    HTTPS_PORT,
    MIGRATION,
    Component,
    Connection,
    DnsWay,
    Environment,
    Host,
    Kind,
    Link,
    Network,
    PartnerAddresses,
    View,
    other_port,
)
from aansluitkit.connection.partial import as_known
from aansluitkit.connection.place_rules import PLACE_RULES
from aansluitkit.digikoppeling import OIN_TYPE

Finding = tuple[str, str]  # dotted path below connection_, sentence
Rule = Callable[[Connection], Iterator[Finding]]

TESTING = (Environment.LAB, Environment.COMPLIANCE)
CHAIN = (Environment.PREPROD, Environment.PRODUCTION)
DOCUMENTATION = tuple(IPv4Network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"))  # RFC 5737
EXAMPLE_NAMES = (".example", ".test", ".invalid", ".localhost", ".example.com", ".example.net", ".example.org")
WIDEST_RANGE = 16  # bits of prefix
WIDEST_ZONE = 8
MOST_FIREWALLS = 2
SHORTEST_RETRYING = timedelta(days=1)
MOST_NAME_SERVERS = 2  # primary and secondary
SOME_OF = (Component.FIREWALL, Component.LOAD_BALANCER, Component.ADAPTER)
SHARING = (Component.FIREWALL, Component.LOAD_BALANCER)  # whose hosts are reached at one address, however many they are


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
    testing = connection.environment in TESTING or connection.test_certificates_allowed is not None
    if connection.kind is Kind.VENDOR and not (testing and oin.startswith(TEST_PREFIX)):
        try:
            check_hrn(oin)
        except ValueError as error:
            yield "organisation.oin", str(error)


def test_certificates_fit_environment(connection: Connection) -> Iterator[Finding]:
    """Test certificates never reach production, and preprod only where the partner asked for them (seed 4.3.1)."""
    if connection.environment is Environment.PRODUCTION and connection.test_certificates_allowed:
        yield (
            "test_certificates_allowed",
            "is declared, but production never takes test certificates (seed 4.3.1): remove it",
        )


def test_oin_fits_environment(connection: Connection) -> Iterator[Finding]:
    """Test OINs are for tests alone (OIN-Stelsel chapter 6; seed 4.3.1)."""
    if connection.environment in TESTING:
        return
    for path, oin in as_known(connection, _own_oin, _partner_oin):
        if not oin.startswith(TEST_PREFIX):
            continue
        if connection.environment is Environment.PRODUCTION:
            yield path, f"'{oin}' is a test OIN, never allowed in production (seed 4.3.1): write the registered OIN"
        elif connection.test_certificates_allowed is None:
            yield (
                path,
                f"'{oin}' is a test OIN, in preprod only where the partner asked for it (seed 4.3.1): write the "
                "registered OIN, or declare connection_test_certificates_allowed with the reason",
            )


def _own_oin(connection: Connection) -> Iterator[tuple[str, str]]:
    yield "organisation.oin", connection.organisation.oin


def _partner_oin(connection: Connection) -> Iterator[tuple[str, str]]:
    yield "partner.oin", connection.partner.oin


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


def zones_are_no_world(connection: Connection) -> Iterator[Finding]:
    """A zone is a network of our own; the widest that is anybody's own is a /8 (RFC 1918)."""
    for name, zone in connection.zones.items():
        if zone.network.prefixlen < WIDEST_ZONE:
            yield (
                f"zones.{name}.network",
                f"{zone.network} is {zone.network.num_addresses} addresses, so others count as our own; no network is "
                f"wider than /{WIDEST_ZONE} (RFC 1918): write the zone's own network",
            )


def external_zone_exists(connection: Connection) -> Iterator[Finding]:
    """The partner is reached through the zone named external, and the one named migration while there are two ways."""
    if EXTERNAL not in connection.zones:
        yield "zones", f"no zone is named '{EXTERNAL}'; the partner is reached through it: add it with its network"
    if connection.migration and MIGRATION not in connection.zones:
        yield (
            "zones",
            f"no zone is named '{MIGRATION}', by which connection_migration leads to the partner: add it",
        )
    if not connection.migration and MIGRATION in connection.zones:
        yield (
            f"zones.{MIGRATION}",
            "is the zone of a second way to the partner, but connection_migration is not set, so it would count as "
            "inside: set that, or take out the zone",
        )


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
            elif wrong := _misplaced(address, zone, connection.zones[zone].network):
                yield path, wrong


def _misplaced(address: IPv4Address, zone: str, network: IPv4Network) -> str:
    """Why no host of ``zone`` can have ``address``, or nothing (RFC 919 section 7; a /31 has two hosts, RFC 3021)."""
    if address not in network:
        return f"{address} lies outside {network} of zone '{zone}': take an address of that network"
    if network.prefixlen < 31 and address in (network[0], network[-1]):
        return f"{address} is the network or broadcast address of zone '{zone}': take another"
    return ""


def single_homed(connection: Connection) -> Iterator[Finding]:
    """Only the firewall stands in several zones; any other host there would be a way round it.

    The lab's partner stands wherever a link begins, none of which is ours.
    """
    for host in connection.hosts.values():
        if Component.PARTNER in host.components:
            missing = [zone for zone in connection.outer_zones if zone not in host.addresses]
            inner = [zone for zone in host.addresses if zone not in connection.outer_zones]
            for zone in missing:
                yield f"hosts.{host.name}.addresses", f"has no address in zone '{zone}', a way to the partner: add one"
            for zone in inner:
                yield f"hosts.{host.name}.addresses.{zone}", f"'{zone}' is a zone of our own: take the partner out"
        elif Component.FIREWALL not in host.components and len(host.addresses) > 1:
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


def firewalls_are_one_gateway(connection: Connection) -> Iterator[Finding]:
    """Two firewalls, which know each other's connections, share a gateway address in every zone."""
    hosts = connection.hosts_of(Component.FIREWALL)
    shared = connection.virtual_addresses.get(Component.FIREWALL, {})
    if len(hosts) > MOST_FIREWALLS:
        names = ", ".join(host.name for host in hosts)
        yield "hosts", f"group 'firewall' holds {names}; two know each other's connections, no more: keep two"
    if len(hosts) > 1 and shared:
        for zone in connection.zones:
            if zone not in shared:
                yield (
                    "virtual_addresses.firewall",
                    f"has no address in zone '{zone}'; the firewalls share every zone's gateway: add a free one",
                )


def no_address_twice(connection: Connection) -> Iterator[Finding]:
    """An address belongs to one host; the connection's own two are the firewall's, beside its interface address."""
    seen: dict[object, str] = {}
    for link in connection.links:
        if link.inbound_address == link.outbound_address:
            yield (
                f"{link.path}outbound_address",
                f"{link.outbound_address} is the inbound address as well; declare both as they leave and enter "
                "the network, they differ (seed 4.4.2)",
            )
        for field, address in link.own_addresses:
            if link.path and address in seen:
                yield field, f"{address} is already taken by {seen[address]}: each network has addresses of its own"
            seen.setdefault(address, f"connection_{field}")
    for host in connection.hosts.values():
        for zone, address in host.addresses.items():
            if address in seen:
                yield (
                    f"hosts.{host.name}.addresses.{zone}",
                    f"{address} is already taken by {seen[address]}: give each its own address",
                )
            seen.setdefault(address, f"host '{host.name}'")
    for component, shared in connection.virtual_addresses.items():
        for zone, address in shared.items():
            if address in seen:
                yield (
                    f"virtual_addresses.{component}.{zone}",
                    f"{address} is already taken by {seen[address]}; what several hosts share belongs to none of them: "
                    "take a free address",
                )
            seen.setdefault(address, f"connection_virtual_addresses.{component}")


def virtual_addresses_are_needed(connection: Connection) -> Iterator[Finding]:
    """Hosts of one component share an address when they are several, and only then."""
    for component, shared in connection.virtual_addresses.items():
        path = f"virtual_addresses.{component}"
        hosts = connection.hosts_of(component)
        if component not in SHARING:
            known = ", ".join(SHARING)
            yield path, f"hosts of '{component}' have no address in common; those of {known} may: remove it"
        elif len(hosts) < 2 or not shared:
            names = ", ".join(host.name for host in hosts) or "none"
            yield path, f"is there, but group '{component}' holds {names}: remove it, or name zones and add a host"
    for component in SHARING:
        hosts = connection.hosts_of(component)
        if len(hosts) > 1 and component not in connection.virtual_addresses:
            names = ", ".join(host.name for host in hosts)
            yield (
                "virtual_addresses",
                f"has none for '{component}', whose hosts {names} must share an address that moves between them: add "
                f"'{component}: {{{hosts[0].zone}: <free address of zone {hosts[0].zone}>}}', or keep one host",
            )


def virtual_addresses_lie_in_their_zones(connection: Connection) -> Iterator[Finding]:
    """A shared address moves between hosts in one segment, so all stand in its zone (RFC 5798 section 1.3)."""
    for component, shared in connection.virtual_addresses.items():
        for zone, address in shared.items():
            path = f"virtual_addresses.{component}.{zone}"
            if zone not in connection.zones:
                yield path, f"zone '{zone}' is not declared; known are {', '.join(connection.zones)}: correct it"
                continue
            if wrong := _misplaced(address, zone, connection.zones[zone].network):
                yield path, wrong
            for host in connection.hosts_of(component):
                if zone not in host.addresses:
                    yield (
                        path,
                        f"host '{host.name}' does not stand in zone '{zone}', so it can't carry {address}: move it",
                    )


def components_are_present(connection: Connection) -> Iterator[Finding]:
    """A connection needs each component."""
    databases = connection.hosts_of(Component.DATABASE)
    if len(databases) not in (1, 2):
        names = ", ".join(host.name for host in databases) or "none"
        yield (
            "hosts",
            f"group '{Component.DATABASE}' holds {names}; expected is one host, or two of which one is the standby: "
            "correct hosts.yml",
        )
    for component in SOME_OF:
        if not connection.hosts_of(component):
            yield "hosts", f"group '{component}' holds none; at least one host is expected: add it to hosts.yml"


def name_servers_fit_the_way(connection: Connection) -> Iterator[Finding]:
    """Names are given by our own name servers, or by those of others, who then get a list."""
    servers, dns = connection.hosts_of(Component.NAME_SERVER), connection.dns
    names = ", ".join(host.name for host in servers) or "none"
    if dns.way is DnsWay.ROLE and not 1 <= len(servers) <= MOST_NAME_SERVERS:
        yield (
            "hosts",
            f"group 'name_server' holds {names}; a primary and at most one secondary are expected: correct hosts.yml, "
            "or set connection_dns.way to 'list' where others have the name servers",
        )
    if dns.way is DnsWay.LIST and servers:
        yield (
            "dns.way",
            f"is 'list', but group 'name_server' holds {names}: write 'role', or take them out",
        )
    if dns.way is DnsWay.LIST and not dns.resolvers:
        yield "dns.resolvers", "is not set; with way 'list' the hosts ask name servers of others: write their addresses"
    of_role, of_list = ("forwarders", "published_to"), ("resolvers", "updates")
    for field, way in (*((field, DnsWay.ROLE) for field in of_role), *((field, DnsWay.LIST) for field in of_list)):
        if getattr(dns, field) and dns.way is not way:
            yield f"dns.{field}", f"belongs to way '{way}', and connection_dns.way is '{dns.way}': take out either"
    for index, network in enumerate(dns.published_to):
        for name, zone in connection.zones.items():
            if name not in connection.outer_zones and network.subnet_of(zone.network):
                yield (
                    f"dns.published_to.{index}",
                    f"{network} lies in our zone '{name}', whose hosts ask without that: write who asks from outside",
                )
    if View.MIGRATION in dns.updates and not connection.migration:
        yield (
            f"dns.updates.{View.MIGRATION}",
            "is of the network of connection_migration, which is not set: take it out",
        )


def diginetwerk_is_known(connection: Connection) -> Iterator[Finding]:
    """Over Diginetwerk both parties meet on addresses that its operator gave out (seed 3.3.3)."""
    known = connection.diginetwerk
    if known is None:
        return  # others lead the way there, such as a cloud's router
    link = next((link for link in connection.links if link.network is Network.DIGINETWERK), None)
    if link is None:
        yield "diginetwerk", f"is declared, but connection_network is '{connection.network}': correct either"
        return
    for index, network in enumerate(known.ranges):
        if network.prefixlen < WIDEST_ZONE:
            yield (
                f"diginetwerk.ranges.{index}",
                f"{network} is {network.num_addresses} addresses, so the internet would be sought there: write the "
                f"ranges of Diginetwerk, none wider than /{WIDEST_ZONE}",
            )
    named = [(path, IPv4Network(address)) for path, address in link.own_addresses]
    named += [(f"diginetwerk.resolvers.{index}", IPv4Network(each)) for index, each in enumerate(known.resolvers)]
    for path, network in (*named, *_ranges_of(link.partner, link.path)):
        if not any(network.subnet_of(each) for each in known.ranges):
            shown = network.network_address if network.prefixlen == 32 else network
            yield (
                path,
                f"{shown} lies in none of connection_diginetwerk.ranges, so no way leads there: write the address on "
                "Diginetwerk, or add its range",
            )
    zone = connection.zones.get(link.zone)
    if zone and (wrong := _misplaced(known.router, link.zone, zone.network)):
        yield "diginetwerk.router", wrong


def networks_are_told_apart(connection: Connection) -> Iterator[Finding]:
    """With two ways to the partner, its address alone says which one is taken, there and back."""
    if connection.migration is None:
        return
    known = connection.diginetwerk
    if known is None:
        yield (
            "diginetwerk",
            "is not set; during a migration the firewall has to know which addresses are those of Diginetwerk: write "
            "ranges, router and resolvers as its operator gave them",
        )
        return
    [link] = [link for link in connection.links if link.network is Network.INTERNET]
    own = [(path, IPv4Network(address)) for path, address in link.own_addresses]
    for path, network in (*own, *_ranges_of(link.partner, link.path)):
        if any(network.overlaps(each) for each in known.ranges):
            shown = network.network_address if network.prefixlen == 32 else network
            yield (
                path,
                f"{shown} lies in connection_diginetwerk.ranges, and this is the address on the internet: write that",
            )


def own_addresses_are_external(connection: Connection) -> Iterator[Finding]:
    """The partner sees the inbound and outbound address, so the firewall carries them in the zone of their link."""
    if connection.openstack:
        return  # its router carries them (place_rules)
    for link in connection.links:
        zone = connection.zones.get(link.zone)
        for path, address in link.own_addresses:
            if zone is not None and (wrong := _misplaced(address, link.zone, zone.network)):
                yield path, wrong


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


def cpa_is_not_retired(connection: Connection) -> Iterator[Finding]:
    """The CPA that is in use stays in the adapters."""
    for index, identity in enumerate(connection.cpa.retired):
        if identity == connection.cpa.id:
            yield f"cpa.retired.{index}", f"'{identity}' is connection_cpa.id, which is in use: take it out of one"


def renewal_overlaps(connection: Connection) -> Iterator[Finding]:
    """Two CPAs count during a renewal, told apart by their ids, and no moment is without one (BP EB009)."""
    if connection.renewal is None:
        return
    cpa, following = connection.cpa, connection.renewal.cpa
    if following.id in (cpa.id, *cpa.retired):
        yield (
            "renewal.cpa.id",
            f"'{following.id}' is that of a CPA which is in use or retired; both count during the renewal, and only "
            "their ids tell them apart: give the next one an id of its own",
        )
    if following.start > cpa.end:
        yield (
            "renewal.cpa.start",
            f"{following.start.isoformat()} is after connection_cpa.end, {cpa.end.isoformat()}: in between nothing can "
            "be sent: have it begin before",
        )


def retries_belong_to_profile(connection: Connection) -> Iterator[Finding]:
    """Only a reliable profile repeats and acknowledges (KV ch. 2, 3 and 5)."""
    cpa = connection.cpa
    named = ", ".join(f"'{profile}'" for profile in cpa.profiles if not profile.reliable)
    if "retries" in cpa.model_fields_set and not cpa.reliable:
        yield "cpa.retries", f"profile {named} is best effort, which has no retries (KV ch. 5): remove them"
    if cpa.sync_reply and named:
        yield (
            "cpa.sync_reply",
            f"profile {named} is best effort, which has no synchronous signals (KV ch. 3): remove it",
        )


def retrying_outlasts_a_night(connection: Connection) -> Iterator[Finding]:
    """Retrying survives a prolonged outage, which may be mended the next working day alone (KV ch. 5)."""
    retries = connection.cpa.retries
    window = (1 + retries.count) * retries.interval
    if connection.environment in CHAIN and connection.cpa.reliable and window < SHORTEST_RETRYING:
        yield (
            "cpa.retries",
            f"(1 + {retries.count}) x {retries.interval} = {window} of retrying does not outlast an outage (KV ch. 5; "
            f"8 x 3 hours is usual, BP ch. 3): retry at least {SHORTEST_RETRYING.days} day",
        )


def service_actions_once(connection: Connection) -> Iterator[Finding]:
    """An action of a service is sent by one of the parties (CPP/CPA 2.0 section 8.4)."""
    for number, service in enumerate(connection.cpa.services):
        seen: set[tuple[str, str]] = set()
        for index, action in enumerate(service.actions):
            if (action.name, action.sender) in seen:
                path = f"cpa.services.{number}.actions.{index}.name"
                yield path, f"'{action.name}' by {action.sender} stands twice: keep one"
            seen.add((action.name, action.sender))


def services_differ(connection: Connection) -> Iterator[Finding]:
    """A service is known by its type and name together (CPP/CPA 2.0 section 8.4.9)."""
    seen = set()
    for index, service in enumerate(connection.cpa.services):
        if (service.type, service.name) in seen:
            yield f"cpa.services.{index}.name", f"'{service.name}' of type {service.type} stands twice: keep one"
        seen.add((service.type, service.name))


def acknowledgments_are_of_one_kind(connection: Connection) -> Iterator[Finding]:
    """All acknowledgments go over the one default channel, signed or not (KV ch. 6, Deployment; BP ch. 3)."""
    reliable = [profile for profile in connection.cpa.profiles if profile.reliable]
    odd = next((profile for profile in reliable if profile.signed is not reliable[0].signed), None)
    if odd and connection.environment in CHAIN:
        index = next(index for index, service in enumerate(connection.cpa.services) if service.profile is odd)
        yield (
            f"cpa.services.{index}.profile",
            f"'{odd}' and '{reliable[0]}' acknowledge differently, and the parties have one channel for it (KV ch. 6): "
            "give the services of the other profile a CPA of their own",
        )


def partner_listens_on_443(connection: Connection) -> Iterator[Finding]:
    """HTTPS is on port 443 (TLS005); a Compliancevoorziening that somebody runs from its image may be elsewhere."""
    partner = connection.partner
    if partner.port != HTTPS_PORT and connection.environment is not Environment.COMPLIANCE:
        yield "partner.endpoint", other_port(partner.endpoint)


def identifiers_of_logius_are_known(connection: Connection) -> Iterator[Finding]:
    """Logius sends an afzenderID and a Service-ID after application, for preprod and production each (seed 4.3.4)."""
    if connection.environment in CHAIN and connection.sender_id is None:
        yield (
            "sender_id",
            "is not set; Logius sends this afzenderID after the application (seed 4.3.4): write it, or TODO until then",
        )


def party_id_is_an_oin(connection: Connection) -> Iterator[Finding]:
    """Only the Compliancevoorziening has another type of party id than the OIN (KV ch. 5, PartyId)."""
    if connection.partner.party_id_type != OIN_TYPE and connection.environment not in TESTING:
        yield (
            "partner.party_id_type",
            f"'{connection.partner.party_id_type}' is not {OIN_TYPE}, which {connection.environment} demands "
            "(KV ch. 5): remove it",
        )


def own_zone_holds_own_names(connection: Connection) -> Iterator[Finding]:
    """Our name servers answer for all below our domain: a name that others manage would not exist there."""
    partner, domain = connection.partner.host_name, connection.domain
    if f".{partner}".endswith(f".{domain}"):
        yield (
            "partner.endpoint",
            f"'{partner}' lies in '{domain}', the zone of our own name servers, which would hide it: name our "
            "endpoint's host within a domain that is the connection's alone, such as ebms.mijnoverheid.organisatie.nl",
        )
    for host in connection.hosts.values():
        if connection.name_of(host) == connection.host_name:
            yield (
                f"hosts.{host.name}",
                f"'{connection.host_name}' is the endpoint's name, whose address is another: rename the host",
            )


def endpoint_has_a_domain(connection: Connection) -> Iterator[Finding]:
    """The kit's name server answers for the domain of the endpoint, so that is one of our own."""
    if "." not in connection.domain:
        yield (
            "endpoint",
            f"'{connection.host_name}' stands right below '{connection.domain}', a domain that is not ours: name the "
            "endpoint's host within the organisation's domain, such as ebms.organisatie.nl",
        )


def _addresses(connection: Connection) -> Iterator[tuple[str, IPv4Network]]:
    """Every address and range of the connection that is known, with its path."""
    yield from as_known(connection, _own_addresses, _partner_ranges, _zones, _host_addresses, _virtual_addresses)


def _own_addresses(connection: Connection) -> Iterator[tuple[str, IPv4Network]]:
    for path, address in connection.own_addresses:
        yield path, IPv4Network(address)


def _zones(connection: Connection) -> Iterator[tuple[str, IPv4Network]]:
    for name, zone in connection.zones.items():
        yield f"zones.{name}.network", zone.network


def _host_addresses(connection: Connection) -> Iterator[tuple[str, IPv4Network]]:
    for host in connection.hosts.values():
        for zone, address in host.addresses.items():
            yield f"hosts.{host.name}.addresses.{zone}", IPv4Network(address)


def _virtual_addresses(connection: Connection) -> Iterator[tuple[str, IPv4Network]]:
    for component, shared in connection.virtual_addresses.items():
        for zone, address in shared.items():
            yield f"virtual_addresses.{component}.{zone}", IPv4Network(address)


def _partner_ranges(connection: Connection) -> Iterator[tuple[str, IPv4Network]]:
    """The partner's on every link, as far as they are known."""
    yield from _ranges_of(connection.partner)
    if connection.migration:
        yield from _ranges_of(connection.migration.partner, "migration.")


def _ranges_of(partner: PartnerAddresses, path: str = "") -> Iterator[tuple[str, IPv4Network]]:
    for field in ("inbound_addresses", "outbound_addresses"):
        for index, network in enumerate(getattr(partner, field)):
            yield f"{path}partner.{field}.{index}", network


def crls_can_be_fetched(connection: Connection) -> Iterator[Finding]:
    """A certificate counts when it is known not to be revoked: the CRLs must be reachable (BEV PKI003, PKI004)."""
    if connection.environment in CHAIN and not connection.crl_addresses:
        yield (
            "crl_addresses",
            "is not set; adapters fetch the CRLs of both parties' chains, and the firewall has to let them (BEV "
            "PKI004): write the addresses of the hosts that the certificates name, such as [10.1.2.3]",
        )


def no_documentation_addresses(connection: Connection) -> Iterator[Finding]:
    """The ranges of RFC 5737 exist in documents alone, so also in the lab and in examples."""
    if connection.environment is Environment.LAB or connection.example:
        return
    for path, network in _addresses(connection):
        if any(network.subnet_of(documentation) for documentation in DOCUMENTATION):
            shown = network.network_address if network.prefixlen == 32 else network
            yield path, f"{shown} is of a range for documentation (RFC 5737), which no network has: write the real one"


def _own_name(connection: Connection) -> Iterator[tuple[str, str]]:
    yield "endpoint", connection.host_name


def _partner_names(connection: Connection) -> Iterator[tuple[str, str]]:
    yield "partner.endpoint", connection.partner.host_name
    yield "partner.contact.email", connection.partner.contact.email.rpartition("@")[2]


def _contact_names(connection: Connection) -> Iterator[tuple[str, str]]:
    for role in type(connection.contacts).model_fields:
        yield f"contacts.{role}.email", getattr(connection.contacts, role).email.rpartition("@")[2]


def no_example_names(connection: Connection) -> Iterator[Finding]:
    """The names of RFC 2606 and RFC 6761 exist in examples and tests alone."""
    if connection.environment is Environment.LAB or connection.example:
        return
    for path, name in as_known(connection, _own_name, _partner_names, _contact_names):
        if f".{name.lower()}".endswith(EXAMPLE_NAMES):
            yield (
                path,
                f"'{name}' is a name for examples (RFC 2606, RFC 6761), which nobody reaches: write the real one",
            )


def addresses_are_unicast(connection: Connection) -> Iterator[Finding]:
    """A host or partner is reached on an ordinary address (RFC 1122 section 3.2.1.3; RFC 6890)."""
    for path, network in _addresses(connection):
        address = network.network_address
        odd = address.is_multicast or address.is_loopback or address.is_link_local or address.is_unspecified
        if odd and network.prefixlen >= WIDEST_RANGE:
            yield path, f"{address} is a loopback, link-local, multicast or no address (RFC 6890): write the host's own"


def addresses_fit_network(connection: Connection) -> Iterator[Finding]:
    """Over the internet both parties meet on public addresses (seed 3.3.3; RFC 1918)."""
    if connection.environment not in CHAIN:
        return
    for link in connection.links:
        parts = (_addresses_here, _addresses_there) if link.network is Network.INTERNET else ()
        for path, address in as_known(link, *parts):
            if address.is_private and not any(address in documentation for documentation in DOCUMENTATION):
                network = "connection_network" if not link.path else "the network of connection_migration"
                yield (
                    path,
                    f"{address} is private, but {network} is 'internet' (seed 3.3.3): write the public address, "
                    "or 'diginetwerk' as network",
                )


def _addresses_here(link: Link) -> Iterator[tuple[str, IPv4Address]]:
    yield from link.own_addresses


def _addresses_there(link: Link) -> Iterator[tuple[str, IPv4Address]]:
    for path, network in _ranges_of(link.partner, link.path):
        yield path, network.network_address


def partner_ranges_are_narrow(connection: Connection) -> Iterator[Finding]:
    """The firewall opens for the partner, not for the world (seed 4.4.2)."""
    for path, network in _partner_ranges(connection):
        if network.prefixlen < WIDEST_RANGE:
            yield (
                path,
                f"{network} is {network.num_addresses} addresses; the firewall would open for far more than the "
                f"partner (seed 4.4.2): write the partner's own ranges, none wider than /{WIDEST_RANGE}",
            )


def partner_stands_outside(connection: Connection) -> Iterator[Finding]:
    """The partner's addresses lie in none of our inner zones, nor are they our own."""
    own = {address for _, address in connection.own_addresses}
    for path, network in _partner_ranges(connection):
        for name, zone in connection.zones.items():
            if (
                name not in connection.outer_zones
                and network.overlaps(zone.network)
                and network.prefixlen >= WIDEST_RANGE
            ):
                yield path, f"{network} overlaps our zone '{name}', {zone.network}: write the partner's addresses"
        if network.prefixlen >= WIDEST_RANGE and any(address in network for address in own):
            yield path, f"{network} holds our own inbound or outbound address: write the partner's addresses"


def names_are_unambiguous(connection: Connection) -> Iterator[Finding]:
    """A flow names a host or a zone, or others outside, so no two of them have the same name."""
    for name in connection.hosts:
        if name in connection.zones:
            yield f"hosts.{name}", f"host '{name}' has the name of a zone, so flows can't tell them apart: rename it"
    for component in SHARING:
        if component in connection.zones:
            yield f"zones.{component}", f"'{component}' is what flows call the hosts of that group: rename the zone"
    for name in (PARTNER, AUTHORITIES, NAME_SERVERS, PACKAGE_SOURCES, TIME_SERVERS, RESOLVERS):
        for kind, taken in (("hosts", connection.hosts), ("zones", connection.zones)):
            if name in taken:
                yield f"{kind}.{name}", f"'{name}' is what flows call others outside, at their addresses: rename it"


def _listening(connection: Connection, host: Host) -> Iterator[tuple[str, int]]:
    ports = connection.ports
    inside = [("ebms", ports.ebms), ("rest", ports.rest), ("health", ports.health)]
    of_component: dict[Component, list[tuple[str, int]]] = {
        Component.LOAD_BALANCER: [("https", HTTPS_PORT), ("load_balancer_status", ports.load_balancer_status)],
        Component.NAME_SERVER: [("dns", 53)],
        Component.FIREWALL: [("firewall_state", ports.firewall_state)],
        Component.ADAPTER: inside,
        Component.PARTNER: [("https", HTTPS_PORT), *inside[1:]],
        Component.DATABASE: [("database", ports.database)],
        Component.MONITORING: [("monitoring", ports.monitoring)],
    }
    yield ("ssh", 22)
    if connection.hosts_of(Component.MONITORING):
        yield ("host_metrics", ports.host_metrics)
        if Component.DATABASE in host.components:
            yield ("database_metrics", ports.database_metrics)
    for component in host.components:
        yield from of_component.get(component, [])


def ports_once_per_host(connection: Connection) -> Iterator[Finding]:
    """Two services of a host can't listen on one port."""
    told = set()
    for host in connection.hosts.values():
        seen: dict[int, str] = {}
        for name, port in _listening(connection, host):
            if port in seen and (seen[port], name) not in told and seen[port] != name:
                told.add((seen[port], name))
                field = next(
                    (field for field in (name, seen[port]) if field in type(connection.ports).model_fields), ""
                )
                yield (
                    f"ports.{field}" if field else f"hosts.{host.name}",
                    f"{port} is used twice on host '{host.name}', by {seen[port]} and {name}: give each a port of its "
                    "own, or a host",
                )
            seen.setdefault(port, name)


def nothing_outside_reaches_management(connection: Connection) -> Iterator[Finding]:
    """No flow runs from outside to what manages, nor to SSH of a host (seed 4.4.3: authorised systems alone)."""
    managers = {host.name for host in connection.hosts_of(Component.MANAGEMENT)}
    inner = {Component.MANAGEMENT.value, *managers}
    inner |= {name for name, host in connection.hosts.items() if host.zone == Component.MANAGEMENT.value}
    outer = {*connection.outer_zones}
    outer |= {name for name, host in connection.hosts.items() if host.zone in outer}
    firewalls = {host.name for host in connection.hosts_of(Component.FIREWALL)}
    outer -= firewalls
    inner |= firewalls
    for index, flow in enumerate(connection.extra_flows):
        manages = flow.destination in inner or (flow.port == SSH_PORT and flow.destination not in outer)
        if flow.source in outer and manages:
            yield (
                f"extra_flows.{index}.destination",
                f"a flow from '{flow.source}' to '{flow.destination}' opens management to the outside (seed 4.4.3): "
                "remove it and manage from within",
            )


def extra_flows_once(connection: Connection) -> Iterator[Finding]:
    """A flow is declared once, leads somewhere, and does not follow from the topology already."""
    seen: set[tuple[str, str, str, int]] = set()
    derived = _derived(connection)
    for index, flow in enumerate(connection.extra_flows):
        key = (flow.source, flow.destination, flow.protocol, flow.port)
        if key in derived:
            yield (
                f"extra_flows.{index}",
                f"{flow.source} to {flow.destination}, {flow.protocol} {flow.port}, is there without being declared "
                f"({derived[key]}): remove it",
            )
        if key in seen:
            yield (
                f"extra_flows.{index}",
                f"{flow.source} to {flow.destination}, {flow.protocol} {flow.port}, stands twice: keep one",
            )
        if flow.source == flow.destination:
            yield f"extra_flows.{index}.destination", f"'{flow.destination}' is the source as well: name another"
        seen.add(key)


def _derived(connection: Connection) -> dict[tuple[str, str, str, int | None], str]:
    """The flows that follow from the topology, as far as its components are there, with their reasons."""
    needed = (
        components_are_present,
        management_is_there,
        single_homed,
        firewall_stands_in_every_zone,
        name_servers_fit_the_way,
        virtual_addresses_lie_in_their_zones,
    )
    if any(finding for rule in needed for finding in rule(connection)):
        return {}
    flows = flows_of(connection.model_copy(update={"extra_flows": ()}))
    return {(flow.source, flow.destination, flow.protocol, flow.port): flow.reason for flow in flows}


def management_is_there(connection: Connection) -> Iterator[Finding]:
    """Hosts are configured from the management host alone, which stands in a zone of its own."""
    if not connection.hosts_of(Component.MANAGEMENT):
        yield "hosts", "group 'management' holds none; hosts are configured from there: add the controller to hosts.yml"


def lab_partner_is_a_host(connection: Connection) -> Iterator[Finding]:
    """Only the lab makes its own partner."""
    for host in connection.hosts_of(Component.PARTNER):
        if connection.environment is not Environment.LAB:
            yield (
                f"hosts.{host.name}",
                f"host '{host.name}' is in group 'partner'; outside the lab the partner is someone else's: remove it",
            )


def persist_duration_covers_retries(connection: Connection) -> Iterator[Finding]:
    """A message is kept as long as it may be repeated (KV ch. 5: at least (1+Retries) x RetryInterval)."""
    retries = connection.cpa.retries
    window = (1 + retries.count) * retries.interval
    if connection.cpa.reliable and retries.persist_duration < window:
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
    test_certificates_fit_environment,
    test_oin_fits_environment,
    party_id_is_an_oin,
    identifiers_of_logius_are_known,
    parties_differ,
    zones_are_disjoint,
    zones_are_no_world,
    external_zone_exists,
    hosts_stand_in_their_zones,
    single_homed,
    firewall_stands_in_every_zone,
    firewalls_are_one_gateway,
    no_address_twice,
    virtual_addresses_are_needed,
    virtual_addresses_lie_in_their_zones,
    components_are_present,
    name_servers_fit_the_way,
    diginetwerk_is_known,
    networks_are_told_apart,
    management_is_there,
    lab_partner_is_a_host,
    own_addresses_are_external,
    endpoint_names_differ,
    endpoint_has_a_domain,
    own_zone_holds_own_names,
    partner_listens_on_443,
    addresses_are_unicast,
    addresses_fit_network,
    crls_can_be_fetched,
    no_documentation_addresses,
    no_example_names,
    partner_ranges_are_narrow,
    partner_stands_outside,
    names_are_unambiguous,
    ports_once_per_host,
    cpa_dates,
    cpa_is_not_retired,
    renewal_overlaps,
    services_differ,
    service_actions_once,
    acknowledgments_are_of_one_kind,
    retries_belong_to_profile,
    retrying_outlasts_a_night,
    persist_duration_covers_retries,
    extra_flows_name_known_places,
    extra_flows_once,
    nothing_outside_reaches_management,
    *PLACE_RULES,
)


def oin_is_usual(connection: Connection) -> Iterator[Finding]:
    """A number that was typed wrong shows in its check digit, where it has one; no document demands it."""
    doubt = doubt_oin(connection.organisation.oin)
    if doubt:
        yield "organisation.oin", doubt


def crl_addresses_are_narrow(connection: Connection) -> Iterator[Finding]:
    """Adapters reach the hosts that publish CRLs, and no others; what moves about has no list to write."""
    for index, network in enumerate(connection.crl_addresses):
        if network.prefixlen < WIDEST_RANGE:
            yield (
                f"crl_addresses.{index}",
                f"{network} lets the adapters reach {network.num_addresses} addresses on port 80: write those of the "
                "hosts that the certificates name ('aansluitkit certificate FILE'), unless these move about",
            )


WARNINGS: tuple[Rule, ...] = (oin_is_usual, crl_addresses_are_narrow)
OF_RENEWAL: tuple[Rule, ...] = (cpa_dates,)  # asked of the CPA that comes next as well
