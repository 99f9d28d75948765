"""Running a playbook: play by play to whoever watches, everything in a log.

What a run did is known from events of the kit's own callback plugin, never from Ansible's text, which is for people.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from aansluitkit.errors import KitError
from aansluitkit.project import ROOT, tools_environment

EVENTS = "AANSLUITKIT_EVENTS"  # the environment variable that names the descriptor to plugins/callback/events.py
_GRACE_SECONDS = 10  # between asking a playbook to end and ending it
_WITH_US = ("setpriv", "--pdeathsig", "TERM")  # a kit that is killed takes its playbook with it; util-linux
_LAST_WORDS = 800  # characters of a failure that are shown

Process = subprocess.Popen[bytes]


def source_of(inventory: str | Path) -> str:
    """What Ansible reads for the folder ``inventory``: hosts.yml only, for the files beside it may be anything.

    Whatever is not such a folder is given back.
    """
    file = Path(inventory, "hosts.yml")
    return str(file.parent.resolve() / file.name) if file.exists() else str(inventory)


@dataclass
class _Run:
    """What the plugin reported; ``changed`` is there when the run came to its end."""

    changed: dict[str, int] | None = None
    failed: list[str] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)

    def hear(self, event: dict[str, Any]) -> None:
        """Keep what ``event`` says."""
        if "changed" in event:
            self.changed, self.failed = event["changed"], event["failed"]
        elif "message" in event:
            self.failures.append(event)

    def failure(self) -> str:
        """What failed on the first host that failed, cause first; empty when nothing did."""
        lasting = [found for found in self.failures if found["host"] in self.failed] or self.failures
        host = lasting[0]["host"] if lasting else ""
        told = (f"{found['task']}: {found['message']}" for found in lasting if found["host"] == host)
        return f"{host}: {'; '.join(told)}" if host else ""


def play(  # noqa: PLR0913 - the options have names
    playbook: Path,
    inventory: Path,
    log: Path,
    say: Callable[[str], None],
    *,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    began: Callable[[Process], None] = lambda process: None,
) -> dict[str, int]:
    """Run ``playbook`` on ``inventory`` and return how many tasks changed something on each host.

    ``options`` are ansible-playbook's own. ``began`` gets the process, so that another thread can end it.

    Raises:
        KitError: when a task failed, or nobody can tell whether one did; the message holds the failure and where the
            log is.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = ["ansible-playbook", "--inventory", source_of(inventory), "--diff", *options, str(playbook)]
    run = _Run()
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as events, log.open("w", encoding="utf-8") as file:
        try:
            process = _start(command, environment or {}, file, writing)
        finally:
            os.close(writing)
        with process:
            try:
                began(process)
                for line in events:
                    event = json.loads(line)
                    if "play" in event:
                        say(event["play"])
                    run.hear(event)
            except BaseException:
                end(process)
                raise
    if process.returncode != 0 or run.failed:
        raise KitError(f"{playbook.name} failed: {_shown(run.failure() or _last_words(log))} (all of it: {log})")
    if run.changed is None:
        raise KitError(f"{playbook.name} ended without a result, so what it did is unknown (all of it: {log})")
    return run.changed


def end(process: Process) -> None:
    """End ``process`` and all that it started: it is asked first, and killed when it does not listen."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)


def _start(command: list[str], environment: Mapping[str, str], log: TextIO, events: int) -> Process:
    """A session of its own: Ctrl-C is for the kit, which ends it, and nothing below it asks at the terminal."""
    return subprocess.Popen(
        [*_WITH_US, *command],
        cwd=ROOT,
        env={**tools_environment(), "ANSIBLE_NOCOLOR": "1", **environment, EVENTS: str(events)},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        pass_fds=[events],
        start_new_session=True,
    )


def _last_words(log: Path) -> str:
    """What Ansible wrote before it ended without a task: its last complaint and what belongs to it."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    complaints = [number for number, line in enumerate(lines) if line.startswith(("[ERROR]", "ERROR"))]
    return " ".join(lines[complaints[-1] :] if complaints else lines[-3:])


def _shown(failure: str) -> str:
    return " ".join(failure.split())[:_LAST_WORDS]
