"""The commands that reach hosts: plan, up, destroy, deploy, verify, ping."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from aansluitkit.cli.app import (
    AskSudo,
    Inventories,
    Inventory,
    JsonFile,
    UsageError,
    app,
    ask_sudo,
    console,
    examples,
    write_json,
)
from aansluitkit.connection import Environment, load_connection
from aansluitkit.errors import InventoryError, KitError
from aansluitkit.project import STATE

if TYPE_CHECKING:
    from aansluitkit.connection import Connection
    from aansluitkit.fleet.deploy import Deploy, Outcome


Yes = Annotated[bool, typer.Option("--yes", help="Don't ask.")]


@app.command(epilog=examples("plan inventories/gemeente-x/preprod"))
def plan(inventory: Inventory, *, ask_become_pass: AskSudo = False) -> None:
    """Show what differs between an inventory and the networks, hosts and configuration that are there.

    Nothing is changed. Status 1: something differs.
    """
    from aansluitkit.landscape import plan  # noqa: PLC0415

    _deployable(inventory)
    ask_sudo(ask=ask_become_pass)
    changes = plan(inventory, _say)
    print(f"{inventory}: {changes}")
    raise typer.Exit(1 if changes else 0)


@app.command(epilog=examples("up inventories/gemeente-x/preprod", "up inventories/gemeente-x/production --yes"))
def up(inventory: Inventory, *, yes: Yes = False, ask_become_pass: AskSudo = False) -> None:
    """Make the networks and hosts of an inventory, repair what differs, and leave the rest alone.

    In production it shows what would change and asks. Hosts that are new get their configuration by deploy.
    """
    from aansluitkit.landscape import up  # noqa: PLC0415

    connection = _deployable(inventory)
    if connection.environment is Environment.PRODUCTION:
        _need_answer(f"{inventory} is production", yes=yes)
    ask_sudo(ask=ask_become_pass)
    changes = up(inventory, _say, lambda found: yes or typer.confirm(f"{inventory}: production: {found}. Go on?"))
    print(f"{inventory}: {f'done: {changes}' if changes else changes}")


@app.command(epilog=examples("destroy inventories/gemeente-x/preprod"))
def destroy(inventory: Inventory, *, yes: Yes = False) -> None:
    """Remove the networks and hosts that up made, after asking; never in production."""
    from aansluitkit.landscape import destroy  # noqa: PLC0415

    _need_answer(f"{inventory} would be removed", yes=yes)
    destroy(inventory, _say, lambda found: yes or typer.confirm(f"{inventory}: {found}. Remove it?"))
    print(f"{inventory}: removed")


def _say(message: str) -> None:
    print(f"  {message}", flush=True)


def _deployable(inventory: Path) -> Connection:
    from aansluitkit.connection import refuse_deployment  # noqa: PLC0415
    from aansluitkit.fleet.survey import survey  # noqa: PLC0415

    connection = load_connection(inventory)
    refuse_deployment(inventory, connection)
    [entry] = survey([inventory])
    if entry.problems:
        raise InventoryError(list(entry.problems))
    refuse_another_lab(inventory, connection)
    return connection


def refuse_another_lab(inventory: Path, connection: Connection) -> None:
    """Refuse what is meant for the lab of ``inventory`` while another one stands on this machine.

    Raises:
        KitError: when that is so.
    """
    if connection.environment is Environment.LAB:
        from aansluitkit.lab.lock import refuse_another  # noqa: PLC0415

        refuse_another(inventory)


def _need_answer(what: str, *, yes: bool) -> None:
    if not yes and not sys.stdin.isatty():
        raise UsageError(f"{what}, and nobody can be asked here: add --yes when it is meant")


@app.command(
    epilog=examples(
        "deploy inventories/gemeente-x/preprod --check",
        "deploy inventories/ --workers 4 --logs logs",
        "deploy inventories/gemeente-x/production --limit firewall --yes",
    )
)
def deploy(
    paths: Inventories,
    limit: Annotated[
        str | None, typer.Option(metavar="HOSTS", help="Only these hosts or groups (Ansible's --limit).")
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--check", help="Show what would change, and change nothing.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Inventories at once.")] = os.cpu_count() or 1,
    logs: Annotated[
        Path,
        typer.Option(help="Folder of the logs: one for each inventory.", show_default=".lab/log/deploy of the project"),
    ] = STATE / "log/deploy",
    yes: Yes = False,
    ask_become_pass: AskSudo = False,
) -> None:
    """Configure the hosts of one or many inventories, side by side: ansible-playbook with playbooks/site.yml.

    All inventories are checked first, also against the customers beside them; when one is refused, nothing is deployed.
    One that fails stops no other. Labs and examples below a folder are left out.
    """
    from aansluitkit.fleet.deploy import deploy_all  # noqa: PLC0415

    connections = _ready(paths)
    if not dry_run:
        _confirm(connections, yes=yes)
    ask_sudo(ask=ask_become_pass)
    options = (*(["--limit", limit] if limit else []), *(["--check"] if dry_run else []))
    deploys = [_deploy(path, connection, logs, options) for path, connection in connections.items()]
    target = console()
    with _Progress(target, len(deploys)) as progress:
        outcomes = deploy_all(deploys, workers, progress.play, progress.ended)
    raise typer.Exit(_summarise(outcomes, target))


def _ready(paths: list[Path]) -> dict[Path, Connection]:
    """The connection of each inventory; all problems of all of them are told before anything runs.

    Of a folder, the lab and examples are left out; who names one gets it, or hears that nobody can.
    """
    from aansluitkit.connection import refuse_deployment  # noqa: PLC0415
    from aansluitkit.fleet.survey import find, survey  # noqa: PLC0415

    inventories = find(paths)
    refused = [problem for entry in survey(inventories) for problem in (*entry.problems, *entry.blanks)]
    if refused:
        raise InventoryError(refused)
    named = {(path.parent if path.is_file() else path).resolve() for path in paths}
    connections = {inventory: load_connection(inventory) for inventory in inventories}
    chosen = {
        inventory: connection
        for inventory, connection in connections.items()
        if inventory.resolve() in named or not (connection.example or connection.environment is Environment.LAB)
    }
    for inventory, connection in chosen.items():
        refuse_deployment(inventory, connection)
        refuse_another_lab(inventory, connection)
    if not chosen:
        raise UsageError(
            f"{', '.join(map(str, paths))} holds nothing but examples and labs: name the one that is meant"
        )
    return chosen


def _confirm(connections: dict[Path, Connection], *, yes: bool) -> None:
    names = [str(path) for path, found in connections.items() if found.environment is Environment.PRODUCTION]
    if not names or yes:
        return
    _need_answer(f"{', '.join(names)} is production", yes=yes)
    if not typer.confirm(f"{', '.join(names)}: production. Deploy?"):
        raise KitError("not confirmed: nothing was changed")


def _deploy(inventory: Path, connection: Connection, logs: Path, options: tuple[str, ...]) -> Deploy:
    from aansluitkit.fleet.deploy import Deploy  # noqa: PLC0415
    from aansluitkit.lab.ansible import settings_for  # noqa: PLC0415

    name = connection.full_name
    return Deploy(inventory, name, logs.resolve() / f"{name}.log", options, settings_for(connection))


class _Progress:
    """What runs now, a line for each, and a line for each that ended; without a terminal the latter alone."""

    def __init__(self, target: Console, deploys: int) -> None:
        self._console = target
        self._left = deploys
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=target, transient=True, disable=not target.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> _Progress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def play(self, deploy: Deploy, name: str) -> None:
        """``name`` is the play that begins."""
        with self._guard:
            task = self._tasks.get(deploy.name)
            if task is None:
                task = self._tasks[deploy.name] = self._progress.add_task("")
        self._progress.update(task, description=escape(f"{deploy.name}: {name}"))

    def ended(self, outcome: Outcome) -> None:
        """Tell how one ended."""
        with self._guard:
            task = self._tasks.pop(outcome.deploy.name, None)
            self._left -= 1
        if task is not None:
            self._progress.remove_task(task)
        words = f"{outcome.deploy.name}: {outcome.result} in {outcome.seconds:.0f} s, {self._left} to go"
        self._console.print(escape(words), soft_wrap=True)


def _summarise(outcomes: list[Outcome], target: Console) -> int:
    """The table and the exit status."""
    from aansluitkit.fleet.deploy import Result  # noqa: PLC0415

    styles = {Result.DONE: "green", Result.FAILED: "bold red"}
    table = Table("inventory", "result", "changed", "seconds", "log", box=None, pad_edge=False)
    for outcome in outcomes:
        style = styles.get(outcome.result, "yellow")
        seconds = f"{outcome.seconds:.0f}" if outcome.seconds else ""
        changed = str(outcome.changed) if outcome.result is Result.DONE else ""
        log = str(outcome.deploy.log) if outcome.seconds else ""
        table.add_row(outcome.deploy.name, f"[{style}]{outcome.result}[/]", changed, seconds, escape(log))
    target.print(table)
    for outcome in outcomes:
        if outcome.result is Result.FAILED:
            target.print(f"[bold red]failed[/] {escape(f'{outcome.deploy.name}: {outcome.message}')}", soft_wrap=True)
    counts = Counter(outcome.result for outcome in outcomes)
    target.print(", ".join(f"{counts[result]} {result}" for result in Result), style="bold")
    left = [outcome.deploy.name for outcome in outcomes if outcome.result in (Result.BROKEN_OFF, Result.NOT_BEGUN)]
    if left:
        target.print(f"left: {', '.join(left)}; deploy them again, what is done changes nothing", soft_wrap=True)
        return 130
    return 1 if counts[Result.FAILED] else 0


@app.command(epilog=examples("verify inventories/lab", "verify inventories/gemeente-x/preprod --html proof.html"))
def verify(
    inventory: Inventory,
    json_file: JsonFile = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write the report for people here.")] = None,
    only: Annotated[str, typer.Option("--only", "-k", help="Only the checks whose name matches.")] = "",
    timeout: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="Leave what is not checked by then; it is not proved.",
            show_default="ten minutes",
        ),
    ] = None,
    *,
    ask_become_pass: AskSudo = False,
) -> None:
    """Prove that what is deployed is what was declared: DNS, flows, two-way TLS, CPA, Ping and Pong."""
    from aansluitkit.verification import LIMIT_SECONDS, Result, show, verify, write_html  # noqa: PLC0415

    target = console(json_file)
    refuse_another_lab(inventory, load_connection(inventory))
    ask_sudo(ask=ask_become_pass)
    limit = timeout or LIMIT_SECONDS
    report = verify(inventory, lambda found: show(target, found), only, limit)
    write_json(report.as_json(), json_file)
    if html_file:
        write_html(report, load_connection(inventory), html_file)
    target.print(", ".join(f"{report.count(result)} {result}" for result in Result))
    if report.count(Result.UNCHECKED):
        target.print(f"not proved: {limit} s were not enough; mend what failed, or give more with --timeout")
    raise typer.Exit(0 if report.proved else 1)


@app.command(
    epilog=examples("ping --cpa cpa.xml --certificate certificate.pem --key key.pem --trust roots.pem --from OIN")
)
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
