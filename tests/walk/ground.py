"""Hosts that nobody prepared, in network namespaces: they take their addresses at boot, as machines do."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path

from aansluitkit.connection import Component, Connection, Host
from aansluitkit.lab import container, keys, network
from aansluitkit.lab.run import run

PREFIX = "walk-"  # not the lab's
SWITCH = f"{PREFIX}switch"
OUTSIDE = f"{PREFIX}outside"
EXTERNAL = IPv4Network("10.99.1.0/24")
INSIDE = IPv4Network("10.37.0.0/16")
DIGINETWERK = IPv4Network("10.96.0.0/13")
ROUTER, DIGINETWERK_ROUTER = EXTERNAL[1], EXTERNAL[250]  # the way to everything, and to the partner alone
PARTNER, RESOLVER, SERVER = "10.98.0.10", "10.98.0.53", "10.98.0.80"
MIRROR_PORT = 3142


class Ground:
    """The hosts of ``connection``, bare, each in the image of its release, by name."""

    def __init__(self, connection: Connection, images: Mapping[str, str], suites: Mapping[str, str]) -> None:
        self._connection, self._images, self._suites = connection, images, suites
        [manager] = connection.hosts_of(Component.MANAGEMENT)
        self.controller = _namespace(manager)

    @property
    def hosts(self) -> list[Host]:
        """Those that the kit configures."""
        return self._connection.own_hosts

    def make(self) -> None:
        """Make networks and hosts, and wait for SSH where the controller reaches it already: the firewall's."""
        keys.make_keys()
        network.make_switch(SWITCH, list(self._connection.zones))
        [manager] = self._connection.hosts_of(Component.MANAGEMENT)
        network.make_host(OUTSIDE, SWITCH, {"external": f"{ROUTER}/{EXTERNAL.prefixlen}"}, None)
        for address in (PARTNER, RESOLVER, SERVER):
            run("ip", "-n", OUTSIDE, "address", "add", f"{address}/32", "dev", "lo")
        run("ip", "-n", OUTSIDE, "address", "add", f"{DIGINETWERK_ROUTER}/32", "dev", "external")
        # The partner is seen by its own address, and not by the router's.
        run("ip", "-n", OUTSIDE, "route", "replace", str(EXTERNAL), "dev", "external", "src", PARTNER)
        network.make_host(self.controller, SWITCH, self._addresses(manager), self._gateway(manager))
        for host in self.hosts:
            self._plug_in(host)
            container.make(_namespace(host), self._images[self._suites[host.name]], host.name)
            container.run_in(_namespace(host), "cat > /tmp/settle && sh -eu /tmp/settle", self._settled(host))

    def reboot(self) -> None:
        """Cut the power of all hosts, and switch them on again: what the kernel knew is gone."""
        for host in self.hosts:
            container.kill(_namespace(host))
            network.remove(_namespace(host))
        for host in self.hosts:
            self._plug_in(host)
            self._unplug_addresses(host)
            container.start(_namespace(host))

    def remove(self) -> None:
        """Remove all of it; what is not there is no error."""
        for host in self.hosts:
            container.remove(_namespace(host))
        for namespace in network.all_of(PREFIX):
            network.remove(namespace)

    def failed_units(self) -> dict[str, str]:
        """The units that failed, by host."""
        asked = "systemctl list-units --failed --no-legend --plain | cut -d' ' -f1"
        found = {host.name: container.run_in(_namespace(host), asked).strip() for host in self.hosts}
        return {name: units for name, units in found.items() if units}

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``command`` on the controller."""
        words = [
            "ip",
            "netns",
            "exec",
            self.controller,
            "env",
            *(f"{name}={value}" for name, value in environment.items()),
        ]
        return subprocess.run([*words, *map(str, command)], capture_output=True, text=True, check=False)

    def _plug_in(self, host: Host) -> None:
        network.make_host(_namespace(host), SWITCH, self._addresses(host), self._gateway(host))

    def _unplug_addresses(self, host: Host) -> None:
        for zone in host.addresses:
            run("ip", "-n", _namespace(host), "address", "flush", "dev", zone)
            run("ip", "-n", _namespace(host), "link", "set", zone, "down")

    def _addresses(self, host: Host) -> dict[str, str]:
        zones = self._connection.zones
        return {zone: f"{address}/{zones[zone].network.prefixlen}" for zone, address in host.addresses.items()}

    def _gateway(self, host: Host) -> str:
        return str(ROUTER if Component.FIREWALL in host.components else self._connection.gateway(host.zone))

    def _settled(self, host: Host) -> str:
        """What an administrator who installs Debian enters: a name, addresses, and the mirror of packages."""
        links = ""
        for zone, address in self._addresses(host).items():
            leads = zone == "external" if Component.FIREWALL in host.components else zone == host.zone
            way = f" Gateway={self._gateway(host)}" if leads else ""
            file = f"/etc/systemd/network/{zone}.network"
            links += f"printf '%s\\n' '[Match]' Name={zone} '[Network]' Address={address}{way} > {file}\n"
        suite, mirror = self._suites[host.name], f"http://{SERVER}:{MIRROR_PORT}"
        return links + textwrap.dedent(f"""\
            cat > /etc/apt/sources.list.d/debian.sources <<END
            Types: deb
            URIs: {mirror}/debian
            Suites: {suite} {suite}-updates
            Components: main
            Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

            Types: deb
            URIs: {mirror}/debian-security
            Suites: {suite}-security
            Components: main
            Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
            END
            systemctl restart systemd-networkd
            """)


def _namespace(host: Host) -> str:
    return PREFIX + host.name
