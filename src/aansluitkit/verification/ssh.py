"""Testinfra over SSH, as a user who becomes root with sudo and its password, as Ansible does."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from testinfra.backend.base import CommandResult
from testinfra.backend.ssh import SshBackend

# Told on standard error as the command begins: what stands before it is sudo's (a warning, a lecture, a refusal).
_BEGUN = "aansluitkit: begun\n"
_AS_ROOT = """[ "$(id -u)" != 0 ] || exec /bin/sh -c "$1"; exec sudo -S -p '' /bin/sh -c "$1" """
_UNREACHABLE = 255  # ssh(1), EXIT STATUS


Runs = Callable[[str, bytes], "subprocess.CompletedProcess[bytes]"]  # a command of the shell, and its standard input


class SudoError(RuntimeError):
    """The command did not begin; the text is sudo's."""


class Ssh(SshBackend):  # type: ignore[misc]
    """Gives sudo its password on standard input, of which the command itself gets nothing."""

    def __init__(self, hostspec: str, *, sudo_password: str | None, runs: Runs, **options: Any) -> None:
        super().__init__(hostspec, **options)
        self._runs = runs
        self._given = f"{sudo_password}\n".encode() if sudo_password else b""

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        """``command`` as root; who logs in as root needs no sudo."""
        wanted = f"exec </dev/null; echo {_BEGUN.strip()} >&2; {command}"
        return str(self.quote("/bin/sh -c %s sh %s", _AS_ROOT, wanted))

    def run_local(self, command: str, *args: str) -> CommandResult:
        """Run SSH itself.

        Raises:
            SudoError: when sudo does not begin the command.
        """
        words = self.quote(command, *args)
        done = self._runs(words, self._given)
        before, begun, after = done.stderr.partition(_BEGUN.encode())
        if self.sudo and not begun and done.returncode != _UNREACHABLE:
            raise SudoError(" ".join(before.decode(errors="replace").split())[-300:])
        return self.result(done.returncode, words.encode(), done.stdout, after if begun else before)
