"""What the customers claim that stand beside those that are named.

Reading an inventory takes a hundred times as long as seeing that none of its files changed. So what it claims is kept
from run to run, in the kit's cache, of inventories that are merged from their files and from nothing else. It is
believed as long as those files and their folders, the shared defaults among them, and the kit are the same ones; what
can't be believed is read. The file is replaced whole, never written in. No secret is in it.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import pydantic

from aansluitkit import connection
from aansluitkit.connection.inventory import connection_fields
from aansluitkit.connection.loading import INVENTORY_FILE, VARIABLE_FOLDERS, load_inventory
from aansluitkit.connection.partial import known, partial_connection
from aansluitkit.errors import InventoryError
from aansluitkit.fleet.conflicts import Claim, Holder, claims
from aansluitkit.fleet.parallel import ask
from aansluitkit.project import cache

FILE = "claims.sqlite"
GRAIN_SECONDS = 2  # of a file system's clock, at worst: what changed so lately may change again and look the same
MOST_PLACES = 1000  # files and folders of an inventory of which claims are kept; one has about ten

_SCHEMA = """
CREATE TABLE inventory (id INTEGER PRIMARY KEY, path UNIQUE, customer, folder, places, state);
CREATE TABLE claim (kind, value, path, inventory);
CREATE INDEX claim_value ON claim (value, kind);
CREATE INDEX claim_inventory ON claim (inventory);
"""
_CLAIMANTS = """
SELECT claim.path, inventory.path, customer, folder FROM claim JOIN inventory ON inventory.id = claim.inventory
WHERE value = ? AND kind = ? ORDER BY inventory.path
"""


@dataclass(frozen=True)
class _Read:
    """What an inventory claims, and the places that was read from; ``state`` is empty where it may not be kept."""

    inventory: Path
    customer: str = ""
    claims: tuple[Claim, ...] = ()
    places: bytes = b""
    state: str = ""


def holders_beside(inventories: Sequence[Path], wanted: Iterable[tuple[str, str]]) -> list[Holder]:
    """Who of ``inventories`` claims what is ``wanted``, kinds and values; what can't be read claims nothing."""
    asked = list(wanted) if inventories else []
    try:
        with closing(_kept(cache() / FILE)) as kept:
            return _holders(kept, inventories, asked)
    except sqlite3.Error:  # whatever else it is that lies there
        with closing(_empty()) as kept:
            return _holders(kept, inventories, asked)


def _holders(kept: sqlite3.Connection, inventories: Sequence[Path], wanted: list[tuple[str, str]]) -> list[Holder]:
    beside = {os.fsencode(inventory): inventory for inventory in inventories}
    rows = kept.execute("SELECT path, places, state FROM inventory WHERE typeof(places) = 'blob' AND state <> ''")
    same = {path for path, places, state in rows if path in beside and _state(path, places) == state}
    changed = [inventory for path, inventory in beside.items() if path not in same]
    with closing(_renewed(kept, changed) if changed else kept) as database:
        return [
            Holder(Claim(kind, value, path), beside[inventory], customer, Path(os.fsdecode(folder)))
            for kind, value in wanted
            for path, inventory, customer, folder in database.execute(_CLAIMANTS, (value, kind))
            if inventory in beside
        ]


def _kept(file: Path) -> sqlite3.Connection:
    """What an earlier run kept, to be read alone; nothing when that is not a file that only this user can write."""
    try:
        status = file.lstat()
    except OSError:
        return _empty()
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        return _empty()
    return sqlite3.connect(f"file:{quote(str(file))}?mode=ro&immutable=1", uri=True)


def _empty() -> sqlite3.Connection:
    database = sqlite3.connect("")
    database.executescript(_SCHEMA)
    return database


