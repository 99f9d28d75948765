"""What drills found: what was done, how it healed, and the balance, for people and for machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aansluitkit.documents.rendering import render, write
from aansluitkit.drill.balance import Balances


class Result(StrEnum):
    """How a drill ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


_STYLE = {Result.PASSED: "green", Result.FAILED: "bold red", Result.SKIPPED: "yellow"}


@dataclass(frozen=True)
class Outcome:
    """How drill ``name`` ended.

    ``done``, ``expected`` and ``heals`` say what it is; ``problem`` what went wrong, or why it was skipped. Balances
    are by direction. ``healed_seconds`` is the time from the end of the harm until everything sent before had come.
    """

    name: str
    done: str
    expected: str
    heals: str
    result: Result
    problem: str = ""
    balances: Balances = field(default_factory=dict)
    healed_seconds: float = 0.0
    seconds: float = 0.0

    def total(self, what: str) -> int:
        """Both directions together: sent, acknowledged, delivered, doubled or lost."""
        return sum(int(getattr(balance, what)) for balance in self.balances.values())

    @property
    def pause_seconds(self) -> float:
        """The longest that no message came, in either direction."""
        return max((balance.pause_seconds for balance in self.balances.values()), default=0.0)


COUNTS = ("sent", "acknowledged", "delivered", "doubled", "lost")


@dataclass
class Report:
    """All drills of a run, in the order in which they ended."""

    inventory: str
    rate: float
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    outcomes: list[Outcome] = field(default_factory=list)

    def count(self, result: Result) -> int:
        """Number of drills that ended with ``result``."""
        return sum(outcome.result is result for outcome in self.outcomes)

    @property
    def passed(self) -> bool:
        """Whether something passed and nothing failed."""
        return self.count(Result.PASSED) > 0 and self.count(Result.FAILED) == 0

    def as_json(self) -> dict[str, Any]:
        """The report for machines: ``inventory``, ``rate``, ``began``, ``drills`` and the three totals."""
        return {
            "inventory": self.inventory,
            "rate": self.rate,
            "began": self.began.isoformat(timespec="seconds"),
            "drills": [
                {**asdict(outcome), **{what: outcome.total(what) for what in COUNTS}} for outcome in self.outcomes
            ],
            **{result.value: self.count(result) for result in Result},
        }


def show(console: Console, outcome: Outcome) -> None:
    """Print ``outcome`` as one line."""
    counts = ", ".join(f"{outcome.total(what)} {what}" for what in COUNTS) if outcome.balances else ""
    words = "; ".join(part for part in (counts, outcome.problem) if part)
    style = _STYLE[outcome.result]
    console.print(f"  [{style}]{outcome.result:<7}[/] {outcome.name:<24} {escape(words)}", soft_wrap=True)


def summarise(console: Console, report: Report) -> None:
    """Print a table with a row for each drill that was held."""
    table = Table("drill", *COUNTS, "longest pause (s)", "healed in (s)", box=None, pad_edge=False)
    for outcome in report.outcomes:
        if outcome.balances:
            counts = [str(outcome.total(what)) for what in COUNTS]
            style = _STYLE[outcome.result]
            seconds = f"{outcome.pause_seconds:.1f}", f"{outcome.healed_seconds:.1f}"
            table.add_row(f"[{style}]{outcome.name}[/]", *counts, *seconds)
    console.print(table)
    console.print(", ".join(f"{report.count(result)} {result}" for result in Result), style="bold")


def write_html(report: Report, path: Path) -> None:
    """Write ``report`` as one page without outside references."""
    write(render("drills.html.j2", report=report, counts=COUNTS, results=list(Result)), path)
