"""The adapter's packages in one archive: what a host without any way out can install.

The runtime dependencies, in the versions and with the hashes of ``requirements.lock``, and the kit itself.
``python -m aansluitkit.wheelhouse`` prints the archive's path; its name changes with its content.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from aansluitkit.errors import KitError
from aansluitkit.project import ROOT, cache

LOCK = ROOT / "requirements.lock"
PACKAGE = "aansluitkit"
_DEFINITION = 2  # to be raised when what is in the archive changes for another reason


def wheelhouse(python: str = "3.11") -> Path:
    """Make the archive for CPython ``python`` where it is absent, and return its path.

    Raises:
        KitError: when a package can't be had.
    """
    archive = cache() / "wheelhouse" / f"{PACKAGE}-{_identity(python)}.tar"
    if archive.is_file():
        return archive
    dependencies = _dependencies(python)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=archive.parent) as folder:
        _pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", folder, ROOT)
        making = Path(folder) / archive.name
        with tarfile.open(making, "w") as file:
            for wheel in sorted([*dependencies.glob("*.whl"), *Path(folder).glob("*.whl")]):
                file.add(wheel, arcname=f"wheels/{wheel.name}")
        making.rename(archive)
    return archive


def _dependencies(python: str) -> Path:
    """The folder of what others made: fetched once for a lock file, whatever changes in the kit itself."""
    requirements = _runtime_requirements()
    digest = hashlib.sha256(f"{python} {platform.machine()} {requirements}".encode()).hexdigest()[:16]
    wheels = cache() / "wheelhouse" / f"dependencies-{digest}"
    if wheels.is_dir():
        return wheels
    wheels.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=wheels.parent) as folder:
        making = Path(folder) / wheels.name
        lock = Path(folder) / "requirements.txt"
        lock.write_text(requirements)
        _pip("download", "--require-hashes", "--requirement", lock, "--dest", making, *_target(python))
        making.rename(wheels)
    return wheels


def _identity(python: str) -> str:
    digest = hashlib.sha256(f"{_DEFINITION} {python} {platform.machine()}".encode())
    sources = sorted(path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    for path in (LOCK, ROOT / "pyproject.toml", *sources):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _runtime_requirements() -> str:
    """The blocks of the lock file that the package needs without its extras."""
    wanted = _closure(PACKAGE, frozenset())
    blocks = LOCK.read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    kept = [line for line in blocks if canonicalize_name(line.partition("==")[0].strip()) in wanted and "==" in line]
    return "\n".join(kept) + "\n"


def _closure(package: str, extras: frozenset[str]) -> set[str]:
    found: set[str] = set()
    for text in importlib.metadata.requires(package) or []:
        requirement = Requirement(text)
        environments = [{"extra": extra} for extra in extras or {""}]
        if requirement.marker and not any(requirement.marker.evaluate(each) for each in environments):
            continue
        name = canonicalize_name(requirement.name)
        found |= {name} | _closure(name, frozenset(requirement.extras))
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


def _pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KitError(f"the adapter's packages can't be had: {' '.join(done.stderr.split())[-600:]}")


if __name__ == "__main__":
    try:
        print(wheelhouse())
    except KitError as error:
        sys.exit(f"aansluitkit: {error}")
