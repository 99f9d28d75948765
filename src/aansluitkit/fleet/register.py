"""Who claims what, in a database on disk, so that memory does not grow with the number of customers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aansluitkit.fleet.conflicts import Claim, Holder, conflicts

_SCHEMA = "CREATE TABLE holder (kind, value, path, inventory, customer, folder)"
# More than one customer: they differ in folder or in name.
_HELD_TWICE = """
SELECT holder.* FROM holder JOIN
    (SELECT kind, value FROM holder GROUP BY kind, value
     HAVING min(folder) <> max(folder) OR min(customer) <> max(customer)) AS twice
ON holder.kind = twice.kind AND holder.value = twice.value ORDER BY holder.rowid
"""


class Register:
    """The claims of many inventories, from which those that meet are taken out."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute(_SCHEMA)

    def enter(self, holders: Iterable[Holder]) -> None:
        """Enter what is claimed."""
        self._database.executemany("INSERT INTO holder VALUES (?, ?, ?, ?, ?, ?)", map(_row, holders))

    def claimed(self) -> Iterator[tuple[str, str]]:
        """Kind and value of all that is claimed, each once."""
        yield from self._database.execute("SELECT DISTINCT kind, value FROM holder")

    def conflicts(self) -> dict[Path, list[tuple[str, str]]]:
        """Each inventory that holds what another customer holds too, with the paths and what is wrong with them."""
        return conflicts(map(_holder, self._database.execute(_HELD_TWICE)))


@contextmanager
def open_register() -> Iterator[Register]:
    """A register of this run alone; SQLite keeps it in a file without name."""
    database = sqlite3.connect("")
    try:
        yield Register(database)
    finally:
        database.close()


def _row(holder: Holder) -> tuple[str, str, str, bytes, str, bytes]:
    claim = holder.claim
    return (
        claim.kind,
        claim.value,
        claim.path,
        os.fsencode(holder.inventory),
        holder.customer,
        os.fsencode(holder.folder),
    )


def _holder(row: tuple[str, str, str, bytes, str, bytes]) -> Holder:
    kind, value, path, inventory, customer, folder = row
    return Holder(Claim(kind, value, path), Path(os.fsdecode(inventory)), customer, Path(os.fsdecode(folder)))
