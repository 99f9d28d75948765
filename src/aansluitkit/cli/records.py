"""The command that tells the DNS records, for those whose name servers are managed by others."""

from __future__ import annotations

from aansluitkit.cli.app import Inventory, JsonFile, app, console, examples, write_json
from aansluitkit.connection import load_connection


@app.command(epilog=examples("records inventories/gemeente-x/preprod > dns.txt", "records inventories/lab --json -"))
def records(inventory: Inventory, json_file: JsonFile = None) -> None:
    """Print the DNS records, inside and outside apart, as lines of a zone file: a list to send to who enters them.

    Afterwards verify asks the name servers that the hosts ask, and says which record is missing or wrong there.
    """
    from aansluitkit.connection.model import View  # noqa: PLC0415
    from aansluitkit.connection.names import own_zones_of  # noqa: PLC0415
    from aansluitkit.documents.records import render_records  # noqa: PLC0415

    connection = load_connection(inventory)
    zones = [zone.model_dump(mode="json") for view in View for zone in own_zones_of(connection, view)]
    write_json({"inventory": str(inventory), "zones": zones}, json_file)
    console(json_file).print(render_records(connection), end="", markup=False, soft_wrap=True)
