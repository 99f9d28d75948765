"""The command that tells who may talk to whom, and which rule lets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from aansluitkit.cli.app import Inventory, JsonFile, app, console, examples, write_json
from aansluitkit.connection import load_connection

if TYPE_CHECKING:
    from aansluitkit.connection.flows import Flow, FlowGroup
    from aansluitkit.connection.rule_places import RulePlace

WIDEST = 240  # columns, where no terminal says how many there are


@app.command(epilog=examples("flows inventories/gemeente-x/preprod", "flows inventories/lab --json flows.json"))
def flows(inventory: Inventory, json_file: JsonFile = None) -> None:
    """Print who may talk to whom, on which addresses and port, why, and which rule lets them; all else is refused.

    A rule is named by firewall, file, chain and line, or by security group, in each place that the flow passes: where
    it begins, between the zones, and where it ends.
    """
    from aansluitkit.connection.flows import flow_groups  # noqa: PLC0415
    from aansluitkit.connection.rule_places import rule_places  # noqa: PLC0415

    connection = load_connection(inventory)
    groups = flow_groups(connection)
    places = rule_places(connection)
    result = [
        _plain(group, number, flow, places.get(flow.id, []))
        for group in groups
        for number, flow in enumerate(group.flows, start=1)
    ]
    write_json({"inventory": str(inventory), "flows": result}, json_file)
    target = console(json_file)
    if not target.is_terminal:
        target.width = WIDEST
    target.print(_table(result))


def _plain(group: FlowGroup, number: int, flow: Flow, places: list[RulePlace]) -> dict[str, Any]:
    from dataclasses import asdict  # noqa: PLC0415

    fields = flow.model_dump(mode="json")
    numbered = {"number": f"{group.number}.{number}", "direction": group.direction.value}
    rules = [{**asdict(place), "place": str(place)} for place in places]
    return {**numbered, **fields, "rules": rules}


def _table(result: list[dict[str, Any]]) -> Table:
    table = Table("number", "source", "destination", "port", "direction", "purpose", "rule", box=None, pad_edge=False)
    for flow in result:
        table.add_row(
            flow["number"],
            _end(flow["source"], flow["source_networks"], "leaves as", flow["outbound_address"]),
            _end(flow["destination"], flow["destination_networks"], "called as", flow["published_address"]),
            f"{flow['protocol']} {flow['port'] or ''}".strip(),
            flow["direction"],
            flow["reason"],
            "\n".join(rule["place"] for rule in flow["rules"]),
        )
    return table


def _end(name: str, networks: list[str], how: str, translated: str | None) -> str:
    addresses = ", ".join(network.removesuffix("/32") for network in networks)
    return f"{name} {addresses}" + (f"\n{how} {translated}" if translated else "")
