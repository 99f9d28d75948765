"""Flows as people read them: numbered, with the rule that lets each through found in what is really written."""

from __future__ import annotations

import re
import subprocess
from ipaddress import IPv4Network, ip_address
from itertools import product
from pathlib import Path

import pytest

from aansluitkit.connection import Component, Connection, flows_of, load_connection
from aansluitkit.connection.firewalls import guarded_hosts
from aansluitkit.connection.flows import Direction, Purpose, direction_of, flow_groups, hosts_at, zone_of
from aansluitkit.connection.model import PackageSource
from aansluitkit.connection.rule_places import RULES_FILE, rule_places, rules_file
from aansluitkit.connection.rules import firewalls_are_one_gateway
from aansluitkit.connection.views import views
from aansluitkit.project import ROOT


def test_groups_hold_every_flow_once(any_connection: Connection) -> None:
    groups = flow_groups(any_connection)
    assert sorted(flow.id for group in groups for flow in group.flows) == sorted(
        flow.id for flow in flows_of(any_connection)
    )
    assert [group.number for group in groups] == list(range(1, len(groups) + 1))
    beside = 2 * ("fw-2" in any_connection.hosts) + 6 * (len(any_connection.links) - 1)  # names for others as well
    assert len(groups) == 18 + beside


def test_group_is_every_source_to_every_destination(any_connection: Connection) -> None:
    """So that a table may list the two sides apart."""
    for group in flow_groups(any_connection):
        pairs = {(flow.source, flow.destination) for flow in group.flows}
        sources, destinations = ({pair[side] for pair in pairs} for side in (0, 1))
        assert pairs == {pair for pair in product(sources, destinations) if pair[0] != pair[1]}


def test_direction_is_seen_from_the_organisation(lab_connection: Connection) -> None:
    found = {flow.id: direction_of(lab_connection, flow) for flow in flows_of(lab_connection)}
    assert found["ebms-inbound"] is Direction.INBOUND
    assert found["ebms-outbound-adapter-2"] is Direction.OUTBOUND
    assert found["controller-mijnoverheid-tcp-22"] is Direction.OUTBOUND
    assert found["lb-1-adapter-1-tcp-8443"] is Direction.INSIDE


def test_messages_go_to_what_load_balancers_share(lab_connection: Connection) -> None:
    flows = {flow.id: flow for flow in flows_of(lab_connection)}
    assert flows["ebms-inbound"].destination_networks == (IPv4Network("192.0.2.10/32"),)
    assert flows["lb-2-adapter-1-tcp-8443"].source_networks == (IPv4Network("192.0.2.12/32"),)
    assert {"lb-1-lb-2-dmz-vrrp", "lb-2-lb-1-dmz-vrrp"} <= set(flows)
    told = views(lab_connection)
    assert {told[name]["load_balancer"]["address"] for name in ("lb-1", "lb-2")} == {"192.0.2.10"}
    shared = told["lb-2"]["keepalived"]
    assert shared["priority"] < told["lb-1"]["keepalived"]["priority"]
    assert shared["segments"][0]["peers"] == ["192.0.2.11"]
    assert told["adapter-1"]["keepalived"] == {}


def test_one_load_balancer_has_its_own_address() -> None:
    connection = load_connection(ROOT / "inventories/voorbeeldgemeente/production")
    inbound = next(flow for flow in flows_of(connection) if flow.id == "ebms-inbound")
    assert (inbound.destination, str(inbound.destination_networks[0])) == ("lb-productie", "10.20.1.10/32")
    assert Purpose.SHARING not in {flow.purpose for flow in flows_of(connection)}
    assert views(connection)["lb-productie"]["keepalived"] == {}


