"""The date of an inventory's state: a document bears it, so that the same inventory gives the same document."""

from __future__ import annotations

import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

from aansluitkit.connection.loading import load_inventory


def date_of(inventory: Path) -> date:
    """The day on which ``inventory`` was last changed: by commit where git keeps it, else as its files say (UTC).

    Raises:
        InventoryError: when the inventory can't be read.
    """
    loaded = load_inventory(inventory)
    files = sorted({path.resolve() for path in (loaded.hosts_file, *loaded.contents) if path.is_file()})
    return _committed(files) or _written(files)


def _committed(files: list[Path]) -> date | None:
    """The day of the last commit of ``files``, unless git does not keep them or holds others than these."""
    names = [str(path) for path in files]
    if _git(files[0].parent, "status", "--porcelain", "--ignored", "--", *names) != "":
        return None
    told = _git(files[0].parent, "log", "-1", "--format=%cs", "--", *names)
    return date.fromisoformat(told) if told else None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _written(files: list[Path]) -> date:
    return datetime.fromtimestamp(max(path.stat().st_mtime for path in files), UTC).date()
