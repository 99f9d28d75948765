"""The lab as drills see it: hosts that lose their power or their network, services that stop."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aansluitkit.compliance.adapter import Adapter, HostRest
from aansluitkit.connection import Component, Connection, Host
from aansluitkit.documents.cpa import cpa_document
from aansluitkit.ebms.scenarios import Scenario
from aansluitkit.errors import KitError
from aansluitkit.lab import container, network
from aansluitkit.lab.ansible import in_lab
from aansluitkit.lab.network import namespace_of
from aansluitkit.playbook import play, source_of
from aansluitkit.project import ROOT, STATE, tools_environment
from aansluitkit.verification.site import Site

PLAYBOOKS = ROOT / "playbooks"
_SWITCH = namespace_of("switch")


@dataclass
class Ground:
    """The lab of ``inventory``, whose connection is ``connection``."""

    inventory: Path
    connection: Connection
    site: Site

    def hosts(self, component: Component) -> list[str]:
        """Names of the hosts with ``component``."""
        return [host.name for host in self.connection.hosts_of(component)]

    @property
    def all_hosts(self) -> list[str]:
        """Names of the hosts that are containers: the controller is this machine."""
        return [host.name for host in self.connection.hosts.values() if Component.MANAGEMENT not in host.components]

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
        """Start those of ``hosts`` that are off, and wait until their services have been started."""
        self.plug(*hosts)
        off = [namespace_of(host) for host in hosts if not container.is_running(namespace_of(host))]
        with ThreadPoolExecutor(len(hosts)) as pool:
            list(pool.map(container.start, off))

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

    def playbook(self, name: str, *options: str) -> None:
        """Run the playbook called ``name``.

        Raises:
            KitError: when it fails.
        """
        book, log = PLAYBOOKS / f"{name}.yml", self._log(name)
        play(book, self.inventory, log, lambda line: None, options=options, environment=in_lab())

    def refusal(self, *options: str) -> str:
        """Why the site's playbook fails; nothing when it does not."""
        try:
            self.playbook("site", *options)
        except KitError as error:
            return str(error)
        return ""

    @contextmanager
    def playing(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """The site's playbook as it runs; what is left of it when the block ends is killed."""
        book, inventory = PLAYBOOKS / "site.yml", source_of(self.inventory)
        command = ["ansible-playbook", "--inventory", inventory, *options, str(book)]
        environment = {**tools_environment(), **in_lab()}
        log = self._log("playing")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=file)
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    @staticmethod
    def _log(name: str) -> Path:
        return STATE / f"log/drill-{name}.log"

    @contextmanager
    def agreement(self) -> Iterator[None]:
        """The CPA of the connection in the adapters of both sides, for as long as the block runs."""
        document = cpa_document(self.connection).decode()
        hosts = [self.connection.host_of(component) for component in (Component.ADAPTER, Component.PARTNER)]
        for host in hosts:
            self.adapter(host).load(document)
        try:
            yield
        finally:
            for host in hosts:
                self.adapter(host).unload()

    def adapter(self, host: Host) -> Adapter:
        """The adapter on ``host``."""
        parties = (self.connection.organisation.party_id, self.connection.partner.party_id)
        own, other = parties[::-1] if Component.PARTNER in host.components else parties
        rest = HostRest(self.site, self.connection, host)
        return Adapter(rest, self.connection.cpa.id, (own, ""), other)
