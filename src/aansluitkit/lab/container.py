"""A host of the lab: a container with systemd in a network namespace that was made before."""

from __future__ import annotations

import time
from contextlib import suppress

from aansluitkit.errors import KitError
from aansluitkit.lab import keys
from aansluitkit.lab.network import inode
from aansluitkit.lab.podman import VOLATILE, containers, podman
from aansluitkit.lab.run import run

# What roles need inside: addresses and filters, and systemd's sandboxes (bind mounts) for the services' own units.
_CAPABILITIES = ("NET_ADMIN", "NET_RAW", "SYS_ADMIN")
_BOOT_SECONDS = 120
_PAUSE = 0.3
_INODE = "aansluitkit.namespace"


def make(name: str, image: str, hostname: str) -> None:
    """Start container ``name`` in the network namespace of the same name, with the lab's SSH keys inside."""
    remove(name)
    podman(
        "create",
        "--name",
        name,
        "--hostname",
        hostname,
        "--network",
        f"ns:/run/netns/{name}",
        "--label",
        f"{_INODE}={inode(name)}",
        "--systemd=always",
        *(f"--cap-add={capability}" for capability in _CAPABILITIES),
        "--security-opt=unmask=/proc/sys",
        "--no-hosts",
        "--dns=none",
        "--shm-size=128m",
        image,
        "/sbin/init",
    )
    for source, target in (
        (keys.HOST, "/etc/ssh/ssh_host_ed25519_key"),
        (keys.HOST.with_suffix(".pub"), "/etc/ssh/ssh_host_ed25519_key.pub"),
        (keys.LOGIN.with_suffix(".pub"), f"/etc/ssh/authorized_keys_{keys.USER}"),
    ):
        podman("cp", source, f"{name}:{target}")
    start(name)
    # Sudo looks its own host up.
    run_in(name, f"echo 127.0.1.1 {hostname} >> /etc/hosts && chpasswd", f"{keys.USER}:{keys.sudo_password()}\n")


def is_running(name: str) -> bool:
    """Whether container ``name`` runs in the network namespace that is there now."""
    for container in containers(name):
        if container["Names"] == [name]:
            return bool(container["State"] == "running" and container["Labels"].get(_INODE) == str(inode(name)))
    return False


def run_in(name: str, command: str, text: str = "") -> str:
    """Run ``command`` of the shell in container ``name``, with ``text`` on its standard input; return what it prints.

    Raises:
        KitError: when it fails.
    """
    return podman("exec", "--interactive", name, "sh", "-c", command, text=text)


def kill(name: str) -> None:
    """End container ``name`` as a power cut does."""
    podman("kill", "--signal", "KILL", name)
    podman("wait", name)
    # Podman leaves this to who starts it next, who then fails.
    [identity] = podman("inspect", "--format", "{{.Id}}", name).split()
    run("runc", "--root", VOLATILE / "runc", "delete", "--force", identity)


def start(name: str) -> None:
    """Start container ``name``, and wait until its services have been started.

    Raises:
        KitError: when they are not in time.
    """
    podman("start", name)
    until = time.monotonic() + _BOOT_SECONDS
    while time.monotonic() < until:
        with suppress(KitError):
            if run_in(name, "systemctl is-system-running || true").strip() in ("running", "degraded"):
                return
        time.sleep(_PAUSE)
    raise KitError(f"{name} does not start within {_BOOT_SECONDS} s: see 'podman logs {name}'")


def remove(name: str) -> None:
    """Remove container ``name``; one that is not there is no error."""
    podman("rm", "--force", "--ignore", "--time", "3", name)
