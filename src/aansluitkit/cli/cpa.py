"""The commands on what is agreed with the partner: cpa, package."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from aansluitkit.cli.app import Inventory, JsonFile, UsageError, app, console, examples, write_json
from aansluitkit.connection import Connection

if TYPE_CHECKING:
    from aansluitkit.agreement.remark import Remark


@app.command(
    epilog=examples("cpa inventories/gemeente-x/preprod received.xml", "cpa inventories/gemeente-x/preprod --json -")
)
def cpa(
    inventory: Inventory,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The CPA as it was received.", show_default="connection_cpa.file"),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Compare a CPA that was received with what the inventory says, and tell what follows from each difference.

    Status 1: something blocks, so that the CPA would break the connection. Nothing is loaded or changed.
    """
    from aansluitkit.agreement.differences import remarks_on  # noqa: PLC0415
    from aansluitkit.documents.cpa import read_received  # noqa: PLC0415
    from aansluitkit.ebms.errors import MalformedError  # noqa: PLC0415
    from aansluitkit.errors import KitError  # noqa: PLC0415

    connection = _without_its_cpa(inventory)
    path = file or connection.cpa.file
    if path is None:
        raise UsageError("FILE is not given, and the inventory has no connection_cpa.file: name the CPA")
    try:
        remarks = remarks_on(read_received(path), connection)
    except MalformedError as error:
        raise KitError(f"'{path}' is no CPA that an adapter takes: {error}; ask for it anew") from error
    write_json({"file": path, "cpa": connection.cpa.id, "remarks": [asdict(each) for each in remarks]}, json_file)
    raise typer.Exit(_show(remarks, path, console(json_file)))


def _without_its_cpa(inventory: Path) -> Connection:
    """The connection, whatever is wrong with the CPA that it names: that is what is asked.

    Raises:
        InventoryError: when anything else is wrong.
    """
    from aansluitkit.connection import cpa_rules, examine  # noqa: PLC0415
    from aansluitkit.errors import InventoryError  # noqa: PLC0415

    found = examine(inventory)
    names = {rule.__name__ for rule in cpa_rules.RULES}
    others = [*(problem for problem in found.problems if problem.rule not in names), *found.blanks]
    if others or found.known is None:
        raise InventoryError(others)
    return found.known


def _show(remarks: list[Remark], path: Path, target: Console) -> int:
    for remark in remarks:
        style = "red" if remark.weight == "blocks" else "yellow"
        target.print(f"[{style}]{remark.weight}[/] {escape(str(remark))}", soft_wrap=True)
    blocking = sum(remark.weight == "blocks" for remark in remarks)
    if not remarks:
        told = "says what the inventory says"
    elif blocking:
        told = f"can't be used: {blocking} of {len(remarks)} differences block"
    else:
        told = f"can be used: {len(remarks)} differences, none of which blocks"
    target.print(f"{escape(str(path))} {told}", style="bold", soft_wrap=True)
    return 1 if blocking else 0


@app.command(epilog=examples("package inventories/gemeente-x/preprod --output servicecentrum"))
def package(
    inventory: Inventory,
    output: Annotated[Path, typer.Option(help="Folder for mail and attachments; it must not be there yet.")],
) -> None:
    """Write the mail to the Servicecentrum with its attachments, in Dutch: CPA, numbers, addresses, contacts.

    Refused while anything is missing that MijnOverheid wants to know by then. Read it before you send it.
    """
    from aansluitkit.documents.package import write_package  # noqa: PLC0415

    for path in write_package(inventory, output):
        print(path)
