"""How long the lab takes per step, how many pings it does, and how much memory: ``make bench``.

Ratios within one run say something, seconds of different machines do not.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from aansluitkit.connection import Component, load_connection, refuse_load
from aansluitkit.errors import KitError
from aansluitkit.lab.network import PREFIX, all_of
from aansluitkit.lab.up import TIMINGS
from aansluitkit.project import ROOT, use_own_tools
from aansluitkit.verification.site import Site

INVENTORY = ROOT / "inventories/lab"
SECONDS = 10  # of pinging
CLIENTS = (1, 8)
PINGS = Path(__file__).with_name("pings.py")


def measure() -> dict[str, float]:
    """Make the lab, or bring it up to date, and return the seconds of each step."""
    done = subprocess.run(["aansluitkit", "lab", "up", INVENTORY], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KitError(done.stdout[-2000:] + done.stderr)
    seconds: dict[str, float] = json.loads(TIMINGS.read_text())
    return seconds


def memory() -> float:
    """MiB that all processes in the lab's namespaces hold, each shared page counted once (PSS)."""
    total = 0
    for namespace in all_of(PREFIX):
        pids = subprocess.run(
            ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=True
        ).stdout.split()
        for pid in pids:
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue  # it has ended
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def pings(clients: int) -> float:
    """Pings per second of the partner's adapter through the load balancer, each with its checked Pong."""
    connection = load_connection(INVENTORY)
    refuse_load(connection)
    partner = connection.host_of(Component.PARTNER)
    sender, receiver = (f"urn:osb:oin:{party.oin}" for party in (connection.partner, connection.organisation))
    rest = f"https://{partner.address}:{connection.ports.rest}/service/rest/v19"
    url = f"{rest}/ebms/ping/{connection.cpa.id}/from/{sender}/to/{receiver}"
    site = Site(connection, str(INVENTORY))
    script = base64.b64encode(PINGS.read_bytes()).decode()
    run = "import base64,sys;exec(base64.b64decode(sys.argv[1]))"
    python = "/opt/aansluitkit/current/venv/bin/python"
    done = site.run(partner, f"{python} -c %s %s %s %s %s", run, script, url, str(clients), str(SECONDS))
    site.close()
    if done.rc != 0:
        raise KitError(done.stderr)
    return float(done.stdout)


def main() -> None:
    """Measure and print."""
    use_own_tools()
    console = Console(file=sys.stdout)
    subprocess.run(["aansluitkit", "lab", "down"], check=True)
    first, again = measure(), measure()
    table = Table("step", "first (s)", "again (s)")
    for step, seconds in first.items():
        table.add_row(step, f"{seconds:.1f}", f"{again[step]:.1f}")
    table.add_row("all", f"{sum(first.values()):.1f}", f"{sum(again.values()):.1f}")
    console.print(table)
    console.print(
        f"no-change run as a share of the first: {sum(again.values()) / sum(first.values()):.0%} (aim: at most 25%)"
    )
    for clients in CLIENTS:
        console.print(f"pings per second through the load balancer, {clients} at once: {pings(clients):.0f}")
    console.print(f"memory of the lab: {memory():.0f} MiB (aim: at most 3072)")


if __name__ == "__main__":
    main()
