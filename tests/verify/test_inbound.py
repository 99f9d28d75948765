"""From the partner to us: what the partner's messages meet, hop by hop."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any
from urllib.parse import quote

import pytest

from aansluitkit.connection import Component, Connection, Host
from aansluitkit.connection.model import HTTPS_PORT, Link
from aansluitkit.connection.views import CERTIFICATE_HEADER, CERTIFICATES, CRLS
from aansluitkit.digikoppeling import OIN_TYPE
from aansluitkit.ebms.cpa import PartyId
from aansluitkit.ebms.message import PING, SOAP_ACTION, build, fault_reason, request
from aansluitkit.ebms.mime import CONTENT_TYPE
from aansluitkit.verification.firewalls import Firewalls
from aansluitkit.verification.names import mended, shown
from aansluitkit.verification.site import Site, unproved

PATH = "inbound"


@pytest.mark.check(PATH, "dns")
def test_endpoint_resolves(site: Site, connection: Connection, partner: Host) -> None:
    """The partner's resolver gives the inbound address for the endpoint's name."""
    answer = site.probe(partner, "resolve", name=connection.host_name)
    link = connection.sending
    if answer["addresses"] != [str(link.inbound_address)]:
        unproved(
            f"{shown(site, str(link.inbound_address))}: {connection.host_name} resolves to "
            f"{answer['addresses'] or 'nothing'} for the partner, "
            f"{link.inbound_address} was declared (connection_{link.path}inbound_address)",
            mended(site),
            connection.contacts.network_operator,
        )


@pytest.mark.check(PATH, "route")
def test_firewall_holds_inbound_address(site: Site, connection: Connection, partner: Host, link: Link) -> None:
    """One firewall carries the inbound address, and forwards packets."""
    hosts = connection.hosts_of(Component.FIREWALL)
    names = ", ".join(host.name for host in hosts)
    mend = site.redeploy(",".join(host.name for host in hosts))
    held = [host for host in hosts if carries(site, host, link.inbound_address)]
    if len(held) != 1:
        unproved(
            f"firewall {names}: {', '.join(host.name for host in held) or 'none'} carries {link.inbound_address} "
            f"(connection_{link.path}inbound_address), and one has to, or the partner's packets have no way in",
            mend,
            connection.contacts.network_operator,
        )
    if site.host(held[0].name).sysctl("net.ipv4.ip_forward") != 1:
        unproved(
            f"firewall {held[0].name} does not forward packets (net.ipv4.ip_forward)",
            site.redeploy(held[0].name),
            connection.contacts.network_operator,
        )


def carries(site: Site, host: Host, address: IPv4Address) -> bool:
    """Whether ``host`` has ``address`` now."""
    return f" {address}/" in site.run(host, "ip -4 -o address show").stdout


@pytest.mark.check(PATH, "firewall")
def test_firewall_lets_partner_in(site: Site, firewalls: Firewalls, partner: Host, link: Link) -> None:
    """The firewall lets the partner's connections to the inbound address through."""
    outcome = site.connect(partner, link.inbound_address, HTTPS_PORT)
    if outcome not in ("open", "refused"):
        firewalls.blame(f"ebms-inbound{link.suffix}", outcome)


@pytest.mark.check(PATH, "load_balancer")
def test_load_balancer_listens(site: Site, connection: Connection, partner: Host) -> None:
    """The load balancer takes the partner's connections."""
    outcome = site.connect(partner, connection.sending.inbound_address, HTTPS_PORT)
    names = ",".join(host.name for host in connection.hosts_of(Component.LOAD_BALANCER))
    if outcome != "open":
        unproved(
            f"load balancer {names} refuses connections to {HTTPS_PORT}",
            site.redeploy(names),
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "load_balancer")
def test_load_balancer_reaches(
    site: Site, connection: Connection, firewalls: Firewalls, balancer: Host, adapter: Host
) -> None:
    """The load balancer reaches the adapter node."""
    for port in (connection.ports.ebms, connection.ports.health):
        outcome = site.connect(balancer, adapter.address, port)
        if outcome not in ("open", "refused"):
            firewalls.blame(f"{balancer.name}-{adapter.name}-tcp-{port}", outcome)
        if outcome != "open":
            unproved(
                f"load balancer {balancer.name} can't reach adapter {adapter.name} on port {port}: the adapter does "
                "not listen",
                site.redeploy(adapter.name),
                connection.contacts.platform_operator,
            )


