"""Prometheus works, and every host tells it how it is."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from aansluitkit.connection import Component, Connection, Host
from aansluitkit.verification.site import Site, unproved

PATH = "monitoring"
AGAIN_SECONDS = 60  # it asks everybody every 30


@pytest.mark.check(PATH, "http")
def test_hosts_tell_how_they_are(site: Site, connection: Connection, monitor: Host) -> None:
    """Prometheus gets an answer of everybody whom it asks."""
    silent = _silent(site, connection, monitor)
    if silent:
        unproved(
            f"monitoring {monitor.name}: {'; '.join(silent.values())}",
            site.redeploy(",".join(dict.fromkeys((*silent, monitor.name)))),
            connection.contacts.platform_operator,
        )


def _silent(site: Site, connection: Connection, monitor: Host) -> dict[str, str]:
    """What is amiss, by host; an adapter need not have metrics.

    Prometheus knows how a host was when it asked last: one that did not answer then gets another chance.
    """
    url = f"http://{monitor.address}:{connection.ports.monitoring}/api/v1/targets?state=active"
    until = time.monotonic() + AGAIN_SECONDS
    first: dict[str, str] = {}
    while True:
        found = site.run(monitor, "curl --silent --show-error --fail --max-time 5 %s", url)
        if found.rc != 0:
            return {monitor.name: f"Prometheus does not answer ({found.stderr.strip()})"}
        targets: list[dict[str, Any]] = json.loads(found.stdout)["data"]["activeTargets"]
        first = first or {target["scrapeUrl"]: target["lastScrape"] for target in targets}
        silent = [
            target for target in targets if target["health"] != "up" and target["labels"]["job"] != Component.ADAPTER
        ]
        asked_again = all(target["lastScrape"] != first.get(target["scrapeUrl"]) for target in silent)
        if asked_again or time.monotonic() > until:
            break
        time.sleep(1)
    return {
        target["labels"]["host"]: f"{target['scrapeUrl']} gives {target['labels']['host']}'s metrics to nobody "
        f"({target['lastError'] or 'it was not asked yet'})"
        for target in silent
    }
