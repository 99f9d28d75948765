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


def claim(inventory: Path) -> None:
    """Note that the lab is that of ``inventory``, in this work tree.

    Raises:
        KitError: when another lab is there.
    """
    refuse_another(inventory)
    VOLATILE.mkdir(mode=0o700, exist_ok=True)
    _OWNER.write_text(f"{ROOT}\n{inventory.resolve()}\n")


def refuse_another(inventory: Path) -> None:
    """Refuse what is meant for the lab of ``inventory`` while another one stands on this machine.

    Raises:
        KitError: when another lab is there.
    """
    found = _claim()
    if found is None:
        return
    tree, owner = found
    if tree != str(ROOT):
        raise KitError(f"a lab of {tree} runs on this machine: remove it with 'make lab-down' there, or here")
    if owner != str(inventory.resolve()):
        raise KitError(
            f"the lab of {owner} stands on this machine, and there is room for one: remove it with 'aansluitkit lab "
            f"down', then make that of {inventory}"
        )


def claimed() -> Path | None:
    """The inventory whose lab stands on this machine, if one does."""
    found = _claim()
    return Path(found[1]) if found else None


def _claim() -> tuple[str, str] | None:
    """Work tree and inventory of the lab that stands on this machine, as ``claim`` wrote them."""
    if not _OWNER.is_file():
        return None
    tree, inventory = _OWNER.read_text().splitlines()
    return tree, inventory
