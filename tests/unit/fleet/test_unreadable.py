"""What the user may not read is said in one sentence that names it, and nothing is made meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aansluitkit.connection import Kind
from aansluitkit.project import ROOT

from .conftest import Customer

SETPRIV = shutil.which("setpriv")
# Root reads everything, unless it gives up just that.
ORDINARY = [SETPRIV or "", "--bounding-set", "-dac_override,-dac_read_search", "--"] if os.geteuid() == 0 else []

pytestmark = pytest.mark.skipif(bool(ORDINARY) and not SETPRIV, reason="root reads everything, and has no setpriv")


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ORDINARY, sys.executable, "-m", "aansluitkit", *map(str, words)],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=120,
    )  # fmt: skip


@pytest.fixture
def closed(root: Path, customer: Customer, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file or folder of a customer that nobody may read."""
    [inventory] = customer("klant-1", 1, Kind.VENDOR)
    (inventory / "host_vars").mkdir()
    path: Path = inventory / request.param
    path.chmod(0)
    yield path
    path.chmod(0o700)


# What is closed, the name that is told (of a link its own), and the words.
PLACES = [
    ("hosts.yml", "hosts.yml", "permission denied"),
    ("group_vars/all", "group_vars/all", "permission denied"),
    ("host_vars", "host_vars", "permission denied"),
    ("../files/preprod/certificates/organisation.pem", "organisation.pem", "permission denied"),
    ("../../shared/all.yml", "00-shared.yml", "permission denied"),
    (".", "preprod", "is not readable"),
]


@pytest.mark.parametrize(("closed", "named", "words"), PLACES, ids=[name for name, *_ in PLACES], indirect=["closed"])
@pytest.mark.usefixtures("closed")
def test_check(root: Path, named: str, words: str) -> None:
    ended = command("check", root / "klant-1/preprod")
    assert ended.returncode == 2
    said = ended.stdout + ended.stderr
    assert words in said.lower()
    assert named in said
    assert "Traceback" not in said


@pytest.mark.parametrize("closed", ["hosts.yml", ".", "../../shared/all.yml"], indirect=True)
def test_new(root: Path, closed: Path) -> None:
    words = (
        "--kind",
        "vendor",
        "--organisation",
        "Klant",
        "--oin",
        "00000003999999990000",
        "--endpoint",
        "ebms.klant.nl",
    )
    ended = command("new", "klant-2", *words, "--folder", root)
    assert ended.returncode not in (0, 130)
    assert closed.resolve().name in ended.stderr
    assert "read" in ended.stderr or "Permission denied" in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert sorted(path.name for path in root.iterdir()) == ["klant-1", "shared"]
