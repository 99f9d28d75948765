"""The whole graph of resources in an OpenStack project, as the program declares it."""

from __future__ import annotations

import runpy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address, ip_network
from itertools import product
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime.mocks import MockMonitor, set_mocks
from pulumi.runtime.settings import reset_options

from aansluitkit.connection import Component, flows_of, load_connection
from aansluitkit.connection.rule_places import rule_places
from aansluitkit.errors import KitError
from aansluitkit.project import ROOT
from aansluitkit_landscape import landscape
from aansluitkit_landscape.filters import filters_of

MakeInventory = Callable[..., Path]


@dataclass
class Graph(pulumi.runtime.Mocks):
    """Records what a program registers and asks."""

    requests: list[Any] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    inputs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.inputs[args.typ, args.name] = args.inputs
        known = {"macAddress": f"mac-{args.name}"} if args.typ.endswith(":Port") else {}
        return f"{args.name}-id", {**args.inputs, **known}

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        self.asked.append((args.token, args.args))
        return {**args.args, "id": "found-id"}

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Inputs of the resources of ``kind`` (such as Instance), by name."""
        return {name: inputs for (type_, name), inputs in self.inputs.items() if type_.endswith(f":{kind}")}


class Monitor(MockMonitor):
    """Keeps the requests too: protection and parents are said there alone."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self._graph = graph

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the SDK's name
        self._graph.requests.append(request)
        return super().RegisterResource(request)


Declare = Callable[[Path], Graph]


@pytest.fixture(scope="module")
def declare() -> Iterator[Declare]:
    """Runs the program on an inventory, once for each, without engine and provider."""

    @cache
    def run(inventory: Path, stack: str = "") -> Graph:
        graph = Graph()
        stack = stack or load_connection(inventory).full_name
        set_mocks(graph, project="aansluitkit", stack=stack, monitor=Monitor(graph))
        pulumi.runtime.test(lambda: landscape(inventory))()
        return graph

    yield run
    reset_options()


@pytest.fixture(scope="module")
def inventory(make_inventory: MakeInventory) -> Path:
    return make_inventory("preprod")


def test_every_host_has_its_addresses(declare: Declare, inventory: Path) -> None:
    connection, ports = load_connection(inventory), declare(inventory).of("Port")
    expected = {
        f"{host.name}-{zone}": [str(address)]
        for host in connection.hosts.values()
        for zone, address in host.addresses.items()
    }
    expected["fw-external"] += ["10.20.0.10", "10.20.0.11"]
    assert {name: [ip["ipAddress"] for ip in port["fixedIps"]] for name, port in ports.items()} == expected
    assert all(port["networkId"] == f"{name.rpartition('-')[2]}-id" for name, port in ports.items())
    assert all(
        port["portSecurityEnabled"] and port["securityGroupIds"] == [f"{name}-id"] for name, port in ports.items()
    )


def test_every_host_is_an_instance_on_its_ports(declare: Declare, inventory: Path) -> None:
    connection, instances = load_connection(inventory), declare(inventory).of("Instance")
    assert set(instances) == set(connection.hosts)
    for host in connection.hosts.values():
        found = [network["port"] for network in instances[host.name]["networks"]]
        assert found == [f"{host.name}-{zone}-id" for zone in host.addresses]
        assert instances[host.name]["keyPair"] == "beheer"
        assert instances[host.name]["configDrive"] is True


def test_nothing_else_gives_addresses(declare: Declare, inventory: Path) -> None:
    subnets = declare(inventory).of("Subnet")
    assert {name: subnet["gatewayIp"] for name, subnet in subnets.items()} == {
        "external": "10.20.0.1",
        "dmz": "10.20.1.1",
        "application": "10.20.2.1",
        "data": "10.20.2.65",
        "management": "10.20.2.129",
    }
    assert not any(subnet["enableDhcp"] for subnet in subnets.values())


def test_the_router_reaches_the_external_zone_alone(declare: Declare, inventory: Path) -> None:
    graph = declare(inventory)
    assert [interface["subnetId"] for interface in graph.of("RouterInterface").values()] == ["external-id"]
    assert [router["externalNetworkId"] for router in graph.of("Router").values()] == ["found-id"]


def test_reserved_addresses_are_looked_up_and_none_is_drawn(declare: Declare, inventory: Path) -> None:
    graph = declare(inventory)
    assert not graph.of("FloatingIp"), "a floating address was drawn"
    asked = [args["address"] for token, args in graph.asked if token.endswith("getFloatingIp")]
    assert sorted(asked) == ["203.0.113.10", "203.0.113.11"]
    found = {made["floatingIp"]: (made["portId"], made["fixedIp"]) for made in graph.of("FloatingIpAssociate").values()}
    assert found == {
        "203.0.113.10": ("fw-external-id", "10.20.0.10"),
        "203.0.113.11": ("fw-external-id", "10.20.0.11"),
    }


def test_groups_begin_empty(declare: Declare, inventory: Path) -> None:
    graph = declare(inventory)
    assert set(graph.of("SecGroup")) == set(graph.of("Port"))
    assert all(group["deleteDefaultRules"] for group in graph.of("SecGroup").values())


