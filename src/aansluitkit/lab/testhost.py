"""Hosts for the scenarios of the roles: like the lab's, but each alone on one network.

``python -m aansluitkit.lab.testhost create NAME…`` prints how to reach them, as Molecule wants it (YAML);
``destroy NAME…`` removes them, and their network with the last. As a plugin of pytest it has Testinfra become root
there.
"""

from __future__ import annotations

import argparse
import fcntl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import testinfra.backend
import yaml

from aansluitkit.certificates.pkioverheid import Generation
from aansluitkit.connection import load_connection
from aansluitkit.errors import KitError
from aansluitkit.lab import container, image, keys, network
from aansluitkit.lab.pki import make_pki
from aansluitkit.lab.run import run
from aansluitkit.project import ROOT
from aansluitkit.verification.commands import Commands
from aansluitkit.verification.ssh import Ssh

CONTROLLER = network.namespace_of("test")
SWITCH = network.namespace_of("test-switch")
ZONE = "test"
NETWORK = "198.18.0"  # RFC 2544: for tests of network devices
FIRST, LAST = 10, 250
READY_SECONDS = 60
_LOCK = Path("/run/lock/aansluitkit-testhost")


def create(names: list[str]) -> list[dict[str, object]]:
    """Make a host for each of ``names`` and return Molecule's instance configuration once SSH answers.

    Raises:
        KitError: when a host can't be made or does not answer.
    """
    with _alone():
        keys.make_keys()
        connection = load_connection(ROOT / "inventories/lab")
        make_pki(connection, Generation.G4, connection.certificates.partner.parents[1], _tell)
        host_image = image.build(_tell)
        if not network.exists(CONTROLLER):
            network.make_switch(SWITCH, [ZONE])
            network.make_host(CONTROLLER, SWITCH, {ZONE: f"{NETWORK}.1/24"}, None)
        addresses = {name: _make(name, host_image) for name in names}
    for address in addresses.values():
        _wait(address)
    return [
        {"instance": name, "address": address, "user": keys.USER, "port": 22, "identity_file": str(keys.LOGIN)}
        for name, address in addresses.items()
    ]


def destroy(names: list[str]) -> None:
    """Remove the hosts ``names``; those that are not there are no error.

    Raises:
        KitError: when one can't be removed.
    """
    with _alone():
        for name in names:
            for place in network.interfaces(_full(name)).get(ZONE, []) if network.exists(_full(name)) else []:
                network.hang_up(CONTROLLER, place.partition("/")[0])
            container.remove(_full(name))
            network.remove(_full(name))
        if not _hosts():
            network.remove(CONTROLLER)
            network.remove(SWITCH)


class Testhost(Ssh):
    """Testinfra's view of such a host."""

    __test__ = False

    def __init__(self, hostspec: str, **options: Any) -> None:
        super().__init__(hostspec, sudo_password=keys.sudo_password(), runs=Commands().run, **options)


def pytest_configure() -> None:
    """Reach hosts as the playbooks do."""
    testinfra.backend.BACKENDS["ssh"] = f"{__name__}.{Testhost.__name__}"


def _full(name: str) -> str:
    return f"{CONTROLLER}-{name}"


def _hosts() -> list[str]:
    return [name for name in network.all_of(f"{CONTROLLER}-") if name != SWITCH]


def _make(name: str, host_image: str) -> str:
    network.remove(_full(name))
    taken = {address for host in _hosts() for address in network.interfaces(host).get(ZONE, [])}
    free = (f"{NETWORK}.{number}" for number in range(FIRST, LAST))
    address = next(candidate for candidate in free if f"{candidate}/24" not in taken)
    network.make_host(_full(name), SWITCH, {ZONE: f"{address}/24"}, None)
    container.make(_full(name), host_image, name)
    return address


def _wait(address: str) -> None:
    until = time.monotonic() + READY_SECONDS
    while True:
        try:
            run("ip", "netns", "exec", CONTROLLER, "nc", "-z", "-w", "1", address, "22")
        except KitError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return


@contextmanager
def _alone() -> Iterator[None]:
    with _LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _tell(message: str) -> None:
    print(message, file=sys.stderr)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="testhost")
    parser.add_argument("action", choices=["create", "destroy"])
    parser.add_argument("names", nargs="+")
    given = parser.parse_args()
    try:
        if given.action == "create":
            print(yaml.safe_dump(create(given.names)), end="")
        else:
            destroy(given.names)
    except KitError as error:
        sys.exit(f"testhost: {error}")


if __name__ == "__main__":
    main()
