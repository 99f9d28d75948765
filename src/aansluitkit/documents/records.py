"""The DNS records of a connection as a list for those who enter them: lines of a zone file (RFC 1035 section 5)."""

from __future__ import annotations

from aansluitkit.connection import Connection
from aansluitkit.connection.model import View
from aansluitkit.connection.names import own_zones_of
from aansluitkit.documents.dutch import ENVIRONMENTS, VIEWS
from aansluitkit.documents.rendering import render_text


def render_records(connection: Connection) -> str:
    """The records of all views; in Dutch what is no record."""
    zones = {view: own_zones_of(connection, view) for view in View}
    return render_text(
        "dns-records.txt.j2",
        connection=connection,
        environment=ENVIRONMENTS[connection.environment],
        views=[(VIEWS[view], found) for view, found in zones.items() if found],
    )
