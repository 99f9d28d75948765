"""The command that tells how a connection is."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from aansluitkit.cli.app import AskSudo, Inventory, JsonFile, app, ask_sudo, console, examples, write_json
from aansluitkit.cli.hosts import refuse_another_lab
from aansluitkit.connection import load_connection


@app.command(epilog=examples("status inventories/lab", "status inventories/gemeente-x/production --html status.html"))
def status(
    inventory: Inventory,
    json_file: JsonFile = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the page for people here.")
    ] = None,
    *,
    ask_become_pass: AskSudo = False,
) -> None:
    """Tell how the connection is: hosts, load balancers, adapters, database, and what ends soon.

    It asks the hosts over SSH and nobody else, so it can run as often as you like. Status 1: something is wrong.
    """
    from aansluitkit.status import Verdict, look, worst, write_html  # noqa: PLC0415

    connection = load_connection(inventory)
    refuse_another_lab(inventory, connection)
    ask_sudo(ask=ask_become_pass)
    target = console(json_file)
    with target.status("asking the hosts"):
        findings = look(inventory, connection)
    write_json({"inventory": str(inventory), "findings": [asdict(finding) for finding in findings]}, json_file)
    if html_file:
        write_html(findings, connection, html_file)
    styles = {Verdict.PROBLEM: "red", Verdict.WARNING: "yellow", Verdict.FINE: "green"}
    for finding in findings:
        words = f"{finding.where:<14}  {finding.what:<11}  {finding.found}"
        advice = f"; {finding.advice}" if finding.advice else ""
        style = styles[finding.verdict]
        target.print(f"[{style}]{finding.verdict:<7}[/] {escape(words + advice)}", soft_wrap=True)
    counts = Counter(finding.verdict for finding in findings)
    target.print(", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict), style="bold")
    raise typer.Exit(1 if worst(findings) is Verdict.PROBLEM else 0)