@pytest.mark.check(PATH, "load_balancer")
def test_load_balancer_uses(site: Site, connection: Connection, balancer: Host, adapter: Host) -> None:
    """The load balancer gives its share of the messages to the adapter node."""
    url = f"http://127.0.0.1:{connection.ports.load_balancer_status}/metrics"
    told = site.run(balancer, "curl --silent --show-error --max-time 5 %s", url)
    pattern = rf'haproxy_server_status{{proxy="adapters",server="{re.escape(adapter.name)}",state="(\w+)"}} 1'
    found = re.search(pattern, told.stdout)
    state = found[1] if found else "not among its servers"
    if state != "UP":
        unproved(
            f"load balancer {balancer.name} gives nothing to adapter {adapter.name}, which is {state} there",
            "see whether the adapter says that it is ready, and whether an upgrade drained it, then "
            + site.redeploy(f"{balancer.name},{adapter.name}"),
            connection.contacts.platform_operator,
        )


def exchange(
    site: Site,
    partner: Host,
    credentials: str | None = CERTIFICATES,
    prefix: str = "",
    link: Link | None = None,
    **request: Any,
) -> dict[str, Any]:
    """One HTTPS exchange from the partner with our endpoint, with the certificate in folder ``credentials``."""
    connection = site.connection
    certificate = {"certificate": f"{credentials}/{prefix}certificate.pem", "key": f"{credentials}/{prefix}key.pem"}
    return site.probe(
        partner,
        "tls",
        address=str((link or connection.sending).inbound_address),
        port=HTTPS_PORT,
        name=connection.host_name,
        trust=f"{CERTIFICATES}/trust.pem",
        crls=CRLS if connection.crl_addresses else None,
        path=connection.path,
        **(certificate if credentials else {}),
        **request,
    )


def end_of_tls(connection: Connection) -> tuple[str, str]:
    """What ends the partner's TLS, and the hosts with it, as a playbook's limit has them."""
    hosts = connection.hosts_of(connection.tls_ends_at)
    return connection.tls_ends_at.replace("_", " "), ",".join(host.name for host in hosts)


@pytest.mark.check(PATH, "tls_server")
def test_server_certificate_is_trusted(site: Site, connection: Connection, partner: Host) -> None:
    """The endpoint shows a certificate of its own name that the partner's trust store accepts."""
    _, hosts = end_of_tls(connection)
    answer = exchange(site, partner)
    if answer["layer"] in ("tcp", "tls_server", "tls_handshake"):
        unproved(
            f"server certificate of {connection.host_name}: the partner refuses it: {answer['error']}",
            f"see certificate.pem of {hosts} (whole chain below the root, name, dates), then " + site.redeploy(hosts),
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "tls_client")
def test_partner_certificate_is_accepted(site: Site, connection: Connection, partner: Host, link: Link) -> None:
    """The partner's client certificate is accepted."""
    end, hosts = end_of_tls(connection)
    answer = exchange(site, partner, link=link)
    if answer["layer"] != "http":
        unproved(
            f"client certificate of {connection.partner.name}: the {end} refuses it: {answer['error']}",
            f"see trust.pem of {hosts} (the partner's root), then " + site.redeploy(hosts),
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "tls_client")
@pytest.mark.parametrize("stranger", ["none", "refused-foreign-authority", "refused-expired"])
def test_stranger_is_refused(site: Site, connection: Connection, partner: Host, refused: str, stranger: str) -> None:
    """A connection without a certificate of the trusted authority is refused by TLS itself."""
    end, hosts = end_of_tls(connection)
    answer = exchange(site, partner, credentials=None if stranger == "none" else f"{refused}/{stranger}")
    if answer["layer"] != "tls_client":
        unproved(
            f"{end}: a client with certificate '{stranger}' came to layer {answer['layer']}; TLS must refuse it",
            f"see trust.pem of {hosts}, which may hold the partner's root alone, then " + site.redeploy(hosts),
            connection.contacts.platform_operator,
        )


