"""Examining many inventories, one by one and against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from aansluitkit.certificates.internal_check import examine_internal
from aansluitkit.connection import examine, find_inventories
from aansluitkit.connection.loading import INVENTORY_FILE, load_inventory
from aansluitkit.connection.partial import known
from aansluitkit.connection.places import Places
from aansluitkit.errors import InventoryError, Problem
from aansluitkit.fleet.beside import holders_beside
from aansluitkit.fleet.conflicts import Claim, Holder, claims
from aansluitkit.fleet.new import SHARED
from aansluitkit.fleet.parallel import ask
from aansluitkit.fleet.register import open_register


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
        if path.is_file() and path.name != INVENTORY_FILE:
            message = f"is a file, and no {INVENTORY_FILE}: name the folder of an inventory, or one of customers"
            raise InventoryError([Problem(str(path), INVENTORY_FILE, message)])
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
    """Examine ``inventories``, each and together; ``tell`` is called with each as it has been read.

    The customers that stand beside them hold what they hold, so those count too, though they are not judged.
    """
    entries = []
    with open_register() as register:
        for entry, claimed in ask(_enter, inventories):
            folder = entry.inventory.resolve().parent
            register.enter(Holder(claim, entry.inventory, entry.customer, folder) for claim in claimed)
            tell(entry)
            entries.append(entry)
        others = holders_beside(_beside(inventories), register.claimed())
        register.enter(replace(holder, inventory=seen_from_here(holder.inventory)) for holder in others)
        return _held_together(entries, register.conflicts())


def _beside(inventories: Sequence[Path]) -> list[Path]:
    """The inventories of the same folders of customers, known by their shared defaults, that are not named."""
    named = {path.resolve() for path in inventories}
    roots = {path.parents[1] for path in named if (path.parents[1] / SHARED).is_dir()}
    found = [file.parent for root in sorted(roots) for file in sorted(root.glob(f"*/*/{INVENTORY_FILE}"))]
    return [path for path in found if path not in named and not path.parent.name.startswith(".")]


def seen_from_here(path: Path) -> Path:
    """The shorter name of ``path`` where it lies below the working folder: names of files stay readable."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _enter(inventory: Path) -> tuple[Entry, tuple[Claim, ...]]:
    found = examine(inventory)
    folder = inventory.resolve()
    internal = examine_internal(found)
    entry = Entry(
        inventory=inventory,
        customer=known(found.known, "name", folder.parent.name),
        environment=known(found.known, "environment", folder.name),
        problems=(*found.problems, *internal.problems),
        blanks=found.blanks,
        warnings=(*found.warnings, *internal.warnings),
    )
    return entry, claims(found.known) if found.known else ()


def _held_together(entries: list[Entry], found: dict[Path, list[tuple[str, str]]]) -> list[Entry]:
    return [
        replace(entry, problems=(*entry.problems, *_placed(entry.inventory, found[entry.inventory])))
        if entry.inventory in found
        else entry
        for entry in entries
    ]


def _placed(inventory: Path, findings: list[tuple[str, str]]) -> list[Problem]:
    places = Places(load_inventory(inventory))
    return [places.problem(path, message, "customers_share_nothing") for path, message in findings]
