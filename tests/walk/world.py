"""The inventory as a person makes it with ``aansluitkit new``, and the certificates of throw-away authorities."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from ground import DIGINETWERK, DIGINETWERK_ROUTER, EXTERNAL, INSIDE, MIRROR_PORT, PARTNER, RESOLVER, SERVER

from aansluitkit.certificates.issuing import Authority, Leaf, Subject, pem, private_pem
from aansluitkit.certificates.pkioverheid import Generation
from aansluitkit.connection import Connection
from aansluitkit.lab import keys
from aansluitkit.lab.pki import Hierarchy
from aansluitkit.project import ROOT

OIN, PARTNER_OIN = "00000001003214345000", "00000004003214345001"
ENDPOINT, PARTNER_NAME = "ebms.preprod.wandelstad.nl", "ebms.preprod.mijnoverheid-proef.nl"
ORGANISATION = "Gemeente Wandelstad"
PERSON = {"name": "W. Wandelaar", "email": "w.wandelaar@wandelstad.nl", "phone": "+31 70 123 45 67"}
ROOT_NAME = "proef"


def share(folder: Path) -> None:
    """Copy the shared defaults to ``folder``, and declare where new customers get their addresses."""
    shutil.copytree(ROOT / "inventories/shared", folder / "shared")
    with (folder / "shared/all.yml").open("a") as file:
        file.write(f"new_inside_network: {INSIDE}\nnew_external_network: {EXTERNAL}\n")


def make_authorities(folder: Path) -> Authority:
    """Make a hierarchy in the shape of PKIoverheid, its CRLs in ``folder/crl``, and return who issues."""
    hierarchy = Hierarchy(Generation.G1, datetime.now(UTC))
    chain = hierarchy.chain("proef van de wandeling", f"http://{SERVER}/proef")
    (folder / "crl").mkdir(parents=True)
    for authority in chain:
        name = str(authority.crl_url).rpartition("/")[2]
        content = hierarchy.crl(authority, [], 1).public_bytes(serialization.Encoding.DER)
        (folder / "crl" / name).write_bytes(content)
    for number, authority in enumerate(chain):
        (folder / "authorities").mkdir(exist_ok=True)
        (folder / "authorities" / f"{number}.pem").write_bytes(pem([authority.certificate]))
    return chain[-1]


def fill_in(inventory: Path, work: Path, issuer: Authority) -> None:
    """Write what only people know into ``inventory``, in a file that sorts after those that are there."""
    values = {
        "connection_network": "diginetwerk",
        "connection_contacts": dict.fromkeys(
            (
                "signatory",
                "project_lead",
                "technical_specialist",
                "tester",
                "user",
                "network_operator",
                "platform_operator",
            ),
            PERSON,
        ),
        "connection_partner": {
            "name": "MijnOverheid",
            "oin": PARTNER_OIN,
            "endpoint": f"https://{PARTNER_NAME}/ebms",
            "inbound_addresses": [PARTNER],
            "outbound_addresses": [PARTNER],
            "contact": PERSON,
        },
        "connection_diginetwerk": {
            "ranges": [str(DIGINETWERK)],
            "router": str(DIGINETWERK_ROUTER),
            "resolvers": [RESOLVER],
        },
        "connection_crl_addresses": [SERVER],
        "connection_package_sources": [{"address": SERVER, "port": MIRROR_PORT}],
        "connection_trust": {
            "folder": str(work / "authorities"),
            "roots": {
                ROOT_NAME: {"name": "proef", "sha256": issuer.root.fingerprint(hashes.SHA256()).hex()},
            },
        },
        "connection_certificates": {
            party: str(work / f"{party}/certificate.pem") for party in ("organisation", "partner")
        },
        "connection_sender_id": "AFZ-0042",
        "connection_test_certificates_allowed": {"reason": "the walk is made with throw-away authorities"},
        "certificates_host_source": str(work) + "/hosts/{{ inventory_hostname }}",
        "ansible_user": keys.USER,
        "ansible_ssh_private_key_file": str(keys.LOGIN),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={keys.KNOWN_HOSTS} -o IdentitiesOnly=yes",
        "ebms_adapter_heap_percent": 5,
        "database_memory_mb": 512,
    }
    (inventory / "group_vars/all/filled-in.yml").write_text(yaml.safe_dump(values, explicit_start=True))
    vault = VaultLib([("default", VaultSecret((work / "vault").read_bytes().strip()))])
    password = yaml.safe_dump({"ansible_become_password": keys.sudo_password()})
    (inventory / "group_vars/all/sudo.yml").write_bytes(vault.encrypt(password))
    file = inventory / "group_vars/all/connection.yml"
    blank = "TODO the Service-ID, which Logius sends (seed 4.3.4)"
    file.write_text(file.read_text().replace(blank, "MIJNOVERHEID.ebMS.LZ.PREPROD.1.0"))


def issue_parties(work: Path, issuer: Authority) -> None:
    """Issue the certificates of both parties, and the one with which the partner's REST service shows itself."""
    hierarchy = Hierarchy(Generation.G1, datetime.now(UTC))
    for party, name, oin, title in (
        ("organisation", ENDPOINT, OIN, ORGANISATION),
        ("partner", PARTNER_NAME, PARTNER_OIN, "MijnOverheid"),
    ):
        _write(work / party, hierarchy.leaf(Subject(title, (name,), oin), issuer), issuer.intermediates)
        (work / party / "trust.pem").write_bytes(pem([issuer.root]))
    theirs = hierarchy.authority("partner")
    _write(work / "partner", hierarchy.leaf(Subject("MijnOverheid", (PARTNER_NAME,)), theirs), [], "internal-")


def _write(folder: Path, leaf: Leaf, intermediates: list[x509.Certificate], prefix: str = "") -> None:
    folder.mkdir(exist_ok=True)
    certificate, key = leaf
    (folder / f"{prefix}certificate.pem").write_bytes(pem([certificate, *intermediates]))
    (folder / f"{prefix}key.pem").write_bytes(private_pem(key))


def hand_out(connection: Connection, work: Path) -> None:
    """Put the endpoint's certificate where each host that shows it takes it from."""
    for host in connection.judges:
        shutil.copytree(work / "organisation", work / "hosts" / host.name)
