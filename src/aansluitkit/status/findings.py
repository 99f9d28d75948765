"""What is found of a connection, and how bad it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad something is, the worst first."""

    PROBLEM = "problem"  # messages stand still, or soon will
    WARNING = "warning"  # a person should look today
    FINE = "fine"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: where, what, what was found, and what to do when it is not as it should be."""

    where: str
    what: str
    found: str
    verdict: Verdict = Verdict.FINE
    advice: str = ""


def worst(findings: Iterable[Finding]) -> Verdict:
    """The worst verdict among ``findings``."""
    return min((finding.verdict for finding in findings), key=list(Verdict).index, default=Verdict.FINE)