def test_two_firewalls_are_one_gateway(two_firewalls: Connection) -> None:
    told = views(two_firewalls)
    shared = {part["name"]: part["shared_addresses"] for part in told["fw-2"]["keepalived"]["segments"]}
    assert shared["external"] == ["203.0.113.5", "203.0.113.10", "203.0.113.11"], "with the connection's own two"
    assert shared["dmz"] == [str(two_firewalls.gateway("dmz"))] == ["192.0.2.5"]
    assert set(shared) == set(two_firewalls.zones)
    assert told["fw"]["firewall"]["addresses"] == told["fw-2"]["firewall"]["addresses"] == []
    states = [told[name]["firewall"]["state"] for name in ("fw", "fw-2")]
    assert [state["peer"] for state in states] == [state["address"] for state in reversed(states)]
    assert {"fw-fw-2-udp-3780", "fw-2-fw-udp-3780"} <= {flow.id for flow in flows_of(two_firewalls)}


def test_firewalls_share_every_zone(two_firewalls: Connection) -> None:
    firewall = dict(two_firewalls.virtual_addresses[Component.FIREWALL])
    del firewall["data"]
    lacking = two_firewalls.model_copy(update={"virtual_addresses": {Component.FIREWALL: firewall}})
    assert ["data" in message for _, message in firewalls_are_one_gateway(lacking)] == [True]


def test_one_firewall_carries_the_addresses_itself() -> None:
    connection = load_connection(ROOT / "inventories/voorbeeldgemeente/production")
    told = views(connection)["fw-productie"]
    assert told["keepalived"] == told["firewall"]["state"] == {}
    assert [entry["interface"] for entry in told["firewall"]["addresses"]] == ["external", "external"]
    assert Purpose.STATES not in {flow.purpose for flow in flows_of(connection)}


def test_rule_is_found_where_it_stands(any_connection: Connection) -> None:
    """Where a flow begins, between the zones and where it ends, as far as the hosts are ours."""
    files = {host.name: rules_file(any_connection, host).splitlines() for host in guarded_hosts(any_connection)}
    places = rule_places(any_connection)
    for flow in flows_of(any_connection):
        ends = [zone_of(any_connection, side[0]) for side in (flow.source_networks, flow.destination_networks)]
        found = {(place.where.partition(" ")[0], place.chain) for place in places[flow.id]}
        for name, chain in ((flow.source, "output"), (flow.destination, "input")):
            meant = {host.name for host in hosts_at(any_connection, name)}
            assert {host for host, where in found if where == chain} == meant & set(
                files
            ) or name in any_connection.zones
        passes = ends[0] != ends[1] and "fw" not in (flow.source, flow.destination)
        assert (("fw", "forward") in found) == passes
        assert (("fw", "prerouting") in found) == (flow.published_address is not None)
        assert (("fw", "postrouting") in found) == (flow.outbound_address is not None)
        for place in places[flow.id]:
            host, _, file = place.where.partition(" ")
            assert file == RULES_FILE
            line = files[host][(place.line or 0) - 1]
            assert line.strip(" ,") == place.rule
            assert place.rule.endswith(f'comment "{flow.id}"')
            assert re.search(rf" {flow.protocol} (dport|[.]) {flow.port} " if flow.port else "ip protocol 112 ", line)


def test_every_host_of_ours_is_guarded(any_connection: Connection) -> None:
    guarded = {host.name for host in guarded_hosts(any_connection)}
    others = {Component.PARTNER, Component.MANAGEMENT}
    assert guarded == {host.name for host in any_connection.hosts.values() if not others & {*host.components}}
    for host in guarded_hosts(any_connection):
        rules = rules_file(any_connection, host)
        assert all(f"hook {hook} priority filter; policy drop;" in rules for hook in ("input", "output", "forward"))


def test_only_declared_flows_are_let_through(any_connection: Connection) -> None:
    flows = {flow.id for flow in flows_of(any_connection)}
    for host in guarded_hosts(any_connection):
        rules = rules_file(any_connection, host).splitlines()
        accepting = [line for line in rules if re.match(r"\s+(ip saddr [^.].*(accept|goto)|\d\S+ [.])", line)]
        matches, named = zip(*(re.findall(r'(.*)comment "([^"]+)"', line)[0] for line in accepting), strict=True)
        assert len(set(matches)) == len(set(named)) == len(accepting)
        assert set(named) <= flows


