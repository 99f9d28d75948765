"""Deploying many inventories side by side: one ansible-playbook and one log for each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from aansluitkit import playbook
from aansluitkit.errors import KitError
from aansluitkit.project import ROOT

SITE = ROOT / "playbooks/site.yml"


class Result(StrEnum):
    """How a deploy ended."""

    DONE = "done"
    FAILED = "failed"
    BROKEN_OFF = "broken off"  # it had begun: deploy it again
    NOT_BEGUN = "not begun"


@dataclass(frozen=True)
class Deploy:
    """One inventory to deploy: ``options`` are ansible-playbook's own, ``settings`` its environment variables."""

    inventory: Path
    name: str
    log: Path
    options: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How ``deploy`` ended; ``changed`` counts tasks, ``seconds`` is wall time."""

    deploy: Deploy
    result: Result
    changed: int = 0
    seconds: float = 0.0
    message: str = ""


Watch = Callable[[Deploy, str], None]


class Fleet:
    """Deploys that run; each has a process that can be ended."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._running: set[playbook.Process] = set()
        self._guard = threading.Lock()
        self._stopped = threading.Event()

    def run(self, deploy: Deploy) -> Outcome:
        """Run one deploy to its end, whatever that is."""
        if self._stopped.is_set():
            return Outcome(deploy, Result.NOT_BEGUN)
        began = time.monotonic()
        try:
            changed = playbook.play(
                SITE,
                deploy.inventory,
                deploy.log,
                lambda line: self._watch(deploy, line),
                options=deploy.options,
                environment=deploy.settings,
                began=self._began,
            )
        except (KitError, OSError) as error:
            result = Result.BROKEN_OFF if self._stopped.is_set() else Result.FAILED
            return Outcome(deploy, result, seconds=time.monotonic() - began, message=str(error))
        return Outcome(deploy, Result.DONE, sum(changed.values()), time.monotonic() - began)

    def stop(self) -> None:
        """End what runs and begin nothing more."""
        self._stopped.set()
        with self._guard:
            running = list(self._running)
        with ThreadPoolExecutor(len(running) or 1) as pool:
            list(pool.map(playbook.end, running))

    def _began(self, process: playbook.Process) -> None:
        with self._guard:
            self._running.add(process)
        if self._stopped.is_set():
            playbook.end(process)


def deploy_all(
    deploys: Sequence[Deploy], workers: int, watch: Watch, ended: Callable[[Outcome], None]
) -> list[Outcome]:
    """Run ``deploys``, ``workers`` at a time, and return how each ended, in their order; one's failure stops no other.

    ``watch`` is called with each play that begins, ``ended`` with each outcome, both from other threads. Ctrl-C ends
    what runs; what it left says so in its outcome.
    """
    fleet = Fleet(watch)

    def run(deploy: Deploy) -> Outcome:
        outcome = fleet.run(deploy)
        ended(outcome)
        return outcome

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(run, deploy) for deploy in deploys]
        try:
            wait(futures)
        except KeyboardInterrupt:
            fleet.stop()
    return [future.result() for future in futures]
