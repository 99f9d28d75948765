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
    """Runs commands, from any thread, until ``limit`` seconds have passed; None is no limit."""

    def __init__(self, limit: float | None = None) -> None:
        self._limit = limit
        self._until = None if limit is None else time.monotonic() + limit
        self._guard = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()

    def need_time(self) -> None:
        """Go on only before the limit.

        Raises:
            TimeIsUp: after it.
        """
        if self._left() == 0:
            raise self._time_is_up()

    def run(self, words: str, given: bytes = b"", grace: float = 0) -> subprocess.CompletedProcess[bytes]:
        """Run the shell command ``words`` with ``given`` on standard input; what it started ends with it.

        ``grace`` are the seconds that it may take after the limit.

        Raises:
            TimeIsUp: when the limit passes first.
        """
        left = self._left(grace)
        if left == 0:
            raise self._time_is_up()
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
        return subprocess.CompletedProcess(words, process.returncode, out, told)

    def end(self) -> None:
        """End what runs, and let nothing new begin."""
        with self._guard:
            self._limit, self._until = self._limit or 0, time.monotonic()
            for process in self._running:
                _kill(process)

    def _left(self, grace: float = 0) -> float | None:
        return None if self._until is None else max(0, self._until + grace - time.monotonic())

    def _time_is_up(self) -> TimeIsUp:
        return TimeIsUp(f"not checked, because the whole run has a limit of {self._limit:.0f} s, which has passed")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End ``process`` and its children, which are in a session of their own."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
