"""What each host has to know of the connection: plain data for the playbooks.

Decisions are made here, out of the model; a playbook hands them to its roles and adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography import x509

from aansluitkit.certificates.facts import fingerprint, read_leaf, serial_number
from aansluitkit.connection.firewalls import carried_addresses, firewall_of, guarded_hosts
from aansluitkit.connection.flows import Purpose, flows_of, merged, metrics_of
from aansluitkit.connection.model import (
    HTTPS_PORT,
    PARTIES,
    USES,
    Component,
    Connection,
    Host,
    Link,
    Network,
    View,
)
from aansluitkit.connection.names import DnsZone, own_zones_of, resolvers_of, zones_of

CERTIFICATES = "/etc/aansluitkit/certificates"
PASSWORD_FILE = "/etc/aansluitkit/rest-password"  # noqa: S105 - a path
CRLS = "/var/lib/aansluitkit-crl/crls.pem"
HIGHEST_PRIORITY = 200  # in VRRP; 255 is of who owns the address (RFC 5798 section 5.2.4)
# Where a load balancer that ends TLS passes the client certificate on, as URL-encoded PEM.
CERTIFICATE_HEADER = "X-SSL-Client-Cert"
DATABASE = "ebms_adapter"  # name of the database, and of the role that the adapters work with
DATABASE_OWNER = f"{DATABASE}_owner"
DATABASE_CONNECTIONS = 16  # of one node at most
# How soon a node notices that the primary is gone, and looks for the other (libpq): seconds, and milliseconds.
_FOLLOWING = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15000,
}


def views(connection: Connection) -> dict[str, dict[str, Any]]:
    """The view of every host, by name; JSON types alone."""
    return {host.name: _view(connection, host) for host in connection.hosts.values()}


def _view(connection: Connection, host: Host) -> dict[str, Any]:
    makers = {
        Component.NAME_SERVER: ("dns", _dns),
        Component.LOAD_BALANCER: ("load_balancer", _load_balancer),
        Component.DATABASE: ("database", _database),
        Component.ADAPTER: ("adapter", _adapter),
        Component.PARTNER: ("adapter", _partner),
        Component.MONITORING: ("monitoring", _monitoring),
        Component.MANAGEMENT: ("dns_updates", _dns_updates),
    }
    parts = {
        makers[component][0]: makers[component][1](connection, host)
        for component in host.components
        if component in makers
    }
    if host in guarded_hosts(connection):
        parts["firewall"] = firewall_of(connection, host)
        parts["exporters"] = _exporters(connection, host)
    return {
        "name": connection.name,
        "environment": connection.environment.value,
        "domain": connection.domain,
        "certificates_folder": CERTIFICATES,
        "certificates": _certificates(connection, host),
        "certificate_files": _certificate_files(connection, host),
        "revocation": _revocation(connection, host),
        "resolvers": [str(address) for address in resolvers_of(connection, host)],
        "time_servers": [str(server) for server in connection.time_servers],
        "keepalived": _keepalived(connection, host),
        **parts,
    }


def _certificates(connection: Connection, host: Host) -> dict[str, Any]:
    """Those of the other party that ``host`` gets with its own; empty for a host that gets none at all."""
    following = connection.following
    if _judges(connection, host):
        other = "organisation" if Component.PARTNER in host.components else "partner"
        return {
            "other_party": _files(connection, other),
            "other_party_next": _files(following, other) if following else [],
        }
    return {"other_party": [], "other_party_next": []} if host.internal_files else {}


def _certificate_files(connection: Connection, host: Host) -> list[str]:
    """The files that ``host`` can't do without: the set of its endpoint, and those of the internal authority."""
    endpoint = ["certificate.pem", "key.pem", "trust.pem"] if _judges(connection, host) else []
    return [*endpoint, *host.internal_files]


def _judges(connection: Connection, host: Host) -> bool:
    """Whether ``host`` meets the certificates of the other party."""
    return host in connection.judges or Component.PARTNER in host.components


def _revocation(connection: Connection, host: Host) -> dict[str, Any]:
    """Which CRLs ``host`` keeps: those of these certificates; empty where revocation is not looked up."""
    if not connection.crl_addresses or not _judges(connection, host):
        return {}
    party = "partner" if Component.PARTNER in host.components else "organisation"
    apart = connection.certificates.apart(party) if Component.LOAD_BALANCER not in host.components else ()
    names = ["certificate", "partner", "trust", *(f"{use}-certificate" for use in apart)]
    return {"crl_file": CRLS, "certificates": [f"{CERTIFICATES}/{name}.pem" for name in names]}


def _dns(connection: Connection, host: Host) -> dict[str, Any]:
    servers = connection.hosts_of(Component.NAME_SERVER)
    primary = servers[0]
    inside = {str(zone.network) for name, zone in connection.zones.items() if name not in connection.outer_zones}
    return {
        "address": str(host.address),
        "forwarders": [str(server) for server in connection.dns.forwarders],
        "forwarded": _forwarded(connection),
        "outside_views": [
            {"name": link.zone, "clients": _asking_by(connection, link)}
            for link in sorted(connection.links, key=lambda link: not _asking_by(connection, link))
        ],
        "zones": [_zone(connection, zone) for zone in zones_of(connection)],
        "inside_networks": sorted(inside),
        "primary": "" if host is primary else str(primary.address),
        "secondaries": [str(server.address) for server in servers[1:]] if host is primary else [],
    }


