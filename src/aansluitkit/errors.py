"""The one exception tree of the kit: each message is a sentence that a person can act on."""

from __future__ import annotations

from dataclasses import dataclass


class KitError(Exception):
    """A failure that the user can mend; its text says what was found, what is expected and what to do."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an inventory.

    ``file`` is the path of the file that defines ``variable`` (a dotted path such as
    ``connection_zones.dmz.network``); ``message`` is the sentence without either of them.
    """

    file: str
    variable: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.variable}: {self.message}"


class InventoryError(KitError):
    """The inventory can't be used; ``problems`` holds everything that is wrong with it, not the first alone."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))
