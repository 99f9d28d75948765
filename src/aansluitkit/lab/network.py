"""Network namespaces: a switch with a bridge per zone, and hosts that hang on it.

The switch has no address and forwards nothing; a host's only way is its gateway, the firewall. So no packet goes
from one zone to another but through the firewall host. There is no way out of the lab.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from aansluitkit.errors import KitError
from aansluitkit.lab.run import run

PREFIX = "aansluitkit-"
NAMESPACES = Path("/run/netns")


def namespace_of(host: str) -> str:
    """Name of the network namespace, and of the container, of ``host``."""
    return PREFIX + host


def exists(namespace: str) -> bool:
    """Whether ``namespace`` is there and alive."""
    if not (NAMESPACES / namespace).exists():
        return False
    try:
        run("ip", "-n", namespace, "link", "show", "lo")
    except KitError:
        return False
    return True


def inode(namespace: str) -> int:
    """Identity of ``namespace``: another one after it was made anew."""
    return (NAMESPACES / namespace).stat().st_ino


def interfaces(namespace: str) -> dict[str, list[str]]:
    """The interfaces of ``namespace`` and their IPv4 addresses with prefix length; ``lo`` is left out."""
    found = json.loads(run("ip", "-n", namespace, "-json", "-4", "address", "show") or "[]")
    links = json.loads(run("ip", "-n", namespace, "-json", "link", "show") or "[]")
    addresses = {
        entry["ifname"]: [f"{info['local']}/{info['prefixlen']}" for info in entry["addr_info"]]
        for entry in found
        if "ifname" in entry
    }
    return {link["ifname"]: addresses.get(link["ifname"], []) for link in links if link["ifname"] != "lo"}


def make_switch(namespace: str, zones: list[str]) -> None:
    """Make ``namespace`` with a bridge for each of ``zones``."""
    remove(namespace)
    _make(namespace)
    for zone in zones:
        add_zone(namespace, zone)


def add_zone(switch: str, zone: str) -> None:
    """Give ``switch`` a bridge for ``zone``."""
    run("ip", "-n", switch, "link", "add", zone, "type", "bridge")
    run("ip", "-n", switch, "link", "set", zone, "up")


def make_host(namespace: str, switch: str, addresses: Mapping[str, str], gateway: str | None) -> None:
    """Make ``namespace`` with one interface per zone of ``addresses`` (``address/length``), and a default route."""
    remove(namespace)
    _make(namespace)
    for zone, address in addresses.items():
        add_interface(namespace, switch, zone, address)
    if gateway:
        run("ip", "-n", namespace, "route", "add", "default", "via", gateway)


def add_interface(namespace: str, switch: str, zone: str, address: str) -> None:
    """Hang ``namespace`` on the bridge of ``zone``, with ``address`` (``address/length``)."""
    peer = _peer(namespace, zone)
    if peer in interfaces(switch):  # of a namespace that lost its name while a container lived in it
        run("ip", "-n", switch, "link", "delete", peer)
    run("ip", "-n", switch, "link", "add", peer, "type", "veth", "peer", "name", zone, "netns", namespace)
    run("ip", "-n", switch, "link", "set", peer, "master", zone, "up")
    # Always the same, so that neighbours find a host that was made anew.
    run("ip", "-n", namespace, "link", "set", zone, "address", _hardware_address(namespace, zone))
    run("ip", "-n", namespace, "address", "add", address, "dev", zone)
    run("ip", "-n", namespace, "link", "set", zone, "up")


def plug(namespace: str, switch: str, *, into: bool) -> None:
    """Put the cables of ``namespace`` into ``switch``, or pull them out: packets get lost, and nobody is told."""
    ends = set(interfaces(switch))
    for peer in sorted({_peer(namespace, zone) for zone in interfaces(namespace)} & ends):
        run("ip", "-n", switch, "link", "set", peer, "up" if into else "down")


def remove(namespace: str) -> None:
    """Remove ``namespace`` with all that hangs on it; one that is not there is no error."""
    if (NAMESPACES / namespace).exists():
        run("ip", "netns", "delete", namespace)


def hang_up(controller: str, address: str = "") -> None:
    """End the SSH connections from namespace ``controller``, all or those to ``address``.

    Ansible keeps connections open; one to a host that is no longer there would hold up everything sent over it.
    """
    for pid in run("ip", "netns", "pids", controller).split():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if words[0] == "nc" and (not address or address in words):
                os.kill(int(pid), signal.SIGTERM)
        except OSError:
            continue  # it has ended


def all_of(prefix: str) -> list[str]:
    """Names of the namespaces that begin with ``prefix``."""
    return sorted(path.name for path in NAMESPACES.glob(f"{prefix}*"))


def _make(namespace: str) -> None:
    run("ip", "netns", "add", namespace)
    off = ("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
    run("ip", "netns", "exec", namespace, "sysctl", "-q", "-w", *off)
    run("ip", "-n", namespace, "link", "set", "lo", "up")


def _peer(namespace: str, zone: str) -> str:
    """The switch's end of a link; interface names have 15 characters at most."""
    return "v" + _digest(namespace, zone)[:12]


def _hardware_address(namespace: str, zone: str) -> str:
    """A locally administered unicast address (IEEE 802)."""
    digest = _digest(namespace, zone)
    return ":".join(["02", *(digest[at : at + 2] for at in range(0, 10, 2))])


def _digest(namespace: str, zone: str) -> str:
    return hashlib.sha256(f"{namespace}/{zone}".encode()).hexdigest()
