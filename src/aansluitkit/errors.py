"""The one exception tree of the kit: each message is a sentence that a person can act on."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path


class KitError(Exception):
    """A failure that the user can mend; its text says what was found, what is expected and what to do."""


def printable(text: str) -> str:
    """``text`` on one line, with what can't be seen as its number."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def unexpected(judging: str, error: Exception) -> str:
    """The sentence about ``error``, which was raised while the kit judged ``judging`` and which nothing foresees."""
    others = "everything else was checked"
    if isinstance(error, OSError) and error.strerror:
        return f"{judging} can't be judged: {error.filename}: {error.strerror}: correct that; {others}"
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" at {Path(frame.filename).name} line {frame.lineno}" for frame in last)
    told = " ".join(str(error).split())[:200]
    return (
        f"{judging} can't be judged, by a defect of the kit: {type(error).__name__}{told and f' {told}'}{where}; "
        f"{others}: correct the problems that they found, and report this one if it remains"
    )


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an inventory, or that a person still has to fill in.

    ``file`` is the path of the file that defines ``variable`` (a dotted path such as
    ``connection_zones.dmz.network``) and ``line`` the line there, from 1, or 0 where the variable stands nowhere;
    ``message`` is the sentence without any of them; ``rule`` is the name of the rule that speaks, for machines.
    """

    file: str
    variable: str
    message: str
    line: int = 0
    rule: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return printable(f"{place}: {self.variable}: {self.message}")


class InventoryError(KitError):
    """The inventory can't be used; ``problems`` holds everything that is wrong with it, not the first alone."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))
