"""The command of the drills."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aansluitkit.cli.app import Inventory, JsonFile, app, console, examples, write_json
from aansluitkit.cli.hosts import refuse_another_lab
from aansluitkit.connection import load_connection

if TYPE_CHECKING:
    from aansluitkit.drill import Outcome


@app.command(
    epilog=examples("drill inventories/lab", "drill inventories/lab adapter_node_killed --html drills.html --json -")
)
def drill(
    inventory: Inventory,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Drills (docs/drill.md), or all.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.5, max=100, help="Messages a second in each direction.")] = 5.0,
    json_file: JsonFile = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the report for people here.")
    ] = None,
) -> None:
    """Break the lab in one way after the other while messages go both ways: nothing may be lost or doubled.

    Refused outside the lab.
    """
    from aansluitkit.drill import drill, show, summarise, write_html  # noqa: PLC0415

    refuse_another_lab(inventory, load_connection(inventory))
    target = console(json_file)

    def say(outcome: Outcome) -> None:
        show(target, outcome)

    with target.status("") as status:
        report = drill(inventory, names or [], lambda held: status.update(f"{held.name}: {held.done}"), say, rate)
    summarise(target, report)
    write_json(report.as_json(), json_file)
    if html_file:
        write_html(report, html_file)
    raise typer.Exit(0 if report.passed else 1)
