"""Revocation: who judges certificates has the CRLs of both parties' chains, and they are of today."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from aansluitkit.certificates.facts import common_name
from aansluitkit.connection import Connection, Host
from aansluitkit.connection.views import CERTIFICATES, CRLS
from aansluitkit.verification.site import Site, unproved

PATH = "revocation"
UNIT = "aansluitkit-crl"
END = "-----END X509 CRL-----\n"


@pytest.fixture(autouse=True)
def looked_up(connection: Connection) -> None:
    if not connection.crl_addresses:
        pytest.skip("revocation is not looked up: connection_crl_addresses is not set")


def issuers(site: Site, connection: Connection, judge: Host) -> dict[x509.Name, str]:
    """The authorities of the chain that the node shows and of the partner's, as far as they are known, by name."""
    own = site.run(judge, "cat %s", f"{CERTIFICATES}/certificate.pem").stdout.encode()
    chains = own, Path(connection.certificates.partner).read_bytes()
    certificates = [each for chain in chains for each in x509.load_pem_x509_certificates(chain)]
    return {each.issuer: common_name(each.issuer) for each in certificates}


def crls(site: Site, judge: Host) -> Iterator[x509.CertificateRevocationList]:
    """What the node has."""
    found = site.run(judge, "cat %s", CRLS).stdout
    return (x509.load_pem_x509_crl((part + END).encode()) for part in found.split(END)[:-1])


@pytest.mark.check(PATH, "tls_server")
def test_crls_are_fresh(site: Site, connection: Connection, judge: Host) -> None:
    """The node has a CRL of every authority of both chains, and none has expired."""
    now = datetime.now(UTC)
    ends = {crl.issuer: crl.next_update_utc or now for crl in crls(site, judge)}
    wrong = []
    for issuer, name in issuers(site, connection, judge).items():
        if issuer not in ends:
            wrong.append(f"there is no CRL of '{name}'")
        elif ends[issuer] <= now:
            wrong.append(f"the CRL of '{name}' has expired on {ends[issuer]:%Y-%m-%d %H:%M} UTC")
    if wrong:
        unproved(
            f"{judge.name}: {', '.join(wrong)}, so certificates of that authority are refused",
            f"run systemctl start {UNIT}.service on {judge.name}; what it says names the cause",
            connection.contacts.platform_operator,
        )


@pytest.mark.check(PATH, "tls_server")
def test_crls_are_fetched(site: Site, connection: Connection, judge: Host) -> None:
    """The timer runs, and the last fetch brought all that was wanted."""
    timer = site.run(judge, "systemctl is-active %s", f"{UNIT}.timer").stdout.strip()
    fetched = site.run(judge, "systemctl show --property Result --value %s", f"{UNIT}.service").stdout.strip()
    if (timer, fetched) == ("active", "success"):
        return
    told = site.run(judge, "journalctl --unit %s --lines 3 --output cat --grep ^aansluitkit-crl: --no-pager", UNIT)
    unproved(
        f"{judge.name}: the CRLs are not kept fresh ({UNIT}.timer is {timer}, the last fetch {fetched}): "
        f"{' '.join(told.stdout.split())}",
        site.redeploy(judge.name),
        connection.contacts.network_operator,
    )
