"""``make lab`` and ``make lab-down``: a whole connection on this machine, and nothing of it afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from aansluitkit.certificates.pkioverheid import Generation
from aansluitkit.connection import Connection, Environment, load_connection
from aansluitkit.connection.ansible_loader import host_variables
from aansluitkit.connection.loading import load_inventory
from aansluitkit.connection.places import Places
from aansluitkit.errors import InventoryError
from aansluitkit.lab import image, landscape
from aansluitkit.lab.adapter import check_adapter, declare_adapter, forget_adapter, refuse_change
from aansluitkit.lab.ansible import in_lab
from aansluitkit.lab.lock import alone, claim, claimed
from aansluitkit.lab.migration import forget
from aansluitkit.lab.pki import make_pki
from aansluitkit.lab.renewal import VARIABLES
from aansluitkit.lab.steps import Steps
from aansluitkit.playbook import play
from aansluitkit.project import ROOT, STATE
from aansluitkit.verification import Report, Result, show, verify, write_html

REPORT = STATE / "report"
TIMINGS = REPORT / "seconds.json"
GENERATION = "lab_pki_generation"


def lab_up(inventory: Path, console: Console) -> Report:
    """Make the lab of ``inventory``, or what of it is missing, prove it, and return the report.

    Raises:
        InventoryError: when the inventory is refused; nothing is made then.
        KitError: when a step fails, or another run is at it.
    """
    connection = load_connection(inventory)
    pki = connection.certificates.partner.parents[1]
    if not pki.exists() and (inventory / VARIABLES).exists():
        (inventory / VARIABLES).unlink()  # a renewal in a lab that went without being asked
        connection = load_connection(inventory)
    generation = _generation(connection, inventory)
    adapter = check_adapter()
    with alone():
        refuse_change(inventory, adapter)
        claim(inventory)
        declare_adapter(inventory, adapter)
        connection = load_connection(inventory)
        steps = Steps(console)
        with steps.step("certificates"):
            make_pki(connection, generation, pki, steps.say)
        with steps.step("host image"):
            image.build(steps.say)
        with steps.step("landscape"):
            landscape.up(inventory, steps.say)
        with steps.step("configuration"):
            steps.say(f"the organisation's adapter is {adapter}")
            log = STATE / "log/site.log"
            changed = play(ROOT / "playbooks/site.yml", inventory, log, steps.say, environment=in_lab())
            steps.say(f"{sum(changed.values())} tasks changed something")
        with steps.step("verification"):
            report = verify(inventory, lambda check: show(console, check))
        _write(report, connection, steps)
    _summarise(report, connection, console, steps)
    return report


def make_hosts(inventory: Path, say: Callable[[str], None]) -> None:
    """Make the networks and hosts of the lab of ``inventory``, or what of them is missing.

    Raises:
        KitError: when one can't be made, or another run is at it.
    """
    with alone():
        claim(inventory)
        image.build(say)
        landscape.up(inventory, say)


def lab_down(console: Console) -> None:
    """Remove the lab of this machine, whatever is left of it.

    Raises:
        KitError: when something can't be removed, or another run is at it.
    """
    with alone():
        inventory = claimed()
        landscape.down(Steps(console).say)
        if inventory:
            (inventory / VARIABLES).unlink(missing_ok=True)  # a renewal that was under way
            forget(inventory)  # and a migration
            forget_adapter(inventory)
        shutil.rmtree(STATE, ignore_errors=True)
    console.print("the lab is gone; what was slow to make stays in the cache")


def _generation(connection: Connection, inventory: Path) -> Generation:
    places = Places(load_inventory(inventory))
    if connection.environment is not Environment.LAB:
        message = f"is '{connection.environment}', and the lab is made of lab alone: use aansluitkit deploy for it"
        raise InventoryError([places.problem("environment", message, "lab")])
    found = next(iter(host_variables(inventory, GENERATION).values()))
    value = found.get(GENERATION, Generation.G4)
    if value not in list(Generation):
        message = f"is '{value}', which is no generation of PKIoverheid: write {' or '.join(Generation)}"
        raise InventoryError([places.of_variable(GENERATION, message, "lab")])
    return Generation(value)


def _write(report: Report, connection: Connection, steps: Steps) -> None:
    REPORT.mkdir(parents=True, exist_ok=True)
    (REPORT / "report.json").write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    TIMINGS.write_text(json.dumps(steps.seconds) + "\n", encoding="utf-8")
    write_html(report, connection, REPORT / "report.html")


def _summarise(report: Report, connection: Connection, console: Console, steps: Steps) -> None:
    table = Table("host", "runs", "addresses", box=None, pad_edge=False)
    for host in connection.hosts.values():
        addresses = ", ".join(f"{zone} {address}" for zone, address in host.addresses.items())
        table.add_row(host.name, ", ".join(host.components), addresses)
    console.print()
    console.print(table)
    console.print()
    for check in report.checks:
        if check.result is Result.FAILED:
            show(console, check)
    totals = ", ".join(f"{report.count(result)} {result}" for result in Result)
    verdict = "proved" if report.proved else "NOT proved"
    console.print(f"{connection.name}: {verdict} ({totals}) in {sum(steps.seconds.values()):.0f} s", style="bold")
    console.print(f"report: {REPORT / 'report.html'}", soft_wrap=True)
    following = "aansluitkit documents {0} --output FOLDER" if report.proved else "aansluitkit verify {0}"
    console.print(f"next:   .venv/bin/{following.format(report.inventory)}", soft_wrap=True)
