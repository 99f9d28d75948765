"""From the partner to us: what the partner's messages meet, hop by hop."""

from __future__ import annotations

from typing import Any

import pytest

from aansluitkit.connection import Component, Connection, Host
from aansluitkit.connection.model import HTTPS_PORT
from aansluitkit.verification.site import Site, unproved

PATH = "inbound"
CERTIFICATES = "/etc/aansluitkit/certificates"
REDEPLOY = "run ansible-playbook -i {inventory} playbooks/site.yml --limit {host}"


@pytest.fixture(scope="session")
def partner(connection: Connection) -> Host:
    """The partner's host, where it is ours to ask: in the lab."""
    hosts = connection.hosts_of(Component.PARTNER)
    if not hosts:
        pytest.skip(f"{connection.partner.name} is not ours to run checks on: ask it for a Ping")
    return hosts[0]


def redeploy(site: Site, component: Component) -> str:
    """What to do when a host of ``component`` is not as declared."""
    host = site.connection.host_of(component).name
    return REDEPLOY.format(inventory=site.inventory, host=host)


@pytest.mark.check(PATH, "dns")
def test_endpoint_resolves(site: Site, connection: Connection, partner: Host) -> None:
    """The partner's resolver gives the inbound address for the endpoint's name."""
    answer = site.probe(partner, "resolve", name=connection.host_name)
    if answer["addresses"] != [str(connection.inbound_address)]:
        server = connection.host_of(Component.NAME_SERVER)
        unproved(
            f"name server {server.name}: {connection.host_name} resolves to {answer['addresses'] or 'nothing'} for the "
            f"partner, {connection.inbound_address} was declared (connection_inbound_address)",
            redeploy(site, Component.NAME_SERVER),
            connection.contacts.network_operator,
        )


@pytest.mark.check(PATH, "route")
def test_firewall_holds_inbound_address(site: Site, connection: Connection, partner: Host) -> None:
    """The firewall carries the inbound address and forwards packets."""
    firewall = site.host(connection.host_of(Component.FIREWALL))
    addresses = firewall.check_output("ip -4 -o address show")
    if f" {connection.inbound_address}/" not in addresses:
        unproved(
            f"firewall {connection.host_of(Component.FIREWALL).name} does not carry {connection.inbound_address} "
            "(connection_inbound_address), so the partner's packets have no way in",
            redeploy(site, Component.FIREWALL),
            connection.contacts.network_operator,
        )
    if firewall.sysctl("net.ipv4.ip_forward") != 1:
        unproved(
            f"firewall {connection.host_of(Component.FIREWALL).name} does not forward packets (net.ipv4.ip_forward)",
            redeploy(site, Component.FIREWALL),
            connection.contacts.network_operator,
        )


def connect(site: Site, source: Host, address: Any, port: int) -> str:
    """How a TCP connection from ``source`` ends."""
    return str(site.probe(source, "connect", targets=[[str(address), port]])["outcomes"][0])


@pytest.mark.check(PATH, "firewall")
def test_firewall_lets_partner_in(site: Site, connection: Connection, partner: Host) -> None:
    """The firewall lets the partner's connections to the inbound address through."""
    outcome = connect(site, partner, connection.inbound_address, HTTPS_PORT)
    if outcome not in ("open", "refused"):
        unproved(
            f"firewall {connection.host_of(Component.FIREWALL).name}: flow ebms-inbound is {outcome}: nothing answers "
            f"{partner.name} on {connection.inbound_address}:{HTTPS_PORT}",
            redeploy(site, Component.FIREWALL),
            connection.contacts.network_operator,
        )


