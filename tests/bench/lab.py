"""How long the lab takes per step and per node more, how many pings it does, and how much memory: ``make bench``.

Ratios within one run say something, seconds of different machines do not.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from aansluitkit.connection import Component, load_connection, refuse_load
from aansluitkit.errors import KitError
from aansluitkit.lab.network import PREFIX, all_of
from aansluitkit.lab.up import TIMINGS
from aansluitkit.project import ROOT, cache, use_own_tools
from aansluitkit.verification.site import Site

INVENTORY = ROOT / "inventories/lab"
SECONDS = 10  # of pinging
CLIENTS = (1, 8)
MORE = 2  # nodes of the adapter in the larger lab
PINGS = Path(__file__).with_name("pings.py")


def measure(environment: dict[str, str] | None = None, inventory: Path = INVENTORY) -> dict[str, float]:
    """Make the lab of ``inventory``, or bring it up to date, and return the seconds of each step."""
    command = ["aansluitkit", "lab", "up", str(inventory)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    if done.returncode != 0:
        raise KitError(done.stdout[-2000:] + done.stderr)
    seconds: dict[str, float] = json.loads(TIMINGS.read_text())
    return seconds


def measure_cold() -> dict[str, float]:
    """Make the lab with caches of its own that are empty, Go's included, and return the seconds of each step."""
    with tempfile.TemporaryDirectory(prefix="aansluitkit-bench-", dir=cache().parent) as folder:
        places = {"XDG_CACHE_HOME": folder, "GOCACHE": f"{folder}/go", "GOMODCACHE": f"{folder}/modules"}
        environment = {**places, "GOFLAGS": "-modcacherw"}
        try:
            return measure(environment)
        finally:
            remove(environment)


def remove(environment: dict[str, str] | None = None) -> None:
    """Remove the lab."""
    subprocess.run(["aansluitkit", "lab", "down"], check=True, env={**os.environ, **(environment or {})})


@contextmanager
def larger() -> Iterator[Path]:
    """The lab's inventory with ``MORE`` nodes of the adapter, for as long as it is used; no neighbour of the lab's."""
    hosts = yaml.safe_load((INVENTORY / "hosts.yml").read_text())
    nodes = hosts["all"]["children"][Component.ADAPTER.value]["hosts"]
    last = load_connection(INVENTORY).hosts_of(Component.ADAPTER)[-1]
    for number in range(1, MORE + 1):
        addresses = {last.zone: str(last.address + number)}
        nodes[f"adapter-more-{number}"] = {"connection_addresses": addresses}
    place = ROOT / ".cache"  # as deep as the lab's, which says where .lab is seen from there
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="larger-", dir=place) as folder:
        (Path(folder) / "hosts.yml").write_text(yaml.safe_dump(hosts, sort_keys=False))
        (Path(folder) / "group_vars").symlink_to(INVENTORY / "group_vars")
        yield Path(folder)


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
    sender, receiver = connection.partner.party_id, connection.organisation.party_id
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
    remove()
    runs = {"cold": measure_cold(), "warm": measure(), "again": measure()}
    table = Table("step", *(f"{run} (s)" for run in runs))
    for step in runs["cold"]:
        table.add_row(step, *(f"{seconds[step]:.1f}" for seconds in runs.values()))
    totals = {run: sum(seconds.values()) for run, seconds in runs.items()}
    table.add_row("all", *(f"{total:.1f}" for total in totals.values()))
    console.print(table)
    shares = ", ".join(f"{totals['again'] / totals[run]:.0%} of {run}" for run in ("cold", "warm"))
    console.print(f"no-change run as a share of the first: {shares} (aim: at most 25%)")
    for clients in CLIENTS:
        console.print(f"pings per second through the load balancer, {clients} at once: {pings(clients):.0f}")
    console.print(f"memory of the lab: {memory():.0f} MiB (aim: at most 3072)")
    remove()
    with larger() as inventory:
        try:
            more = {run: sum(measure(inventory=inventory).values()) for run in ("warm", "again")}
        finally:
            remove()
    for run, total in more.items():
        each = (total - totals[run]) / MORE
        console.print(f"each node of the adapter more, {run}: {each:.1f} s, of {totals[run]:.1f} for all")


if __name__ == "__main__":
    main()