def passes(graph: Graph, port: str, direction: str, protocol: str, number: int | None, remote: str) -> bool:
    """Whether a rule of ``port`` lets ``remote`` through."""
    return any(
        (rule["securityGroupId"], rule["direction"], rule["protocol"]) == (f"{port}-id", direction, protocol)
        and (rule.get("portRangeMin") == rule.get("portRangeMax") == number)
        and ip_address(remote) in ip_network(rule["remoteIpPrefix"])
        for rule in graph.of("SecGroupRule").values()
    )


# From, to, protocol, port, and every interface that is passed: which, in which direction, and whom it sees there.
PATHS = [
    ("tcp", 443, [("fw-external", "ingress", "203.0.113.100"), ("fw-dmz", "egress", "10.20.1.10"),
                  ("lb-1-dmz", "ingress", "203.0.113.100"), ("lb-2-dmz", "ingress", "203.0.113.100")]),
    ("vrrp", None, [("lb-2-dmz", "egress", "10.20.1.11"), ("lb-1-dmz", "ingress", "10.20.1.12")]),
    ("tcp", 443, [("adapter-2-application", "egress", "203.0.113.100"), ("fw-application", "ingress", "10.20.2.12"),
                  ("fw-external", "egress", "203.0.113.100")]),
    ("tcp", 5432, [("adapter-1-application", "egress", "10.20.2.70"), ("fw-application", "ingress", "10.20.2.11"),
                   ("fw-data", "egress", "10.20.2.70"), ("db-data", "ingress", "10.20.2.11")]),
    ("udp", 53, [("lb-1-dmz", "egress", "10.20.1.53"), ("ns-dmz", "ingress", "10.20.1.11")]),
    ("tcp", 22, [("controller-management", "egress", "10.20.2.129"), ("fw-management", "ingress", "10.20.2.130")]),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "port", "path"), PATHS, ids=[f"{path[0][0]}-{port}" for _, port, path in PATHS])
def test_flows_pass_every_interface_on_their_way(
    declare: Declare, inventory: Path, protocol: str, port: int | None, path: list[tuple[str, str, str]]
) -> None:
    graph = declare(inventory)
    for name, direction, remote in path:
        assert passes(graph, name, direction, protocol, port, remote), f"{name} {direction} {remote}"


def test_every_flow_is_a_rule_and_no_rule_is_without_a_flow(declare: Declare, inventory: Path) -> None:
    connection, rules = load_connection(inventory), declare(inventory).of("SecGroupRule")
    filters = filters_of(connection)
    assert {str(filter_) for filter_ in filters} == set(rules)
    assert set().union(*filters.values()) == {flow.id for flow in flows_of(connection)}
    seen = Counter(tuple(sorted(rule.items())) for rule in rules.values())
    assert set(seen.values()) == {1}, "Neutron refuses the same rule twice"
    for rule in rules.values():
        assert any(
            (flow.protocol, flow.port) == (rule["protocol"], rule.get("portRangeMin")) for flow in flows_of(connection)
        ), rule


def test_flow_is_told_with_its_security_groups(declare: Declare, inventory: Path) -> None:
    connection = load_connection(inventory)
    made = {str(group["name"]) for group in declare(inventory).of("SecGroup").values()}
    told = {flow: {place.where for place in places} for flow, places in rule_places(connection).items()}
    for flow in flows_of(connection):
        groups = {where.removeprefix("security group ") for where in told[flow.id] if where.startswith("security")}
        assert groups, flow.id
        assert groups <= made


def test_what_no_flow_names_is_refused(declare: Declare, inventory: Path) -> None:
    """Every pair of hosts, on every port that any flow uses."""
    connection, graph = load_connection(inventory), declare(inventory)
    flows = flows_of(connection)
    for source, destination in product(connection.hosts.values(), repeat=2):
        for protocol, port in {(flow.protocol, flow.port) for flow in flows}:
            declared = any(
                (flow.protocol, flow.port) == (protocol, port)
                and any(address in network for network in flow.source_networks for address in source.addresses.values())
                and any(
                    address in network
                    for network in flow.destination_networks
                    for address in destination.addresses.values()
                )
                for flow in flows
            )
            leaves = passes(graph, f"{source.name}-{source.zone}", "egress", protocol, port, str(destination.address))
            enters = passes(
                graph, f"{destination.name}-{destination.zone}", "ingress", protocol, port, str(source.address)
            )
            if Component.FIREWALL not in (*source.components, *destination.components):
                assert (leaves and enters) == declared, f"{source.name} to {destination.name} {protocol} {port}"


FORWARDING = ("fw-dmz", "fw-application", "fw-data", "fw-management")


def test_the_firewall_may_send_for_others_what_flows_name(declare: Declare, inventory: Path) -> None:
    ports = declare(inventory).of("Port")
    pairs = {name: {pair["ipAddress"] for pair in port.get("allowedAddressPairs", [])} for name, port in ports.items()}
    assert {name for name, found in pairs.items() if found} == {*FORWARDING, "lb-1-dmz", "lb-2-dmz"}
    assert pairs["lb-1-dmz"] == pairs["lb-2-dmz"] == {"10.20.1.10"}, "whichever of them has it"
    assert pairs["fw-data"] == {"10.20.1.53/32", "10.20.2.11/32", "10.20.2.12/32", "10.20.2.130/31"}
    assert "203.0.113.100/32" in pairs["fw-dmz"], "the partner's own address reaches the load balancer"


