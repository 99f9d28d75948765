"""The firewalls of all hosts as they are, held against what is declared: what is missing, and what is too much."""

from __future__ import annotations

import re
from functools import cached_property
from typing import NoReturn

from aansluitkit.connection import Flow, Host, flows_of
from aansluitkit.connection.firewalls import guarded_hosts
from aansluitkit.connection.rule_places import RulePlace, rule_places, rules_file
from aansluitkit.verification.site import Answer, Site, unproved

SHOWN = 5


class Firewalls:
    """Asks each firewall for its rules, all at once and only once something needs them."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.connection = site.connection

    @cached_property
    def _asked(self) -> dict[str, Answer]:
        def ask(host: Host) -> dict[str, list[str]]:
            return self.site.probe(host, "rules", declared=rules_file(self.connection, host))

        return self.site.ask_all(guarded_hosts(self.connection), ask)

    def differences(self, host: str) -> dict[str, list[str]]:
        """The lines that are ``missing`` on ``host`` and those that are ``undeclared``, each after its chain.

        Raises:
            KitError: when the host can't be asked.
        """
        found: dict[str, list[str]] = self._asked[host]()
        return found

    def on_the_way(self, flow: Flow) -> dict[str, list[RulePlace]]:
        """The rules of ``flow``, by host, in the order in which its packets meet them."""
        found: dict[str, list[RulePlace]] = {}
        for place in rule_places(self.connection).get(flow.id, []):
            if place.line:  # of a host, not of a cloud's security group
                found.setdefault(place.where.partition(" ")[0], []).append(place)
        return dict(sorted(found.items(), key=lambda entry: _MET.index(entry[1][0].chain)))

    def lacking(self, flow: Flow) -> dict[str, RulePlace]:
        """The first rule of ``flow`` that is not in force, by host."""
        return {
            host: place
            for host, places in self.on_the_way(flow).items()
            for place in reversed(places)
            if any(_is_rule(line, place.chain, flow) for line in self.differences(host)["missing"])
        }

    def blame(self, identity: str, outcome: str) -> NoReturn:
        """Fail the check of the flow ``identity``, which is ``outcome``, and name the firewall and the rule."""
        flow = next(flow for flow in flows_of(self.connection) if flow.id == identity)
        way = list(self.on_the_way(flow))
        told = f"flow {flow.id} ({flow.reason}) is {outcome}"
        operator = self.connection.contacts.network_operator
        for host, place in self.lacking(flow).items():
            file = place.where.partition(" ")[2]
            rule = f"its rule in {place.chain}, line {place.line} of {file}, is not in force"
            unproved(f"firewall {host}: {told}: {rule}", self.site.redeploy(host), operator)
        for host in way:
            for kind, lines in sorted(self.differences(host).items(), reverse=True):
                for line in lines[:1]:
                    unproved(
                        f"firewall {host}: {told}: its rule is in force, but {kind} is '{line}'",
                        self.site.redeploy(host),
                        operator,
                    )
        partner = f", that the partner's firewall knows {flow.outbound_address}" if flow.outbound_address else ""
        unproved(
            f"route: {told}, though its rules on {', '.join(way)} are in force",
            f"see that both ends are up and have their route{partner}, and that no other firewall stands between; or "
            + self.site.redeploy(",".join(way)),
            operator,
        )

    def openings(self) -> tuple[str, list[str]]:
        """What is undeclared on any firewall, as the end of a sentence, and the hosts that have it."""
        found = {host: asked()["undeclared"] for host, asked in self._asked.items() if not asked.failed}
        hosts = [host for host, lines in found.items() if lines]
        told = "; ".join(f"firewall {host} has '{found[host][0]}'" for host in hosts[:SHOWN])
        return (f": {told}" if told else ""), hosts


_MET = ("output", "prerouting", "forward", "postrouting", "input")


def _is_rule(line: str, chain: str, flow: Flow) -> bool:
    return line.startswith(f"{chain}: ") and re.search(f'comment "{re.escape(flow.id)}"', line) is not None