@pytest.mark.check(PATH, "load_balancer")
def test_load_balancer_listens(site: Site, connection: Connection, partner: Host) -> None:
    """The load balancer takes the partner's connections."""
    outcome = connect(site, partner, connection.inbound_address, HTTPS_PORT)
    if outcome != "open":
        unproved(
            f"load balancer {connection.host_of(Component.LOAD_BALANCER).name} refuses connections to {HTTPS_PORT}",
            redeploy(site, Component.LOAD_BALANCER),
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "load_balancer")
def test_load_balancer_reaches(site: Site, connection: Connection, adapter: Host) -> None:
    """The load balancer reaches the adapter node."""
    balancer = connection.host_of(Component.LOAD_BALANCER)
    for port in (connection.ports.ebms, connection.ports.health):
        outcome = connect(site, balancer, adapter.address, port)
        if outcome != "open":
            cause = (
                "the adapter does not listen"
                if outcome == "refused"
                else f"flow {balancer.name}-{adapter.name}-tcp-{port} is {outcome} by firewall "
                f"{connection.host_of(Component.FIREWALL).name} or the adapter's own"
            )
            unproved(
                f"load balancer {balancer.name} can't reach adapter {adapter.name} on port {port}: {cause}",
                REDEPLOY.format(inventory=site.inventory, host=adapter.name),
                connection.contacts.platform_operator,
            )


def exchange(site: Site, partner: Host, credentials: str | None = CERTIFICATES, **request: Any) -> dict[str, Any]:
    """One HTTPS exchange from the partner with our endpoint, with the certificate in folder ``credentials``."""
    connection = site.connection
    certificate = {"certificate": f"{credentials}/certificate.pem", "key": f"{credentials}/key.pem"}
    return site.probe(
        partner,
        "tls",
        address=str(connection.inbound_address),
        port=HTTPS_PORT,
        name=connection.host_name,
        trust=f"{CERTIFICATES}/trust.pem",
        path=connection.path,
        **(certificate if credentials else {}),
        **request,
    )


@pytest.mark.check(PATH, "tls_server")
def test_server_certificate_is_trusted(site: Site, connection: Connection, partner: Host) -> None:
    """The endpoint shows a certificate of its own name that the partner's trust store accepts."""
    answer = exchange(site, partner)
    if answer["layer"] in ("tcp", "tls_server", "tls_handshake"):
        unproved(
            f"server certificate of {connection.host_name}: the partner refuses it: {answer['error']}",
            "see certificate.pem of the adapter nodes (whole chain below the root, name, dates), then "
            + redeploy(site, Component.ADAPTER),
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "tls_client")
def test_partner_certificate_is_accepted(site: Site, connection: Connection, partner: Host) -> None:
    """The partner's client certificate is accepted."""
    answer = exchange(site, partner)
    if answer["layer"] != "http":
        unproved(
            f"client certificate of {connection.partner.name}: the adapter refuses it: {answer['error']}",
            "see trust.pem of the adapter nodes (the partner's root), then " + redeploy(site, Component.ADAPTER),
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "tls_client")
@pytest.mark.parametrize("stranger", ["none", "refused-foreign-authority"])
def test_stranger_is_refused(site: Site, connection: Connection, partner: Host, refused: str, stranger: str) -> None:
    """A connection without a certificate of the trusted authority is refused by TLS itself."""
    answer = exchange(site, partner, credentials=None if stranger == "none" else f"{refused}/{stranger}")
    if answer["layer"] != "tls_client":
        unproved(
            f"adapter: a client with certificate '{stranger}' came to layer {answer['layer']}; TLS must refuse it",
            "see trust.pem of the adapter nodes, which may hold the partner's root alone, then "
            + redeploy(site, Component.ADAPTER),
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "http")
def test_adapter_answers(site: Site, connection: Connection, partner: Host) -> None:
    """The adapter answers HTTP at the endpoint's path."""
    answer = exchange(site, partner, method="POST", body="<not-ebms/>", headers={"Content-Type": "text/xml"})
    if answer["status"] == 404 or not 400 <= answer["status"] < 600:
        unproved(
            f"adapter: POST {connection.endpoint} of something that is no ebMS gives HTTP {answer['status']}; "
            "a refusal by the adapter was expected",
            "see the path of connection_endpoint, then " + redeploy(site, Component.ADAPTER),
            connection.contacts.platform_operator,
        )
