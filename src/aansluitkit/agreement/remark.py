"""What is said of a CPA."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class Weight(StrEnum):
    """What a remark does: refuse the CPA, or tell of something that messages survive."""

    BLOCKS = "blocks"
    WARNS = "warns"


SHOWN = 4  # places that a sentence names


@dataclass(frozen=True)
class Remark:
    """One thing about a CPA: ``found`` stands in it, ``expected`` should, and else ``consequence`` follows.

    ``places`` are the lines or actions where it is so, of what is said of several.
    """

    weight: Weight
    subject: str
    found: str
    expected: str
    consequence: str
    places: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.subject}{self._where()} is {self.found}, expected is {self.expected}: {self.consequence}"

    def _where(self) -> str:
        more = f" and {len(self.places) - SHOWN} more" if len(self.places) > SHOWN else ""
        return f" ({', '.join(self.places[:SHOWN])}{more})" if self.places else ""


def gathered(remarks: Iterable[Remark]) -> list[Remark]:
    """``remarks`` in their order, those that differ in their places alone as one; what blocks comes first."""
    found: dict[Remark, list[str]] = {}
    for remark in remarks:
        found.setdefault(replace(remark, places=()), []).extend(remark.places)
    whole = [replace(remark, places=tuple(dict.fromkeys(places))) for remark, places in found.items()]
    return sorted(whole, key=lambda remark: remark.weight is not Weight.BLOCKS)
