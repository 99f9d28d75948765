"""The command itself and what its parts share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aansluitkit import sudo
from aansluitkit.errors import KitError

STATUS = (
    "Exit status: 0 done and proved; 1 something failed or is not finished; "
    "2 an inventory or the command line is wrong; 130 broken off."
)


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\n".join(["Examples:", *(f"  aansluitkit {line}" for line in lines), "", STATUS])


app = typer.Typer(
    help="One inventory, one connection to MijnOverheid: make it, check it, deploy it, document it, prove it.",
    epilog=examples(
        "new gemeente-x", "check inventories/", "deploy inventories/gemeente-x/preprod", "lab up inventories/lab"
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Inventory = Annotated[Path, typer.Argument(help="Folder of the inventory, such as inventories/lab.")]
Inventories = Annotated[
    list[Path], typer.Argument(metavar="PATH", help="Inventories, or folders of customers: all that lie below.")
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the result for machines here; - is standard output."),
]
AskSudo = Annotated[
    bool, typer.Option("--ask-become-pass", "-K", help="Ask for the password of sudo on the hosts, once.")
]


@app.callback(invoke_without_command=True)
def root(
    *,
    show_version: Annotated[bool, typer.Option("--version", is_eager=True, help="Show the version and stop.")] = False,
) -> None:
    """Only the version is the command's own."""
    if show_version:
        print(version("aansluitkit"))
        raise typer.Exit


def console(json_file: Path | None = None) -> Console:
    """Where people read: standard error when standard output is for machines."""
    return Console(file=sys.stderr if str(json_file) == "-" else sys.stdout, highlight=False)


def ask_sudo(*, ask: bool) -> None:
    """Ask at the terminal for the password of sudo on the hosts, for all that this command starts."""
    if not ask:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "--ask-become-pass: nobody can be asked here: write ansible_become_password in the vault of the inventory, "
            f"or name a file that holds the password in {sudo.VARIABLE}"
        )
    sudo.hand_on(typer.prompt("Password of sudo on the hosts", hide_input=True, err=True))


def write_json(result: Any, file: Path | None) -> None:
    """Write ``result`` to ``file``, whole or not at all, or to standard output for ``-``."""
    if file is None:
        return
    text = json.dumps(result, indent=2, ensure_ascii=False, default=str) + "\n"
    if str(file) == "-":
        sys.stdout.write(text)
        return
    if not file.parent.is_dir():
        raise KitError(f"--json {file}: folder {file.parent} is not there: make it first")
    from aansluitkit.documents.rendering import write  # noqa: PLC0415

    write(text, file)


@contextmanager
def bar(target: Console, what: str, total: int) -> Iterator[Progress]:
    """A progress bar with one task of ``total``, on a terminal alone; it is gone when the work is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=target, transient=True, disable=not target.is_terminal or total == 1) as progress:
        progress.add_task(what, total=total)
        yield progress


class UsageError(typer.TyperException):
    """The command line is wrong in a way that its types can't tell."""

    exit_code = 2
