"""The moment that a database is put back to."""

from __future__ import annotations

from datetime import UTC, datetime

from aansluitkit.backup.manifest import Manifest
from aansluitkit.errors import KitError

EXAMPLE = "2026-11-25T03:59:00+00:00"
TAKEN_AT = "%Y-%m-%dT%H%M%S%z"  # as playbooks/backup.yml names a backup


def recovery_time(given: str, manifest: Manifest, *, later: bool, now: datetime | None = None) -> str:
    """``given`` (ISO 8601) as pgBackRest takes it for ``--target``; it chooses the backup by it in no other spelling.

    Args:
        given: ``restore_to``, as a user wrote it.
        manifest: of the backup that is restored.
        later: whether the repository holds what was written after the backup too: it does not lie in the backup.
        now: the present, for tests.

    Raises:
        KitError: when it is not a moment with a time zone, or the backup does not hold it.
    """
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not any(mark in given for mark in "T "):
        raise KitError(
            f"restore_to is {given!r}, which is not a date and time with a time zone: write it as "
            f"-e restore_to={EXAMPLE}"
        )
    if moment > (now or datetime.now(UTC)):
        raise KitError(f"restore_to is {given}, which lies in the future: choose a moment that has passed")
    first = manifest.restorable_from
    if first and moment < datetime.fromisoformat(first):
        raise KitError(
            f"restore_to is {given}, and this backup goes back to {first}: choose a later moment, or an older backup"
        )
    if not later and moment > datetime.strptime(manifest.taken_at, TAKEN_AT):
        raise KitError(
            f"restore_to is {given}, and this backup was made at {manifest.taken_at}: choose a backup that was made "
            "after it"
        )
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
