"""The records of a connection, inside and outside."""

from __future__ import annotations

from ipaddress import ip_address

from aansluitkit.connection import Component, Connection
from aansluitkit.connection.names import View, zones_of
from aansluitkit.connection.views import views


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
    published = {str(any_connection.inbound_address), str(any_connection.partner.address)}
    outside = [zone for zone in zones_of(any_connection) if zone.view is View.EXTERNAL]
    assert {record.value for zone in outside for record in zone.records} <= published
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
