"""The command of the compliance run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aansluitkit.cli.app import AskSudo, Inventory, JsonFile, app, ask_sudo, console, examples, write_json
from aansluitkit.cli.hosts import refuse_another_lab
from aansluitkit.connection import load_connection


@app.command(
    epilog=examples(
        "compliance inventories/lab", "compliance inventories/gemeente-x/compliance --html compliancerapport.html"
    )
)
def compliance(
    inventory: Inventory,
    json_file: JsonFile = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the report for the Tester (Dutch) here.")
    ] = None,
    *,
    ask_become_pass: AskSudo = False,
) -> None:
    """Play every profile both ways with the Compliancevoorziening, or the lab's stand-in, which misbehaves as well."""
    from aansluitkit.compliance import Result, play, show, summarise, write_html  # noqa: PLC0415

    connection = load_connection(inventory)
    refuse_another_lab(inventory, connection)
    ask_sudo(ask=ask_become_pass)
    target = console(json_file)
    with target.status("playing the cases of the Compliancevoorziening"):
        report = play(inventory, lambda outcome: show(target, outcome))
    summarise(target, report)
    write_json(report.as_json(), json_file)
    if html_file:
        write_html(report, connection, html_file)
    if report.count(Result.NOT_PLAYED):
        target.print("what was not played proves nothing", style="yellow")
    raise typer.Exit(0 if report.passed else 1)
