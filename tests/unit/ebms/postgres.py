"""A PostgreSQL of the tests' own: on a socket in a folder, gone with the session."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

_NUMBERS = itertools.count(1)


class Postgres:
    """Makes databases."""

    def __init__(self, folder: Path, user: str) -> None:
        self._folder = folder
        self._user = user

    def database(self) -> str:
        """URL of a new, empty database."""
        name = f"ebms_{next(_NUMBERS)}"
        with psycopg.connect(host=str(self._folder), user=self._user, dbname="postgres", autocommit=True) as server:
            server.execute(f"create database {name}")
        return f"postgresql+psycopg://{self._user}@/{name}?host={self._folder}"


@contextmanager
def running() -> Iterator[Postgres]:
    """Start one; skip where there is none."""
    binaries = installed()
    if binaries is None:
        pytest.skip("postgresql is not installed on this machine")
    # It does not run as root.
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="ebms-pg-"))  # short: the path of a socket has 107 characters
    shutil.chown(folder, user)

    def run(program: str, *arguments: str) -> None:
        command = [str(binaries / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=60)

    try:
        run("initdb", "--auth=trust", f"--username={user}")
        options = f"-c listen_addresses='' -c max_connections=200 -c timezone=Europe/Amsterdam -k {folder}"
        run("pg_ctl", "start", "--wait", "--log", str(folder / "log"), "-o", options)
        try:
            yield Postgres(folder, user)
        finally:
            run("pg_ctl", "stop", "--mode=immediate")
    finally:
        shutil.rmtree(folder)


def installed() -> Path | None:
    """The folder of its programs, or None where it is not installed."""
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).resolve().parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
