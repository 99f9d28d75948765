"""One lab on a machine at a time: its namespaces and containers have fixed names."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aansluitkit.errors import KitError
from aansluitkit.lab.podman import VOLATILE
from aansluitkit.project import ROOT

_LOCK = Path("/run/lock/aansluitkit-lab")
_OWNER = VOLATILE / "owner"


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lab for as long as the block runs; the lock goes with the process, however that ends.

    Raises:
        KitError: when somebody else holds it.
    """
    with _LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise KitError(
                "the lab of this machine is being made or removed by another run: wait until that is done"
            ) from error
        try:
            yield
        finally:
            _LOCK.unlink(missing_ok=True)


def claim() -> None:
    """Note that the lab belongs to this work tree.

    Raises:
        KitError: when a lab of another work tree is there.
    """
    if _OWNER.is_file() and _OWNER.read_text() != str(ROOT):
        raise KitError(
            f"a lab of {_OWNER.read_text()} runs on this machine: remove it with 'make lab-down' there, or here"
        )
    VOLATILE.mkdir(mode=0o700, exist_ok=True)
    _OWNER.write_text(str(ROOT))