def _forwarded(connection: Connection) -> list[dict[str, Any]]:
    """The partner's name, where our messages leave by Diginetwerk, whose own name servers know what it is there."""
    there = connection.diginetwerk
    known = connection.hosts_of(Component.PARTNER)  # in the lab, where its zone is our own name servers' as well
    if known or there is None or connection.sending.network is not Network.DIGINETWERK:
        return []
    return [{"name": connection.partner.host_name, "servers": [str(server) for server in there.resolvers]}]


def _asking_by(connection: Connection, link: Link) -> list[str]:
    """The networks from which ``link`` is asked for names; empty for whoever comes from anywhere else."""
    there = connection.diginetwerk if link.network is Network.DIGINETWERK and len(connection.links) > 1 else None
    return [str(network) for network in merged(there.ranges)] if there else []


def _dns_updates(connection: Connection, _: Host) -> list[dict[str, Any]]:
    """What the manager's host enters at name servers of others."""
    return [
        {
            "view": view.value,
            **place.model_dump(mode="json"),
            "records": [record.model_dump() for zone in own_zones_of(connection, view) for record in zone.records],
        }
        for view, place in connection.dns.updates.items()
    ]


def _zone(connection: Connection, zone: DnsZone) -> dict[str, Any]:
    servers = connection.hosts_of(Component.NAME_SERVER)
    known = servers if zone.view is View.INTERNAL else servers[:1]
    return {
        **zone.model_dump(mode="json"),
        "servers": [connection.name_of(server) for server in known],
        "contact": f"hostmaster.{connection.domain}",
    }


def _keepalived(connection: Connection, host: Host) -> dict[str, Any]:
    """What ``host`` shares with others of its component; empty for one that shares nothing."""
    for component, shared in connection.virtual_addresses.items():
        if component not in host.components:
            continue
        hosts = connection.hosts_of(component)
        return {
            "name": component.value,
            "router_id": list(Component).index(component) + 1,
            "priority": HIGHEST_PRIORITY - hosts.index(host),
            "segments": [
                {
                    "name": zone,
                    "address": str(host.addresses[zone]),
                    "peers": [str(other.addresses[zone]) for other in hosts if other is not host],
                    "shared_addresses": [str(address), *_carried_beside(connection, host, zone)],
                }
                for zone, address in shared.items()
            ],
        }
    return {}


def _carried_beside(connection: Connection, host: Host, zone: str) -> list[str]:
    return [entry["address"] for entry in carried_addresses(connection, host) if entry["interface"] == zone]


