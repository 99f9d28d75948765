"""Commands of this machine that reach hosts: each ends at the latest when the whole run has to."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress

from aansluitkit.errors import KitError

GRACE_SECONDS = 3.0  # after the limit or Ctrl-C, to remove what checks put on hosts
CONNECT_SECONDS = 10
_ALIVE_SECONDS, _ALIVE_COUNT = 5, 3
# ConnectTimeout covers the way there and the banner, also behind a ProxyCommand; ServerAlive the key exchange and all
# that follows. Debian's ssh would wait 300 seconds three times (ssh_config(5), BatchMode).
SSH_OPTIONS = (
    f"-o BatchMode=yes -o ConnectTimeout={CONNECT_SECONDS} "
    f"-o ServerAliveInterval={_ALIVE_SECONDS} -o ServerAliveCountMax={_ALIVE_COUNT}"
)


class TimeIsUp(KitError):  # noqa: N818 - nothing is wrong, but it was not tried or not to the end
    """The run has reached its limit."""


class Commands:
    """Runs commands, from any thread, until ``limit`` seconds and a grace have passed; None is no limit."""

    def __init__(self, limit: float | None = None) -> None:
        self._limit = limit
        self._until = None if limit is None else time.monotonic() + limit
        self._guard = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended: set[subprocess.Popen[bytes]] = set()

    def need_time(self) -> None:
        """Go on only before the limit.

        Raises:
            TimeIsUp: after it.
        """
        self._left(0)

    def run(self, words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run the shell command ``words`` with ``given`` on standard input; what it started ends with it.

        Raises:
            TimeIsUp: when limit and grace pass first.
        """
        left = self._left(GRACE_SECONDS)
        pipe = subprocess.PIPE
        with self._guard:
            process = subprocess.Popen(  # noqa: S602 - testinfra's own, quoted by it
                words, shell=True, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
            )
            self._running.add(process)
        try:
            out, told = process.communicate(given, timeout=left)
        except subprocess.TimeoutExpired:
            raise self._time_is_up() from None
        finally:
            with self._guard:
                self._running.discard(process)
            _kill(process)
        if process in self._ended:
            raise self._time_is_up()
        return subprocess.CompletedProcess(words, process.returncode, out, told)

    def end(self) -> None:
        """End what runs, and let nothing begin after the grace."""
        with self._guard:
            self._limit, self._until = self._limit or 0, time.monotonic()
            self._ended.update(self._running)
            for process in self._running:
                _kill(process)

    def _left(self, grace: float) -> float | None:
        """The seconds that are left of limit and ``grace``; None where there is no limit."""
        left = None if self._until is None else self._until + grace - time.monotonic()
        if left is not None and left <= 0:
            raise self._time_is_up()
        return left

    def _time_is_up(self) -> TimeIsUp:
        return TimeIsUp(f"not checked, because the whole run has a limit of {self._limit:.0f} s, which has passed")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End ``process`` and its children, which are in a session of their own."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
