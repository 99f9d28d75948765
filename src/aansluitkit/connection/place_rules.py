"""Rules of a connection whose hosts are made in a cloud."""

from __future__ import annotations

from collections.abc import Iterator

from aansluitkit.connection.model import EXTERNAL, Component, Connection, Environment

Finding = tuple[str, str]


def lab_stays_on_this_machine(connection: Connection) -> Iterator[Finding]:
    """The lab's addresses and certificates are worth nothing elsewhere."""
    if connection.openstack and connection.environment is Environment.LAB:
        yield "openstack", "is for other environments than lab, whose hosts are on this machine: take it out"


def hosts_have_one_flavor(connection: Connection) -> Iterator[Finding]:
    """A host is of one size: that of its components."""
    if not connection.openstack:
        return
    flavors = connection.openstack.flavors
    known = ", ".join(Component)
    for name in flavors:
        if name not in list(Component):
            yield f"openstack.flavors.{name}", f"'{name}' is no component; known are {known}: correct or remove it"
    for component in Component:
        if component is not Component.PARTNER and connection.hosts_of(component) and component not in flavors:
            yield "openstack.flavors", f"component '{component}' has no flavor: add '{component}: <flavor>'"
    for host in connection.hosts.values():
        if len({flavors.get(component) for component in host.components}) > 1:
            names = ", ".join(host.components)
            yield "openstack.flavors", f"host '{host.name}' runs {names}, whose flavors differ: give them the same one"


def fixed_addresses_are_external(connection: Connection) -> Iterator[Finding]:
    """The router and what it puts in the place of the public addresses lie in the external zone, each its own."""
    zone = connection.zones.get(EXTERNAL)
    if not connection.openstack or not zone:
        return
    taken = {
        address: f"host '{host.name}'" for host in connection.hosts.values() for address in host.addresses.values()
    }
    for field in ("router_address", "inbound_fixed_address", "outbound_fixed_address"):
        address = getattr(connection.openstack, field)
        if address not in zone.network:
            yield (
                f"openstack.{field}",
                f"{address} lies outside {zone.network} of zone 'external': take an address of it",
            )
        if address in taken:
            yield f"openstack.{field}", f"{address} is already taken by {taken[address]}: give each its own address"
        taken[address] = field


def public_addresses_are_floating(connection: Connection) -> Iterator[Finding]:
    """A floating address belongs to the external network, of which no zone of ours is a part (Neutron refuses it)."""
    if not connection.openstack:
        return
    for field in ("inbound_address", "outbound_address"):
        address = getattr(connection, field)
        for name, zone in connection.zones.items():
            if address in zone.network:
                yield (
                    field,
                    f"{address} lies in {zone.network} of zone '{name}', but is a floating address of the cloud's "
                    "external network: give the zone a private network",
                )


def cloud_has_one_firewall(connection: Connection) -> Iterator[Finding]:
    """A floating address follows a port and not the addresses that two hosts share."""
    hosts = connection.hosts_of(Component.FIREWALL)
    if connection.openstack and len(hosts) > 1:
        names = ", ".join(host.name for host in hosts)
        yield "hosts", f"group 'firewall' holds {names}; in OpenStack the kit makes one firewall: keep one"


def cloud_has_one_link(connection: Connection) -> Iterator[Finding]:
    """The cloud's router leads to one external network, and floating addresses are of that."""
    if connection.openstack and connection.migration:
        yield (
            "migration",
            "is set, but in OpenStack the kit makes one way to the partner: deploy the new network as an environment "
            "of its own, and go over to that",
        )


PLACE_RULES = (
    cloud_has_one_link,
    cloud_has_one_firewall,
    lab_stays_on_this_machine,
    hosts_have_one_flavor,
    fixed_addresses_are_external,
    public_addresses_are_floating,
)
