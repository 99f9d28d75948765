"""Examining many inventories, one by one and against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from aansluitkit.connection import Connection, examine, find_inventories
from aansluitkit.connection.loading import load_inventory
from aansluitkit.connection.partial import Unknown
from aansluitkit.connection.places import Places
from aansluitkit.errors import InventoryError, Problem
from aansluitkit.fleet.conflicts import Claim, Holder, claims, conflicts
from aansluitkit.fleet.parallel import ask


class Result(StrEnum):
    """What an inventory turned out to be."""

    VALID = "valid"
    BLANKS = "blanks"  # nothing wrong, but a person still has values to fill in
    REFUSED = "refused"


@dataclass(frozen=True)
class Entry:
    """What is kept of one inventory: little, for there may be thousands."""

    inventory: Path
    customer: str
    environment: str
    problems: tuple[Problem, ...] = ()
    blanks: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    claims: tuple[Claim, ...] = ()

    @property
    def result(self) -> Result:
        """Refused, blanks or valid, in this order."""
        if self.problems:
            return Result.REFUSED
        return Result.BLANKS if self.blanks else Result.VALID


def find(paths: Sequence[Path]) -> list[Path]:
    """The inventories at or below each of ``paths``, each once; hidden folders hold what is being made.

    Raises:
        InventoryError: when a path holds none.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        folder = path.parent if path.is_file() else path
        below = [one for one in find_inventories(folder) if not _is_hidden(one.relative_to(folder))]
        if not below:
            what = "holds no inventory, a folder with that file" if path.exists() else "does not exist"
            raise InventoryError([Problem(str(path), "hosts.yml", f"{what}: name one, or a folder of customers")])
        found.update((one.resolve(), one) for one in below)
    return list(found.values())


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def survey(inventories: Sequence[Path], tell: Callable[[Entry], None] = lambda entry: None) -> list[Entry]:
    """Examine ``inventories``, each and together; ``tell`` is called with each as it has been read."""
    entries = []
    for entry in ask(_enter, inventories):
        tell(entry)
        entries.append(entry)
    return _held_together(entries)


def _enter(inventory: Path) -> Entry:
    found = examine(inventory)
    folder = inventory.resolve()
    return Entry(
        inventory=inventory,
        customer=_known(found.known, "name", folder.parent.name),
        environment=_known(found.known, "environment", folder.name),
        problems=found.problems,
        blanks=found.blanks,
        warnings=found.warnings,
        claims=claims(found.known) if found.known else (),
    )


def _known(connection: Connection | None, field: str, otherwise: str) -> str:
    try:
        return str(getattr(connection, field)) if connection else otherwise
    except Unknown:
        return otherwise


def _held_together(entries: list[Entry]) -> list[Entry]:
    found = conflicts(Holder(claim, entry.inventory, entry.customer) for entry in entries for claim in entry.claims)
    return [
        replace(entry, problems=(*entry.problems, *_placed(entry.inventory, found[entry.inventory])))
        if entry.inventory in found
        else entry
        for entry in entries
    ]


def _placed(inventory: Path, findings: list[tuple[str, str]]) -> list[Problem]:
    places = Places(load_inventory(inventory))
    return [places.problem(path, message, "customers_share_nothing") for path, message in findings]
