"""The commands of the lab."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from aansluitkit.cli.app import Inventory, app, examples

lab = typer.Typer(help="A whole connection on this machine.", no_args_is_help=True)
app.add_typer(lab, name="lab")


@lab.command("up", epilog=examples("lab up inventories/lab"))
def make_lab(inventory: Inventory) -> None:
    """Make the lab and prove it; what is there already stays."""
    from aansluitkit.lab.up import lab_up  # noqa: PLC0415

    report = lab_up(inventory, Console(file=sys.stdout))
    raise typer.Exit(0 if report.proved else 1)


@lab.command("down", epilog=examples("lab down"))
def remove_lab() -> None:
    """Remove the lab and everything that it made outside the caches."""
    from aansluitkit.lab.up import lab_down  # noqa: PLC0415

    lab_down(Console(file=sys.stdout))
