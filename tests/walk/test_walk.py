"""A first own connection, from ``aansluitkit new`` to Pongs both ways, on hosts that nobody prepared.

The tests build on each other, in the order of this file, and do so for each release of Debian. The partner, the
resolvers and the mirror of packages are no hosts of the inventory.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import images
import outside
import pytest
import world
from ground import MIRROR_PORT, OUTSIDE, PARTNER, RESOLVER, SERVER, Ground
from partner import Partner

from aansluitkit.connection import Connection, load_connection
from aansluitkit.lab.lock import alone

SUITES = {"trixie": ("trixie",), "bookworm": ("bookworm",)}
KIT = Path(sys.executable).with_name("aansluitkit")


@dataclass
class Walk:
    """One connection on its way."""

    inventory: Path
    connection: Connection
    ground: Ground
    partner: Partner
    work: Path

    def kit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the kit's command on the controller."""
        return self.ground.run(KIT, *arguments, ANSIBLE_VAULT_PASSWORD_FILE=str(self.work / "vault"))


@pytest.fixture(scope="module", params=SUITES)
def walk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Bare hosts, an inventory that is filled in, and a partner."""
    suites = SUITES[request.param]
    work = tmp_path_factory.mktemp(request.param)
    (work / "vault").write_text("a vault password of this test\n")
    world.share(work / "inventories")
    inventory = work / "inventories/wandelstad/preprod"
    options = ("--kind", "government", "--organisation", world.ORGANISATION, "--oin", world.OIN)
    endpoints = ("--endpoint", world.ENDPOINT, "--production-endpoint", "ebms.wandelstad.nl")
    made = subprocess.run(
        [KIT, "new", "wandelstad", *options, *endpoints, "--folder", work / "inventories"],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "ANSIBLE_VAULT_PASSWORD_FILE": str(work / "vault")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert inventory.is_dir(), made.stdout + made.stderr
    issuer = world.make_authorities(work)
    world.issue_parties(work, issuer)
    world.fill_in(inventory, work, issuer)
    connection = load_connection(inventory)
    world.hand_out(connection, work)
    names = [host.name for host in connection.own_hosts]
    of_host = {name: suites[number % len(suites)] for number, name in enumerate(names)}
    ground = Ground(connection, {suite: images.build(suite, print) for suite in suites}, of_host)
    with alone():  # the lab has the same runtime folder of podman, and removes it when it goes
        yield from _walked(ground, connection, inventory, work)


def _walked(ground: Ground, connection: Connection, inventory: Path, work: Path) -> Iterator[Walk]:
    ground.remove()
    try:
        ground.make()
        outside.mirror(OUTSIDE, SERVER, MIRROR_PORT)
        outside.publish(OUTSIDE, SERVER, work / "crl")
        theirs = {world.PARTNER_NAME: PARTNER, world.ENDPOINT: str(connection.inbound_address)}
        outside.resolve(OUTSIDE, RESOLVER, theirs)
        with Partner(work, "mijnoverheid-proef.nl") as partner:
            yield Walk(inventory, connection, ground, partner, work)
    finally:
        ground.remove()


def test_inventory_is_valid(walk: Walk) -> None:
    done = walk.kit("check", str(walk.inventory))
    assert done.returncode == 0, done.stdout + done.stderr


def deploy(walk: Walk, name: str) -> str:
    """Deploy, and return Ansible's log."""
    logs = walk.work / name
    done = walk.kit("deploy", str(walk.inventory), "--yes", "--logs", str(logs))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    [log] = logs.iterdir()
    return log.read_text()


def test_bare_hosts_are_deployed(walk: Walk) -> None:
    deploy(walk, "first")


def test_second_deployment_changes_nothing(walk: Walk) -> None:
    log = deploy(walk, "second")
    assert "changed=0" in log
    assert re.findall(r"^.*changed=[1-9].*$", log, re.MULTILINE) == []


def proved(walk: Walk) -> None:
    report = walk.work / "verify.json"
    done = walk.kit("verify", str(walk.inventory), "--json", str(report))
    failed = {
        check["id"]: check["message"]
        for check in json.loads(report.read_text())["checks"]
        if check["result"] == "failed"
    }
    assert failed == {}
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    own, other = walk.connection.organisation.party_id, walk.connection.partner.party_id
    walk.partner.ping(walk.connection.cpa.id, other, own)


def test_connection_is_proved(walk: Walk) -> None:
    documents = walk.kit("documents", str(walk.inventory), "--output", str(walk.work / "documents"))
    assert documents.returncode == 0, documents.stdout + documents.stderr
    walk.partner.load(walk.work / "documents/cpa.xml")
    proved(walk)


def test_connection_is_proved_after_a_power_cut(walk: Walk) -> None:
    walk.ground.reboot()
    assert walk.ground.failed_units() == {}
    proved(walk)
