"""A database whose disk is full: the adapter says so, and does not start."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from aansluitkit.ebms.database import open_database
from aansluitkit.errors import KitError

from .postgres import Postgres, running


@pytest.fixture
def small() -> Iterator[tuple[Postgres, Path]]:
    """A PostgreSQL, and the folder of a small disk that it may use."""
    folder = Path(tempfile.mkdtemp(prefix="ebms-small-"))
    mounting = ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounting, check=False, capture_output=True).returncode != 0:
        folder.rmdir()
        pytest.skip("this user may not mount a file system")
    try:
        shutil.chown(folder, "postgres")
        with running() as server:
            yield server, folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def test_full_disk_is_told(small: tuple[Postgres, Path]) -> None:
    server, folder = small
    url = make_url(server.database())
    open_database(url.render_as_string(), None).close()
    with create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"create tablespace small location '{folder}'")
        connection.exec_driver_sql(f"alter database {url.database} set tablespace small")
    open_database(url.render_as_string(), None).close()
    with pytest.raises(OSError, match="No space"):
        (folder / "full").write_bytes(bytes(1 << 26))
    with pytest.raises(KitError, match=f"^database {url.database} on .* is full: make room on its disk"):
        open_database(url.render_as_string(), None)
