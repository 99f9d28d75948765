"""Deploys side by side, with the real ansible-playbook and nothing but this process's own files changed.

The group management is limited to: no play configures it, so all that runs is the check of the inventory. A host on a
port where nobody listens fails; a host whose ssh never answers goes on until it is ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aansluitkit.connection import Kind
from aansluitkit.fleet.deploy import Deploy, Outcome, Result, deploy_all
from aansluitkit.project import ROOT, use_own_tools

from .conftest import Customer, change

WITHIN = 60  # seconds that a process may take to begin or end before a test fails


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.delenv("ANSIBLE_CONFIG", raising=False)
    use_own_tools()


@pytest.fixture
def inventories(customer: Customer) -> list[Path]:
    return [customer(f"klant-{number}", number, Kind.VENDOR)[0] for number in range(3)]


BROKEN = "broken-ns"  # a host that the others have not
LIMIT = f"management:{BROKEN}"


def unreachable(inventory: Path) -> None:
    """Its name server refuses every connection."""
    rename(inventory, "ansible_host: 127.0.0.1\n          ansible_port: 1")


def hanging(inventory: Path, started: Path) -> None:
    """Its name server never answers; ``started`` appears when it is tried."""
    ssh = started.with_name("ssh")  # not in the inventory, where Ansible takes a program for a source of hosts
    probed = '[ "$*" = "-o ControlPersist" ] && exit'  # Ansible asks what ssh can, before it connects
    ssh.write_text(f"#!/bin/sh\n{probed}\necho $$ >> {started}\nexec sleep 3600\n")
    ssh.chmod(0o755)
    rename(inventory, f"ansible_ssh_executable: {ssh}")


def rename(inventory: Path, variables: str) -> None:
    change(inventory / "hosts.yml", "preprod-ns:\n", f"{BROKEN}:\n          {variables}\n")


def deploys(inventories: list[Path], logs: Path, limit: str = "management") -> list[Deploy]:
    return [
        Deploy(inventory, inventory.parent.name, logs / f"{inventory.parent.name}.log", ("--limit", limit))
        for inventory in inventories
    ]


def test_all_are_done_each_with_its_log(inventories: list[Path], tmp_path: Path) -> None:
    plays: list[tuple[str, str]] = []
    ended: list[Outcome] = []
    outcomes = deploy_all(
        deploys(inventories, tmp_path / "logs"), 2, lambda deploy, name: plays.append((deploy.name, name)), ended.append
    )
    assert [outcome.result for outcome in outcomes] == [Result.DONE] * 3
    assert [outcome.deploy.inventory for outcome in outcomes] == inventories
    assert sorted(ended, key=lambda one: one.deploy.name) == outcomes
    for outcome in outcomes:
        assert (outcome.deploy.name, "Validate the inventory") in plays
        assert "TASK [Load the connection]" in outcome.deploy.log.read_text()


def test_one_that_fails_stops_no_other(inventories: list[Path], tmp_path: Path) -> None:
    unreachable(inventories[0])
    outcomes = deploy_all(deploys(inventories, tmp_path, LIMIT), 1, lambda *_: None, lambda _: None)
    assert [outcome.result for outcome in outcomes] == [Result.FAILED, Result.DONE, Result.DONE]
    assert f"site.yml failed: {BROKEN}: " in outcomes[0].message
    assert "Connection refused" in outcomes[0].message
    assert str(outcomes[0].deploy.log) in outcomes[0].message


def test_a_refused_inventory_is_refused_by_ansible_too(inventories: list[Path], tmp_path: Path) -> None:
    """Whoever leaves the command out meets the same sentence."""
    change(inventories[1] / "group_vars/all/connection.yml", "https://", "http://")
    done, refused, also = deploy_all(deploys(inventories, tmp_path), 1, lambda *_: None, lambda _: None)
    assert (done.result, refused.result, also.result) == (Result.DONE, Result.FAILED, Result.DONE)
    assert "is not https; Digikoppeling allows HTTPS alone" in refused.message
    assert str(refused.deploy.log) in refused.message


def test_ansible_sees_the_other_environment_too(customer: Customer, tmp_path: Path) -> None:
    preprod, production = customer("gemeente-1", 1)
    [done] = deploy_all(deploys([preprod], tmp_path), 1, lambda *_: None, lambda _: None)
    assert done.result is Result.DONE
    change(production / "group_vars/all/connection.yml", "MIJNOVERHEID-LZ-PRODUCTION", "MIJNOVERHEID-LZ-PREPROD")
    [refused] = deploy_all(deploys([preprod], tmp_path), 1, lambda *_: None, lambda _: None)
    assert refused.result is Result.FAILED
    assert "environments share no CPA" in refused.message


class Command:
    """The command in a process of its own."""

    def __init__(self, *arguments: str | Path) -> None:
        # As from a terminal: what a shell starts in the background inherits that Ctrl-C is not for it.
        self.process = subprocess.Popen(
            ["env", "--default-signal=INT", sys.executable, "-m", "aansluitkit", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self) -> tuple[int, str]:
        output, _ = self.process.communicate(timeout=WITHIN)
        return self.process.returncode, output


def run(*arguments: str | Path) -> tuple[int, str]:
    return Command(*arguments).end()


def test_the_command_ends_with_one_summary(inventories: list[Path], root: Path, tmp_path: Path) -> None:
    unreachable(inventories[1])
    status, output = run("deploy", root, "--limit", LIMIT, "--workers", "2", "--logs", tmp_path / "logs")
    assert status == 1
    assert "2 done, 1 failed" in output
    assert "failed klant-1.preprod: site.yml failed: " in output
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == [f"klant-{n}.preprod.log" for n in range(3)]


def test_all_done(inventories: list[Path], tmp_path: Path) -> None:
    status, output = run("deploy", *inventories, "--limit", "management", "--logs", tmp_path)
    assert status == 0
    assert "3 done, 0 failed" in output


def test_examples_and_the_lab_are_deployed_by_name_alone(root: Path, inventories: list[Path], tmp_path: Path) -> None:
    for name in ("lab", "voorbeeldgemeente"):
        shutil.copytree(ROOT / "inventories" / name, root / name, symlinks=True)
    for file in (ROOT / "inventories/shared").glob("example-*.yml"):
        shutil.copy(file, root / "shared")
    arguments = ("--limit", "management", "--logs", tmp_path / "logs")
    status, output = run("deploy", root, *arguments)
    assert status == 0
    assert "3 done, 0 failed" in output
    status, output = run("deploy", root / "voorbeeldgemeente/preprod", *arguments)
    assert status == 2
    assert "10-customer.yml:4: connection_example: is true" in output
    status, output = run("deploy", root / "voorbeeldgemeente", *arguments)
    assert status == 2
    assert "holds nothing but examples and labs" in output


def test_nothing_runs_when_one_is_refused(inventories: list[Path], tmp_path: Path) -> None:
    change(inventories[2] / "group_vars/all/connection.yml", "sender_id: AFZ-1", "sender_id: TODO")
    status, output = run("deploy", *inventories, "--limit", "management", "--logs", tmp_path / "logs")
    assert status == 2
    assert "connection_sender_id: is still to be filled in" in output
    assert not (tmp_path / "logs").exists()


def test_production_is_asked_for(customer: Customer, tmp_path: Path) -> None:
    _, production = customer("gemeente-1", 1)
    command = ("deploy", production, "--limit", "management", "--logs", tmp_path / "logs")
    status, output = run(*command)
    assert status == 2
    assert "--yes" in output
    assert not (tmp_path / "logs").exists()
    assert run(*command, "--yes")[0] == 0
    assert run(*command, "--check")[0] == 0, "what changes nothing asks nothing"


@pytest.fixture
def hung(inventories: list[Path], tmp_path: Path) -> Iterator[tuple[Command, Path]]:
    """A deploy of three, one at a time, of which the first hangs."""
    started = tmp_path / "started"
    hanging(inventories[0], started)
    command = Command("deploy", *inventories, "--limit", LIMIT, "--workers", "1", "--logs", tmp_path / "logs")
    deadline = time.monotonic() + WITHIN
    while not started.exists():
        assert command.process.poll() is None, command.end()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield command, started
    if command.process.poll() is None:
        command.process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_broken_off_says_what_is_left(hung: tuple[Command, Path], number: int) -> None:
    command, started = hung
    command.process.send_signal(number)
    status, output = command.end()
    assert status == 130
    assert "1 broken off, 2 not begun" in output
    assert "left: klant-0.preprod, klant-1.preprod, klant-2.preprod" in output
    assert [process for process in started.read_text().split() if alive(int(process))] == []


def test_what_is_killed_leaves_nothing_running(hung: tuple[Command, Path]) -> None:
    """Not even the kit itself can clean up then: the machine ends the playbook, and that ends its own."""
    command, started = hung
    command.process.kill()
    deadline = time.monotonic() + WITHIN
    while left := [process for process in started.read_text().split() if alive(int(process))]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def alive(process: int) -> bool:
    """Whether it runs; one that has ended and waits for its parent does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False
