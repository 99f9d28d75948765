"""Running the Pulumi program for the lab, with a state of its own below ``.lab``."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pulumi import automation

from aansluitkit.connection import Component, load_connection
from aansluitkit.errors import KitError
from aansluitkit.lab import container, keys, network
from aansluitkit.lab.engine import engine
from aansluitkit.lab.podman import VOLATILE, containers
from aansluitkit.lab.run import run
from aansluitkit.project import ROOT, STATE

PROJECT = "aansluitkit"
STACK = "lab"
CLEANUP_SECONDS = 20
_HOME = STATE / "pulumi"

Progress = Callable[[str], None]


def up(inventory: Path, image: str, say: Progress) -> dict[str, int]:
    """Make what the inventory names, repair what is gone, and return how many resources changed, by kind of change.

    Raises:
        KitError: when the engine can't be had or a resource can't be made.
    """
    keys.make_keys()
    stack = _stack(inventory, image, say)
    try:
        # A run that was broken off leaves a lock or pending operations: whoever gets here holds the lab's own lock.
        stack.cancel()
        stack.refresh(on_output=_ignore, clear_pending_creates=True)
        result = stack.up(on_output=lambda line: _tell(line, say))
    except automation.CommandError as error:
        raise KitError(f"the landscape could not be made: {_reason(error)}") from error
    changes = {str(kind): count for kind, count in (result.summary.resource_changes or {}).items()}
    same = changes.pop("same", 0)
    if changes:
        _hang_up(inventory)
    say(", ".join([*(f"{count} {kind}d" for kind, count in changes.items()), f"{same} unchanged"]))
    return changes


def _hang_up(inventory: Path) -> None:
    for manager in load_connection(inventory).hosts_of(Component.MANAGEMENT):
        network.hang_up(network.namespace_of(manager.name))


def down(say: Progress) -> None:
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


def _stack(inventory: Path, image: str, say: Progress) -> automation.Stack:
    from aansluitkit_landscape import landscape  # noqa: PLC0415

    home = engine(say)
    backend = _HOME / "state"
    backend.mkdir(parents=True, exist_ok=True)
    interpreter = Path(sys.executable)
    return automation.create_or_select_stack(
        stack_name=STACK,
        project_name=PROJECT,
        program=lambda: landscape(inventory, image),
        opts=automation.LocalWorkspaceOptions(
            work_dir=str(_workspace()),
            pulumi_command=automation.PulumiCommand(root=str(home) if home else None),
            pulumi_home=str(_HOME / "home"),
            project_settings=automation.ProjectSettings(
                name=PROJECT, runtime="python", backend=automation.ProjectBackend(url=f"file://{backend}")
            ),
            env_vars={
                "PULUMI_CONFIG_PASSPHRASE": _passphrase(),
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                "PULUMI_PYTHON_CMD": str(interpreter),
                "PATH": f"{interpreter.parent}:{os.environ['PATH']}",
                "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'pulumi'}",
            },
        ),
    )


def _workspace() -> Path:
    folder = _HOME / "workspace"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _passphrase() -> str:
    path = _HOME / "passphrase"
    if not path.is_file():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text()


def _tell(line: str, say: Progress) -> None:
    words = line.split()
    if len(words) > 4 and words[0] in "+-~" and words[-1] in ("created", "deleted", "updated", "replaced"):
        say(" ".join(words[2:4]))


def _ignore(_line: str) -> None:
    pass


def _reason(error: automation.CommandError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip().startswith("error:")]
    return "; ".join(dict.fromkeys(lines))[:800] or " ".join(str(error).split())[-800:]
