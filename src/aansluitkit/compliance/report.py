"""What a compliance run found: a case for each thing that was tried, for people and for machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aansluitkit.connection import Connection
from aansluitkit.documents.rendering import render, write


class Result(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_PLAYED = "not played"


_STYLE = {Result.PASSED: "green", Result.FAILED: "bold red", Result.NOT_PLAYED: "yellow"}
_DUTCH = {Result.PASSED: "geslaagd", Result.FAILED: "gezakt", Result.NOT_PLAYED: "niet gespeeld"}


@dataclass(frozen=True)
class Case:
    """One thing to be tried: its ``id`` never changes; ``english`` and ``dutch`` say what."""

    id: str
    english: str
    dutch: str


@dataclass(frozen=True)
class Outcome:
    """What came of a case: what was ``found``, and the ids of its messages. Moments are in UTC."""

    case: Case
    result: Result
    found: str
    message_ids: tuple[str, ...] = ()
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Report:
    """All cases of a run, in the order in which they ended."""

    inventory: str
    cpa_id: str
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    outcomes: list[Outcome] = field(default_factory=list)

    def count(self, result: Result) -> int:
        """Number of cases that ended with ``result``."""
        return sum(outcome.result is result for outcome in self.outcomes)

    @property
    def passed(self) -> bool:
        """Whether something passed and nothing failed; what was not played counts for nothing."""
        return self.count(Result.PASSED) > 0 and self.count(Result.FAILED) == 0

    def as_json(self) -> dict[str, Any]:
        """The report for machines: ``inventory``, ``cpa_id``, ``began``, ``outcomes`` and the three totals."""
        return {
            "inventory": self.inventory,
            "cpa_id": self.cpa_id,
            "began": self.began.isoformat(timespec="seconds"),
            "outcomes": [
                {**asdict(outcome), "at": outcome.at.isoformat(timespec="seconds")} for outcome in self.outcomes
            ],
            **{result.value.replace(" ", "_"): self.count(result) for result in Result},
        }


def show(console: Console, outcome: Outcome) -> None:
    """Print ``outcome`` as one line."""
    style, case = _STYLE[outcome.result], outcome.case
    found = f": {escape(outcome.found)}" if outcome.found else ""
    console.print(f"  [{style}]{outcome.result:<10}[/] {case.id:<32} {escape(case.english)}{found}", soft_wrap=True)


def summarise(console: Console, report: Report) -> None:
    """Print a table: for each kind of case, how many ended how."""
    kinds = list(dict.fromkeys(outcome.case.id.partition(".")[0] for outcome in report.outcomes))
    table = Table("cases", *(result.value for result in Result), box=None, pad_edge=False)
    for kind in kinds:
        of = [outcome.result for outcome in report.outcomes if outcome.case.id.partition(".")[0] == kind]
        table.add_row(kind, *(str(of.count(result) or "") for result in Result))
    table.add_row("together", *(str(report.count(result)) for result in Result), style="bold")
    console.print(table)


def write_html(report: Report, connection: Connection, path: Path) -> None:
    """Write ``report`` for the Tester (seed 5.3.4), in Dutch, without payloads, as one page."""
    totals = ", ".join(f"{report.count(result)} {_DUTCH[result]}" for result in Result)
    text = render(
        "compliancerapport.html.j2",
        report=report,
        connection=connection,
        totals=totals,
        dutch=_DUTCH,
        css={result: result.value.replace(" ", "-") for result in Result},
    )
    write(text, path)