def _renewed(kept: sqlite3.Connection, changed: Sequence[Path]) -> sqlite3.Connection:
    """A copy of ``kept`` in which ``changed`` are read anew; the next run finds it, where there is room for it."""
    making = _new_file()
    try:
        database = sqlite3.connect(making)
        kept.backup(database)
        _forget(database, changed)
        for read in ask(_read, changed):
            _enter(database, read)
        database.commit()
        if making:
            with suppress(OSError):  # a folder lies there
                Path(making).replace(cache() / FILE)
    finally:
        if making:
            Path(making).unlink(missing_ok=True)
    return database


def _new_file() -> str:
    """A file that only this user can read; '', which is SQLite's file without name, where none can be made."""
    folder = cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, path = tempfile.mkstemp(prefix=f".{FILE}.", dir=folder)
    except OSError:
        return ""
    os.close(handle)
    return path


def _forget(database: sqlite3.Connection, changed: Sequence[Path]) -> None:
    """Drop what is to be read anew, and what is there no more."""
    anew = {os.fsencode(inventory) for inventory in changed}
    rows = database.execute("SELECT id, path FROM inventory").fetchall()
    dropped = [(number,) for number, path in rows if path in anew or not os.path.lexists(path)]
    database.executemany("DELETE FROM claim WHERE inventory = ?", dropped)
    database.executemany("DELETE FROM inventory WHERE id = ?", dropped)


def _enter(database: sqlite3.Connection, read: _Read) -> None:
    path, folder = os.fsencode(read.inventory), os.fsencode(read.inventory.parent.resolve())
    row = (path, read.customer, folder, read.places, read.state)
    number = database.execute("INSERT INTO inventory VALUES (NULL, ?, ?, ?, ?, ?)", row).lastrowid
    rows = ((claim.kind, claim.value, claim.path, number) for claim in read.claims)
    database.executemany("INSERT INTO claim VALUES (?, ?, ?, ?)", rows)


def _read(inventory: Path) -> _Read:
    began = time.time()
    try:
        loaded = load_inventory(inventory)
    except InventoryError:
        return _Read(inventory)
    found = partial_connection(connection_fields(loaded), set())
    read = _Read(inventory, known(found, "name", inventory.parent.name), claims(found))
    path, places = os.fsencode(inventory), list(islice(_places(inventory), MOST_PLACES))
    last = max(max(status[-2:]) for status in _statuses(path, places) if status) / 10**9
    if not loaded.is_plain or len(places) == MOST_PLACES or last > began - GRAIN_SECONDS:
        return read
    joined = b"\0".join(places)
    return replace(read, places=joined, state=_state(path, joined))


def _places(inventory: Path) -> Iterator[bytes]:
    """The files that a plain inventory is merged from, and the folders in which another one would count."""
    yield os.fsencode(INVENTORY_FILE)
    for part in VARIABLE_FOLDERS:
        yield os.fsencode(part)
        for inside, folders, files in os.walk(inventory / part, followlinks=True):
            yield from (os.fsencode(Path(inside, name).relative_to(inventory)) for name in (*folders, *files))


def _state(inventory: bytes, places: bytes) -> str:
    """Differs as soon as one of ``places`` or the kit does."""
    return hashlib.blake2b(
        repr((_kit(), _statuses(inventory, places.split(b"\0")))).encode(), digest_size=16
    ).hexdigest()


def _statuses(inventory: bytes, places: Iterable[bytes]) -> list[tuple[int, ...]]:
    """Inode, size, and moments of change of each place, in nanoseconds; empty for what is not there."""
    found: list[tuple[int, ...]] = []
    for place in places:
        try:
            status = os.stat(inventory + b"/" + place)  # noqa: PTH116 - ten for each of thousands of inventories
        except OSError:
            found.append(())
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return found


@lru_cache(maxsize=1)
def _kit() -> str:
    """What reads inventories: the kit's own code and the library that judges values."""
    folder = Path(connection.__file__).parents[1]
    files = sorted(
        os.fsencode(path.relative_to(folder))
        for part in ("connection", "fleet")
        for path in folder.glob(f"{part}/*.py")
    )
    return repr((pydantic.VERSION, files, _statuses(os.fsencode(folder), files)))
