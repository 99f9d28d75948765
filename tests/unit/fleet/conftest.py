"""Folders of customers as ``aansluitkit new`` makes them, with what people would fill in."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from aansluitkit.connection import Kind
from aansluitkit.fleet.new import Order, environments_of, make
from aansluitkit.project import ROOT

NOW = datetime.now(UTC).replace(microsecond=0)
PARTNER = "00000004003214345001"
ALL = """\
---
connection_network: diginetwerk
connection_message_stream: mo-bericht
connection_crl_addresses: [10.250.9.0/28]
connection_contacts:
  signatory: &desk {name: Beheer, email: beheer@leverancier.nl, phone: "+31 70 123 45 67"}
  project_lead: *desk
  technical_specialist: *desk
  tester: *desk
  user: *desk
  network_operator: *desk
  platform_operator: *desk
new_inside_network: 10.64.0.0/12
new_external_network: 10.32.0.0/16
"""
PARTNER_OF = """\
---
connection_environment: {environment}
connection_partner:
  name: MijnOverheid
  oin: "00000004003214345001"
  endpoint: https://ebms.{environment}.overheid.nl/ebms
  inbound_addresses: [10.250.{number}.10]
  outbound_addresses: [10.250.{number}.10, 10.250.{number}.32/28]
  contact: {{name: Servicecentrum, email: servicecentrum@logius.nl, phone: "+31 70 123 45 68"}}
"""


KIT = ROOT / "inventories/shared/all.yml"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of customers with shared defaults and a vault password, and no customer yet."""
    shared = tmp_path / "inventories/shared"
    shared.mkdir(parents=True)
    places = [
        line for line in KIT.read_text().splitlines() if line.startswith(("files_", "documents_", "certificates_"))
    ]
    (shared / "all.yml").write_text(ALL + "\n".join(places) + "\n")
    for number, environment in enumerate(("preprod", "production")):
        (shared / f"{environment}.yml").write_text(PARTNER_OF.format(environment=environment, number=number))
    password = tmp_path / "vault-password"
    password.write_text("a password of this test\n")
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(password))
    return shared.parent


Customer = Callable[..., list[Path]]


@pytest.fixture
def customer(root: Path) -> Customer:
    """Makes a customer and fills in what is blank."""

    def made(name: str, number: int, kind: Kind = Kind.GOVERNMENT) -> list[Path]:
        oin = "00000003999999990000" if kind is Kind.VENDOR else f"00000001{number:09d}000"
        endpoints = {one: f"https://ebms.{one}.{name}.nl/ebms" for one in environments_of(kind)}
        inventories = make(Order(name, kind, f"Gemeente {name}", oin, endpoints), root)
        for inventory in inventories:
            fill(inventory)
        return inventories

    return made


def fill(inventory: Path) -> None:
    """Write what Logius sends, and give both parties a certificate."""
    file = inventory / "group_vars/all/connection.yml"
    text = file.read_text()
    own = {"sender_id": "AFZ-1", "name": "MIJNOVERHEID.ebMS.LZ.1.0"}
    own |= {party: f'"{{{{ files_folder }}}}/certificates/{party}.pem"' for party in ("organisation", "partner")}
    for name, value in own.items():
        text, count = re.subn(rf"{name}: TODO.*", f"{name}: {value}", text)
        assert count == 1, name
    file.write_text(text)
    oin = re.search(r'oin: "(\d+)"', (inventory.parent / "customer.yml").read_text())
    host = re.search(r"https://([^/]+)/", text)
    assert oin
    assert host
    certificate(files(inventory) / "certificates/organisation.pem", host[1], oin=oin[1])
    certificate(files(inventory) / "certificates/partner.pem", f"ebms.{inventory.name}.overheid.nl")


def files(inventory: Path) -> Path:
    """What the shared defaults call files_folder."""
    return inventory.parent / "files" / inventory.name


def certificate(file: Path, *hosts: str, days: int = 700, oin: str = PARTNER, issuer: str = "TSP CA - G1") -> Path:
    """A certificate of the partner; nobody checks who signed it here."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])]
    subject += [x509.NameAttribute(NameOID.SERIAL_NUMBER, oin)] if oin else []
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(built.public_bytes(Encoding.PEM))
    return file


def change(file: Path, old: str, new: str) -> None:
    """Replace ``old``, which must stand in ``file``, by ``new``."""
    text = file.read_text()
    assert old in text, f"{old!r} does not stand in {file}"
    file.write_text(text.replace(old, new, 1))
