"""Two networks at once, while a connection moves from one to the other."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from aansluitkit.connection import Component, Connection, load_connection
from aansluitkit.connection.flows import RESOLVERS, Direction, Purpose, direction_of, flow_groups, flows_of
from aansluitkit.connection.model import EXTERNAL, MIGRATION, Dns, Network, PackageSource, View
from aansluitkit.connection.names import zones_of
from aansluitkit.connection.views import views
from aansluitkit.lab.migration import declare, forget


def moved(connection: Connection, **changes: object) -> Connection:
    """``connection`` with ``changes`` of its migration."""
    assert connection.migration
    return connection.model_copy(update={"migration": connection.migration.model_copy(update=changes)})


def without_partner(connection: Connection) -> Connection:
    """``connection`` as it is outside the lab."""
    hosts = {name: host for name, host in connection.hosts.items() if Component.PARTNER not in host.components}
    return connection.model_copy(update={"hosts": hosts, "extra_flows": ()})


def test_there_is_one_link_as_a_rule(lab_connection: Connection) -> None:
    [link] = lab_connection.links
    assert (link.network, link.zone, link.suffix) == (Network.INTERNET, EXTERNAL, "")
    assert lab_connection.sending.zone == EXTERNAL


@pytest.mark.parametrize("network", list(Network))
def test_other_network_is_the_one_that_it_moves_to(two_networks: Connection, network: Network) -> None:
    found = two_networks.model_copy(update={"network": network})
    assert [link.network for link in found.links] == [network, *({*Network} - {network})]


def test_messages_may_take_either_network_each_with_its_own_addresses(two_networks: Connection) -> None:
    there = two_networks.migration
    assert there
    flows = {flow.id: flow for flow in flows_of(two_networks)}
    here, beside = flows["ebms-inbound"], flows["ebms-inbound-migration"]
    assert (here.published_address, beside.published_address) == (two_networks.inbound_address, there.inbound_address)
    assert here.destination_networks == beside.destination_networks, "one load balancer answers both"
    assert beside.source_networks == there.partner.outbound_addresses
    out = flows["ebms-outbound-adapter-1-migration"]
    assert (out.outbound_address, out.destination_networks) == (there.outbound_address, there.partner.inbound_addresses)
    assert (direction_of(two_networks, beside), direction_of(two_networks, out)) == (
        Direction.INBOUND,
        Direction.OUTBOUND,
    )


def test_each_network_is_a_group_of_flows_of_its_own(two_networks: Connection) -> None:
    groups = [group for group in flow_groups(two_networks) if group.first.purpose is Purpose.MESSAGES_OUT]
    assert [group.first.outbound_address for group in groups] == [link.outbound_address for link in two_networks.links]


@pytest.mark.parametrize("sends", [False, True])
def test_firewall_is_the_same_whichever_way_we_send(two_networks: Connection, sends: bool) -> None:
    """So going over is a matter of names, and goes back as quickly."""
    assert views(moved(two_networks, sends=sends))["fw"]["firewall"] == views(two_networks)["fw"]["firewall"]


def test_firewall_carries_the_addresses_of_both(two_networks: Connection) -> None:
    firewall = views(two_networks)["fw"]["firewall"]
    assert [(entry["interface"], entry["address"]) for entry in firewall["addresses"]] == [
        (link.zone, str(address)) for link in two_networks.links for _, address in link.own_addresses
    ]
    assert firewall["routes"] == [{"network": "198.18.0.0/16", "router": "198.18.5.254", "interface": MIGRATION}]
    sets = {one["name"]: one["networks"] for one in firewall["sets"]}
    assert sets["partner_inbound"] == ["203.0.113.100/32"]
    assert sets["partner_inbound-migration"] == ["198.18.5.100/32"]
    used = {rule[side] for rule in firewall["flows"] for side in ("source", "destination") if rule[side][0] == "@"}
    assert used == {f"@{name}" for name in sets}


def test_route_to_diginetwerk_stays_when_it_is_the_one_that_is_left(two_networks: Connection) -> None:
    leaving = two_networks.model_copy(update={"network": Network.DIGINETWERK})
    assert {route["interface"] for route in views(leaving)["fw"]["firewall"]["routes"]} == {EXTERNAL}


def test_what_is_not_of_diginetwerk_leaves_by_the_internet(two_networks: Connection) -> None:
    sources = tuple(PackageSource(address=IPv4Address(text)) for text in ("8.8.8.8", "198.18.5.77"))
    changes = {"package_sources": sources, "crl_addresses": (IPv4Network("9.9.9.9"), IPv4Network("198.18.5.8"))}
    flows = flows_of(two_networks.model_copy(update=changes))
    here, there = (link.outbound_address for link in two_networks.links)
    packages = {
        str(flow.destination_networks[0][0]): flow.outbound_address
        for flow in flows
        if flow.port == 443
        if flow.purpose is Purpose.PACKAGES
    }
    assert packages == {"8.8.8.8": here, "198.18.5.77": there}
    lists = {flow.outbound_address: flow.destination_networks for flow in flows if flow.purpose is Purpose.REVOCATION}
    assert lists == {here: (IPv4Network("9.9.9.9"),), there: (IPv4Network("198.18.5.8"),)}


def test_names_outside_are_those_of_the_network_that_one_comes_by(two_networks: Connection) -> None:
    found = {(zone.view, record.name): record.value for zone in zones_of(two_networks) for record in zone.records}
    name = two_networks.host_name
    assert (found[View.EXTERNAL, name], found[View.MIGRATION, name]) == ("203.0.113.10", "198.18.5.10")
    told = views(two_networks)["ns"]["dns"]
    assert told["outside_views"] == [
        {"name": MIGRATION, "clients": ["198.18.0.0/16"]},
        {"name": EXTERNAL, "clients": []},
    ], "who comes by Diginetwerk is asked for first"
    assert "198.18.5.0/24" not in told["inside_networks"]


def test_others_ask_for_names_by_the_network_that_they_are_on(two_networks: Connection) -> None:
    asked = {flow.id: flow for flow in flows_of(two_networks) if flow.source == RESOLVERS}
    assert {*asked} == {f"dns-inbound-{way}" for way in ("udp", "tcp", "udp-migration", "tcp-migration")}
    ends = [(str(flow.source_networks[0]), str(flow.published_address)) for flow in asked.values()]
    assert {*ends} == {("0.0.0.0/0", "203.0.113.10"), ("198.18.7.0/24", "198.18.5.10")}
    told = views(two_networks)
    for host in ("fw", "ns"):
        sets = {one["name"]: one["networks"] for one in told[host]["firewall"]["sets"]}
        assert (sets["resolvers"], sets["resolvers-migration"]) == (["0.0.0.0/0"], ["198.18.7.0/24"])
    nobody = two_networks.model_copy(update={"dns": Dns()})
    assert not [flow for flow in flows_of(nobody) if flow.source == RESOLVERS]


def test_partner_is_asked_for_where_our_messages_leave(two_networks: Connection) -> None:
    real = without_partner(two_networks)
    assert views(real)["ns"]["dns"]["forwarded"] == []
    assert views(moved(real, sends=True))["ns"]["dns"]["forwarded"] == [
        {"name": "ebms.mijnoverheid.test", "servers": ["198.18.5.100"]}
    ]


def test_lab_can_be_moved_and_moved_back(lab_copy: Path) -> None:
    before = load_connection(lab_copy)
    for sends in (False, True):
        declare(lab_copy, load_connection(lab_copy), sends=sends)
        found = load_connection(lab_copy)
        assert found.sending.zone == (MIGRATION if sends else EXTERNAL)
        assert {*found.zones} - {*before.zones} == {MIGRATION}
    forget(lab_copy)
    assert load_connection(lab_copy) == before
    assert not (lab_copy / "host_vars").exists()
