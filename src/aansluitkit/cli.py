"""The ``aansluitkit`` command: a thin face of the package.

Exit status: 0 done and proved, 1 something failed or was not proved, 2 the inventory or the command line is wrong.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from aansluitkit.connection import load_connection
from aansluitkit.errors import InventoryError, KitError
from aansluitkit.project import use_own_tools

app = typer.Typer(
    help="One inventory, one connection to MijnOverheid: check it, document it, prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
lab = typer.Typer(help="A whole connection on this machine.", no_args_is_help=True)
app.add_typer(lab, name="lab")
Inventory = Annotated[Path, typer.Argument(help="Folder of the inventory, such as inventories/lab.")]


def main() -> None:
    """Run the command; every failure is one sentence per cause, never a traceback."""
    use_own_tools()
    try:
        app()
    except InventoryError as error:
        _fail(f"the inventory is refused, nothing was changed:\n{error}", 2)
    except KitError as error:
        _fail(str(error), 1)
    except OSError as error:
        _fail(f"{error.filename or 'the machine'}: {error.strerror}: mend that and start it again", 1)
    except KeyboardInterrupt:
        _fail("broken off; start it again to go on", 130)


def _fail(message: str, status: int) -> None:
    print(f"aansluitkit: {message}", file=sys.stderr)
    raise SystemExit(status)


@app.command()
def check(inventory: Inventory) -> None:
    """Check an inventory against every rule, without touching a host."""
    connection = load_connection(inventory)
    print(
        f"{inventory}: connection '{connection.name}' ({connection.environment}), {len(connection.hosts)} hosts: valid"
    )


@app.command()
def documents(
    inventory: Inventory,
    output: Annotated[Path, typer.Option(help="Folder for the documents; made where it is absent.")],
) -> None:
    """Write CPA, consumerspecificatie and the topology of an inventory."""
    from aansluitkit.documents import write_documents  # noqa: PLC0415

    for path in write_documents(load_connection(inventory), output):
        print(path)


@app.command()
def verify(
    inventory: Inventory,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report for machines here.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write the report for people here.")] = None,
    only: Annotated[str, typer.Option("--only", "-k", help="Only the checks whose name matches.")] = "",
) -> None:
    """Prove that what is deployed is what was declared: DNS, flows, two-way TLS, CPA, Ping and Pong."""
    from aansluitkit.verification import Result, show, verify, write_html  # noqa: PLC0415

    console = Console(file=sys.stdout)
    report = verify(inventory, lambda found: show(console, found), only)
    if json_file:
        json_file.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    if html_file:
        write_html(report, load_connection(inventory), html_file)
    console.print(", ".join(f"{report.count(result)} {result}" for result in Result))
    raise SystemExit(0 if report.proved else 1)


@app.command()
def ping(
    cpa: Annotated[Path, typer.Option(help="The CPA (XML).")],
    certificate: Annotated[Path, typer.Option(help="Our certificate and its intermediates (PEM).")],
    key: Annotated[Path, typer.Option(help="Its private key (PEM).")],
    trust: Annotated[Path, typer.Option(help="Roots that the partner's certificate may end in (PEM).")],
    sender: Annotated[str, typer.Option("--from", help="Our party in the CPA: its OIN, or type:OIN.")],
    address: Annotated[str | None, typer.Option(help="Address to use instead of what the name resolves to.")] = None,
) -> None:
    """Send one ebMS Ping without an adapter and check the Pong."""
    from aansluitkit.ebms.errors import HopError  # noqa: PLC0415
    from aansluitkit.ebms.ping import Credentials, ping  # noqa: PLC0415

    try:
        answered = ping(cpa, Credentials(certificate, key, trust), sender, address)
    except HopError as error:
        raise KitError(f"no Pong: hop {error.hop}: {error}") from error
    header = answered.pong.header
    print(f"Pong from {header.sender} at {answered.endpoint} in {answered.seconds * 1000:.0f} ms ({header.message_id})")


@lab.command("up")
def make_lab(inventory: Inventory) -> None:
    """Make the lab and prove it; what is there already stays."""
    from aansluitkit.lab.up import lab_up  # noqa: PLC0415

    report = lab_up(inventory, Console(file=sys.stdout))
    raise SystemExit(0 if report.proved else 1)


@lab.command("down")
def remove_lab() -> None:
    """Remove the lab and everything that it made outside the caches."""
    from aansluitkit.lab.up import lab_down  # noqa: PLC0415

    lab_down(Console(file=sys.stdout))