def test_nodes_of_a_cluster_stand_apart(declare: Declare, inventory: Path) -> None:
    graph = declare(inventory)
    assert {name: group["policies"] for name, group in graph.of("ServerGroup").items()} == {
        "adapter": "anti-affinity",
        "database": "anti-affinity",
        "load_balancer": "anti-affinity",
    }
    hints = {name: made.get("schedulerHints") for name, made in graph.of("Instance").items()}
    assert {name for name, hint in hints.items() if hint} == {
        "adapter-1",
        "adapter-2",
        "db",
        "db-2",
        "lb-1",
        "lb-2",
    }
    assert hints["adapter-1"] == hints["adapter-2"] == [{"group": "adapter-id"}]
    zones = {name: made["availabilityZone"] for name, made in graph.of("Instance").items()}
    assert zones["adapter-1"] != zones["adapter-2"]


def test_data_outlives_its_instance(declare: Declare, inventory: Path) -> None:
    graph = declare(inventory)
    assert graph.of("Volume")["db-data"]["size"] == 40
    root, data = graph.of("Instance")["db"]["blockDevices"]
    assert (root["bootIndex"], root["deleteOnTermination"]) == (0, True)
    assert (data["uuid"], data["sourceType"], data["deleteOnTermination"]) == ("db-data-id", "volume", False)


@pytest.mark.parametrize("environment", ["preprod", "production"])
def test_production_alone_is_protected(declare: Declare, make_inventory: MakeInventory, environment: str) -> None:
    graph = declare(make_inventory(environment))
    kinds = ("Network", "Subnet", "Port", "Router", "RouterInterface", "FloatingIpAssociate", "Instance", "Volume")
    made = [request for request in graph.requests if request.type.rpartition(":")[2] in kinds]
    assert {request.type.rpartition(":")[2] for request in made} == set(kinds)
    assert {request.protect for request in made} == {environment == "production"}
    follow = [request for request in graph.requests if request.type.endswith((":SecGroup", ":SecGroupRule"))]
    assert follow and not any(request.protect for request in follow), "a flow that goes takes its rules along"


def test_everything_hangs_below_the_landscape_and_its_provider(declare: Declare, inventory: Path) -> None:
    graph = declare(inventory)
    made = [request for request in graph.requests if request.type.startswith("openstack:")]
    assert {request.parent.rpartition("$")[2] for request in made} == {"aansluitkit:landscape:OpenStack::voorbeeldstad"}
    assert {request.provider.rpartition("::")[2] for request in made} == {"openstack-id"}
    assert {name: inputs["cloud"] for name, inputs in graph.of("openstack").items()} == {"openstack": "hoster"}


def test_existing_hosts_are_left_alone(declare: Declare, make_inventory: MakeInventory) -> None:
    inventory = make_inventory("preprod")
    path = inventory / "group_vars/all/connection.yml"
    shared = yaml.safe_load(path.read_text())
    del shared["connection_openstack"]
    path.write_text(
        yaml.safe_dump(
            {
                **shared,
                "connection_network": "diginetwerk",
                "connection_inbound_address": "10.20.0.10",
                "connection_outbound_address": "10.20.0.11",
            }
        )
    )
    graph = declare(inventory)
    assert [request.type for request in graph.requests if request.custom] == []
    assert [request.type for request in graph.requests][-1] == "aansluitkit:landscape:Existing"


def test_another_environments_stack_is_refused(declare: Declare, inventory: Path) -> None:
    with pytest.raises(KitError, match=r"belongs to stack 'voorbeeldstad.preprod', not to 'voorbeeldstad.production'"):
        declare(inventory, "voorbeeldstad.production")


def test_a_firewall_names_its_interfaces_after_their_zones(declare: Declare, inventory: Path) -> None:
    told = yaml.safe_load(declare(inventory).of("Instance")["fw"]["userData"])
    files = {entry["path"]: entry["content"] for entry in told["write_files"]}
    assert "MACAddress=mac-fw-dmz\n" in files["/etc/systemd/network/00-dmz.link"]
    assert "Address=10.20.1.1/24\n" in files["/etc/systemd/network/00-dmz.network"]
    gateways = [path for path, content in files.items() if "Gateway=" in content]
    assert gateways == ["/etc/systemd/network/00-external.network"]


def test_by_hand_it_is_the_same_program(declare: Declare, inventory: Path) -> None:
    graph = Graph()
    set_mocks(graph, project="aansluitkit", stack="voorbeeldstad.preprod", monitor=Monitor(graph))
    pulumi.runtime.set_all_config({"aansluitkit:inventory": str(inventory)})

    @pulumi.runtime.test
    def run() -> None:
        runpy.run_path(str(ROOT / "pulumi/__main__.py"))

    run()
    assert graph.inputs == declare(inventory).inputs
