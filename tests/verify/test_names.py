"""Names: what the hosts ask is set, answers, and gives every declared record."""

from __future__ import annotations

from typing import Any

import pytest

from aansluitkit.connection import Component, Connection, Host
from aansluitkit.connection.model import View
from aansluitkit.connection.names import Record, resolvers_of, zones_of
from aansluitkit.verification.names import mended, shown
from aansluitkit.verification.site import Answer, Site, unproved

PATH = "names"
SILENT, NO_SUCH_NAME, REFUSED = -1, 3, 5  # of the code of an answer (RFC 1035 section 4.1.1)
CODES = {
    SILENT: "nothing",
    2: "a failure of its own (SERVFAIL)",
    NO_SUCH_NAME: "no such name (NXDOMAIN)",
    REFUSED: "a refusal",
}

Asked = dict[tuple[str, str, str], dict[str, Any]]  # by server, name and type


def asked_by(connection: Connection, host: Host) -> list[tuple[View, str]]:
    """The name servers that are asked from ``host``, each with the view that it gets there.

    The lab's partner comes by every link, whichever it uses itself.
    """
    if Component.PARTNER in host.components:
        return [(View(link.zone), str(link.inbound_address)) for link in connection.links]
    return [(View.INTERNAL, str(server)) for server in resolvers_of(connection, host)]


def askers(connection: Connection) -> list[Host]:
    """The hosts that look names up; the manager's are its own matter."""
    return [host for host in connection.hosts.values() if Component.MANAGEMENT not in host.components]


@pytest.fixture(scope="session")
def answers(site: Site, connection: Connection) -> dict[str, Answer]:
    """What every host gets for everything that it may ask, of each of its name servers: ``Asked``, by host."""

    def ask(host: Host) -> Asked:
        questions = [
            (server, *asked)
            for view, server in asked_by(connection, host)
            for zone in zones_of(connection)
            if zone.view is view
            for asked in ((zone.name, "SOA"), *((record.name, record.type) for record in zone.records))
        ]
        return dict(zip(questions, site.probe(host, "ask", questions=questions)["answers"], strict=True))

    return site.ask_all(askers(connection), ask)


@pytest.mark.check(PATH, "dns")
def test_resolver_answers(site: Site, connection: Connection, answers: dict[str, Answer], source: Host) -> None:
    """The host asks the declared name servers, and each answers for the connection's domain."""
    declared = [str(server) for server in resolvers_of(connection, source)]
    found = site.probe(source, "resolvers")["servers"]
    if found != declared:
        unproved(
            f"{source.name}: /etc/resolv.conf names {', '.join(found) or 'no name server'}, {', '.join(declared)} was "
            "declared",
            site.redeploy(source.name),
            connection.contacts.platform_operator,
        )
    for server in declared:
        code = answers[source.name]()[server, connection.domain, "SOA"]["code"]
        if code != 0:
            unproved(
                f"{shown(site, server)} gives {source.name} {CODES.get(code, f'code {code}')} when asked for "
                f"{connection.domain}",
                f"see that named runs there and that the flow {source.name} to UDP port 53 passes, then {mended(site)}",
                connection.contacts.network_operator,
            )


@pytest.mark.check(PATH, "dns")
def test_record_is_given(
    site: Site, connection: Connection, answers: dict[str, Answer], view: View, record: Record
) -> None:
    """Every host that may ask for the record gets it, and nothing else, from each of its name servers."""
    expected = sorted(
        other.value
        for zone in zones_of(connection)
        if zone.view is view
        for other in zone.records
        if (other.name, other.type) == (record.name, record.type)
    )
    wrong: dict[tuple[str, str], list[str]] = {}
    for host in askers(connection):
        servers = {server for seen, server in asked_by(connection, host) if seen is view}
        for (server, name, kind), answer in answers[host.name]().items() if not answers[host.name].failed else ():
            given = (name, kind) == (record.name, record.type) and answer["code"] in (0, NO_SUCH_NAME)
            if server in servers and given and answer["values"] != expected:
                wrong.setdefault((server, ", ".join(answer["values"])), []).append(host.name)
    if wrong:
        told = [
            f"{shown(site, server)}: {record.type} record {record.name} is {given or 'missing'} for "
            f"{', '.join(names)}, {', '.join(expected)} was declared"
            for (server, given), names in wrong.items()
        ]
        unproved("; ".join(told), mended(site), connection.contacts.network_operator)


@pytest.mark.check(PATH, "dns")
def test_outside_gets_signed_answers(
    site: Site, connection: Connection, answers: dict[str, Answer], partner: Host
) -> None:
    """What the name server tells the outside is signed (DNSSEC)."""
    views = dict(asked_by(connection, partner))
    for zone in zones_of(connection):
        if not zone.signed:
            continue
        server = views[zone.view]
        answer = answers[partner.name]()[server, zone.name, "SOA"]
        if answer["code"] == 0 and not answer["signed"]:
            unproved(
                f"{shown(site, server)}: its answers for {zone.name} are not signed",
                f"see the keys in /var/lib/bind/aansluitkit-keys there, then {mended(site)}",
                connection.contacts.network_operator,
            )
