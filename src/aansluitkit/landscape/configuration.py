"""What a playbook would change on the hosts that are there: rules of a firewall, services, certificates.

Pulumi knows no more of a host than that it is there; whether it is configured as declared is asked with Ansible's
check mode, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aansluitkit.connection import Component, Connection
from aansluitkit.lab.ansible import settings_for
from aansluitkit.landscape.changes import Change
from aansluitkit.landscape.stack import Say
from aansluitkit.playbook import play
from aansluitkit.project import ROOT, STATE

SITE = ROOT / "playbooks/site.yml"
_ON_THE_WAY = (Component.FIREWALL, Component.MANAGEMENT)

Differences = tuple[tuple[str, int], ...]


def differences(inventory: Path, connection: Connection, resources: Iterable[Change], say: Say) -> Differences:
    """The hosts on which the site's playbook would change something, and how many tasks of it.

    Hosts that ``resources`` makes are not asked; while nothing leads to the hosts, none is.

    Raises:
        KitError: when a host that should be there can't be asked.
    """
    absent = _absent(connection, resources)
    if any(absent & {host.name for host in connection.hosts_of(component)} for component in _ON_THE_WAY):
        say("hosts on the way to the others are to be made first: configuration is not looked at")
        return ()
    there = [name for name in connection.hosts if name not in absent]
    log = STATE / f"log/plan-{connection.full_name}.log"
    options = ("--check", "--limit", ",".join(there))
    found = play(SITE, inventory, log, say, options=options, environment=settings_for(connection))
    differing = tuple((host, changed) for host, changed in sorted(found.items()) if changed)
    for host, changed in differing:
        say(f"configuration of {host}: {changed} tasks would change something (all of it: {log})")
    return differing


def mend(inventory: Path, connection: Connection, hosts: Differences, say: Say) -> None:
    """Configure ``hosts`` as declared.

    Raises:
        KitError: when a task fails.
    """
    log = STATE / f"log/up-{connection.full_name}.log"
    options = ("--limit", ",".join(name for name, _ in hosts))
    play(SITE, inventory, log, say, options=options, environment=settings_for(connection))


def _absent(connection: Connection, resources: Iterable[Change]) -> set[str]:
    """The hosts whose machine or network is not there, or goes."""
    gone = {change.name for change in resources if change.kind in ("create", "replace")}
    return {name for name in connection.hosts if gone & {name, f"{name}-network"}}