# What Digikoppeling forbids (TLS004, TLSCIPH001), with OpenSSL's own scruples put aside.
FORBIDDEN: dict[str, dict[str, Any]] = {
    "tls-1.1": {"newest": "TLSv1_1", "ciphers": "ALL@SECLEVEL=0"},
    "cbc": {"newest": "TLSv1_2", "ciphers": "ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA384"},
    "dhe": {"newest": "TLSv1_2", "ciphers": "DHE-RSA-AES256-GCM-SHA384"},
    "rsa": {"newest": "TLSv1_2", "ciphers": "AES256-GCM-SHA384"},
}


@pytest.mark.check(PATH, "tls_client")
@pytest.mark.parametrize("offer", list(FORBIDDEN))
def test_weak_tls_is_refused(site: Site, connection: Connection, partner: Host, offer: str) -> None:
    """A client that offers nothing but what Digikoppeling forbids gets no connection."""
    end, hosts = end_of_tls(connection)
    answer = exchange(site, partner, **FORBIDDEN[offer])
    if answer["layer"] not in ("tls_client", "tls_handshake") or "version" in answer:
        unproved(
            f"{end}: a client with {offer} alone got {answer.get('version')} {answer.get('cipher')}; Digikoppeling "
            "forbids it (TLS004, TLSCIPH001)",
            site.redeploy(hosts),
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "tls_client")
@pytest.mark.parametrize("stranger", ["none", "refused-foreign-authority", "refused-expired", "refused-revoked"])
def test_adapter_refuses_strangers_itself(
    site: Site, connection: Connection, refused: str, adapter: Host, stranger: str
) -> None:
    """Who reaches the adapter's own port, as from the load balancer, has to show the partner's certificate as well.

    Where TLS has ended before, the load balancer has to pass it on.
    """
    if stranger == "refused-revoked" and not connection.crl_addresses:
        pytest.skip("revocation is not looked up: connection_crl_addresses is not set")
    asked = in_clear if connection.offload else by_tls
    came_to = asked(site, refused, adapter, stranger)
    if came_to:
        unproved(
            f"adapter {adapter.name}: a client with certificate '{stranger}' at its own port {came_to}",
            "see trust.pem and the CRLs there, then " + site.redeploy(adapter.name),
            connection.contacts.platform_operator,
        )


def by_tls(site: Site, refused: str, adapter: Host, stranger: str) -> str:
    """How far ``stranger`` came at the port of ``adapter``; nothing when TLS refused it."""
    connection = site.connection
    shown = {"certificate": f"{refused}/{stranger}/certificate.pem", "key": f"{refused}/{stranger}/key.pem"}
    answer = site.probe(
        connection.host_of(Component.LOAD_BALANCER),
        "tls",
        address=str(adapter.address),
        port=connection.ports.ebms,
        name=connection.host_name,
        trust=f"{refused}/refused-wrong-oin/trust.pem",
        path=connection.path,
        **(shown if stranger != "none" else {}),
    )
    if answer["layer"] == "tls_client":
        return ""
    return f"came to layer {answer['layer']} ({answer.get('error') or answer.get('status')}); TLS must refuse it"


