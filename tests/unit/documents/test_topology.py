"""The picture in the README is the one of the lab's inventory."""

from __future__ import annotations

from pathlib import Path

from aansluitkit.connection import Connection
from aansluitkit.documents.topology import render_topology

PICTURE = Path(__file__).parents[3] / "docs/topology.svg"


def test_picture_is_of_this_inventory(lab_connection: Connection) -> None:
    assert PICTURE.read_text() == render_topology(lab_connection), "draw it anew: make docs/topology.svg"


def test_picture_names_every_host_and_zone(lab_connection: Connection) -> None:
    picture = PICTURE.read_text()
    assert [name for name in (*lab_connection.hosts, *lab_connection.zones) if f">{name}" not in picture] == []
    assert str(lab_connection.outbound_address) in picture
