"""What hosts say of themselves is judged: what is wrong is told with what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aansluitkit.connection import Connection, Host
from aansluitkit.errors import KitError
from aansluitkit.status import Finding, Verdict, look, worst
from aansluitkit.verification.site import Site

DONE = {"playbook": "site.yml", "operator": "beheer", "ended": "2026-11-25T10:00:00Z", "outcome": "done"}
READY = {"status": 200, "body": '{"status": "UP"}'}
NONE = {"status": 404, "body": "404: Not Found"}
METRICS = (
    "ebms_queue_length 3\nebms_oldest_undelivered_seconds {oldest}\n" + 'ebms_messages{{state="EXPIRED"}} {expired}\n'
)
SERVERS = 'haproxy_server_status{{proxy="adapters",server="{server}",state="{state}"}} 1\n'


def metrics(oldest: int = 12, expired: int = 0) -> dict[str, Any]:
    return {"status": 200, "body": METRICS.format(oldest=oldest, expired=expired)}


class Hosts:
    """Answers of hosts in place of the live ones: as they are when all is well, and what a test changes."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.off = dict.fromkeys(connection.hosts, 0.0)
        self.silent: set[str] = set()
        servers = "".join(SERVERS.format(server=f"adapter-{number}", state="UP") for number in (1, 2))
        self.said: dict[str, dict[str, Any]] = {
            name: {
                "failed": [],
                "disks": {"/": 0.4},
                "deployment": json.dumps(DONE),
                "adapter": {"health": READY, "metrics": metrics()},
                "balancer": {"status": 200, "body": servers},
                "database": "primary" if name == "db" else "standby",
            }
            for name in connection.hosts
        }

    def run(self, host: Host, *_: str) -> None:
        if host.name in self.silent:
            raise KitError(f"{host.name} can't be reached")

    def probe(self, host: Host, _: str, *, database: bool, **asked: str) -> dict[str, Any]:
        import time  # noqa: PLC0415

        wanted = {"failed", "disks", "deployment", *asked, *(["database"] if database else [])}
        said = {name: value for name, value in self.said[host.name].items() if name in wanted}
        return {**said, "time": time.time() + self.off[host.name]}


@pytest.fixture
def hosts(lab_connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    found = Hosts(lab_connection)
    monkeypatch.setattr(Site, "__init__", lambda self, connection, *_: setattr(self, "connection", connection))
    monkeypatch.setattr(Site, "close", lambda _: None)
    monkeypatch.setattr(Site, "run", lambda _, host, *words: found.run(host, *words))
    monkeypatch.setattr(Site, "probe", lambda _, host, do, **asked: found.probe(host, do, **asked))
    return found


def amiss(hosts: Hosts) -> list[Finding]:
    from aansluitkit.project import ROOT  # noqa: PLC0415

    found = look(ROOT / "inventories/lab", hosts.connection)
    return [finding for finding in found if finding.verdict is not Verdict.FINE and finding.where]


def test_nothing_is_amiss(hosts: Hosts) -> None:
    assert amiss(hosts) == []


def test_silent_host_is_told(hosts: Hosts) -> None:
    hosts.silent.add("ns")
    [finding] = amiss(hosts)
    assert (finding.where, finding.verdict, finding.found) == ("ns", Verdict.PROBLEM, "ns can't be reached")


@pytest.mark.parametrize(
    ("host", "part", "value", "verdict", "words"),
    [
        ("fw", "failed", ["nftables.service"], Verdict.WARNING, "nftables.service has failed"),
        ("db", "disks", {"/var/lib": 0.95}, Verdict.PROBLEM, "/var/lib is 95% full"),
        ("app", "deployment", json.dumps({**DONE, "outcome": "failed"}), Verdict.WARNING, "failed"),
        (
            "adapter-1",
            "adapter",
            {"health": {"status": 0, "error": "refused"}, "metrics": NONE},
            Verdict.PROBLEM,
            "refused",
        ),
        (
            "adapter-1",
            "adapter",
            {"health": {"status": 503, "body": '{"problem": "no database"}'}, "metrics": NONE},
            Verdict.PROBLEM,
            "not ready: no database",
        ),
        (
            "adapter-2",
            "adapter",
            {"health": READY, "metrics": metrics(oldest=4000)},
            Verdict.WARNING,
            "3 wait, the oldest for 4000 s",
        ),
        (
            "adapter-2",
            "adapter",
            {"health": READY, "metrics": metrics(expired=2)},
            Verdict.WARNING,
            "2 EXPIRED",
        ),
        (
            "lb-1",
            "balancer",
            {"status": 0, "body": "", "error": "refused"},
            Verdict.PROBLEM,
            "does not answer: refused",
        ),
        ("db-2", "database", "stopped", Verdict.WARNING, "stopped"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(
    hosts: Hosts, host: str, part: str, value: Any, verdict: Verdict, words: str
) -> None:
    hosts.said[host][part] = value
    [finding] = amiss(hosts)
    assert (finding.where, finding.verdict) == (host, verdict)
    assert words in finding.found
    assert finding.advice


def test_adapter_that_a_load_balancer_leaves_out_is_told(hosts: Hosts) -> None:
    hosts.said["lb-2"]["balancer"]["body"] = SERVERS.format(server="adapter-1", state="MAINT")
    assert [finding.found for finding in amiss(hosts)] == [
        "adapter-1 is MAINT",
        "adapter-2 is not among its servers",
    ]


def test_adapter_without_metrics_is_ready(hosts: Hosts) -> None:
    hosts.said["adapter-1"]["adapter"]["metrics"] = NONE
    assert amiss(hosts) == []


def test_two_primaries_are_a_problem(hosts: Hosts) -> None:
    hosts.said["db-2"]["database"] = "primary"
    assert {finding.verdict for finding in amiss(hosts)} == {Verdict.PROBLEM}


def test_clock_that_is_off_is_told(hosts: Hosts) -> None:
    hosts.off["adapter-1"] = 3600
    [finding] = amiss(hosts)
    assert (finding.where, finding.verdict) == ("adapter-1", Verdict.PROBLEM)
    assert "3600 s off" in finding.found


def test_worst_is_a_problem() -> None:
    findings = [
        Finding("a", "b", "c"),
        Finding("a", "b", "c", Verdict.PROBLEM),
        Finding("a", "b", "c", Verdict.WARNING),
    ]
    assert worst(findings) is Verdict.PROBLEM
    assert worst([]) is Verdict.FINE
