"""Looks at the hosts of a connection and at what ends, and judges what is found.

The limits are those of role monitoring's alerts, where a figure has one there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from aansluitkit.certificates.expiry import Kind, Level, watch
from aansluitkit.connection import Component, Connection, Host
from aansluitkit.status.findings import Finding, Verdict
from aansluitkit.verification.site import Answer, Site

FULL = 0.9  # of a disk
OFF_SECONDS = 2.0  # of a clock, beyond what the answer took
WAITS_SECONDS = 3600.0  # of a message that the partner has not taken
LIMIT_SECONDS = 60.0  # of asking all hosts, which is done at once
_FAILED = ("DELIVERY_FAILED", "EXPIRED")


def look(inventory: Path, connection: Connection) -> list[Finding]:
    """Everything that was looked at, host by host, and then what ends.

    A host that does not answer is a finding, not an error.
    """
    site = Site(connection, str(inventory), LIMIT_SECONDS)
    try:
        answers = site.ask_all(connection.own_hosts, lambda host: _ask(site, host))
    finally:
        site.close()
    findings = [finding for host in connection.own_hosts for finding in _of_host(connection, host, answers[host.name])]
    return [*findings, *_of_primary(connection, answers), *_of_dates(inventory)]


def _ask(site: Site, host: Host) -> dict[str, Any]:
    ports, request = site.connection.ports, {}
    if Component.ADAPTER in host.components:
        request["adapter"] = f"{host.address}:{ports.health}"
    if Component.LOAD_BALANCER in host.components:
        request["balancer"] = f"127.0.0.1:{ports.load_balancer_status}"
    site.run(host, "true")  # the connection is made, so that the clock is compared within one answer
    before = time.time()
    found = site.probe(host, "state", database=Component.DATABASE in host.components, **request)
    after = time.time()
    return {**found, "off": max(before - found["time"], found["time"] - after, 0.0)}


def _of_host(connection: Connection, host: Host, answer: Answer) -> Iterator[Finding]:
    if answer.failed:
        yield Finding(host.name, "host", str(answer.failed), Verdict.PROBLEM, "see whether it is up, and its network")
        return
    found = answer()
    yield from _of_system(host, found)
    if "adapter" in found:
        yield from _of_adapter(host, found["adapter"])
    if "balancer" in found:
        yield from _of_balancer(connection, host, found["balancer"])


def _of_system(host: Host, found: dict[str, Any]) -> Iterator[Finding]:
    for unit in found["failed"]:
        advice = f"read there: journalctl --unit {unit}"
        yield Finding(host.name, "unit", f"{unit} has failed", Verdict.WARNING, advice)
    for place, used in found["disks"].items():
        full = used > FULL
        verdict, advice = (Verdict.PROBLEM, "make room, or enlarge the disk") if full else (Verdict.FINE, "")
        yield Finding(host.name, "disk", f"{place} is {used:.0%} full", verdict, advice)
    off = found["off"] > OFF_SECONDS
    told = f"{found['off']:.0f} s off ours" if off else "as ours"
    advice = (
        "ask chronyc tracking there: with a wrong clock messages expire, and certificates are refused" if off else ""
    )
    yield Finding(host.name, "clock", told, Verdict.PROBLEM if off else Verdict.FINE, advice)
    if found["deployment"]:
        yield _of_deployment(host, json.loads(found["deployment"]))


def _of_deployment(host: Host, last: dict[str, Any]) -> Finding:
    told = f"{last['playbook']} by {last['operator']}, {last['ended']}: {last['outcome']}"
    if last["outcome"] == "done":
        return Finding(host.name, "deployment", told)
    advice = f"run it again: what is done changes nothing ({last['playbook']})"
    return Finding(host.name, "deployment", told, Verdict.WARNING, advice)


def _of_adapter(host: Host, found: dict[str, Any]) -> Iterator[Finding]:
    health = found["health"]
    if health["status"] != 200:
        reason = health.get("error") or _problem(health["body"]) or f"status {health['status']}"
        advice = "read there: journalctl --unit aansluitkit-adapter"
        yield Finding(host.name, "adapter", f"not ready: {reason}", Verdict.PROBLEM, advice)
        return
    yield Finding(host.name, "adapter", "ready")
    if found["metrics"]["status"] != 200:  # ebms-admin has none
        return
    told = _samples(found["metrics"]["body"])
    [(_, waiting)], [(_, oldest)] = told["ebms_queue_length"], told["ebms_oldest_undelivered_seconds"]
    late = oldest > WAITS_SECONDS
    advice = (
        "ask aansluitkit verify whether the partner answers; what waits goes by itself when it does" if late else ""
    )
    verdict = Verdict.WARNING if late else Verdict.FINE
    yield Finding(host.name, "queue", f"{waiting:.0f} wait, the oldest for {oldest:.0f} s", verdict, advice)
    counts = {labels["state"]: value for labels, value in told.get("ebms_messages", [])}
    lost = [f"{counts[state]:.0f} {state}" for state in _FAILED if counts.get(state)]
    if lost:
        advice = "find them among the application's events, mend the cause, and hand them over again"
        yield Finding(host.name, "messages", ", ".join(lost), Verdict.WARNING, advice)


def _problem(body: str) -> str:
    """Why an adapter says that it is not ready, if it says so."""
    try:
        return str(json.loads(body).get("problem", ""))
    except (ValueError, AttributeError):
        return ""


def _of_balancer(connection: Connection, host: Host, found: dict[str, Any]) -> Iterator[Finding]:
    if found["status"] != 200:
        reason = found.get("error") or f"status {found['status']}"
        advice = "read there: journalctl --unit haproxy"
        yield Finding(host.name, "HAProxy", f"does not answer: {reason}", Verdict.PROBLEM, advice)
        return
    states = {
        labels["server"]: labels["state"]
        for labels, value in _samples(found["body"]).get("haproxy_server_status", [])
        if labels["proxy"] == "adapters" and value == 1
    }
    for adapter in connection.hosts_of(Component.ADAPTER):
        state = states.get(adapter.name, "not among its servers")
        fine = state == "UP"
        advice = "" if fine else f"see whether {adapter.name} is ready, and whether an upgrade drained it"
        verdict = Verdict.FINE if fine else Verdict.WARNING
        yield Finding(host.name, "HAProxy", f"{adapter.name} is {state}", verdict, advice)


def _samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The samples in Prometheus' text format, by name."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def _of_primary(connection: Connection, answers: dict[str, Answer]) -> Iterator[Finding]:
    """One host of the database takes changes, and the others follow it."""
    states = {
        host.name: "silent" if answers[host.name].failed else answers[host.name]()["database"]
        for host in connection.hosts_of(Component.DATABASE)
    }
    one = list(states.values()).count("primary") == 1
    for name, state in states.items():
        fine = one and state in {"primary", "standby"}
        advice = "" if fine else "see docs/promote.md"
        verdict = Verdict.FINE if fine else Verdict.WARNING if one else Verdict.PROBLEM
        yield Finding(name, "database", state, verdict, advice)


def _of_dates(inventory: Path) -> Iterator[Finding]:
    """What has ended or soon does; of the rest the first."""
    watched, now = watch([inventory]), datetime.now(UTC)
    verdicts = {Level.EXPIRED: Verdict.PROBLEM, Level.URGENT: Verdict.PROBLEM, Level.SOON: Verdict.WARNING}
    pressing = [end for end in watched.ends if end.level(now) in verdicts]
    lasting = [end for end in watched.ends if end not in pressing and end.kind is not Kind.CRL]
    for end in (*pressing, *lasting[:1]):
        verdict = verdicts.get(end.level(now), Verdict.FINE)
        advice = "" if verdict is Verdict.FINE else "see docs/rotate.md"
        told = f"ends in {end.days_left(now)} days, {end.moment:%Y-%m-%d}"
        yield Finding("", str(end.kind), f"{end.name} {told}", verdict, advice)
    for sentence in (*watched.unread, *watched.gaps):
        yield Finding("", "dates", sentence, Verdict.WARNING, "see aansluitkit check")
