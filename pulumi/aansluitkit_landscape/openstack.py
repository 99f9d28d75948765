"""The landscape of an OpenStack project, for every environment but the lab.

Nothing gets an address but those that the inventory declares: no DHCP server, and the public addresses are floating
ones that the project holds already, since they are registered with the partner; none is ever drawn or released.
Neutron filters what the firewall filters too, out of the same flows, so a host that fell can't speak to its neighbours.

What is not made here: the image, the flavors, the key pair, the external network and the floating addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

import pulumi
from pulumi_openstack import Provider, blockstorage, compute, images, networking

from aansluitkit.connection import Component, Connection, Environment, Host
from aansluitkit.connection.model import EXTERNAL
from aansluitkit.connection.place import OpenStack
from aansluitkit_landscape.cloud_config import cloud_config
from aansluitkit_landscape.filters import Interface, filters_of, forwarded
from aansluitkit_landscape.hosts import addresses_of


@dataclass(frozen=True)
class _Zone:
    network: networking.Network
    subnet: networking.Subnet


class OpenStackLandscape(pulumi.ComponentResource):
    """All networks and hosts of a connection in one OpenStack project.

    In production nothing that holds an address or data can be deleted. Filters follow the flows everywhere; but each
    host hangs on its own, and since hosts of production do not go, nothing that they hang on goes before them.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__("aansluitkit:landscape:OpenStack", connection.name)
        if connection.openstack is None:
            raise ValueError("a connection without 'openstack' has no place there")
        self._connection = connection
        self._place: OpenStack = connection.openstack
        self._prefix = f"{connection.name}-{connection.environment}"
        provider = Provider("openstack", cloud=self._place.cloud, opts=pulumi.ResourceOptions(parent=self))
        self._follows = pulumi.ResourceOptions(parent=self, provider=provider)
        self._stays = pulumi.ResourceOptions.merge(
            self._follows, pulumi.ResourceOptions(protect=connection.environment is Environment.PRODUCTION)
        )
        self._asks = pulumi.InvokeOptions(parent=self, provider=provider)
        self._filters: dict[str, list[pulumi.Resource]] = {host: [] for host in connection.hosts}
        zones = {name: self._zone(name) for name in connection.zones}
        groups = self._groups()
        ports = {interface: self._port(interface, zones[interface.zone], groups[interface]) for interface in groups}
        self._publish(zones[EXTERNAL], ports)
        self._hosts(ports)
        self.hosts = addresses_of(connection)
        self.register_outputs({"hosts": self.hosts})

    def _zone(self, name: str) -> _Zone:
        network = networking.Network(name, name=f"{self._prefix}-{name}", port_security_enabled=True, opts=self._stays)
        gateway = self._place.router_address if name == EXTERNAL else self._connection.gateway(name)
        subnet = networking.Subnet(
            name,
            name=f"{self._prefix}-{name}",
            network_id=network.id,
            cidr=str(self._connection.zones[name].network),
            ip_version=4,
            gateway_ip=str(gateway),
            enable_dhcp=False,
            dns_nameservers=[str(self._connection.host_of(Component.NAME_SERVER).address)],
            opts=self._stays,
        )
        return _Zone(network, subnet)

    def _groups(self) -> dict[Interface, networking.SecGroup]:
        """A security group for each interface of each host, with its filters and nothing of Neutron's own."""
        interfaces = [Interface(host.name, zone) for host in self._connection.hosts.values() for zone in host.addresses]
        groups = {
            interface: networking.SecGroup(
                str(interface),
                name=f"{self._prefix}-{interface}",
                description=f"Declared flows of {interface.host} in zone {interface.zone}",
                delete_default_rules=True,
                opts=self._follows,
            )
            for interface in interfaces
        }
        for found in filters_of(self._connection):
            rule = networking.SecGroupRule(
                str(found),
                security_group_id=groups[found.interface].id,
                direction=found.direction,
                ethertype="IPv4",
                protocol=found.protocol,
                port_range_min=found.port,
                port_range_max=found.port,
                remote_ip_prefix=str(found.remote),
                opts=self._follows,
            )
            self._filters[found.interface.host].append(rule)
        return groups

    def _port(self, interface: Interface, zone: _Zone, group: networking.SecGroup) -> networking.Port:
        others: list[object] = [*forwarded(self._connection).get(interface, [])]
        shared = self._connection.virtual_address(self._connection.hosts[interface.host], interface.zone)
        others += [shared] if shared else []
        return networking.Port(
            str(interface),
            name=f"{self._prefix}-{interface}",
            network_id=zone.network.id,
            fixed_ips=[
                networking.PortFixedIpArgs(subnet_id=zone.subnet.id, ip_address=str(address))
                for address in self._addresses(interface)
            ],
            port_security_enabled=True,
            security_group_ids=[group.id],
            allowed_address_pairs=[networking.PortAllowedAddressPairArgs(ip_address=str(other)) for other in others],
            opts=self._stays,
        )

    def _addresses(self, interface: Interface) -> list[IPv4Address]:
        own = [self._connection.hosts[interface.host].addresses[interface.zone]]
        if interface == self._outermost:
            own += [self._place.inbound_fixed_address, self._place.outbound_fixed_address]
        return own

    @property
    def _outermost(self) -> Interface:
        return Interface(self._connection.host_of(Component.FIREWALL).name, EXTERNAL)

    def _publish(self, outside: _Zone, ports: dict[Interface, networking.Port]) -> None:
        """The way to the partner: a router, and the two reserved addresses on the firewall's port."""
        external = networking.get_network_output(name=self._place.external_network, external=True, opts=self._asks)
        router = networking.Router(
            "router", name=f"{self._prefix}-router", external_network_id=external.id, opts=self._stays
        )
        way = networking.RouterInterface("router", router_id=router.id, subnet_id=outside.subnet.id, opts=self._stays)
        for name, public in (
            ("inbound", self._connection.inbound_address),
            ("outbound", self._connection.outbound_address),
        ):
            reserved = networking.get_floating_ip_output(address=str(public), opts=self._asks)
            networking.FloatingIpAssociate(
                name,
                floating_ip=reserved.address,
                port_id=ports[self._outermost].id,
                fixed_ip=str(self._connection.carried(public)),
                opts=pulumi.ResourceOptions.merge(self._stays, pulumi.ResourceOptions(depends_on=[way])),
            )

    def _hosts(self, ports: dict[Interface, networking.Port]) -> None:
        """The instances; those with the same components are a cluster, whose nodes share no machine."""
        image = images.get_image_output(name=self._place.image, most_recent=True, opts=self._asks)
        clusters: dict[tuple[Component, ...], list[Host]] = {}
        for host in self._connection.hosts.values():
            clusters.setdefault(host.components, []).append(host)
        for components, nodes in clusters.items():
            apart = self._apart("-".join(components)) if len(nodes) > 1 else None
            for number, host in enumerate(nodes):
                zone = self._place.availability_zones[number % len(self._place.availability_zones)]
                own = {name: ports[Interface(host.name, name)] for name in host.addresses}
                self._host(host, image.id, own, zone, apart)

    def _apart(self, cluster: str) -> compute.ServerGroup:
        return compute.ServerGroup(
            cluster, name=f"{self._prefix}-{cluster}", policies="anti-affinity", opts=self._follows
        )

    def _host(
        self,
        host: Host,
        image: pulumi.Output[str],
        ports: dict[str, networking.Port],
        availability_zone: str,
        apart: compute.ServerGroup | None,
    ) -> None:
        volume = self._volume(host, availability_zone) if Component.DATABASE in host.components else None
        hardware = {zone: port.mac_address for zone, port in ports.items()}
        user_data = pulumi.Output.all(hardware, volume.id if volume else None).apply(
            lambda known: cloud_config(self._connection, host, *known)
        )
        compute.Instance(
            host.name,
            name=host.name,
            image_id=image,
            flavor_name=self._place.flavors[host.components[0]],
            key_pair=self._place.keypair,
            availability_zone=availability_zone,
            networks=[compute.InstanceNetworkArgs(port=port.id) for port in ports.values()],
            block_devices=_disks(image, volume) if volume else None,
            scheduler_hints=[compute.InstanceSchedulerHintArgs(group=apart.id)] if apart else None,
            metadata={"connection": self._prefix, "host": self._connection.name_of(host)},
            config_drive=True,
            user_data=user_data,
            # A newer image of the same name is for new hosts; the ones that are there are kept up by their packages.
            opts=pulumi.ResourceOptions.merge(
                self._stays,
                pulumi.ResourceOptions(
                    ignore_changes=["imageId", "blockDevices[0].uuid"], depends_on=self._filters[host.name]
                ),
            ),
        )

    def _volume(self, host: Host, availability_zone: str) -> blockstorage.Volume:
        return blockstorage.Volume(
            f"{host.name}-data",
            name=f"{self._prefix}-{host.name}-data",
            size=self._place.database_volume_gib,
            availability_zone=availability_zone,
            opts=self._stays,
        )


def _disks(image: pulumi.Output[str], volume: blockstorage.Volume) -> list[compute.InstanceBlockDeviceArgs]:
    """The image as the first disk, and the volume with the data, which stays when the instance goes."""
    return [
        compute.InstanceBlockDeviceArgs(
            uuid=image, source_type="image", destination_type="local", boot_index=0, delete_on_termination=True
        ),
        compute.InstanceBlockDeviceArgs(
            uuid=volume.id, source_type="volume", destination_type="volume", boot_index=-1, delete_on_termination=False
        ),
    ]
