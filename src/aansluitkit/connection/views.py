"""What each host has to know of the connection: plain data for the playbooks.

Decisions are made here, out of the model; a playbook hands them to its roles and adds nothing.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from aansluitkit.certificates.facts import fingerprint, read_leaf
from aansluitkit.connection.flows import AUTHORITIES, PARTNER, Direction, Flow, direction_of, flows_of, merged, zone_of
from aansluitkit.connection.model import HTTPS_PORT, PARTIES, USES, Component, Connection, Host

CERTIFICATES = "/etc/aansluitkit/certificates"
CRLS = "/var/lib/aansluitkit-crl/crls.pem"
DATABASE = "ebms_adapter"  # name of the database, and of its owner


def views(connection: Connection) -> dict[str, dict[str, Any]]:
    """The view of every host, by name; JSON types alone."""
    return {host.name: _view(connection, host) for host in connection.hosts.values()}


def _view(connection: Connection, host: Host) -> dict[str, Any]:
    makers = {
        Component.FIREWALL: ("firewall", _firewall),
        Component.NAME_SERVER: ("dns", _dns),
        Component.LOAD_BALANCER: ("load_balancer", _load_balancer),
        Component.DATABASE: ("database", _database),
        Component.ADAPTER: ("adapter", _adapter),
        Component.PARTNER: ("adapter", _partner),
    }
    parts = {
        makers[component][0]: makers[component][1](connection, host)
        for component in host.components
        if component in makers
    }
    server = connection.host_of(Component.NAME_SERVER)
    outside = Component.PARTNER in host.components
    return {
        "name": connection.name,
        "environment": connection.environment.value,
        "domain": connection.domain,
        "certificates_folder": CERTIFICATES,
        "resolver": str(connection.inbound_address if outside else server.address),
        **parts,
    }


def _firewall(connection: Connection, host: Host) -> dict[str, Any]:
    inbound, outbound = (
        connection.carried(address) for address in (connection.inbound_address, connection.outbound_address)
    )
    outside = next(
        name for name, zone in connection.zones.items() if inbound in zone.network and name in host.addresses
    )
    return {
        "addresses": [{"interface": outside, "address": str(address)} for address in (inbound, outbound)],
        "sets": [
            {"name": name, "networks": [str(network) for network in networks]}
            for name, networks in _sets(connection).items()
        ],
        "flows": [_rule(connection, host, flow) for flow in flows_of(connection) if _passes(connection, host, flow)],
    }


def _passes(connection: Connection, host: Host, flow: Flow) -> bool:
    """Whether packets of ``flow`` come to the firewall ``host``: those within a zone never do."""
    within = zone_of(connection, flow.source_networks[0]) == zone_of(connection, flow.destination_networks[0])
    return flow.destination == host.name or (flow.source != host.name and not within)


def _sets(connection: Connection) -> dict[str, tuple[IPv4Network, ...]]:
    """The ranges of others, which grow: a firewall keeps them in sets, so that its rules stay as they are."""
    found = {
        "partner_outbound": merged(connection.partner.outbound_addresses),
        "partner_inbound": merged(connection.partner.inbound_addresses),
        AUTHORITIES: merged(connection.crl_addresses),
    }
    return {name: networks for name, networks in found.items() if networks}


_REACHED = {PARTNER: "@partner_inbound", AUTHORITIES: f"@{AUTHORITIES}"}


def _rule(connection: Connection, host: Host, flow: Flow) -> dict[str, Any]:
    return {
        "id": flow.id,
        "to_firewall": flow.destination == host.name,
        "from_outside": direction_of(connection, flow) is Direction.INBOUND,
        "source": "@partner_outbound" if flow.source == PARTNER else str(flow.source_networks[0]),
        "destination": _REACHED.get(flow.destination, str(flow.destination_networks[0])),
        "protocol": flow.protocol,
        "port": flow.port,
        "published_address": _carried(connection, flow.published_address),
        "outbound_address": _carried(connection, flow.outbound_address),
    }


def _carried(connection: Connection, address: IPv4Address | None) -> str:
    return str(connection.carried(address)) if address else ""


def _dns(connection: Connection, host: Host) -> dict[str, Any]:
    domain = connection.domain
    inside = [entry for entry in connection.hosts.values() if Component.PARTNER not in entry.components]
    own = [{"name": connection.host_name, "address": str(connection.inbound_address)}]
    own += [{"name": connection.name_of(entry), "address": str(entry.address)} for entry in inside]
    zones = [{"name": domain, "server": connection.name_of(host), "records": own}]
    if connection.hosts_of(Component.PARTNER):
        partner = connection.partner
        zones.append(
            {
                "name": partner.host_name.partition(".")[2],
                "server": connection.name_of(host),
                "records": [
                    {"name": name, "address": str(partner.address)}
                    for name in (partner.host_name, connection.crl_host_name)
                ],
            }
        )
    recursive = sorted({str(connection.zones[entry.zone].network) for entry in inside})
    return {"address": str(host.address), "zones": zones, "recursive_networks": recursive}


def _load_balancer(connection: Connection, host: Host) -> dict[str, Any]:
    return {
        "address": str(host.address),
        "port": HTTPS_PORT,
        "server_name": connection.host_name,
        "servers": [
            {
                "name": adapter.name,
                "address": str(adapter.address),
                "port": connection.ports.ebms,
                "health_port": connection.ports.health,
            }
            for adapter in connection.hosts_of(Component.ADAPTER)
        ],
    }


def _database(connection: Connection, host: Host) -> dict[str, Any]:
    return {
        "address": str(host.address),
        "port": connection.ports.database,
        "name": DATABASE,
        "clients": [str(adapter.address) for adapter in connection.hosts_of(Component.ADAPTER)],
    }


def _adapter(connection: Connection, host: Host) -> dict[str, Any]:
    server = connection.name_of(connection.host_of(Component.DATABASE))
    place = f"{DATABASE}@{server}:{connection.ports.database}/{DATABASE}"
    checked = f"sslmode=verify-full&sslrootcert={CERTIFICATES}/internal-trust.pem"
    return {
        **_msh(connection, host, "organisation"),
        "domain": connection.host_name,
        "database": f"postgresql+psycopg://{place}?{checked}",
        "ebms_port": connection.ports.ebms,
        "path": connection.path,
        "stand_in": {},
    }


def _partner(connection: Connection, host: Host) -> dict[str, Any]:
    return {
        **_msh(connection, host, "partner"),
        "domain": connection.partner.host_name,
        "database": "sqlite:////var/lib/aansluitkit/adapter.db",
        "ebms_port": HTTPS_PORT,
        "path": connection.partner.path,
        # It plays the Compliancevoorziening too, and in drills a partner that misbehaves.
        "stand_in": {
            "echo": True,
            "switchable": True,
            "expired_certificate_file": f"{CERTIFICATES}/stand-in-expired-key.pem",
            "wrong_certificate_file": f"{CERTIFICATES}/stand-in-wrong-key.pem",
        },
    }


def _msh(connection: Connection, host: Host, party: str) -> dict[str, Any]:
    other = next(name for name in PARTIES if name != party)
    following = connection.following
    return {
        "node": host.name,
        "name": connection.name_of(host),
        "address": str(host.address),
        "rest_port": connection.ports.rest,
        "health_port": connection.ports.health,
        "cpa": connection.cpa.id,
        "retired_cpas": list(connection.cpa.retired),
        "parties": [connection.organisation.party_id, connection.partner.party_id],
        "cpa_certificates": _fingerprints(connection),
        "certificates_apart": list(connection.certificates.apart(party)),
        "partner_certificates": _files(connection, other),
        "partner_certificates_next": _files(following, other) if following else [],
        "next_cpa": {"id": following.cpa.id, "certificates": _fingerprints(following)} if following else {},
        "crl_file": CRLS if connection.crl_addresses else "",
    }


def _files(connection: Connection, party: str) -> list[str]:
    certificates = connection.certificates
    return [str(path) for path in (getattr(certificates, party), *certificates.apart(party).values())]


def _fingerprints(connection: Connection) -> list[str]:
    """SHA-256 of every certificate that the CPA may name; none while one can't be read, as before the lab has them."""
    files = {connection.certificates.of(party, use) for party in PARTIES for use in USES}
    try:
        return sorted({fingerprint(read_leaf(path)) for path in files})
    except (OSError, ValueError):
        return []
