"""The command that collects what an installation without internet needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from aansluitkit.cli.app import app, console, examples


@app.command(epilog=examples("bundle /media/usb/bundle", "bundle bundle inventories/gemeente-x/production"))
def bundle(
    folder: Annotated[Path, typer.Argument(help="Folder to make; it must not be there yet.")],
    inventories: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[INVENTORY]...", help="Inventories whose jar of ebms-admin belongs to it."),
    ] = None,
    suites: Annotated[
        list[str] | None, typer.Option("--debian", metavar="NAME", help="Release of Debian that hosts have.")
    ] = None,
) -> None:
    """Collect everything for a controller and hosts that reach nothing: packages, wheels, engine, host image, the kit.

    docs/offline.md tells how to install from it.
    """
    from aansluitkit.bundle import make_bundle  # noqa: PLC0415
    from aansluitkit.lab.image import SUITE  # noqa: PLC0415
    from aansluitkit.lab.steps import Steps  # noqa: PLC0415

    target = console()
    steps = Steps(target)
    with steps.step("bundle"):
        parts = make_bundle(folder, inventories or [], suites or [SUITE], steps.say)
    for name, size in parts.items():
        target.print(f"{name:<14} {decimal(size):>10}")
    target.print(f"{folder}: carry it over whole, and go on with docs/offline.md there", style="bold", soft_wrap=True)
