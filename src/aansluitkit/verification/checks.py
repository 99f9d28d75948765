"""A check, its hop on the path between two adapters, and the report of them all."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

# In the order in which a message meets them; a failing hop hides those behind it.
HOPS = (
    "dns",
    "route",
    "firewall",
    "load_balancer",
    "tls_server",
    "tls_client",
    "http",
    "cpa",
    "ping",
    "pong",
)


class Result(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNCHECKED = "unchecked"  # the run ended before it


@dataclass(frozen=True)
class Check:
    """One thing that was tried; ``message`` says what was found and, when it failed, what to do and whom to call."""

    id: str
    hop: str
    result: Result
    message: str


@dataclass
class Report:
    """All checks of one inventory, in the order in which they ran."""

    inventory: str
    checks: list[Check] = field(default_factory=list)

    def count(self, result: Result) -> int:
        """Number of checks that ended with ``result``."""
        return sum(check.result is result for check in self.checks)

    @property
    def proved(self) -> bool:
        """Whether something passed, nothing failed, and nothing was left."""
        return self.count(Result.PASSED) > 0 and not self.count(Result.FAILED) and not self.count(Result.UNCHECKED)

    def as_json(self) -> dict[str, Any]:
        """The report for machines: ``inventory``, ``checks`` and a total of each result."""
        return {
            "inventory": self.inventory,
            "checks": [asdict(check) for check in self.checks],
            **{result.value: self.count(result) for result in Result},
        }
