"""Podman with a store of its own, so that nothing of the machine's containers is touched or seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aansluitkit.lab.run import run
from aansluitkit.project import cache

VOLATILE = Path("/run/aansluitkit")  # gone after a reboot, as podman's own state must be

# crun fails on machines with hybrid cgroups; podman's default limits can exceed the machine's hard ones.
_CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def podman(*arguments: str | Path, text: str | None = None) -> str:
    """Run podman on the kit's own store, with ``text`` on its standard input, and return what it prints.

    Raises:
        KitError: when it fails.
    """
    home = cache() / "podman"
    home.mkdir(parents=True, exist_ok=True)
    VOLATILE.mkdir(exist_ok=True, mode=0o700)
    configuration = home / "containers.conf"
    if not configuration.is_file():
        configuration.write_text(_CONFIGURATION)
    return run(
        "podman",
        "--root",
        home / "storage",
        "--runroot",
        VOLATILE / "podman",
        "--tmpdir",
        VOLATILE / "libpod",
        "--runtime-flag",
        f"root={VOLATILE}/runc",
        "--cgroup-manager",
        "cgroupfs",
        *arguments,
        environment={"CONTAINERS_CONF": str(configuration)},
        text=text,
    )


def containers(prefix: str) -> list[dict[str, Any]]:
    """All containers whose name begins with ``prefix``, running or not, as podman lists them."""
    found: list[dict[str, Any]] = json.loads(podman("ps", "--all", "--format", "json") or "[]")
    return [container for container in found if container["Names"][0].startswith(prefix)]


def has_image(name: str) -> bool:
    """Whether the image ``name`` is in the store."""
    images = podman("images", "--noheading", "--format", "{{.Repository}}:{{.Tag}}").split()
    return name in images
