"""One deployment at a time, and the record of each: the module as it runs on hosts."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aansluitkit.deployments import digest, is_gone, this_run
from aansluitkit.project import ROOT


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with a lock and a record of this test's own."""
    specification = importlib.util.spec_from_file_location("deployment", ROOT / "plugins/modules/deployment.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setattr(module, "LOCK", tmp_path / "lock.json")
    monkeypatch.setattr(module, "RECORD", tmp_path / "deployments.jsonl")
    return module


def run(token: str) -> dict[str, Any]:
    return {"token": token, "operator": f"operator of {token}", "playbook": "site.yml"}


def recorded(host: ModuleType) -> list[dict[str, Any]]:
    return [json.loads(line) for line in host.RECORD.read_text().splitlines()] if host.RECORD.exists() else []


def test_second_is_refused_until_the_first_has_ended(host: ModuleType) -> None:
    assert host.begin(run("one"), "", 60) is None
    assert host.begin(run("two"), "", 60)["operator"] == "operator of one"
    assert host.begin(run("one"), "", 60) is None  # goes on
    host.end({**run("two"), "outcome": "refused"})  # frees nothing
    assert host.begin(run("two"), "", 60) is not None
    host.end({**run("one"), "outcome": "done"})
    assert host.begin(run("two"), "", 60) is None
    assert [(entry["operator"][-3:], entry["outcome"]) for entry in recorded(host)] == [
        ("two", "refused"),
        ("one", "done"),
    ]
    assert all("token" not in entry for entry in recorded(host))


@pytest.mark.parametrize(("gone", "lease"), [("one", 60), ("", 0)], ids=["known to be gone", "lease over"])
def test_lock_of_a_dead_controller_blocks_nobody_for_ever(host: ModuleType, gone: str, lease: int) -> None:
    assert host.begin(run("one"), "", lease) is None
    assert host.begin(run("two"), gone, 60) is None
    assert [entry["outcome"] for entry in recorded(host)] == ["broken off"]


def test_record_is_put_aside(host: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_LARGEST", 10)
    for number in range(8):
        host.record({"number": number})
    files = sorted(host.RECORD.parent.glob("deployments.jsonl*"))
    assert [json.loads(path.read_text())["number"] for path in files] == [7, 6, 5, 4, 3, 2]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o640"}


def test_process_that_has_ended_is_known() -> None:
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import json; from aansluitkit.deployments import this_run; print(json.dumps(this_run('.')))",
        ],
        cwd=ROOT / "inventories/lab",
        capture_output=True,
        text=True,
        check=True,
    )
    held = json.loads(found.stdout)
    assert held["operator"]
    assert not is_gone(held)  # its parent is this process
    machine, _, _ = held["token"].rsplit("/", 2)
    assert is_gone({"token": f"{machine}/{os.getpid()}/0"})
    assert not is_gone({"token": f"elsewhere/{os.getpid()}/0"})
    assert not is_gone(None)


def test_inventory_is_told_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {}\n")
    before = digest(tmp_path)
    assert this_run(str(tmp_path))["inventory_sha256"] == before
    (tmp_path / "hosts.yml").write_text("all: {hosts: {}}\n")
    assert digest(tmp_path) != before
