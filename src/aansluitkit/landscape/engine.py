"""The Pulumi engine, in the version of the SDK: found, installed, or built.

In this order: the one on PATH, the one in the cache, Pulumi's own installation, a build of its Go module
(``pulumi/engine``) with a Go of the version that its ``go.mod`` names.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from aansluitkit.errors import KitError
from aansluitkit.lab.run import run
from aansluitkit.project import ROOT, cache

MODULE = ROOT / "pulumi/engine"
INSTALL_SECONDS = 300
# Starts the SDK's server of dynamic providers with the interpreter that runs the program.
_DYNAMIC = '#!/bin/sh\nexec "${PULUMI_PYTHON_CMD:-python3}" -u -m pulumi.dynamic "$@"\n'


def pinned() -> str:
    """The version that engine and SDK share."""
    return importlib.metadata.version("pulumi")


def engine(say: Callable[[str], None]) -> Path | None:
    """Return the folder whose ``bin`` holds the engine, or None for the one on PATH; one line says which and why.

    Raises:
        KitError: when there is none and none can be had; the message says why each way failed.
    """
    version = pinned()
    if version_of("pulumi") == version:
        say(f"Pulumi engine {version}: the one on PATH ({shutil.which('pulumi')})")
        return None
    home = cache() / "engine" / version
    if version_of(home / "bin/pulumi") == version:
        say(f"Pulumi engine {version}: the one in the cache ({home})")
        return home
    failures = []
    for way, obtain in (("Pulumi's own installation", _install), ("a build of its Go module", _build)):
        try:
            _atomically(obtain, home, version, say)
        except KitError as error:
            failures.append(f"{way}: {error}")
        else:
            say(f"Pulumi engine {version}: {way}" + "".join(f" (because {failure})" for failure in failures))
            return home
    raise KitError(
        f"no Pulumi engine {version} can be had: {'; '.join(failures)}. Install it by hand so that 'pulumi version' "
        f"says v{version}, or install Go"
    )


def version_of(command: str | Path) -> str | None:
    """Version of the engine ``command``, without the v, or None when it does not run."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run(
            [str(command), "version"], capture_output=True, text=True, env=environment, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().removeprefix("v")


def _atomically(
    obtain: Callable[[Path, str, Callable[[str], None]], None], home: Path, version: str, say: Callable[[str], None]
) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=home.parent) as folder:
        making = Path(folder) / version
        (making / "bin").mkdir(parents=True)
        obtain(making, version, say)
        found = version_of(making / "bin/pulumi")
        if found != version:
            raise KitError(f"it yields version {found or 'none'}, not {version}")
        shim = making / "bin/pulumi-resource-pulumi-python"
        if not shim.exists():
            shim.write_text(_DYNAMIC)
            shim.chmod(0o755)
        shutil.rmtree(home, ignore_errors=True)
        making.rename(home)


def _install(folder: Path, version: str, say: Callable[[str], None]) -> None:
    say(f"installing Pulumi engine {version} from its makers")
    code = (
        "import sys; from semver import VersionInfo; from pulumi.automation import PulumiCommand; "
        "PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))"
    )
    try:
        subprocess.run(
            [sys.executable, "-c", code, str(folder), version],
            capture_output=True,
            check=True,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise KitError(f"not done within {INSTALL_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        raise KitError("its site can't be reached") from error


def _build(folder: Path, version: str, say: Callable[[str], None]) -> None:
    if shutil.which("go") is None:
        raise KitError("there is no Go on PATH")
    say(f"building Pulumi engine {version} from its Go module (3 to 9 minutes the first time)")
    flags = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{version}"
    run(
        "go",
        "-C",
        MODULE,
        "build",
        "-trimpath",
        "-ldflags",
        flags,
        "-o",
        folder / "bin/pulumi",
        "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        environment={"GOFLAGS": "-mod=readonly"},
    )
