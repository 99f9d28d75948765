"""The lab as drills see it: hosts that lose their power or their network, services that stop."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aansluitkit.compliance.adapter import Adapter, HostRest
from aansluitkit.connection import Component, Connection, Host
from aansluitkit.ebms.scenarios import Scenario
from aansluitkit.errors import KitError
from aansluitkit.lab import container, network
from aansluitkit.lab.network import namespace_of
from aansluitkit.verification.site import Site

_SWITCH = namespace_of("switch")
_BOOT_SECONDS = 60


@dataclass
class Ground:
    """The lab of ``inventory``, whose connection is ``connection``."""

    inventory: Path
    connection: Connection
    site: Site

    def hosts(self, component: Component) -> list[str]:
        """Names of the hosts with ``component``."""
        return [host.name for host in self.connection.hosts_of(component)]

    def run(self, host: str, command: str) -> str:
        """Run ``command`` of the shell on ``host``, whatever its network does.

        Raises:
            KitError: when it fails.
        """
        return container.run_in(namespace_of(host), command)

    def power_off(self, *hosts: str) -> None:
        """End ``hosts`` as a power cut does."""
        for host in hosts:
            network.plug(namespace_of(host), _SWITCH, into=False)
            container.kill(namespace_of(host))

    def power_on(self, *hosts: str) -> None:
        """Start ``hosts``, and wait until their services have been started."""
        for host in hosts:
            network.plug(namespace_of(host), _SWITCH, into=True)
            if not container.is_running(namespace_of(host)):
                container.start(namespace_of(host))
        for host in hosts:
            self._booted(host)

    def unplug(self, *hosts: str) -> None:
        """Pull the network cables out of ``hosts``."""
        for host in hosts:
            network.plug(namespace_of(host), _SWITCH, into=False)

    def plug(self, *hosts: str) -> None:
        """Put them in again."""
        for host in hosts:
            network.plug(namespace_of(host), _SWITCH, into=True)

    def play(self, scenario: Scenario | None) -> None:
        """Have the partner's stand-in misbehave, or behave."""
        self.adapter(self.connection.host_of(Component.PARTNER)).play(scenario)

    def adapter(self, host: Host) -> Adapter:
        """The adapter on ``host``."""
        parties = (self.connection.organisation.party_id, self.connection.partner.party_id)
        own, other = parties[::-1] if Component.PARTNER in host.components else parties
        rest = HostRest(self.site, self.connection, host)
        return Adapter(rest, self.connection.cpa.id, (own, ""), other)

    def _booted(self, host: str) -> None:
        until = time.monotonic() + _BOOT_SECONDS
        while time.monotonic() < until:
            with suppress(KitError):
                if self.run(host, "systemctl is-system-running || true").strip() in ("running", "degraded"):
                    return
            time.sleep(0.3)
        raise KitError(f"{host} does not start within {_BOOT_SECONDS} s: see 'podman logs {namespace_of(host)}'")
