"""Verification ends, whatever the hosts do: they are silent, hang, or cannot be reached at all."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aansluitkit.connection import Connection
from aansluitkit.verification import Result, verify
from aansluitkit.verification.commands import Commands, TimeIsUp
from aansluitkit.verification.site import Site, Unreachable


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word, as sshd behind a link that drops its packets."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def inventory(folder: Path, variables: str) -> str:
    (folder / "group_vars").mkdir()
    (folder / "group_vars/all.yml").write_text(f"ansible_user: beheer\nansible_host: 127.0.0.1\n{variables}")
    (folder / "hosts.yml").write_text("all: {hosts: {app: , fw: }}\n")
    return str(folder)


def test_silent_host_is_unreachable_once(
    lab_connection: Connection, tmp_path: Path, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aansluitkit.verification.site.SSH_OPTIONS", "-o BatchMode=yes -o ConnectTimeout=2")
    folder = inventory(tmp_path, f"ansible_port: {silent}\n")
    site = Site(lab_connection, folder, 60, gives_up=True)
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(Unreachable, match=r"^app can't be reached by SSH: "):
            site.run(lab_connection.hosts["app"], "true")
    assert time.monotonic() - began < 20, "it was waited for again"
    site.close()


def test_proxy_that_hangs_ends_with_the_limit(lab_connection: Connection, tmp_path: Path) -> None:
    way = "ansible_ssh_common_args: -o ProxyCommand='sleep 1000'\n"
    site = Site(lab_connection, inventory(tmp_path, way), 3)
    with pytest.raises(TimeIsUp, match="limit of 3 s"):
        site.run(lab_connection.hosts["app"], "true")
    with pytest.raises(TimeIsUp):
        site.run(lab_connection.hosts["fw"], "true")
    site.close()


def test_children_end_with_their_command() -> None:
    commands = Commands(1)
    with pytest.raises(TimeIsUp):
        commands.run("sleep 1234 & sleep 1234")
    found = subprocess.run(["pgrep", "-fx", "sleep 1234"], capture_output=True, check=False)
    assert found.returncode == 1


# A lab of another inventory may stand on this machine.
VERIFY = "from aansluitkit.cli import hosts, main; hosts.refuse_another_lab = lambda *_: None; main()"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_verify_that_is_broken_off_says_so_in_a_sentence(lab_copy: Path, tmp_path: Path, number: int) -> None:
    """With hosts that never answer; nothing that it started runs on, and nothing of pytest is shown."""
    waits = tmp_path / "waits"
    waits.write_text(f"#!/bin/sh\ntouch {tmp_path}/begun\nexec sleep 1000\n")
    waits.chmod(0o755)
    variables = lab_copy / "group_vars/all/zz.yml"
    variables.write_text(f"ansible_become_password: x\nansible_ssh_common_args: -o ProxyCommand={waits}\n")
    heeding = ["env", "--default-signal=INT"]  # which a shell has its background jobs ignore
    process = subprocess.Popen(
        [*heeding, sys.executable, "-c", VERIFY, "verify", lab_copy],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < until
        time.sleep(0.1)
    process.send_signal(number)
    out, told = process.communicate(timeout=60)
    assert process.returncode == 130, out + told
    assert "pytest" not in out + told
    assert len(told.splitlines()) == 1, told
    assert subprocess.run(["pgrep", "-f", str(waits)], capture_output=True, check=False).returncode == 1


def test_cleanup_gets_seconds_after_a_run_is_broken_off() -> None:
    """What checks put on hosts is removed, and a host that hangs does not hold the command up."""
    commands = Commands(600)
    commands.end()
    assert commands.run("echo removed").stdout == b"removed\n"
    began = time.monotonic()
    with pytest.raises(TimeIsUp):
        commands.run("sleep 1234")
    assert time.monotonic() - began < 10


def test_command_that_is_ended_answers_nothing() -> None:
    commands = Commands()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(commands.run, "sleep 1234")
        while not subprocess.run(["pgrep", "-fx", "sleep 1234"], capture_output=True, check=False).stdout:
            time.sleep(0.05)
        commands.end()
        with pytest.raises(TimeIsUp):
            answer.result(10)


def test_each_silent_host_is_one_failure_and_the_rest_is_skipped_at_once(lab_copy: Path, silent: int) -> None:
    own = {"host": "127.0.0.1", "port": silent, "become_password": "x", "ssh_common_args": "-o ConnectTimeout=1"}
    lines = [f"ansible_{name}: {value}\n" for name, value in own.items()]
    (lab_copy / "group_vars/all/zz.yml").write_text("".join(lines))
    moments: list[float] = []
    report = verify(lab_copy, lambda _: moments.append(time.monotonic()))
    failed = [check.message.split()[0] for check in report.checks if check.result is Result.FAILED]
    assert sorted(failed) == sorted({*failed}), "a host has failed twice"
    assert len(failed) >= 10
    assert report.count(Result.SKIPPED) > 100
    assert moments[-1] - moments[0] < 20, "skipping takes time"
