"""The lab's inventory and its hosts agree on who logs in, and with what he becomes root."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aansluitkit.connection.ansible_loader import host_variables
from aansluitkit.lab import keys
from aansluitkit.project import ROOT, STATE


@pytest.mark.parametrize("first", ["hosts", "inventory"])
def test_user_and_password(first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "SUDO", tmp_path / ".lab" / keys.SUDO.relative_to(STATE))
    inventory = Path(shutil.copytree(ROOT / "inventories/lab", tmp_path / "inventories/lab"))
    made = keys.sudo_password() if first == "hosts" else ""
    found = host_variables(inventory, "ansible_")["app"]
    assert found["ansible_user"] == keys.USER
    assert len(found["ansible_become_password"]) == 40
    assert found["ansible_become_password"] == keys.sudo_password() == (made or keys.sudo_password())
    assert keys.SUDO.stat().st_mode & 0o77 == 0
