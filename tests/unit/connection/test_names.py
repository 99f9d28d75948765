"""The records of a connection, inside and outside."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_address

from aansluitkit.connection import Component, Connection
from aansluitkit.connection.flows import NAME_SERVERS, Purpose, flows_of, foreign_name_servers
from aansluitkit.connection.model import Diginetwerk, Dns, DnsUpdates, DnsWay, Network, View
from aansluitkit.connection.names import own_zones_of, zones_of
from aansluitkit.connection.views import views
from aansluitkit.documents.records import render_records


def test_inside_gets_inside_addresses_and_outside_the_published_one(lab_connection: Connection) -> None:
    found = {
        (zone.view, record.name): record.value
        for zone in zones_of(lab_connection)
        for record in zone.records
        if record.type == "A"
    }
    assert found[View.INTERNAL, "ebms.voorbeeldstad.test"] == "192.0.2.10"
    assert found[View.EXTERNAL, "ebms.voorbeeldstad.test"] == "203.0.113.10"
    assert found[View.INTERNAL, "db.voorbeeldstad.test"] == "198.51.100.70"


def test_outside_learns_nothing_of_the_inside(any_connection: Connection) -> None:
    for link in any_connection.links:
        partners = {str(any_connection.partner.address), str(any_connection.sending.partner.address)}
        outside = [zone for zone in zones_of(any_connection) if zone.view == link.zone]
        assert {record.value for zone in outside for record in zone.records} <= {str(link.inbound_address), *partners}
        assert [zone.name for zone in outside if zone.signed] == [any_connection.domain]


def test_every_record_lies_in_its_zone_and_every_address_leads_back(any_connection: Connection) -> None:
    for zone in zones_of(any_connection):
        assert all(record.name.endswith(f".{zone.name}") for record in zone.records)
    inside = [record for zone in zones_of(any_connection) if zone.view is View.INTERNAL for record in zone.records]
    forward = {(record.name, record.value) for record in inside if record.type == "A"}
    back = {(record.value, record.name) for record in inside if record.type == "PTR"}
    hosts = [host for host in any_connection.hosts.values() if Component.PARTNER not in host.components]
    assert len(back) == len(hosts)
    assert {(name, ip_address(value).reverse_pointer) for name, value in forward} >= back


def test_second_name_server_takes_its_zones_from_the_first(lab_connection: Connection) -> None:
    second = lab_connection.hosts["ns"].model_copy(
        update={"name": "ns-2", "addresses": {"dmz": ip_address("192.0.2.54")}}
    )
    found = views(lab_connection.model_copy(update={"hosts": {**lab_connection.hosts, "ns-2": second}}))
    assert (found["ns"]["dns"]["primary"], found["ns"]["dns"]["secondaries"]) == ("", ["192.0.2.54"])
    assert (found["ns-2"]["dns"]["primary"], found["ns-2"]["dns"]["secondaries"]) == ("192.0.2.53", [])
    assert found["db"]["resolvers"] == ["192.0.2.53", "192.0.2.54"]
    zones = {(zone["view"], zone["name"]): zone["servers"] for zone in found["ns"]["dns"]["zones"]}
    assert zones["internal", "voorbeeldstad.test"] == ["ns.voorbeeldstad.test", "ns-2.voorbeeldstad.test"]
    assert zones["external", "voorbeeldstad.test"] == ["ns.voorbeeldstad.test"]


def test_list_holds_every_name_of_ours(any_connection: Connection) -> None:
    lines = render_records(any_connection).splitlines()
    told = [line.removesuffix(".") for line in lines if not line.startswith(";") and line]
    records = [record for view in View for zone in own_zones_of(any_connection, view) for record in zone.records]
    assert told == [f"{record.name}. 300 IN {record.type} {record.value}" for record in records]
    assert any_connection.partner.host_name not in "".join(told)


def test_hosts_ask_the_name_servers_of_others_where_there_are_none_of_ours(lab_connection: Connection) -> None:
    hosts = {name: host for name, host in lab_connection.hosts.items() if name != "ns"}
    asked = ip_address("203.0.113.53")
    dns = Dns(way=DnsWay.LIST, resolvers=(asked,))
    found = lab_connection.model_copy(update={"hosts": hosts, "dns": dns})
    assert views(found)["db"]["resolvers"] == ["203.0.113.53"]
    names = [flow for flow in flows_of(found) if flow.port == 53 and flow.source == "db"]
    assert {(flow.destination, flow.destination_networks, flow.outbound_address) for flow in names} == {
        (NAME_SERVERS, (IPv4Network(asked),), found.outbound_address)
    }


def test_partner_is_sought_on_diginetwerk_alone(lab_connection: Connection) -> None:
    ranges = (IPv4Network("203.0.113.0/24"), IPv4Network("10.1.128.0/17"), IPv4Network("10.1.0.0/17"))
    there = Diginetwerk(ranges=ranges, router="203.0.113.254", resolvers=("203.0.113.253",))
    hosts = {name: host for name, host in lab_connection.hosts.items() if Component.PARTNER not in host.components}
    changed = {"network": Network.DIGINETWERK, "diginetwerk": there, "hosts": hosts, "extra_flows": ()}
    found = lab_connection.model_copy(update=changed)
    seen = views(found)
    assert seen["ns"]["dns"]["forwarded"] == [{"name": "ebms.mijnoverheid.test", "servers": ["203.0.113.253"]}]
    assert seen["fw"]["firewall"]["routes"] == [
        {"network": "10.1.0.0/16", "router": "203.0.113.254", "interface": "external"}
    ], "the zone itself needs no router"
    assert seen["db"]["firewall"]["routes"] == []
    assert {flow.source for flow in flows_of(found) if flow.destination == NAME_SERVERS} == {"ns"}


def test_records_are_entered_at_name_servers_of_others(any_connection: Connection) -> None:
    """By the manager's host alone, and of the views that are asked for alone."""
    server = IPv4Address("203.0.113.253")
    hosts = {name: host for name, host in any_connection.hosts.items() if Component.NAME_SERVER not in host.components}
    updates = {View.EXTERNAL: DnsUpdates(server=server, key="aansluitkit.voorbeeldstad.test")}
    dns = Dns(way=DnsWay.LIST, resolvers=(IPv4Address("203.0.113.254"),), updates=updates)
    found = any_connection.model_copy(update={"dns": dns, "hosts": hosts})
    [told] = [view["dns_updates"] for view in views(found).values() if "dns_updates" in view]
    [external] = told
    assert external["view"] == "external"
    assert {"name": found.host_name, "type": "A", "value": str(found.inbound_address)} in external["records"]
    [flow] = [flow for flow in flows_of(found) if flow.purpose is Purpose.UPDATES]
    assert Component.MANAGEMENT in found.hosts[flow.source].components
    assert (flow.destination_networks, flow.protocol, flow.port) == ((IPv4Network(server),), "tcp", 53)
    assert server in foreign_name_servers(found)
