"""One set of certificates of each generation for all unit tests: keys of 4096 bits take a while."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import yaml

from aansluitkit.certificates.pkioverheid import Generation
from aansluitkit.connection import Component, Connection, Profile, load_connection
from aansluitkit.documents import render_cpa
from aansluitkit.ebms.cpa import Terms, read_cpa
from aansluitkit.ebms.signature import Signer
from aansluitkit.fleet import beside
from aansluitkit.lab.migration import declare
from aansluitkit.lab.pki import ENDPOINT, PARTNER, make_pki
from aansluitkit.project import ROOT

LAB = Path(__file__).parents[2] / "inventories/lab"
RECORDED = "AANSLUITKIT_RECORDED"
# The schema of OASIS may not be copied into the project: it is looked for beside the checkout.
CPPA_SCHEMA = Path(os.environ.get("CPPA_SCHEMA", ROOT.parent / "shared/data/xsd/cpp-cpa-2_0.xsd"))
needs_schema = pytest.mark.skipif(
    not CPPA_SCHEMA.is_file(), reason=f"the schema of OASIS is not at {CPPA_SCHEMA}; CPPA_SCHEMA may name it"
)
_EXCHANGE = re.compile(rb"^======== (to[AB])-\d+ (?:REQUEST|RESPONSE) \((\d+) bytes\)\n", re.MULTILINE)


def agreed(connection: Connection, profile: Profile | None = None, **changes: Any) -> Connection:
    """``connection`` with another CPA: its services of ``profile``, and ``changes`` of the rest."""
    if profile:
        services = tuple(service.model_copy(update={"profile": profile}) for service in connection.cpa.services)
        changes = {"services": services, **changes}
    return connection.model_copy(update={"cpa": connection.cpa.model_copy(update=changes)})


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where a test keeps what inventories claim; the user's own is left alone."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(beside, "cache", lambda: folder)
    return folder


@pytest.fixture(scope="session")
def lab_connection() -> Connection:
    return load_connection(LAB)


@pytest.fixture(scope="session")
def forty_hosts(tmp_path_factory: pytest.TempPathFactory) -> Connection:
    """The lab with more adapters and applications."""
    folder = Path(shutil.copytree(LAB, tmp_path_factory.mktemp("forty") / "inventories/lab"))
    content = yaml.safe_load((folder / "hosts.yml").read_text())
    groups = content["all"]["children"]
    others = sum(len(group["hosts"]) for group in groups.values())
    for name, first, last in (("adapter", 3, 24), ("app", 2, 2 + 40 - 21 - others)):
        group = groups["adapter" if name == "adapter" else "application"]["hosts"]
        for number in range(first, last):
            address = f"198.51.100.{number + (20 if name == 'adapter' else 48)}"
            group[f"{name}-{number}"] = {"connection_addresses": {"application": address}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(content, sort_keys=False))
    connection = load_connection(folder)
    assert len(connection.hosts) == 40
    return connection


@pytest.fixture(params=["lab_connection", "forty_hosts", "two_firewalls", "offloading", "two_networks"])
def any_connection(request: pytest.FixtureRequest) -> Connection:
    found: Connection = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def offloading(connection: Connection) -> Connection:
    """The lab whose load balancers end TLS."""
    return connection.model_copy(update={"tls_ends_at": Component.LOAD_BALANCER})


@pytest.fixture(scope="session")
def two_firewalls(tmp_path_factory: pytest.TempPathFactory) -> Connection:
    """The lab with a second firewall."""
    folder = Path(shutil.copytree(LAB, tmp_path_factory.mktemp("two") / "inventories/lab"))
    hosts, variables = (folder / name for name in ("hosts.yml", "group_vars/all/connection.yml"))
    content = yaml.safe_load(hosts.read_text())
    firewalls = content["all"]["children"]["firewall"]["hosts"]
    own = firewalls["fw"]["connection_addresses"]
    other, shared = ({zone: str(IPv4Address(first) + step) for zone, first in own.items()} for step in (3, 4))
    firewalls["fw-2"] = {"connection_addresses": other}
    hosts.write_text(yaml.safe_dump(content, sort_keys=False))
    begin = "connection_virtual_addresses:\n"
    assert begin in variables.read_text()
    variables.write_text(variables.read_text().replace(begin, f"{begin}  firewall: {shared}\n"))
    return load_connection(folder)


@pytest.fixture
def lab_copy(tmp_path: Path) -> Path:
    """An inventory of the lab that may be changed."""
    return Path(shutil.copytree(LAB, tmp_path / "inventories/lab"))


@pytest.fixture(scope="session")
def two_networks(tmp_path_factory: pytest.TempPathFactory) -> Connection:
    """The lab on its way to another network, whose names anybody may ask for."""
    folder = Path(shutil.copytree(LAB, tmp_path_factory.mktemp("moving") / "inventories/lab"))
    declare(folder, load_connection(folder), sends=False)
    with (folder / "group_vars/all/connection.yml").open("a") as file:
        file.write("connection_dns: {published_to: [0.0.0.0/0, 198.18.7.0/24]}\n")
    return load_connection(folder)


@pytest.fixture(scope="session")
def pki_g4(lab_connection: Connection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki") / "g4"
    make_pki(lab_connection, Generation.G4, folder, lambda _: None)
    return folder


@pytest.fixture(scope="session")
def pki_g1(lab_connection: Connection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki") / "g1"
    make_pki(lab_connection, Generation.G1, folder, lambda _: None)
    return folder


@pytest.fixture(scope="session")
def connection(lab_connection: Connection, pki_g4: Path) -> Connection:
    """The lab's connection, with certificates that are there."""
    files = {"organisation": pki_g4 / ENDPOINT / "certificate.pem", "partner": pki_g4 / PARTNER / "certificate.pem"}
    return lab_connection.model_copy(update={"certificates": lab_connection.certificates.model_copy(update=files)})


@pytest.fixture(scope="session")
def signer(pki_g4: Path) -> Signer:
    """Our party's."""
    return Signer(pki_g4 / ENDPOINT / "key.pem", pki_g4 / ENDPOINT / "certificate.pem")


@pytest.fixture(scope="session")
def terms(connection: Connection) -> Terms:
    """Of the first action that we send, in the profile that has everything: reliable, signed and encrypted."""
    return read_cpa(render_cpa(agreed(connection, Profile.RELIABLE_ENCRYPTED)).encode()).terms[0]


@dataclass(frozen=True)
class Recorded:
    """Exchanges of the reference adapter, byte for byte."""

    folder: Path

    def cpa(self, name: str) -> bytes:
        return (self.folder / f"cpa/{name}.xml").read_bytes()

    def messages(self, prefix: str) -> list[tuple[str, str, bytes]]:
        """To whom, Content-Type and body of each message in the recording whose name begins with ``prefix``."""
        content = next((self.folder / "wire").glob(f"{prefix}-*.txt")).read_bytes()
        found = []
        for matched in _EXCHANGE.finditer(content):
            head, _, body = content[matched.end() : matched.end() + int(matched.group(2))].partition(b"\r\n\r\n")
            kind = re.search(rb"(?im)^content-type: *([^\r\n]*)", head)
            if kind:
                whole = _dechunked(body) if b"chunked" in head.lower() else body
                found.append((matched.group(1).decode(), kind.group(1).decode(), whole))
        return found


@pytest.fixture(scope="session")
def recorded() -> Recorded:
    folder = Path(os.environ.get(RECORDED, ROOT.parent / "shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no recorded exchanges of the reference adapter: {RECORDED} names their folder")
    return Recorded(folder)


def _dechunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return whole