def in_clear(site: Site, refused: str, adapter: Host, stranger: str) -> str:
    """How a Ping fared at ``adapter`` with the certificate of ``stranger`` passed on; nothing when it was refused."""
    connection = site.connection
    envelope, headers = ping_of(connection)
    passed = {} if stranger == "none" else {CERTIFICATE_HEADER: passed_on(connection, stranger)}
    answer = site.probe(
        connection.host_of(Component.LOAD_BALANCER),
        "plain",
        place=f"{adapter.address}:{connection.ports.ebms}",
        method="POST",
        path=connection.path,
        body=envelope,
        headers={**headers, **passed},
    )
    if answer["status"] >= 400:
        return ""
    return f"got status {answer['status']} ({answer.get('error') or answer['body'][:200]}) for a Ping of the partner's"


def passed_on(connection: Connection, stranger: str) -> str:
    """The certificate of ``stranger`` in the form in which a load balancer passes it on."""
    folder = connection.certificates.partner.parents[1] / stranger
    return quote((folder / "certificate.pem").read_text())


@pytest.mark.check(PATH, "tls_client")
def test_next_partner_certificate_is_accepted(site: Site, connection: Connection, partner: Host) -> None:
    """We accept the certificate that the partner will show after a renewal, where one is under way."""
    if site.run(partner, "test -e %s", f"{CERTIFICATES}/next-certificate.pem").rc != 0:
        return
    end, hosts = end_of_tls(connection)
    answer = exchange(site, partner, prefix="next-")
    if answer["layer"] != "http":
        unproved(
            f"next certificate of {connection.partner.name}: our {end} refuses it: {answer['error']}",
            f"see trust.pem and the CRLs of {hosts}: certificates_stage 'trust' brings both (docs/rotate.md)",
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "tls_client")
def test_revoked_is_refused(site: Site, connection: Connection, partner: Host, refused: str) -> None:
    """A certificate of the partner that its authority has revoked is refused by TLS itself."""
    if not connection.crl_addresses:
        pytest.skip("revocation is not looked up: connection_crl_addresses is not set")
    end, hosts = end_of_tls(connection)
    answer = exchange(site, partner, credentials=f"{refused}/refused-revoked")
    if answer["layer"] != "tls_client":
        unproved(
            f"{end}: a client with a revoked certificate came to layer {answer['layer']}; TLS must refuse it",
            f"see {CRLS} of {hosts} and aansluitkit-crl.service, which fetches it, then " + site.redeploy(hosts),
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "http")
def test_adapter_answers(site: Site, connection: Connection, partner: Host) -> None:
    """The adapter answers HTTP at the endpoint's path."""
    answer = exchange(site, partner, method="POST", body="<not-ebms/>", headers={"Content-Type": "text/xml"})
    if answer.get("status") == 404 or not 400 <= answer.get("status", 0) < 600:
        unproved(
            f"adapter: POST {connection.endpoint} of something that is no ebMS gives "
            f"{answer.get('status') or answer['error']}; a refusal by the adapter was expected",
            "see the path of connection_endpoint, then " + site.redeploy(connection.host_of(Component.ADAPTER).name),
            connection.contacts.platform_operator,
        )


def ping_of(connection: Connection) -> tuple[str, dict[str, str]]:
    """A Ping of the partner's to us, and its headers."""
    sender = PartyId(connection.partner.oin, connection.partner.party_id_type)
    receiver = PartyId(connection.organisation.oin, OIN_TYPE)
    envelope = build(request(sender, receiver, connection.cpa.id, PING, connection.partner.host_name))
    return envelope.decode(), {"Content-Type": CONTENT_TYPE, "SOAPAction": SOAP_ACTION}


def post_ping(site: Site, partner: Host, credentials: str, more: dict[str, str] | None = None) -> dict[str, Any]:
    """The partner's Ping, with the certificate in folder ``credentials`` and ``more`` headers."""
    envelope, headers = ping_of(site.connection)
    return exchange(site, partner, credentials, method="POST", body=envelope, headers={**headers, **(more or {})})


