"""The lab's landscape: the same program, with a state of its own below ``.lab``."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from aansluitkit.connection import Component, load_connection
from aansluitkit.lab import container, keys, network
from aansluitkit.lab.podman import VOLATILE, containers
from aansluitkit.lab.run import run
from aansluitkit.landscape.stack import Say, Settings, open_stack
from aansluitkit.landscape.verbs import apply
from aansluitkit.project import STATE

CLEANUP_SECONDS = 20
_HOME = STATE / "pulumi"


def settings() -> Settings:
    """Where the lab's state lies: it goes with the lab."""
    backend = _HOME / "state"
    backend.mkdir(parents=True, exist_ok=True)
    passphrase = _HOME / "passphrase"
    if not passphrase.is_file():
        passphrase.touch(mode=0o600)
        passphrase.write_text(secrets.token_urlsafe(32))
    return Settings(f"file://{backend}", _HOME / "workspace", _HOME / "home", passphrase_file=passphrase)


def up(inventory: Path, say: Say) -> dict[str, int]:
    """Make what the inventory names, repair what is gone, and return how many resources changed, by kind of change.

    Raises:
        KitError: when the engine can't be had or a resource can't be made.
    """
    keys.make_keys()
    connection = load_connection(inventory)
    stack = open_stack(inventory, connection, settings(), say)
    stack.cancel()  # a run that was broken off leaves a lock: whoever gets here holds the lab's own
    changes = apply(stack, say)
    same = changes.pop("same", 0)
    if changes:
        for manager in connection.hosts_of(Component.MANAGEMENT):
            network.hang_up(network.namespace_of(manager.name))
    say(", ".join([*(f"{count} {kind}d" for kind, count in changes.items()), f"{same} unchanged"]))
    return changes


def down(say: Say) -> None:
    """Remove every host and network of the lab, also those that Pulumi has forgotten.

    Raises:
        KitError: when something can't be removed.
    """
    for found in containers(network.PREFIX):
        say(f"removing container {found['Names'][0]}")
        container.remove(found["Names"][0])
    for namespace in network.all_of(network.PREFIX):
        network.remove(namespace)
    _remove_volatile()


def _remove_volatile() -> None:
    until = time.monotonic() + CLEANUP_SECONDS
    while _is_used(VOLATILE) and time.monotonic() < until:
        time.sleep(0.1)  # podman cleans up behind a container, in a process of its own
    if VOLATILE.exists():
        for line in Path("/proc/mounts").read_text().splitlines():
            mounted = line.split()[1]
            if mounted.startswith(f"{VOLATILE}/"):
                run("umount", mounted)
        run("rm", "-rf", VOLATILE)
    left = Path("/run/runc")  # runc(8) makes it for itself, whatever root it is told
    if left.is_dir() and not any(left.iterdir()):
        left.rmdir()


def _is_used(folder: Path) -> bool:
    """Whether a process has ``folder`` on its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes():
                return True
        except OSError:
            continue  # it has ended
    return False
