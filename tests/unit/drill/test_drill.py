"""Balances, refusals and the page on drills; the drills themselves are held in the lab."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aansluitkit.connection import Component, load_connection
from aansluitkit.drill.balance import _balance, drilled
from aansluitkit.drill.drills import DRILLS
from aansluitkit.drill.report import Outcome, Report, Result, write_html
from aansluitkit.drill.run import choose, drill
from aansluitkit.errors import KitError
from aansluitkit.project import ROOT

LAB = ROOT / "inventories/lab"


def side(accepted: Sequence[str], taken: Sequence[str], **more: Any) -> dict[str, Any]:
    ended = dict.fromkeys(accepted, "DELIVERED")
    seen = {"accepted": accepted, "planned": len(accepted), "ended": ended, "taken": taken, "unsure": []}
    return {**seen, "longest_pause": 0.0, "pings": 0, "troubles": 0, "problems": [], **more}


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        (side(["a", "b"], []), side([], ["a", "b"]), (2, 2, 2, 0, 0)),
        (side(["a", "b"], []), side([], ["a"]), (2, 2, 1, 0, 1)),
        (side(["a", "b"], []), side([], ["a", "b", "a"]), (2, 2, 2, 1, 0)),
        (side(["a"], []), side([], ["a", "stranger"]), (1, 1, 1, 1, 0)),
        (side(["a"], [], planned=2), side([], ["a"]), (2, 1, 1, 0, 1)),
        (side(["a", "b"], []), side([], ["a"], unsure=["a", "b"]), (2, 2, 2, 0, 0)),
        (side(["a"], [], ended={"a": "EXPIRED"}), side([], ["a"]), (1, 0, 1, 0, 0)),
    ],
    ids=["whole", "lost", "doubled", "from nowhere", "not handed over", "answer was lost", "not acknowledged"],
)
def test_balance(own: dict[str, Any], other: dict[str, Any], expected: tuple[int, ...]) -> None:
    found = _balance(own, other)
    assert (found.sent, found.acknowledged, found.delivered, found.doubled, found.lost) == expected
    assert found.whole is (expected in {(2, 2, 2, 0, 0)})


def test_nothing_is_broken_outside_the_lab() -> None:
    with pytest.raises(KitError, match="no load goes to MijnOverheid"):
        drill(ROOT / "inventories/voorbeeldgemeente/production", [], lambda _: None, lambda _: None)


def test_unknown_drill_is_named() -> None:
    with pytest.raises(KitError, match="there is no drill 'earthquake': choose from adapter_node_killed, "):
        choose(["earthquake"])
    assert [each.name for each in choose(["partner_down", "adapters_killed"])] == ["adapters_killed", "partner_down"]


def test_drills_have_an_agreement_of_their_own() -> None:
    connection = load_connection(LAB)
    held = drilled(connection).cpa
    assert held.id != connection.cpa.id
    assert held.reliable
    assert held.retries.interval.total_seconds() < 6
    assert held.retries.persist_duration >= (1 + held.retries.count) * held.retries.interval


def test_page_tells_of_every_drill() -> None:
    page = (ROOT / "docs/drill.md").read_text()
    rows = [f"| `{held.name}` | {held.done} | {held.expected} | {held.heals} |" for held in DRILLS]
    assert [row for row in rows if row not in page] == []


def test_lab_has_what_drills_need() -> None:
    connection = load_connection(LAB)
    assert all(connection.hosts_of(component) for component in (Component.APPLICATION, Component.PARTNER))


def test_report_as_page(tmp_path: Path) -> None:
    balances = {"outbound": _balance(side(["a"], []), side([], ["a"]))}
    report = Report("inventories/lab", 3.0)
    report.outcomes += [
        Outcome("one", "done <here>", "expected", "heals", Result.PASSED, balances=balances),
        Outcome("two", "done", "expected", "heals", Result.SKIPPED, "there is no second one"),
    ]
    write_html(report, tmp_path / "drills.html")
    page = (tmp_path / "drills.html").read_text()
    assert "done &lt;here&gt;" in page
    assert "there is no second one" in page
    assert report.passed
    assert report.as_json()["drills"][0]["delivered"] == 1
