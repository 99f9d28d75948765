"""What the checks of both directions share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aansluitkit.connection import Component, Connection, Host
from aansluitkit.connection.views import CERTIFICATES, PASSWORD_FILE
from aansluitkit.verification.checks import HOPS
from aansluitkit.verification.site import Site

REFUSED_FOLDER = "/run/aansluitkit-verify"
REFUSED = ("refused-foreign-authority", "refused-wrong-oin", "refused-expired", "refused-revoked")
PING_SECONDS = 75  # an adapter waits for connection, answer and Pong
PING_ATTEMPTS = 6  # of an adapter that can miss a Pong which came


@pytest.fixture(scope="session")
def partner(connection: Connection) -> Host:
    """The partner's host, where it is ours to ask: in the lab."""
    hosts = connection.hosts_of(Component.PARTNER)
    if not hosts:
        pytest.skip(f"{connection.partner.name} is not ours to run checks on: ask it for a Ping")
    return hosts[0]


@pytest.fixture(scope="session")
def refused(site: Site, connection: Connection, partner: Host) -> Iterator[str]:
    """A folder on the partner and the load balancers with certificates that must be refused, while the checks run."""
    source = connection.certificates.partner.parents[1]
    if not all((source / name).is_dir() for name in REFUSED):
        pytest.skip(f"{source} has no certificates that must be refused: the lab makes them")
    files = {
        f"{REFUSED_FOLDER}/{path.relative_to(source)}": path.read_text()
        for name in REFUSED
        for path in (source / name).glob("*.pem")
    }
    hosts = [partner, *connection.hosts_of(Component.LOAD_BALANCER)]
    for host in hosts:
        site.probe(host, "store", files=files)  # with keys that open nothing
    yield REFUSED_FOLDER
    for host in hosts:
        site.probe(host, "discard", folder=REFUSED_FOLDER)


Rest = Callable[[Host, str, str], dict[str, Any]]


@pytest.fixture(scope="session")
def rest(site: Site, connection: Connection) -> Rest:
    """Ask the REST interface of an adapter, on its own host."""

    def ask(host: Host, method: str, path: str) -> dict[str, Any]:
        return site.probe(
            host,
            "rest",
            user="ebms",
            password_file=PASSWORD_FILE,
            address=str(host.address),
            port=connection.ports.rest,
            name=connection.name_of(host),
            trust=f"{CERTIFICATES}/internal-trust.pem",
            method=method,
            path=f"/service/rest/v19{path}",
            timeout=PING_SECONDS,
        )

    return ask


@pytest.fixture(scope="session")
def ping(rest: Rest, connection: Connection) -> Callable[[Host], tuple[str, str]]:
    """Have an adapter ping the other side, once per run; returns the hop that failed and why, both empty for a Pong."""
    done: dict[str, tuple[str, str]] = {}
    own, other = connection.organisation.party_id, connection.partner.party_id

    def once(host: Host) -> tuple[str, str]:
        if host.name not in done:
            sender, receiver = (other, own) if Component.PARTNER in host.components else (own, other)
            for _ in range(PING_ATTEMPTS):
                answer = rest(host, "POST", f"/ebms/ping/{connection.cpa.id}/from/{sender}/to/{receiver}")
                done[host.name] = _outcome(answer)
                if not _may_miss_a_pong(answer):
                    break
        return done[host.name]

    return once


def _outcome(answer: dict[str, Any]) -> tuple[str, str]:
    if answer["layer"] != "http":
        return "ping", f"its REST interface does not answer: {answer['error']}"
    if answer["status"] == 204:
        return "", ""
    hop, _, reason = answer["body"].partition(": ")
    return (hop, reason) if hop in HOPS else ("ping", f"HTTP {answer['status']} {answer['body'][:300]}")


def _may_miss_a_pong(answer: dict[str, Any]) -> bool:
    """Whether the Ping failed without a word on the hop, as it does with ebms-admin when all is well.

    Its nodes do not share the Pongs that they wait for, and the load balancer gives each to either.
    """
    return answer.get("status") == 500 and answer["body"].partition(": ")[0] not in HOPS
