"""Holding drills: load both ways, one harm, its end, and the proof that all is whole again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from aansluitkit.connection import load_connection, refuse_load
from aansluitkit.drill.balance import RATE, Balances, drilled, under_load
from aansluitkit.drill.drills import DRILLS, Drill
from aansluitkit.drill.ground import Ground
from aansluitkit.drill.report import Outcome, Report, Result
from aansluitkit.errors import KitError
from aansluitkit.lab.lock import alone
from aansluitkit.verification import verify
from aansluitkit.verification.site import Site

CATCH_UP_SECONDS = 90.0
PINGS = "pong"  # of verify's checks: ping and pong, both ways
_READY_SECONDS = 60.0


def choose(names: Sequence[str]) -> list[Drill]:
    """The drills called ``names``, in their own order; all without any.

    Raises:
        KitError: when there is none of a name.
    """
    known = [drill.name for drill in DRILLS]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise KitError(f"there is no drill '{unknown[0]}': choose from {', '.join(known)}")
    return [drill for drill in DRILLS if not names or drill.name in names]


def drill(
    inventory: Path,
    names: Sequence[str],
    begin: Callable[[Drill], None],
    say: Callable[[Outcome], None],
    rate: float = RATE,
) -> Report:
    """Hold the drills called ``names`` on the lab of ``inventory``, or all, at ``rate`` messages a second each way.

    ``begin`` is called with each drill before it is held, ``say`` with each outcome.

    Raises:
        KitError: outside the lab, before anything is done; or when no messages go while nothing is wrong yet.
    """
    connection = load_connection(inventory)
    refuse_load(connection)
    chosen = choose(names)
    report = Report(str(inventory), rate)
    with alone(), closing(Site(connection, str(inventory))) as site:
        ground = Ground(inventory, drilled(connection), site)
        ground.power_on(*ground.all_hosts)  # what a drill that was broken off left
        with ground.agreement():
            for each in chosen:
                begin(each)
                outcome = _hold(ground, each, rate)
                report.outcomes.append(outcome)
                say(outcome)
    return report


def _hold(ground: Ground, held: Drill, rate: float) -> Outcome:
    began = time.monotonic()
    words = (held.name, held.done, held.expected, held.heals)
    missing = held.missing(ground.connection)
    if missing:
        return Outcome(*words, Result.SKIPPED, missing)
    healed, problem = 0.0, ""
    with under_load(ground.connection, rate) as streams:
        try:
            held.act(ground)
            healed = time.monotonic()
            if not streams.caught_up(CATCH_UP_SECONDS):
                problem = f"messages did not go again within {CATCH_UP_SECONDS:.0f} s"
            healed = time.monotonic() - healed
        except KitError as error:
            problem = str(error)
    problem = problem or _off_balance(streams.balances) or _unproved(ground.inventory)
    result = Result.FAILED if problem else Result.PASSED
    return Outcome(*words, result, problem, streams.balances, round(healed, 1), round(time.monotonic() - began, 1))


def _off_balance(balances: Balances) -> str:
    """What does not balance, or nothing."""
    for direction, balance in balances.items():
        if not balance.whole:
            tried = f"; tried again: {'; '.join(balance.problems[:3])}" if balance.problems else ""
            return f"{direction} does not balance: {balance.lost} lost, {balance.doubled} doubled{tried}"
    return ""


def _unproved(inventory: Path) -> str:
    """What verify finds wrong with Ping and Pong afterwards, once the nodes had time to become ready; or nothing."""
    until = time.monotonic() + _READY_SECONDS
    while True:
        report = verify(inventory, lambda check: None, PINGS)
        if report.proved or time.monotonic() > until:
            break
    return "; ".join(f"{check.id}: {check.message}" for check in report.checks if check.result == "failed")
