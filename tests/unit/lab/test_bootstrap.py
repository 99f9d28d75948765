"""bootstrap says everything that is missing before it changes anything."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

BOOTSTRAP = Path(__file__).parents[3] / "bootstrap"


def run(folder: Path, release: str, memory: int) -> subprocess.CompletedProcess[str]:
    """Run a copy, which would install into ``folder`` if it went on."""
    copy = folder / "bootstrap"
    copy.write_bytes(BOOTSTRAP.read_bytes())
    copy.chmod(0o755)
    (folder / "release").write_text(release)
    (folder / "meminfo").write_text(f"MemTotal: {memory} kB\n")
    given = {"BOOTSTRAP_OS_RELEASE": str(folder / "release"), "BOOTSTRAP_MEMINFO": str(folder / "meminfo")}
    return subprocess.run([copy], env={**os.environ, **given}, capture_output=True, text=True, check=False)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    done = run(tmp_path, "ID=fedora\n", 1_000_000)
    assert done.returncode == 2
    assert "nothing was changed" in done.stderr
    assert "this is no Debian or Ubuntu" in done.stderr
    assert "976 MiB of memory, 4096 are needed" in done.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("release", ["ID=debian\n", "ID=linuxmint\nID_LIKE='ubuntu debian'\n"])
def test_debian_and_its_kin_are_accepted(tmp_path: Path, release: str) -> None:
    done = run(tmp_path, release, 1_000_000)
    assert "Debian" not in done.stderr
    assert "memory" in done.stderr
