"""What the load balancer costs, and how long a takeover lasts: ``make bench``.

Three hosts as those of the lab: one with client and server, two with HAProxy and keepalived as the roles set them up.
Everything shares this machine, so the ratios mean something, and the figures themselves little.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.console import Console
from rich.table import Table

from aansluitkit.connection import Connection, load_connection
from aansluitkit.lab import testhost
from aansluitkit.lab.podman import podman
from aansluitkit.project import ROOT

BENCH = Path(__file__).parent
ORIGIN, FIRST, SECOND = HOSTS = ("bench-origin", "bench-first", "bench-second")
SHARED = f"{testhost.NETWORK}.249"
SECURE, PLAIN, HEALTH = 8443, 8080, 8008
SECONDS = 10.0
RATE = 20
STEADY_SECONDS = 12.0
FOLDERS = {"server": "adapter-1", "client": "mijnoverheid"}


def run(host: str, command: str) -> str:
    """What ``command`` prints on ``host``."""
    return podman("exec", f"{testhost.CONTROLLER}-{host}", "sh", "-e", "-c", command)


def put(host: str, source: Path | str, target: str) -> None:
    """Copy a file or folder, or write a text, to ``target`` on ``host``."""
    if isinstance(source, Path):
        podman("cp", source, f"{testhost.CONTROLLER}-{host}:{target}")
        return
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(source)
        file.flush()
        put(host, Path(file.name), target)
    run(host, f"chmod 644 {target}")


def rendered(role: str, template: str, **given: Any) -> str:
    """A template of ``role``, with its defaults."""
    known: dict[str, Any] = {"ansible_managed": "of a bench"}
    for file in ("defaults", "vars"):
        path = ROOT / f"roles/{role}/{file}/main.yml"
        known |= yaml.safe_load(path.read_text()) if path.is_file() else {}
    environment = Environment(
        loader=FileSystemLoader(ROOT / f"roles/{role}/templates"),
        undefined=StrictUndefined,
        trim_blocks=True,  # as Ansible has it
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - no markup
    )
    environment.filters["from_json"] = json.loads
    return environment.get_template(template).render({**known, **given})


@contextmanager
def hosts() -> Iterator[dict[str, str]]:
    """The address of each host, with client and server on the first."""
    try:
        made = {str(host["instance"]): str(host["address"]) for host in testhost.create(list(HOSTS))}
        for name in (ORIGIN, FIRST, SECOND):
            for place, folder in FOLDERS.items():
                put(name, ROOT / ".lab/pki" / folder, f"/srv/{place}")
        put(ORIGIN, BENCH / "hammer.py", "/srv/hammer.py")
        put(ORIGIN, BENCH / "origin.py", "/srv/origin.py")
        ports = f"{made[ORIGIN]} {SECURE} {PLAIN} {HEALTH}"
        run(ORIGIN, f"systemd-run --quiet --unit=origin python3 /srv/origin.py /srv/server {ports}")
        yield made
    finally:
        testhost.destroy(list(HOSTS))


def balance(connection: Connection, host: str, address: str, origin: str, tls: str) -> None:
    """Have ``host`` pass on to ``origin`` what comes in at ``address``."""
    run(host, "cat /srv/server/certificate.pem /srv/server/key.pem >/etc/haproxy/endpoint.pem")
    run(host, "cp /srv/server/trust.pem /etc/haproxy/trust.pem")
    given = {
        "address": address,
        "server_name": connection.host_name,
        "tls": tls,
        "client_oins": [connection.partner.oin],
        "servers": [
            {
                "name": "origin",
                "address": origin,
                "port": PLAIN if tls == "offload" else SECURE,
                "health_port": HEALTH,
            }
        ],
    }
    put(
        host,
        rendered(
            "load_balancer", "haproxy.cfg.j2", **{f"load_balancer_{name}": value for name, value in given.items()}
        ),
        "/etc/haproxy/haproxy.cfg",
    )
    run(host, "systemctl restart haproxy")


def hammer(connection: Connection, address: str, port: int, *what: str | float) -> dict[str, float]:
    """What the client says of ``what`` it did."""
    words = ("/srv/client", connection.host_name, address, port, *what)
    answer: dict[str, float] = json.loads(run(ORIGIN, f"python3 /srv/hammer.py {' '.join(map(str, words))}"))
    return answer


def ways(connection: Connection, addresses: dict[str, str]) -> Table:
    """Requests and connections per second: direct, passed through, and with TLS ended in between."""
    table = Table(
        "way", "clients", "requests/s", "to direct", "p99 ms", "new TLS/s", "to direct", "p99 ms",
        title="load balancer: requests of 1 kB over two-way TLS",
    )  # fmt: skip
    direct: dict[tuple[str, int], float] = {}
    for way in ("direct", "passthrough", "offload"):
        place = (addresses[ORIGIN], SECURE)
        if way != "direct":
            balance(connection, FIRST, addresses[FIRST], addresses[ORIGIN], way)
            place = (addresses[FIRST], 443)
            time.sleep(3)  # the first checks of the origin's health
        for clients in (1, 8):
            cells = []
            for kind in ("keep", "new"):
                found = hammer(connection, *place, kind, clients, SECONDS)
                ratio = found["per_second"] / direct.setdefault((kind, clients), found["per_second"])
                cells += [f"{found['per_second']:.0f}", f"{ratio:.2f}", f"{found['p99_ms']:.1f}"]
            table.add_row(way, str(clients), *cells)
    return table


def share(addresses: dict[str, str], host: str, other: str, priority: int) -> None:
    """Have ``host`` share the address with ``other``."""
    segment = {
        "name": "test",
        "address": addresses[host],
        "peers": [addresses[other]],
        "shared_addresses": [SHARED],
    }
    found = {"item": segment, "stdout": run(host, f"ip -json -4 address show to {addresses[host]}")}
    check = "/usr/bin/curl --silent --fail --max-time 1 --output /dev/null http://127.0.0.1:8404/health"
    text = rendered(
        "keepalived",
        "keepalived.conf.j2",
        keepalived_name="load_balancer",
        keepalived_router_id=3,
        keepalived_priority=priority,
        keepalived_segments=[segment],
        keepalived_interfaces={"results": [found]},
        keepalived_checks=[{"name": "haproxy", "command": check}],
    )
    put(host, text, "/etc/keepalived/keepalived.conf")
    run(host, "systemctl restart keepalived")


def holder() -> str:
    """Who has the shared address."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = [host for host in (FIRST, SECOND) if run(host, f"ip -4 -oneline address show to {SHARED}")]
        if len(found) == 1:
            return found[0]
        time.sleep(0.2)
    raise SystemExit(f"{SHARED} is not on one host")


