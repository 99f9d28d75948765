"""The lab's landscape: network namespaces and containers of this machine, as Pulumi resources.

Every resource can be read back, so that ``refresh`` finds what was stopped, removed or lost in a reboot, and ``up``
makes it anew. An identity goes from switch to network to container: who loses the ground is made again too.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from aansluitkit.connection import Component, Connection, Host
from aansluitkit.errors import KitError
from aansluitkit.lab import container, image, network
from aansluitkit_landscape.hosts import addresses_of

SWITCH = network.namespace_of("switch")


class _Replacing(ResourceProvider):
    """A resource that is made anew for every difference but more of what ``grows``; making leaves no doubt."""

    inputs: tuple[str, ...] = ()
    grows = ""

    def diff(self, _id: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        different = [name for name in self.inputs if old.get(name) != new.get(name)]
        replaces = different if different != [self.grows] or _is_less(old[self.grows], new[self.grows]) else []
        return DiffResult(changes=bool(different), replaces=replaces, delete_before_replace=True)


def _is_less(old: Any, new: Any) -> bool:
    """Whether ``new`` lacks something of ``old``, or has another thing in its place: both dicts or both lists."""
    if isinstance(old, dict):
        return not old.items() <= new.items()
    return not set(old) <= set(new)


def _lost() -> ReadResult:
    """Pulumi takes a resource without identity for gone."""
    return ReadResult(id_="", outs={})


class SwitchProvider(_Replacing):
    """A namespace with a bridge per zone."""

    inputs = ("zones",)
    grows = "zones"

    def create(self, props: dict[str, Any]) -> CreateResult:
        network.make_switch(SWITCH, props["zones"])
        return CreateResult(id_=SWITCH, outs={**props, "identity": str(network.inode(SWITCH))})

    def update(self, _id: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
        for zone in new["zones"]:
            if zone not in old["zones"]:
                network.add_zone(SWITCH, zone)
        return UpdateResult(outs={**new, "identity": old["identity"]})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        if not network.exists(SWITCH) or not set(props["zones"]) <= set(network.interfaces(SWITCH)):
            return _lost()
        return ReadResult(id_=id_, outs={**props, "identity": str(network.inode(SWITCH))})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        network.remove(SWITCH)


class HostNetworkProvider(_Replacing):
    """A namespace with an interface and an address per zone, hanging on the switch."""

    inputs = ("name", "addresses", "gateway", "switch")
    grows = "addresses"

    def create(self, props: dict[str, Any]) -> CreateResult:
        namespace = network.namespace_of(props["name"])
        network.make_host(namespace, SWITCH, props["addresses"], props.get("gateway"))
        return CreateResult(id_=namespace, outs={**props, "identity": str(network.inode(namespace))})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        if not network.exists(id_):
            return _lost()
        found = network.interfaces(id_)
        if any(address not in found.get(zone, []) for zone, address in props["addresses"].items()):
            return _lost()
        return ReadResult(id_=id_, outs={**props, "identity": str(network.inode(id_))})

    def update(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
        for zone, address in new["addresses"].items():
            if zone not in old["addresses"]:
                network.add_interface(id_, SWITCH, zone, address)
        return UpdateResult(outs={**new, "identity": old["identity"]})

    def delete(self, id_: str, _props: dict[str, Any]) -> None:
        network.remove(id_)


class HostContainerProvider(_Replacing):
    """A container with systemd in the namespace of its host."""

    inputs = ("name", "image", "namespace")

    def create(self, props: dict[str, Any]) -> CreateResult:
        name = network.namespace_of(props["name"])
        container.make(name, props["image"], props["name"])
        return CreateResult(id_=name, outs=props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        try:
            alive = network.exists(id_) and container.is_running(id_)
        except KitError:
            alive = False
        return ReadResult(id_=id_, outs=props) if alive else _lost()

    def delete(self, id_: str, _props: dict[str, Any]) -> None:
        container.remove(id_)


class Switch(Resource, module="aansluitkit", name="Switch"):
    """One bridge per zone; ``identity`` changes when it was made anew."""

    identity: pulumi.Output[str]

    def __init__(self, zones: list[str], opts: pulumi.ResourceOptions) -> None:
        super().__init__(SwitchProvider(), "switch", {"zones": zones, "identity": None}, opts)


class HostNetwork(Resource, module="aansluitkit", name="HostNetwork"):
    """The network of one host; ``identity`` changes when it was made anew."""

    identity: pulumi.Output[str]

    def __init__(self, connection: Connection, host: Host, switch: Switch, opts: pulumi.ResourceOptions) -> None:
        lengths = {zone: connection.zones[zone].network.prefixlen for zone in host.addresses}
        is_firewall = Component.FIREWALL in host.components
        values = {
            "name": host.name,
            "addresses": {zone: f"{address}/{lengths[zone]}" for zone, address in host.addresses.items()},
            "gateway": None if is_firewall else str(connection.gateway(host.zone)),
            "switch": switch.identity,
            "identity": None,
        }
        super().__init__(HostNetworkProvider(), f"{host.name}-network", values, opts)


class HostContainer(Resource, module="aansluitkit", name="HostContainer"):
    """The container of one host."""

    def __init__(self, host: Host, ground: HostNetwork, opts: pulumi.ResourceOptions) -> None:
        values = {"name": host.name, "image": image.name(), "namespace": ground.identity}
        super().__init__(HostContainerProvider(), host.name, values, opts)


class PodmanLandscape(pulumi.ComponentResource):
    """All hosts of a connection on this machine. The manager is a namespace alone: Ansible runs on the machine."""

    def __init__(self, connection: Connection) -> None:
        super().__init__("aansluitkit:landscape:Podman", connection.name)
        opts = pulumi.ResourceOptions(parent=self)
        switch = Switch(list(connection.zones), opts)
        for host in connection.hosts.values():
            ground = HostNetwork(connection, host, switch, opts)
            if Component.MANAGEMENT not in host.components:
                HostContainer(host, ground, opts)
        self.hosts = addresses_of(connection)
        self.register_outputs({"hosts": self.hosts})
