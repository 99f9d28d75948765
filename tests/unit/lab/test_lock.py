"""One lab at a time: another inventory's is refused while one stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from aansluitkit.errors import KitError
from aansluitkit.lab import lock


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a lab."""
    monkeypatch.setattr(lock, "VOLATILE", tmp_path / "run")
    monkeypatch.setattr(lock, "_OWNER", tmp_path / "run/owner")


def test_the_same_inventory_is_let_in_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock.refuse_another(tmp_path / "lab")
    lock.claim(tmp_path / "lab")
    monkeypatch.chdir(tmp_path)
    lock.claim(Path("lab"))


def test_another_inventory_is_refused(tmp_path: Path) -> None:
    lock.claim(tmp_path / "klant-1/lab")
    for refused in (lock.claim, lock.refuse_another):
        with pytest.raises(KitError, match=r"the lab of .*/klant-1/lab stands on this machine.*'aansluitkit lab down'"):
            refused(tmp_path / "klant-2/lab")


def test_another_work_tree_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock.claim(tmp_path / "lab")
    monkeypatch.setattr(lock, "ROOT", tmp_path / "elsewhere")
    with pytest.raises(KitError, match="runs on this machine: remove it with 'make lab-down' there"):
        lock.claim(tmp_path / "lab")
