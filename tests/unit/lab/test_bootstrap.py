"""bootstrap says everything that is missing before it changes anything."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from aansluitkit.bundle import tag

BOOTSTRAP = Path(__file__).parents[3] / "bootstrap"


def run(folder: Path, release: str, memory: int, **given: str) -> subprocess.CompletedProcess[str]:
    """Run a copy, which would install into ``folder`` if it went on."""
    copy = folder / "bootstrap"
    copy.write_bytes(BOOTSTRAP.read_bytes())
    copy.chmod(0o755)
    (folder / "release").write_text(release)
    (folder / "meminfo").write_text(f"MemTotal: {memory} kB\n")
    given |= {"BOOTSTRAP_OS_RELEASE": str(folder / "release"), "BOOTSTRAP_MEMINFO": str(folder / "meminfo")}
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


ENOUGH = 8_000_000


def bundle(folder: Path) -> Path:
    """A bundle whose wheels were changed after it was made."""
    made = folder / "bundle"
    wheels = made / "wheels" / tag()
    wheels.mkdir(parents=True)
    (wheels / "one.whl").write_text("changed")
    (made / "SHA256SUMS").write_text(f"{'0' * 64}  {(wheels / 'one.whl').relative_to(made)}\n")
    return made


def test_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "ID=debian\n", ENOUGH, BUNDLE=str(tmp_path))
    assert done.returncode == 2
    assert f"BUNDLE is '{tmp_path}', which is no bundle" in done.stderr


def test_bundle_for_another_python_is_refused(tmp_path: Path) -> None:
    made = bundle(tmp_path)
    (made / "wheels" / tag()).rename(made / "wheels/cp299-z80")
    done = run(tmp_path, "ID=debian\n", ENOUGH, BUNDLE=str(made))
    assert done.returncode == 2
    assert f"the bundle has no {tag()}, which this machine's Python needs" in done.stderr


def test_bundle_of_another_debian_is_refused_where_packages_are_missing(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    nothing = tmp_path / "bin/dpkg-query"
    nothing.write_text("#!/bin/sh\nexit 1\n")
    nothing.chmod(0o755)
    path = f"{nothing.parent}:{os.environ['PATH']}"
    release = "ID=debian\nVERSION_CODENAME=forky\n"
    done = run(
        tmp_path, release, ENOUGH, BUNDLE=str(bundle(tmp_path)), PATH=path, XDG_CACHE_HOME=str(tmp_path / "cache")
    )
    assert done.returncode == 2
    assert "no packages of this release (forky): make it with --debian forky" in done.stderr
    assert not (tmp_path / "cache").exists()


def test_bundle_that_was_changed_is_refused(tmp_path: Path) -> None:
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    done = run(tmp_path, "ID=debian\n", ENOUGH, BUNDLE=str(bundle(tmp_path)), XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 2
    assert "is not as it was made, nothing was changed" in done.stderr
    assert not (tmp_path / ".venv").exists()
    assert not (tmp_path / "cache").exists()