@pytest.mark.check(PATH, "cpa")
def test_cpa_admits_partner(site: Site, connection: Connection, partner: Host) -> None:
    """The CPA that our adapter has names the partner and its OIN: a Ping of the partner is taken."""
    answer = post_ping(site, partner, CERTIFICATES)
    if answer.get("status") not in (200, 204):
        reason = fault_reason(str(answer.get("body", "")).encode()) or answer.get("error") or answer.get("status")
        unproved(
            f"CPA {connection.cpa.id}: our adapter refuses the partner's Ping: {reason}",
            f"run ansible-playbook -i {site.inventory} playbooks/cpa.yml",
            connection.contacts.platform_operator,
        )


def skip_without_cpa(connection: Connection, answer: str) -> None:
    """Say that nothing was tried when ``answer`` tells that the adapter lacks the CPA: another check fails for that."""
    if f"CPA {connection.cpa.id} not found" in answer:
        pytest.skip("not tried, because the adapter does not have the CPA")


@pytest.mark.check(PATH, "cpa")
def test_wrong_oin_is_refused(site: Site, connection: Connection, partner: Host, refused: str) -> None:
    """A certificate of the trusted authority with an OIN that is not the partner's is refused."""
    end, hosts = end_of_tls(connection)
    answer = post_ping(site, partner, f"{refused}/refused-wrong-oin")
    body = str(answer.get("body", ""))
    reason = body if connection.offload else fault_reason(body.encode()) or ""
    skip_without_cpa(connection, reason)
    expected = 403 if connection.offload else 500
    if answer.get("status") != expected or not re.search("OIN|Client Certificate", reason):
        unproved(
            f"{end}: a Ping with a certificate of another OIN came to layer {answer['layer']} with status "
            f"{answer.get('status')}; a refusal that names the OIN or the certificate was expected",
            "see that it checks client certificates (the adapter against the CPA), then " + site.redeploy(hosts),
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "cpa")
def test_forged_header_is_worthless(site: Site, connection: Connection, partner: Host, refused: str) -> None:
    """Nobody becomes anybody else by a header such as a load balancer would set: neither a stranger nor the partner."""
    _, hosts = end_of_tls(connection)
    strangers = post_ping(
        site, partner, f"{refused}/refused-wrong-oin", {CERTIFICATE_HEADER: passed_on(connection, "party-partner")}
    )
    partners = post_ping(site, partner, CERTIFICATES, {CERTIFICATE_HEADER: passed_on(connection, "refused-wrong-oin")})
    skip_without_cpa(connection, str(partners.get("body", "")))
    if strangers.get("status") in (200, 204) or partners.get("status") not in (200, 204):
        unproved(
            f"a Ping with a certificate of another OIN and the partner's in header {CERTIFICATE_HEADER} got status "
            f"{strangers.get('status')}, and the partner's with that one in the header {partners.get('status')}; the "
            "header counts from load balancers that end TLS alone, and these drop what others send under its name",
            f"see connection_tls_ends_at, then {site.redeploy(hosts)}",
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "ping")
def test_ping_is_taken(connection: Connection, partner: Host, ping: Callable[[Host], tuple[str, str]]) -> None:
    """Our adapter takes the Ping of the partner's adapter."""
    hop, reason = ping(partner)
    if hop not in ("", "pong"):
        unproved(
            f"Ping from {connection.partner.name} to us failed at hop {hop}: {reason}",
            "see that both sides have the same CPA",
            connection.partner.contact,
        )


@pytest.mark.check(PATH, "pong")
def test_pong_goes_back(connection: Connection, partner: Host, ping: Callable[[Host], tuple[str, str]]) -> None:
    """Our Pong reaches the partner and answers its Ping: RefToMessageId, parties, CPAId, conversation."""
    hop, reason = ping(partner)
    if hop:
        unproved(
            f"Pong to {connection.partner.name}: {reason}",
            "see the outbound path, over which our adapter sends its Pong",
            connection.contacts.platform_operator,
        )
