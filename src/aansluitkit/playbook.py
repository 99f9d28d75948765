"""Running a playbook: play by play to whoever watches, everything in a log."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from aansluitkit.errors import KitError
from aansluitkit.project import ROOT

_GRACE_SECONDS = 10  # between asking a playbook to end and ending it
_PLAY = re.compile(r"^PLAY \[(.+)\]")
_RECAP = re.compile(r"^\S+ +: ok=\d+ +changed=(\d+) ")
_WITH_US = ("setpriv", "--pdeathsig", "TERM")  # a kit that is killed takes its playbook with it; util-linux
_FAILURE = re.compile(r"^(fatal|failed|\[ERROR\]|ERROR)")

Process = subprocess.Popen[str]


def play(  # noqa: PLR0913 - the options have names
    playbook: Path,
    inventory: Path,
    log: Path,
    say: Callable[[str], None],
    *,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    began: Callable[[Process], None] = lambda process: None,
) -> int:
    """Run ``playbook`` on ``inventory`` and return how many tasks changed something.

    ``options`` are ansible-playbook's own. ``began`` gets the process, so that another thread can end it.

    Raises:
        KitError: when a task failed; the message holds the failure and where the log is.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = ["ansible-playbook", "--inventory", str(inventory.resolve()), "--diff", *options, str(playbook)]
    lines: list[str] = []
    with log.open("w", encoding="utf-8") as file, _start(command, environment or {}) as process:
        try:
            began(process)
            assert process.stdout is not None  # noqa: S101 - for the type checker
            for line in process.stdout:
                file.write(line)
                lines.append(line.rstrip())
                found = _PLAY.match(line)
                if found:
                    say(found[1])
        except BaseException:
            end(process)
            raise
    if process.returncode != 0:
        raise KitError(f"{playbook.name} failed: {_failure(lines)} (all of it: {log})")
    return sum(int(found[1]) for found in map(_RECAP.match, lines) if found)


def end(process: Process) -> None:
    """End ``process`` and all that it started: it is asked first, and killed when it does not listen."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)


def _start(command: list[str], environment: Mapping[str, str]) -> Process:
    """A session of its own: Ctrl-C is for the kit, which ends it, and nothing below it asks at the terminal."""
    return subprocess.Popen(
        [*_WITH_US, *command],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _failure(lines: list[str]) -> str:
    """The first failure with the lines that belong to it."""
    for number, line in enumerate(lines):
        if _FAILURE.match(line):
            return " ".join(" ".join(lines[number : number + 8]).split())[:800]
    return " ".join(lines[-3:])
