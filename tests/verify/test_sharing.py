"""Load balancers that share an address: one has it, and each can take it over."""

from __future__ import annotations

import pytest

from aansluitkit.connection import Component, Connection, Host
from aansluitkit.verification.site import Site, unproved

PATH = "sharing"


@pytest.mark.check(PATH, "route")
def test_one_has_the_address(site: Site, connection: Connection) -> None:
    """The address where messages come in is on one load balancer."""
    address = connection.load_balancer_address
    balancers = connection.hosts_of(Component.LOAD_BALANCER)
    holders = [host.name for host in balancers if site.run(host, "ip -4 -o address show to %s", str(address)).stdout]
    if len(holders) == 1:
        return
    names = ",".join(host.name for host in balancers)
    cause = (
        f"{' and '.join(holders)} both have {address}: they do not hear each other's VRRP (IP protocol 112); see the "
        "rules that end in -vrrp of their firewalls"
        if holders
        else f"none of {names} has {address}; see keepalived and HAProxy there"
    )
    unproved(f"load balancer: {cause}", site.redeploy(names), connection.contacts.network_operator)


@pytest.mark.check(PATH, "load_balancer")
def test_load_balancer_works(site: Site, connection: Connection, balancer: Host) -> None:
    """HAProxy works, also where it waits for the address."""
    url = f"http://127.0.0.1:{connection.ports.load_balancer_status}/health"
    found = site.run(balancer, "curl --silent --show-error --fail --max-time 5 --output /dev/null %s", url)
    if found.rc != 0:
        unproved(
            f"load balancer {balancer.name}: HAProxy does not say that it works ({found.stderr.strip()}), so another "
            "has to do without it",
            site.redeploy(balancer.name),
            connection.contacts.platform_operator,
        )
