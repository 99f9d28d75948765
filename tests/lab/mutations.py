"""Takes the rules of the standing lab away one by one, and sees that the proof finds each and names it.

By hand, as root, beside a lab that is proved: ``.venv/bin/python tests/lab/mutations.py [HOST…]``. A rule, or an
element of the sets that hold the flows between two hosts, is taken out of the host's network namespace and put back
from there, so no way in is needed. Prints one line per rule; status 1 when one was not found, was found by a check that
does not depend on it, or was not named.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aansluitkit.connection import Component, Flow, flows_of, load_connection
from aansluitkit.connection.firewalls import guarded_hosts
from aansluitkit.connection.flows import SSH_PORT
from aansluitkit.lab import network
from aansluitkit.lab.run import run
from aansluitkit.project import ROOT, use_own_tools
from aansluitkit.verification import Check, Result, verify

INVENTORY = Path(ROOT / "inventories/lab")
TABLE = ("inet", "aansluitkit")
CHECKS = "declared_flow or rules_in_force"  # all that a rule which is gone can break in the matrix
IN_FORCE = "zones.rules_in_force_are_the_declared_ones"
PASSES = "zones.declared_flow_passes"


@dataclass(frozen=True)
class Rule:
    """One rule of ``host``, or element of the set that ``chain`` looks into, which nft deletes by the words ``place``.

    ``comment`` is the flow that it lets through, or whatever else it says.
    """

    host: str
    chain: str
    place: tuple[str, ...]
    comment: str


def rules_of(host: str) -> list[Rule]:
    """The rules that are in force on ``host``."""
    entries = json.loads(_nft(host, "--json", "list", "table", *TABLE))["nftables"]
    rules = [
        Rule(
            host, rule["chain"], ("rule", *TABLE, rule["chain"], "handle", str(rule["handle"])), rule.get("comment", "")
        )
        for rule in (entry["rule"] for entry in entries if "rule" in entry)
    ]
    elements = [
        Rule(host, found["name"], ("element", *TABLE, found["name"], f"{{ {_joined(element)} }}"), element["comment"])
        for found in (entry["set"] for entry in entries if "set" in entry)
        for element in (each["elem"] for each in found.get("elem", []) if isinstance(each, dict) and "elem" in each)
        if "comment" in element
    ]
    return rules + elements


def _joined(element: dict[str, Any]) -> str:
    return " . ".join(str(part) for part in element["val"]["concat"])


@contextmanager
def without(rule: Rule) -> Iterator[None]:
    """The lab with ``rule`` taken out, and as it was afterwards."""
    before = f"delete table {' '.join(TABLE)}\n{_nft(rule.host, 'list', 'table', *TABLE)}"
    _nft(rule.host, "delete", *rule.place)
    try:
        yield
    finally:
        run("ip", "netns", "exec", network.namespace_of(rule.host), "nft", "--file", "-", text=before)


def failing() -> dict[str, str]:
    """What fails now, and what it says."""
    checks: list[Check] = []
    verify(INVENTORY, checks.append, CHECKS)
    return {check.id: check.message for check in checks if check.result is Result.FAILED}


def judge(rule: Rule, flows: dict[str, Flow], tried: set[str], failed: dict[str, str]) -> list[str]:
    """What is wrong with how the proof took that ``rule`` was gone."""
    must = {f"{IN_FORCE}.{rule.host}"}
    flow = flows.get(rule.comment)
    if flow and rule.chain != "postrouting" and flow.id in tried:
        must.add(f"{PASSES}.{flow.id}")
    found = [f"{check} does not fail" for check in sorted(must - set(failed))]
    if not rule.comment or (flow and flow.port == SSH_PORT):
        return found  # of all flows, or of those that ask the host: what can't be tried or asked says so
    found += [f"{check} fails as well" for check in sorted(set(failed) - must)]
    for check, said in failed.items():
        if not all(name in said for name in (rule.host, rule.comment)):
            found.append(f"{check} does not name it: {said}")
    return found


def main() -> None:
    """Go through the rules of the hosts that are named, or of all."""
    use_own_tools()
    connection = load_connection(INVENTORY)
    managers = {host.name for host in connection.hosts_of(Component.MANAGEMENT)}
    flows = {flow.id: flow for flow in flows_of(connection)}
    tried = {flow.id for flow in flows.values() if flow.source not in managers and flow.protocol in ("tcp", "udp")}
    if failed := failing():
        sys.exit(f"the lab is not proved to begin with: {failed}")
    wrong = total = 0
    for host in sys.argv[1:] or [host.name for host in guarded_hosts(connection)]:
        for rule in rules_of(host):
            with without(rule):
                found = judge(rule, flows, tried, failing())
            total += 1
            wrong += bool(found)
            what = rule.comment or rule.place[-1]
            print(f"{'WRONG' if found else 'found'}  {host} {rule.chain} {what} {'; '.join(found)}", flush=True)
    print(f"{total - wrong} of {total} rules that were gone were found by their own checks and named")
    sys.exit(bool(wrong or not total))


def _nft(host: str, *words: str) -> str:
    return run("ip", "netns", "exec", network.namespace_of(host), "nft", *words)


if __name__ == "__main__":
    main()
