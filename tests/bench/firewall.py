"""How long the firewall takes to load its rules, at once, for many partners and many customers: ``make bench``.

Run as root; the rules are loaded in a network of their own, where they hold for nobody.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from aansluitkit.connection import Component, Connection, load_connection
from aansluitkit.connection.firewalls import firewall_of
from aansluitkit.connection.rule_places import render_rules
from aansluitkit.project import ROOT

MANY = 500
TIMES = 5


def view_of(connection: Connection) -> dict[str, Any]:
    """What the role gets."""
    return firewall_of(connection, connection.host_of(Component.FIREWALL))


def of_partners(connection: Connection, count: int) -> str:
    """The rules of one connection, whose partner has ``count`` networks."""
    ranges = tuple(list(IPv4Network("10.0.0.0/8").subnets(new_prefix=28))[: 2 * count : 2])
    partner = connection.partner.model_copy(update={"outbound_addresses": ranges, "inbound_addresses": ranges})
    return render_rules(view_of(connection.model_copy(update={"partner": partner})))


def of_customers(connection: Connection, count: int) -> str:
    """The rules of ``count`` connections behind one firewall, whose own flows are there once."""
    view = view_of(connection)
    own = [flow for flow in view["flows"] if flow["chain"] != "forward"]
    sets = [{**one, "name": f"{one['name']}_{number}"} for number in range(count) for one in view["sets"]]
    flows = [
        {
            **flow,
            "id": f"{flow['id']}-{number}",
            **{side: _of_customer(flow[side], number) for side in ("source", "destination")},
        }
        for number in range(count)
        for flow in view["flows"]
        if flow["chain"] == "forward"
    ]
    return render_rules({**view, "sets": sets, "flows": own + flows})


def _of_customer(end: str, number: int) -> str:
    """The set of customer ``number`` in place of this one, or the address in its networks."""
    if end.startswith("@"):
        return f"{end}_{number}"
    return str(IPv4Network(int(IPv4Network(end).network_address) + (number << 9)))


def seconds(rules: str) -> float:
    """The middle of some times to replace the rules by themselves."""
    with tempfile.NamedTemporaryFile("w", suffix=".nft") as file:
        file.write(rules)
        file.flush()
        took = "import subprocess, sys, time; begun = time.perf_counter(); subprocess.run(['nft', '-f', sys.argv[1]], check=True); print(time.perf_counter() - begun)"  # fmt: skip # noqa: E501
        loop = f'nft -f {file.name}; for _ in $(seq {TIMES}); do {sys.executable} -c "{took}" {file.name}; done'
        done = subprocess.run(["unshare", "--net", "sh", "-e", "-c", loop], capture_output=True, text=True, check=True)
    return sorted(float(line) for line in done.stdout.split())[TIMES // 2]


def main() -> None:
    """Print the figures."""
    connection = load_connection(Path(ROOT / "inventories/lab"))
    table = Table("rules for", "lines", "seconds", title="firewall: time to replace the rules in force")
    for what, rules in (
        ("one customer", of_partners(connection, 1)),
        (f"{MANY} networks of the partner", of_partners(connection, MANY)),
        (f"{MANY} customers", of_customers(connection, MANY)),
    ):
        table.add_row(what, str(rules.count("\n")), f"{seconds(rules):.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
