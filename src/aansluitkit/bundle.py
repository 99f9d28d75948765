"""Everything that an installation needs, in one folder: for a controller and hosts that reach nothing.

``wheels/`` is what ``bootstrap`` makes the virtual environment of, ``packages/`` has Debian's packages of each release
as one archive with an index for apt, ``cache/`` is what the kit keeps in its own cache (engine, host image, the
adapter's packages, jars), and ``kit.tar`` the kit with its inventories. ``SHA256SUMS`` has them all, ``manifest.json``
tells what they are.

Debian's packages are those that apt found signed by Debian; the folder is trusted by its checksums.
"""

from __future__ import annotations

import fnmatch
import importlib.metadata
import json
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from aansluitkit.checksum import sha256_of
from aansluitkit.connection.ansible_loader import host_variables
from aansluitkit.errors import KitError
from aansluitkit.jar import checked
from aansluitkit.lab import image
from aansluitkit.lab.run import run
from aansluitkit.landscape.engine import engine, pinned
from aansluitkit.project import ROOT, cache
from aansluitkit.wheelhouse import LOCK, wheelhouse

SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
_LEFT_OUT = {".git", ".venv", ".lab", ".cache", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
_INDEX = "Packages"
_MIRROR = "http://deb.debian.org"
_ADAPTER = "ebms_adapter_"

Say = Callable[[str], None]


def make_bundle(folder: Path, inventories: Sequence[Path], suites: Sequence[str], say: Say) -> dict[str, int]:
    """Make the bundle ``folder``, with what ``inventories`` ask for, and return the bytes of each of its parts.

    ``suites`` are the releases of Debian that hosts have. The folder appears whole or not at all.

    Raises:
        KitError: when it is there already, or something can't be had.
    """
    if folder.exists():
        raise KitError(f"{folder} is there already: name a folder that is not, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as place:
        making = Path(place) / folder.name
        making.mkdir()
        jars = _jars(inventories)
        _gather(making, jars, suites, say)
        _write_manifest(making, jars, suites)
        say("computing checksums")
        (making / SUMS).write_text("".join(_sums(making)), encoding="utf-8")
        making.chmod(0o755)
        making.rename(folder)
    return {part.name: _size(part) for part in sorted(folder.iterdir())}


def _gather(making: Path, jars: Sequence[Path], suites: Sequence[str], say: Say) -> None:
    say("wheels of the controller")
    _wheels(making / "wheels" / tag())
    pythons = []
    for suite in suites:
        say(f"packages of Debian {suite}")
        wanted = {*image.PACKAGES, *(image.JAVA if jars else ())}
        if suite == platform.freedesktop_os_release().get("VERSION_CODENAME"):
            wanted |= {*run(ROOT / "bootstrap", "packages").split()}
        made = making / "packages" / f"{suite}.tar"
        make_repository(suite, sorted(wanted), made)
        pythons.append(python_of(made))
    say("engine, host image and packages of the adapter")
    for part in _cached(jars, pythons, say):
        kept = making / "cache" / part.relative_to(cache())
        kept.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if part.is_dir() else shutil.copy2)(part, kept)
    say("the kit itself")
    with tarfile.open(making / "kit.tar", "w") as archive:
        archive.add(ROOT, arcname="aansluitkit", filter=_kept)


def tag() -> str:
    """Which Pythons the wheels are for, such as cp311-x86_64."""
    return f"cp{sys.version_info.major}{sys.version_info.minor}-{platform.machine()}"


def _wheels(folder: Path) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--require-hashes")
    run(sys.executable, "-m", "pip", "download", *options, "--requirement", LOCK, "--dest", folder)


def _cached(jars: Sequence[Path], pythons: Sequence[str], say: Say) -> Iterator[Path]:
    home = engine(say)
    if home is None:
        raise KitError(
            "the Pulumi engine is the one on PATH, which is not the kit's to hand on: take it off PATH, and the kit "
            f"has one of version {pinned()} in its cache"
        )
    yield home
    yield from map(wheelhouse, dict.fromkeys(pythons))
    yield from (cache() / "wheelhouse").glob("dependencies-*")
    made = image.archive(say)
    yield made
    made.unlink()  # the machine's own is imported
    yield from jars


def _jars(inventories: Sequence[Path]) -> list[Path]:
    """The jars of ebms-admin that the inventories deploy, in the cache."""
    found = []
    for inventory in inventories:
        for variables in host_variables(inventory, _ADAPTER).values():
            place, sha256 = (str(variables.get(f"{_ADAPTER}{name}") or "") for name in ("jar", "jar_sha256"))
            if variables.get(f"{_ADAPTER}implementation") == "ebms_admin" and place:
                jar, kept = checked(place, sha256), cache() / "jar" / f"{sha256.lower()}.jar"
                if jar != kept:
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(jar, kept)
                found.append(kept)
    return list(dict.fromkeys(found))


def make_repository(suite: str, packages: Sequence[str], archive: Path) -> None:
    """Write ``packages`` of Debian ``suite``, and all that they depend on, to ``archive`` with an index for apt.

    Raises:
        KitError: when apt can't have one of them, or none that Debian signed.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=archive.parent) as place:
        apt = Path(place) / "apt"
        for folder in ("lists/partial", "archives/partial", "sources"):
            (apt / folder).mkdir(parents=True)
        (apt / "status").touch()  # nothing is installed there, so everything is fetched
        _write_sources(suite, apt / "sources")
        options = {
            "Dir::State::status": apt / "status",
            "Dir::State::lists": apt / "lists",
            "Dir::Cache::archives": apt / "archives",
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": apt / "sources",
            "Dir::Etc::preferencesparts": "/dev/null",
            "APT::Sandbox::User": "root",
            "Debug::NoLocking": "true",
        }
        command = ["apt-get", "--quiet", "--yes", *(f"--option={name}={value}" for name, value in options.items())]
        run(*command, "update")
        run(*command, "install", "--download-only", "--no-install-recommends", *packages)
        shutil.rmtree(apt / "archives/partial")
        (apt / "archives/lock").unlink(missing_ok=True)
        _index(apt / "archives")
        making = Path(place) / archive.name
        with tarfile.open(making, "w") as file:
            for path in sorted((apt / "archives").iterdir(), key=lambda path: (path.name == _INDEX, path.name)):
                file.add(path, arcname=path.name)  # the index last: what is unpacked with it is whole
        making.rename(archive)


def python_of(archive: Path) -> str:
    """The version of the Python, such as 3.13, that the release in ``archive`` has as python3."""
    with tarfile.open(archive) as file:
        [package] = fnmatch.filter(file.getnames(), "python3_*.deb")
    return ".".join(package.removeprefix("python3_").split(".")[:2])


def _index(folder: Path) -> None:
    try:
        done = subprocess.run(
            ["apt-ftparchive", "packages", "."], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise KitError(f"apt-ftparchive can't make an index of packages ({error}): run ./bootstrap") from error
    (folder / _INDEX).write_text(done.stdout, encoding="utf-8")


def _write_sources(suite: str, folder: Path) -> None:
    """The machine's own package sources, where they are of ``suite``; else Debian's."""
    for path in image.sources(suite):
        shutil.copy2(path, folder)
    if not any(folder.iterdir()):
        named = (("debian", suite), ("debian", f"{suite}-updates"), ("debian-security", f"{suite}-security"))
        lines = [f"deb {_MIRROR}/{place} {name} main\n" for place, name in named]
        (folder / "debian.list").write_text("".join(lines), encoding="utf-8")


def _kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if _LEFT_OUT.intersection(Path(entry.name).parts) or entry.name.endswith(".egg-info") else entry


def _write_manifest(making: Path, jars: Sequence[Path], suites: Sequence[str]) -> None:
    told = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "kit": importlib.metadata.version("aansluitkit"),
        "wheels": tag(),
        "engine": pinned(),
        "debian": list(suites),
        "jars": [jar.stem for jar in jars],
        "parts": {path.name: _size(path) for path in sorted(making.iterdir())},
    }
    (making / MANIFEST).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _sums(folder: Path) -> Iterator[str]:
    """What sha256sum --check reads."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield f"{sha256_of(path)}  {path.relative_to(folder)}\n"


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
