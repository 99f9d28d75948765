"""Who deploys what: what a controller says of a run, on the hosts' locks and in their records."""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

_TAKE_A_FILE = ("-i", "--inventory", "--inventory-file", "-e", "--extra-vars")  # options of ansible-playbook


@cache
def this_run(inventory: str) -> dict[str, Any]:
    """The run of the playbook that this process, a worker of Ansible's, belongs to.

    ``token`` is the main process, ``inventory_sha256`` is over names and bytes of the inventory's files. Nothing in it
    is a secret.
    """
    main = os.getppid()
    return {
        "token": f"{_machine()}/{main}/{_started(main)}",
        "began": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "operator": os.environ.get("SUDO_USER") or getpass.getuser(),
        "controller": platform.node(),
        "kit": version("aansluitkit"),
        "inventory": "/".join(Path(inventory).parts[-2:]),
        "inventory_sha256": digest(Path(inventory)),
        "playbook": _playbook(main),
    }


def is_gone(holder: dict[str, Any] | None) -> bool:
    """Whether ``holder`` of a lock was a process of this machine that does not run any more."""
    if not holder:
        return False
    machine, process, started = str(holder["token"]).rsplit("/", 2)
    return machine == _machine() and _started(int(process)) != started


def digest(inventory: Path) -> str:
    """SHA-256 over the files of ``inventory``, hexadecimal: another one when any of them changed."""
    found = hashlib.sha256()
    for path in sorted(path for path in inventory.rglob("*") if path.is_file()):
        found.update(f"{path.relative_to(inventory)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _machine() -> str:
    """This machine since it started, and this namespace of processes."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{platform.node()}/{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"


def _started(process: int) -> str:
    """When ``process`` started, in ticks (proc(5)); empty when there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _playbook(process: int) -> str:
    try:
        words = Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8").split("\0")
    except OSError:
        words = sys.argv
    told = [word for before, word in pairwise(words) if before not in _TAKE_A_FILE]
    return ", ".join(Path(word).name for word in told if word.endswith((".yml", ".yaml")))