def takeovers(connection: Connection, addresses: dict[str, str]) -> Table:
    """Seconds without service, and failed requests, when HAProxy stops or dies, and when its host vanishes."""
    table = Table("what", "requests", "failed", "seconds", title=f"takeover, {RATE} new connections per second")
    for host, other, priority in ((FIRST, SECOND, 101), (SECOND, FIRST, 100)):
        balance(connection, host, SHARED, addresses[ORIGIN], "passthrough")
        share(addresses, host, other, priority)
    ends = {
        "HAProxy stops": "systemctl stop haproxy",
        "HAProxy dies for good": "systemctl mask --runtime haproxy && systemctl kill --signal KILL haproxy",
        "the host vanishes": "ip link set test down",
    }
    for what, end in ends.items():
        former = holder()
        time.sleep(3)
        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(hammer, connection, SHARED, 443, "steady", RATE, STEADY_SECONDS)
            time.sleep(STEADY_SECONDS / 3)
            run(former, end)
            found = load.result()
        table.add_row(what, f"{found['requests']}", f"{found['failed']}", f"{found['gap_seconds']:.1f}")
        run(former, "systemctl unmask --runtime haproxy; ip link set test up; systemctl restart haproxy keepalived")
        time.sleep(5)
    return table


def main() -> None:
    """Print the figures."""
    connection = load_connection(ROOT / "inventories/lab")
    with hosts() as addresses:
        Console().print(ways(connection, addresses))
        Console().print(takeovers(connection, addresses))


if __name__ == "__main__":
    main()
