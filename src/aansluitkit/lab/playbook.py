"""Running a playbook: play by play on the screen, everything in a log."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from aansluitkit.errors import KitError
from aansluitkit.lab.podman import VOLATILE
from aansluitkit.project import ROOT

# Ansible would keep these below the home folder.
ENVIRONMENT = {
    "ANSIBLE_SSH_CONTROL_PATH_DIR": str(VOLATILE / "ssh"),
    "ANSIBLE_REMOTE_TMP": str(VOLATILE / "tmp"),
    "ANSIBLE_NOCOLOR": "1",
}
_PLAY = re.compile(r"^PLAY \[(.+)\]")
_RECAP = re.compile(r"^\S+ +: ok=\d+ +changed=(\d+) ")
_FAILURE = re.compile(r"^(fatal|failed|\[ERROR\]|ERROR)")


def play(playbook: Path, inventory: Path, log: Path, say: Callable[[str], None], *, options: Sequence[str] = ()) -> int:
    """Run ``playbook`` on ``inventory`` and return how many tasks changed something.

    ``options`` are ansible-playbook's own.

    Raises:
        KitError: when a task failed; the message holds the failure and where the log is.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = ["ansible-playbook", "--inventory", str(inventory), "--diff", *options, str(playbook)]
    lines: list[str] = []
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None  # noqa: S101 - for the type checker
        for line in process.stdout:
            file.write(line)
            lines.append(line.rstrip())
            found = _PLAY.match(line)
            if found:
                say(found[1])
    if process.returncode != 0:
        raise KitError(f"{playbook.name} failed: {_failure(lines)} (all of it: {log})")
    return sum(int(found[1]) for found in map(_RECAP.match, lines) if found)


def _failure(lines: list[str]) -> str:
    """The first failure with the lines that belong to it."""
    for number, line in enumerate(lines):
        if _FAILURE.match(line):
            return " ".join(" ".join(lines[number : number + 8]).split())[:800]
    return " ".join(lines[-3:])
