"""Where each flow is let through: the lines of each firewall's file, and the rules of a cloud's security groups.

Nothing is told from memory. The role's own template is rendered with what the playbook hands it, and a flow's rules
are found by the comment that they carry on the host as well; security groups are those that Pulumi makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from aansluitkit.connection.firewalls import firewall_of, guarded_hosts
from aansluitkit.connection.flows import flows_of
from aansluitkit.connection.model import Connection, Host
from aansluitkit.project import ROOT

ROLE = ROOT / "roles/firewall"
RULES_FILE = "/etc/nftables.conf"
_CHAIN = re.compile(r"\s*(?:chain|set) (\S+) \{")  # a set with flows is called as the chain that looks there
_COMMENT = re.compile(r'comment "([^"]+)"')


@dataclass(frozen=True)
class RulePlace:
    """One rule: ``where`` it stands (host and file, or security group), its ``chain`` or direction, and the line."""

    where: str
    chain: str
    line: int | None
    rule: str

    def __str__(self) -> str:
        return f"{self.where} {self.chain}" + (f":{self.line}" if self.line else "")


def rules_file(connection: Connection, host: Host) -> str:
    """The file of ``host``'s firewall as the role writes it."""
    return render_rules(firewall_of(connection, host))


def render_rules(view: dict[str, Any]) -> str:
    """The file for ``view``: what the playbook hands to the role."""
    defaults: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    given = {f"firewall_{name}": value for name, value in view.items()}
    environment = Environment(
        loader=FileSystemLoader(ROLE / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,  # as Ansible has it
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - no markup
    )
    return environment.get_template("nftables.conf.j2").render(
        {**defaults, **given, "ansible_managed": "Ansible managed"}
    )


def rule_places(connection: Connection) -> dict[str, list[RulePlace]]:
    """Every rule that lets a flow through, by the id of the flow."""
    found: dict[str, list[RulePlace]] = {}
    for flow, place in (*_of_firewalls(connection), *_of_cloud(connection)):
        found.setdefault(flow, []).append(place)
    return found


def _of_firewalls(connection: Connection) -> Iterator[tuple[str, RulePlace]]:
    flows = {flow.id for flow in flows_of(connection)}
    for host in guarded_hosts(connection):
        chain = ""
        for number, line in enumerate(rules_file(connection, host).splitlines(), start=1):
            if matched := _CHAIN.match(line):
                chain = matched.group(1)
            elif (commented := _COMMENT.search(line)) and commented.group(1) in flows:
                yield commented.group(1), RulePlace(f"{host.name} {RULES_FILE}", chain, number, line.strip(" ,"))


def _of_cloud(connection: Connection) -> Iterator[tuple[str, RulePlace]]:
    if connection.openstack is None:
        return
    # Only here: of the Pulumi project, which documents and roles do without.
    from aansluitkit_landscape.filters import filters_of  # noqa: PLC0415

    for found, flows in filters_of(connection).items():
        group = f"security group {connection.name}-{connection.environment}-{found.interface}"
        for flow in sorted(flows):
            rule = f"{found.direction} {found.service} {found.remote}"
            yield flow, RulePlace(group, found.direction, None, rule)
