"""A firewall that is cut off, and how long a connection that runs over it stands still."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aansluitkit.connection import Component, Connection, Host
from aansluitkit.lab import keys, network
from aansluitkit.lab.run import run

BEAT = 0.1  # seconds between two words that the held connection carries


def active_firewall(connection: Connection) -> Host:
    """The firewall that carries the inbound address; exactly one does."""
    carried = str(connection.inbound_address)
    held = [
        host
        for host in connection.hosts_of(Component.FIREWALL)
        if any(entry.partition("/")[0] == carried for entry in _addresses(host))
    ]
    assert len(held) == 1, f"{[host.name for host in held]} carry {carried}"
    return held[0]


@contextmanager
def cut_off(host: Host) -> Iterator[None]:
    """Every cable of ``host`` is pulled, and put back afterwards."""
    _set_links(host, "down")
    try:
        yield
    finally:
        _set_links(host, "up")


class Held:
    """An SSH connection from the manager to ``host`` that was there before, over which ``host`` keeps talking."""

    def __init__(self, connection: Connection, host: Host) -> None:
        manager = network.namespace_of(connection.host_of(Component.MANAGEMENT).name)
        options = [f"UserKnownHostsFile={keys.KNOWN_HOSTS}", "ServerAliveInterval=0", "IdentitiesOnly=yes"]
        self._process = subprocess.Popen(
            [
                *("ip", "netns", "exec", manager, "ssh", "-i", str(keys.LOGIN)),
                *(word for option in options for word in ("-o", option)),
                *(f"root@{host.address}", f"while sleep {BEAT}; do echo; done"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        self.heard: list[float] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for _ in self._process.stdout:
            self.heard.append(time.monotonic())

    def goes_on(self, since: float, within: float = 60) -> bool:
        """Whether anything was heard after ``since`` (time.monotonic), waited for at most ``within`` seconds."""
        until = time.monotonic() + within
        while time.monotonic() < until and self._process.poll() is None:
            if self.heard and self.heard[-1] > since:
                return True
            time.sleep(BEAT)
        return False

    def longest_silence(self) -> float:
        """Seconds."""
        return max(later - earlier for earlier, later in zip(self.heard, self.heard[1:], strict=False))

    def close(self) -> None:
        """Hang up."""
        self._process.kill()
        self._process.wait()


def _addresses(host: Host) -> list[str]:
    found = network.interfaces(network.namespace_of(host.name))
    return [address for addresses in found.values() for address in addresses]


def _set_links(host: Host, state: str) -> None:
    for zone in host.addresses:
        run("ip", "-n", network.namespace_of(host.name), "link", "set", zone, state)
