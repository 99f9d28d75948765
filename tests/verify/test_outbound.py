"""From us to the partner: what our messages meet, hop by hop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

from aansluitkit.connection import Component, Connection, Host
from aansluitkit.connection.firewalls import routes_of
from aansluitkit.connection.model import Link
from aansluitkit.connection.names import resolvers_of
from aansluitkit.connection.views import CERTIFICATES, CRLS
from aansluitkit.verification.firewalls import Firewalls
from aansluitkit.verification.names import mended, shown
from aansluitkit.verification.site import Site, unproved

PATH = "outbound"
SEEN_WITHIN = 10  # seconds


def published(connection: Connection) -> str:
    """The address of the partner's endpoint, where our messages go."""
    return str(connection.sending.partner.address)


@pytest.mark.check(PATH, "dns")
def test_partner_resolves(site: Site, connection: Connection, adapter: Host) -> None:
    """The adapter's resolver gives the partner's address for its endpoint's name."""
    answer = site.probe(adapter, "resolve", name=connection.partner.host_name)
    link = connection.sending
    known = link.partner.inbound_addresses
    found = [ip_address(address) for address in answer["addresses"]]
    if not found or not all(any(address in network for network in known) for address in found):
        servers = " and ".join(shown(site, str(server)) for server in resolvers_of(connection, adapter))
        unproved(
            f"{servers}: {connection.partner.host_name} resolves to {answer['addresses'] or 'nothing'} for "
            f"{adapter.name}, {', '.join(map(str, known))} was declared "
            f"(connection_{link.path}partner.inbound_addresses)",
            mended(site),
            connection.contacts.network_operator,
        )


@pytest.mark.check(PATH, "route")
def test_way_out_is_the_firewall(site: Site, connection: Connection, adapter: Host) -> None:
    """The adapter's way to the partner is the firewall."""
    gateway = str(connection.gateway(adapter.zone))
    found = site.run(adapter, "ip route get %s", published(connection)).stdout.strip().splitlines()
    if not found or f" via {gateway} " not in found[0]:
        unproved(
            f"{adapter.name}: the route to {connection.partner.name} is '{found[0] if found else 'none'}', not via the "
            f"firewall, {gateway}",
            "set the default route of the host",
            connection.contacts.network_operator,
        )


@pytest.mark.check(PATH, "route")
def test_diginetwerk_is_sought_there_alone(site: Site, connection: Connection) -> None:
    """The firewall's way to Diginetwerk leads over its router, and nothing else does; where that is the network."""
    there = connection.diginetwerk
    if there is None:
        return
    firewall = connection.host_of(Component.FIREWALL)
    shown = site.run(firewall, "ip -4 route show").stdout.split("\n")
    found = {line.split()[0] for line in shown if f" via {there.router} " in f"{line} "}
    wanted = {route["network"] for route in routes_of(connection, firewall)}
    differing = [f"{network} is missing" for network in sorted(wanted - found)]
    differing += [f"{network} leads there as well" for network in sorted(found - wanted)]
    if differing:
        unproved(
            f"firewall {firewall.name}: of its routes over {there.router} (connection_diginetwerk.router) "
            f"{', '.join(differing)}",
            f"{site.redeploy(firewall.name)}, or take out by hand what leads there as well",
            connection.contacts.network_operator,
        )


@pytest.mark.check(PATH, "firewall")
def test_firewall_lets_us_out(
    site: Site, connection: Connection, firewalls: Firewalls, adapter: Host, link: Link
) -> None:
    """The firewall lets the adapter's connections to the partner through."""
    outcome = site.connect(adapter, link.partner.address, connection.partner.port)
    if outcome not in ("open", "refused"):
        firewalls.blame(f"ebms-outbound-{adapter.name}{link.suffix}", outcome)


@pytest.mark.check(PATH, "firewall")
def test_partner_sees_outbound_address(
    site: Site, connection: Connection, adapter: Host, partner: Host, link: Link
) -> None:
    """The partner sees the outbound address, which is not the inbound one (seed 4.4.2)."""
    request = {"address": str(link.partner.address), "port": connection.partner.port}
    holding = threading.Thread(target=lambda: site.probe(adapter, "peer_seen", **request))
    holding.start()
    seen: list[str] = []
    until = time.monotonic() + SEEN_WITHIN
    while str(link.outbound_address) not in seen and time.monotonic() < until and holding.is_alive():
        seen += site.probe(partner, "peers", port=connection.partner.port)["peers"]
    holding.join()
    if str(link.outbound_address) not in seen:
        firewall = connection.host_of(Component.FIREWALL).name
        unproved(
            f"firewall {firewall}: {connection.partner.name} sees {', '.join(sorted(set(seen))) or 'nobody'}, not "
            f"{link.outbound_address} (connection_{link.path}outbound_address)",
            site.redeploy(firewall),
            connection.contacts.network_operator,
        )


@pytest.mark.check(PATH, "load_balancer")
def test_partner_listens(site: Site, connection: Connection, adapter: Host, link: Link) -> None:
    """Something listens at the partner's endpoint."""
    outcome = site.connect(adapter, link.partner.address, connection.partner.port)
    if outcome != "open":
        unproved(
            f"{connection.partner.name}: {link.partner.address}:{connection.partner.port} is {outcome}",
            "ask the partner whether its endpoint is up",
            connection.partner.contact,
        )