def test_hosts_get_packages_and_time_where_it_is_declared(lab_connection: Connection) -> None:
    """Inside as they are, outside with the outbound address; the partner's host and the manager's are not ours."""
    inside, outside = ip_address("198.51.100.150"), ip_address("203.0.113.77")
    update = {"package_sources": (PackageSource(address=inside, port=3142),), "time_servers": (outside,)}
    found = lab_connection.model_copy(update=update)
    ours = {host.name for host in found.own_hosts}
    packages = [flow for flow in flows_of(found) if flow.purpose is Purpose.PACKAGES]
    assert {flow.source for flow in packages} == ours
    assert {(flow.protocol, flow.port, flow.outbound_address) for flow in packages} == {("tcp", 3142, None)}
    time = [flow for flow in flows_of(found) if flow.purpose is Purpose.TIME]
    assert {flow.source for flow in time} == ours
    assert {(flow.protocol, flow.port, flow.outbound_address) for flow in time} == {
        ("udp", 123, found.outbound_address)
    }
    assert views(found)["db"]["time_servers"] == [str(outside)]
    assert {"db-203.0.113.77-udp-123", "db-198.51.100.150-tcp-3142"} <= {
        rule["id"] for rule in views(found)["db"]["firewall"]["flows"] if rule["chain"] == "output"
    }


def test_load_balancers_that_end_tls_judge_certificates(offloading: Connection) -> None:
    """And so fetch CRLs, where adapters alone do otherwise; what goes to an adapter is told as in clear."""
    judges = {"adapter-1", "adapter-2", "lb-1", "lb-2"}
    flows = flows_of(offloading)
    assert {flow.source for flow in flows if flow.purpose is Purpose.REVOCATION} == judges
    assert {flow.id for flow in flows if flow.purpose is Purpose.MESSAGES_IN_CLEAR} == {
        f"{balancer}-{adapter}-tcp-8443" for balancer in ("lb-1", "lb-2") for adapter in ("adapter-1", "adapter-2")
    }
    before = flows_of(offloading.model_copy(update={"tls_ends_at": Component.ADAPTER}))
    assert {flow.id for flow in flows} - {flow.id for flow in before} == {"crl-lb-1", "crl-lb-2"}


def test_hosts_know_where_tls_ends(offloading: Connection, connection: Connection) -> None:
    """The load balancer lets in the partner alone and the adapter believes the load balancers alone, or neither."""
    ends, passes = views(offloading), views(connection)
    told = ends["lb-1"]["load_balancer"]
    assert (told["tls"], told["client_oins"]) == ("offload", [offloading.partner.oin])
    assert ends["adapter-1"]["adapter"]["certificate_header"] == told["certificate_header"] != ""
    assert ends["adapter-1"]["adapter"]["load_balancer_addresses"] == [
        str(host.address) for host in offloading.hosts_of(Component.LOAD_BALANCER)
    ]
    assert ends["lb-1"]["certificates"] == ends["adapter-1"]["certificates"] != {}
    assert ends["lb-1"]["revocation"]["crl_file"] == ends["lb-1"]["exporters"]["crl_file"] != ""
    assert ends["mijnoverheid"]["adapter"]["certificate_header"] == ""
    told = passes["lb-1"]["load_balancer"]
    assert (told["tls"], told["client_oins"]) == ("passthrough", [])
    assert passes["adapter-1"]["adapter"]["certificate_header"] == ""
    assert (passes["lb-1"]["certificates"], passes["lb-1"]["revocation"]) == ({}, {})
    assert passes["lb-1"]["exporters"]["certificates"] == ""


def test_who_comes_from_outside_is_limited(lab_connection: Connection) -> None:
    for flow in flows_of(lab_connection):
        for place in rule_places(lab_connection).get(flow.id, []):
            if place.where.startswith("fw ") and place.chain in ("input", "forward"):
                assert ("goto outsiders" in place.rule) == (direction_of(lab_connection, flow) is Direction.INBOUND)


def test_nftables_takes_the_rules(any_connection: Connection, tmp_path: Path) -> None:
    file = tmp_path / "rules.nft"
    file.write_text("".join(rules_file(any_connection, host) for host in guarded_hosts(any_connection)))
    command = ["unshare", "--net", "nft", "--check", "--file", str(file)]
    if subprocess.run([*command[:2], "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made here, which nft needs")
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
