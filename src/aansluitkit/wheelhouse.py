"""The adapter's packages in one archive: what a host without any way out can install.

The runtime dependencies, in the versions and with the hashes of ``requirements.lock``, and the kit itself, for one
version of Python. ``python -m aansluitkit.wheelhouse 3.13`` prints the archive's path; its name changes with its
content and with the Python.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.metadata
import platform
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from aansluitkit.errors import KitError
from aansluitkit.project import ROOT, cache

LOCK = ROOT / "requirements.lock"
PACKAGE = "aansluitkit"
_DEFINITION = 3  # to be raised when what is in the archive changes for another reason

_KEPT = 8  # archives of one Python: a change of the kit makes a new one


def wheelhouse(python: str) -> Path:
    """Make the archive for CPython ``python``, such as 3.13, where it is absent, and return its path.

    Raises:
        KitError: when the kit does not run on that Python, or a package for it can't be had.
    """
    supported = SpecifierSet(importlib.metadata.metadata(PACKAGE)["Requires-Python"])
    if not supported.contains(python):
        raise KitError(
            f"the kit needs Python {supported} on its hosts, and this one has Python {python}: upgrade it to Debian 12 "
            "or 13"
        )
    archive = cache() / "wheelhouse" / f"{PACKAGE}-{_tag(python)}-{_identity(python)}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with (archive.parent / ".lock").open("w") as lock:  # every host of a run asks, and all but the first find it made
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.is_file():
            _make(archive, python)
    return archive


def _make(archive: Path, python: str) -> None:
    dependencies = _dependencies(python)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=archive.parent) as folder:
        _pip(python, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", folder, ROOT)
        making = Path(folder) / archive.name
        with tarfile.open(making, "w") as file:
            for wheel in sorted([*dependencies.glob("*.whl"), *Path(folder).glob("*.whl")]):
                file.add(wheel, arcname=f"wheels/{wheel.name}")
        making.rename(archive)
    _forget_former(archive.parent, python)


def _tag(python: str) -> str:
    return "cp" + python.replace(".", "")


def _forget_former(folder: Path, python: str) -> None:
    made = folder.glob(f"{PACKAGE}-{_tag(python)}-*.tar")
    for former in sorted(made, key=lambda path: path.stat().st_mtime)[:-_KEPT]:
        former.unlink(missing_ok=True)


def _dependencies(python: str) -> Path:
    """The folder of what others made: fetched once for a lock file, whatever changes in the kit itself."""
    requirements = _runtime_requirements(python)
    digest = hashlib.sha256(f"{python} {platform.machine()} {requirements}".encode()).hexdigest()[:16]
    wheels = cache() / "wheelhouse" / f"dependencies-{digest}"
    if wheels.is_dir():
        return wheels
    with tempfile.TemporaryDirectory(prefix=".making-", dir=wheels.parent) as folder:
        making = Path(folder) / wheels.name
        lock = Path(folder) / "requirements.txt"
        lock.write_text(requirements)
        _pip(python, "download", "--require-hashes", "--requirement", lock, "--dest", making, *_target(python))
        making.rename(wheels)
    return wheels


def _identity(python: str) -> str:
    digest = hashlib.sha256(f"{_DEFINITION} {python} {platform.machine()}".encode())
    sources = sorted(path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    for path in (LOCK, ROOT / "pyproject.toml", *sources):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _runtime_requirements(python: str) -> str:
    """The blocks of the lock file that the package needs on ``python`` without its extras."""
    wanted = _closure(PACKAGE, frozenset(), python)
    blocks = LOCK.read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    kept = [line for line in blocks if canonicalize_name(line.partition("==")[0].strip()) in wanted and "==" in line]
    return "\n".join(kept) + "\n"


def _closure(package: str, extras: frozenset[str], python: str) -> set[str]:
    found: set[str] = set()
    for text in importlib.metadata.requires(package) or []:
        requirement = Requirement(text)
        version = {"python_version": python, "python_full_version": f"{python}.0"}
        environments = [version | {"extra": extra} for extra in extras or {""}]
        if requirement.marker and not any(requirement.marker.evaluate(each) for each in environments):
            continue
        name = canonicalize_name(requirement.name)
        found |= {name} | _closure(name, frozenset(requirement.extras), python)
    return found


def _target(python: str) -> list[str]:
    machine = platform.machine()
    platforms = (f"manylinux_2_{minor}_{machine}" for minor in (36, 34, 28, 26, 24, 17))
    return [
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={python}",
        *(f"--platform={name}" for name in (*platforms, f"manylinux2014_{machine}")),
    ]


def _pip(python: str, *arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reasons = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")] or lines[-1:]
        reason = reasons[0] if reasons else f"pip ended with status {done.returncode}"
        raise KitError(
            f"the adapter's packages for Python {python} can't be had: {reason}; run ./bootstrap, and see that pip "
            "reaches its index"
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelhouse", description="Print the path of the archive for a Python.")
    parser.add_argument("python", help="version of the hosts' Python, such as 3.13")
    try:
        print(wheelhouse(parser.parse_args().python))
    except KitError as error:
        sys.exit(f"aansluitkit: {error}")


if __name__ == "__main__":
    main()