def exchange(site: Site, adapter: Host, prefix: str = "", **request: Any) -> dict[str, Any]:
    """One HTTPS exchange from the adapter with the partner's endpoint; ``prefix`` is of the certificate's name."""
    connection = site.connection
    return site.probe(
        adapter,
        "tls",
        address=published(connection),
        port=connection.partner.port,
        name=connection.partner.host_name,
        trust=f"{CERTIFICATES}/trust.pem",
        crls=CRLS if connection.crl_addresses else None,
        certificate=f"{CERTIFICATES}/{prefix}certificate.pem",
        key=f"{CERTIFICATES}/{prefix}key.pem",
        path=connection.partner.path,
        **request,
    )


@pytest.mark.check(PATH, "tls_server")
def test_partner_certificate_is_trusted(site: Site, connection: Connection, adapter: Host) -> None:
    """The partner shows a certificate of its own name that our trust store accepts."""
    answer = exchange(site, adapter)
    if answer["layer"] in ("tcp", "tls_server", "tls_handshake"):
        unproved(
            f"server certificate of {connection.partner.host_name}: {adapter.name} refuses it: {answer['error']}",
            "see trust.pem of the adapter nodes (the root of the partner's hierarchy), and the chain that it sends",
            connection.partner.contact,
        )


@pytest.mark.check(PATH, "tls_client")
def test_our_certificate_is_accepted(site: Site, connection: Connection, adapter: Host) -> None:
    """The partner accepts our client certificate."""
    answer = exchange(site, adapter)
    if answer["layer"] != "http":
        unproved(
            f"client certificate of {adapter.name}: {connection.partner.name} refuses it: {answer['error']}",
            f"see {CERTIFICATES}/certificate.pem of {adapter.name} (dates, OIN, whole chain below the root), then "
            + site.redeploy(adapter.name),
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "tls_client")
def test_next_certificate_is_accepted(site: Site, connection: Connection, adapter: Host) -> None:
    """The partner accepts the certificate that the node will show after a renewal, where one is under way."""
    if site.run(adapter, "test -e %s", f"{CERTIFICATES}/next-certificate.pem").rc != 0:
        return
    answer = exchange(site, adapter, "next-")
    if answer["layer"] != "http":
        unproved(
            f"next certificate of {adapter.name}: {connection.partner.name} refuses it: {answer['error']}",
            "do not use it yet: the partner has to trust its root and to know its CRLs first (docs/rotate.md)",
            connection.partner.contact,
        )


@pytest.mark.check(PATH, "pong")
def test_next_cpa_is_known(
    connection: Connection, adapter: Host, site: Site, rest: Callable[..., dict[str, Any]]
) -> None:
    """The partner answers a Ping under the CPA that comes next, where the adapter has it already."""
    following = connection.following
    if following is None or rest(adapter, "GET", f"/cpas/{following.cpa.id}").get("status") != 200:
        return
    parties = f"from/{connection.organisation.party_id}/to/{connection.partner.party_id}"
    answer = rest(adapter, "POST", f"/ebms/ping/{following.cpa.id}/{parties}")
    if answer.get("status") != 204:
        unproved(
            f"Ping of {adapter.name} under next CPA {following.cpa.id}: {answer.get('body') or answer.get('error')}",
            "do not use it yet: the partner has to load it first (docs/rotate.md)",
            connection.partner.contact,
        )


@pytest.mark.check(PATH, "http")
def test_partner_answers(site: Site, connection: Connection, adapter: Host) -> None:
    """An adapter answers at the partner's path."""
    answer = exchange(site, adapter, method="POST", body="<not-ebms/>", headers={"Content-Type": "text/xml"})
    if answer.get("status") == 404 or not 400 <= answer.get("status", 0) < 600:
        unproved(
            f"{connection.partner.name}: POST {connection.partner.endpoint} of something that is no ebMS gives "
            f"{answer.get('status') or answer.get('error')}; a refusal by an adapter was expected",
            "see the path of connection_partner.endpoint",
            connection.partner.contact,
        )


@pytest.mark.check(PATH, "cpa")
def test_adapter_has_cpa(
    connection: Connection, adapter: Host, site: Site, rest: Callable[..., dict[str, Any]]
) -> None:
    """The adapter has the CPA."""
    answer = rest(adapter, "GET", f"/cpas/{connection.cpa.id}")
    if answer.get("status") != 200:
        unproved(
            f"CPA {connection.cpa.id} is not in adapter {adapter.name} ({answer.get('status') or answer.get('error')})",
            f"run ansible-playbook -i {site.inventory} playbooks/cpa.yml",
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "ping")
def test_ping_is_taken(connection: Connection, adapter: Host, ping: Callable[[Host], tuple[str, str]]) -> None:
    """The partner takes the Ping of our adapter."""
    hop, reason = ping(adapter)
    if hop not in ("", "pong"):
        unproved(
            f"Ping from {adapter.name} to {connection.partner.name} failed at hop {hop}: {reason}",
            "see that both sides have the same CPA and the parties of it",
            connection.partner.contact,
        )


@pytest.mark.check(PATH, "pong")
def test_pong_comes_back(connection: Connection, adapter: Host, ping: Callable[[Host], tuple[str, str]]) -> None:
    """The Pong comes back and answers this Ping: RefToMessageId, parties, CPAId, conversation."""
    hop, reason = ping(adapter)
    if hop:
        unproved(
            f"Pong to {adapter.name}: {reason}",
            "see the inbound path, over which the partner sends its Pong",
            connection.partner.contact,
        )