def _load_balancer(connection: Connection, host: Host) -> dict[str, Any]:
    return {
        "address": str(connection.load_balancer_address),
        "port": HTTPS_PORT,
        "status_address": str(host.address),
        "status_port": connection.ports.load_balancer_status,
        "status_clients": [str(monitor.address) for monitor in connection.hosts_of(Component.MONITORING)],
        "server_name": connection.host_name,
        "tls": "offload" if connection.offload else "passthrough",
        "client_oins": _client_oins(connection) if connection.offload else [],
        "certificate_header": CERTIFICATE_HEADER,
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


def _client_oins(connection: Connection) -> list[str]:
    """What the partner's client certificates bear: its own OIN, unless another party ends TLS for it (BP EB005)."""
    renewed = [connection.following] if connection.following else []
    leaves = _leaves(each.certificates.of("partner", "client") for each in (connection, *renewed))
    return sorted({number for leaf in leaves if (number := serial_number(leaf))})


def _database(connection: Connection, host: Host) -> dict[str, Any]:
    hosts = connection.hosts_of(Component.DATABASE)
    flows = [flow for flow in flows_of(connection) if flow.destination == host.name]
    return {
        "address": str(host.address),
        "port": connection.ports.database,
        "name": DATABASE,
        "owner": DATABASE_OWNER,
        "clients": [str(flow.source_networks[0][0]) for flow in flows if flow.purpose is Purpose.STORE],
        "connections": DATABASE_CONNECTIONS * len(connection.hosts_of(Component.ADAPTER)),
        "peers": [
            {"host": peer.name, "name": connection.name_of(peer), "address": str(peer.address)}
            for peer in hosts
            if peer is not host
        ],
        "begins": host is hosts[0],
    }


def _database_url(connection: Connection) -> str:
    """Both hosts of the database: whichever of them takes changes is used, also after a promotion."""
    hosts = connection.hosts_of(Component.DATABASE)
    options = [
        *(("host", f"{connection.name_of(host)}:{connection.ports.database}") for host in hosts),
        ("target_session_attrs", "read-write"),
        ("sslmode", "verify-full"),
        ("sslrootcert", f"{CERTIFICATES}/internal-trust.pem"),
        *_FOLLOWING.items(),
    ]
    return f"postgresql+psycopg://{DATABASE}@/{DATABASE}?" + "&".join(f"{name}={value}" for name, value in options)


def _adapter(connection: Connection, host: Host) -> dict[str, Any]:
    before = connection.hosts_of(Component.LOAD_BALANCER) if connection.offload else []
    return {
        **_msh(connection, host, "organisation"),
        "domain": connection.host_name,
        "database": _database_url(connection),
        "database_owner": DATABASE_OWNER,
        "ebms_address": str(host.address),
        "ebms_port": connection.ports.ebms,
        "path": connection.path,
        "certificate_header": CERTIFICATE_HEADER if before else "",
        "load_balancer_addresses": [str(balancer.address) for balancer in before],
        "stand_in": {},
    }


def _partner(connection: Connection, host: Host) -> dict[str, Any]:
    return {
        **_msh(connection, host, "partner"),
        "domain": connection.partner.host_name,
        "database": "sqlite:////var/lib/aansluitkit/adapter.db",
        "database_owner": "",
        "ebms_address": str(host.address) if len(connection.links) == 1 else "0.0.0.0",  # noqa: S104 - on each link
        "ebms_port": HTTPS_PORT,
        "path": connection.partner.path,
        "certificate_header": "",
        "load_balancer_addresses": [],
        # It plays the Compliancevoorziening too, and in drills a partner that misbehaves.
        "stand_in": {
            "echo": True,
            "switchable": True,
            "expired_certificate_file": f"{CERTIFICATES}/stand-in-expired-key.pem",
            "wrong_certificate_file": f"{CERTIFICATES}/stand-in-wrong-key.pem",
        },
    }


def _monitoring(connection: Connection, host: Host) -> dict[str, Any]:
    """Where Prometheus listens, and whom it asks: by the name of each, for alerts and figures name hosts."""
    jobs: dict[str, list[dict[str, str]]] = {}
    for job, target, port in metrics_of(connection):
        address = target.addresses.get(host.zone, target.address)
        jobs.setdefault(job, []).append({"host": target.name, "address": f"{address}:{port}"})
    return {
        "address": str(host.address),
        "port": connection.ports.monitoring,
        "jobs": [{"name": job, "targets": targets} for job, targets in jobs.items()],
    }


def _exporters(connection: Connection, host: Host) -> dict[str, Any]:
    """Where ``host`` tells its metrics; empty where nobody asks."""
    monitors = connection.hosts_of(Component.MONITORING)
    if not monitors:
        return {}
    return {
        "address": str(host.addresses.get(monitors[0].zone, host.address)),
        "port": connection.ports.host_metrics,
        "database": DATABASE,
        "database_port": connection.ports.database_metrics if Component.DATABASE in host.components else 0,
        "certificates": CERTIFICATES if _certificates(connection, host) else "",
        "crl_file": _revocation(connection, host).get("crl_file", ""),
        "adapter": _asked_adapter(connection, host) if Component.ADAPTER in host.components else {},
    }


def _asked_adapter(connection: Connection, host: Host) -> dict[str, Any]:
    """How the adapter on ``host`` is asked on the host itself: for its CPAs, and for a Ping."""
    return {
        "url": f"https://{connection.name_of(host)}:{connection.ports.rest}/service/rest/v19",
        "address": str(host.address),
        "trust": f"{CERTIFICATES}/internal-trust.pem",
        "password_file": PASSWORD_FILE,
        "group": "aansluitkit",
        "cpa": connection.cpa.id,
        "parties": [connection.organisation.party_id, connection.partner.party_id],
    }


def _msh(connection: Connection, host: Host, party: str) -> dict[str, Any]:
    following = connection.following
    return {
        "node": host.name,
        "name": connection.name_of(host),
        "address": str(host.address),
        "rest_port": connection.ports.rest,
        "health_port": connection.ports.health,
        "database_connections": DATABASE_CONNECTIONS,
        "cpa": connection.cpa.id,
        "retired_cpas": list(connection.cpa.retired),
        "parties": [connection.organisation.party_id, connection.partner.party_id],
        "cpa_certificates": _fingerprints(connection),
        "certificates_apart": list(connection.certificates.apart(party)),
        "next_cpa": {"id": following.cpa.id, "certificates": _fingerprints(following)} if following else {},
    }


def _files(connection: Connection, party: str) -> list[str]:
    certificates = connection.certificates
    return [str(path) for path in (getattr(certificates, party), *certificates.apart(party).values())]


def _fingerprints(connection: Connection) -> list[str]:
    """SHA-256 of every certificate that the CPA may name."""
    files = {connection.certificates.of(party, use) for party in PARTIES for use in USES}
    return sorted({fingerprint(leaf) for leaf in _leaves(files)})


def _leaves(files: Iterable[Path]) -> list[x509.Certificate]:
    """Those in ``files``; none while one can't be read, as before the lab has them."""
    try:
        return [read_leaf(path) for path in files]
    except (OSError, ValueError):
        return []
