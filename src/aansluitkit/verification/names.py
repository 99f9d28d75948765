"""Who gives a name, and what to do when it is wrong there."""

from __future__ import annotations

from aansluitkit.connection import Component
from aansluitkit.connection.model import DnsWay
from aansluitkit.verification.site import Site


def shown(site: Site, server: str) -> str:
    """Name server ``server`` for people: the host, where it is ours, and the address."""
    connection = site.connection
    ours = connection.hosts_of(Component.NAME_SERVER)
    known = {str(host.address): host.name for host in ours}
    known |= {str(link.inbound_address): host.name for link in connection.links for host in ours[:1]}
    return f"name server {known[server]} ({server})" if server in known else f"name server {server}"


def mended(site: Site) -> str:
    """What to do when a record is not as declared."""
    if site.connection.dns.way is DnsWay.LIST:
        return f"have those who manage it enter what aansluitkit records {site.inventory} prints"
    return site.redeploy(",".join(host.name for host in site.connection.hosts_of(Component.NAME_SERVER)))
