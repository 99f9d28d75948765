"""A new customer passes its check but for the blanks that are told, and nothing is ever half there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import FileVaultSecret, VaultLib

from aansluitkit.connection import Environment, Kind, examine, load_connection
from aansluitkit.connection.loading import load_inventory
from aansluitkit.errors import KitError
from aansluitkit.fleet import new
from aansluitkit.fleet.secrets import NAMES
from aansluitkit.fleet.survey import find, survey
from aansluitkit.project import ROOT, STATE

from .conftest import Customer, certificate, change, files, fill

VENDOR = {Environment.PREPROD: "https://ebms.klant-201.nl/ebms"}
GOVERNMENT = {**VENDOR, Environment.PRODUCTION: "https://ebms.productie.klant-201.nl/ebms"}


BLANKS = {
    "connection_certificates.organisation",
    "connection_certificates.partner",
    "connection_sender_id",
    "connection_cpa.services.0.name",
}


def order(kind: Kind = Kind.VENDOR, **fields: object) -> new.Order:
    endpoints = VENDOR if kind is Kind.VENDOR else GOVERNMENT
    oin = "00000003123456780000" if kind is Kind.VENDOR else "00000001123456789000"
    return new.Order(
        **{
            "name": "klant-201",
            "kind": kind,
            "organisation": "Klant",
            "oin": oin,
            "endpoints": dict(endpoints),
            **fields,
        }
    )  # type: ignore[arg-type]


def variables(file: Path) -> dict[str, Any]:
    """The variables of ``file``, secrets as they are encrypted."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!vault", lambda loader, node: loader.construct_scalar(node))
    read: dict[str, Any] = yaml.load(file.read_text(), Loader)  # noqa: S506 - a SafeLoader
    return read


@pytest.mark.parametrize("kind", list(Kind))
def test_compliance_is_preprod_with_another_partner(root: Path, kind: Kind) -> None:
    """The acceptance environment before it is connected (seed 4.3.1 to 4.3.3): hosts and secrets are preprod's."""
    shutil.copy(ROOT / "inventories/shared/compliance.yml", root / "shared")
    wanted = order(kind)
    wanted.endpoints[Environment.COMPLIANCE] = wanted.endpoints[Environment.PREPROD]
    inventories = new.make(wanted, root)
    for inventory in inventories:
        found = examine(inventory)
        assert found.problems == ()
        if inventory.name == "compliance":
            assert {blank.variable for blank in found.blanks} == {
                "connection_certificates.organisation",
                "connection_certificates.partner",
                *(
                    f"connection_partner.{name}"
                    for name in ("endpoint", "inbound_addresses", "outbound_addresses", "contact")
                ),
            }
    entries = survey(inventories)
    assert [problem for entry in entries for problem in entry.problems] == []
    compliance = inventories[-1]
    fill_compliance(root, compliance)
    fill(inventories[0])
    tested, connected = load_connection(compliance), load_connection(inventories[0])
    for field in ("hosts", "zones", "endpoint", "inbound_address", "outbound_address", "organisation"):
        assert getattr(tested, field) == getattr(connected, field), field
    example = load_connection(ROOT / "inventories/voorbeeldgemeente/compliance").cpa
    for field in ("roles", "retries", "services"):
        assert getattr(tested.cpa, field) == getattr(example, field), field
    assert (compliance / "group_vars/all/secrets.yml").resolve() == inventories[0] / "group_vars/all/secrets.yml"


def fill_compliance(root: Path, inventory: Path) -> None:
    """Write what the Compliancevoorziening's keeper and a provider of test certificates send."""
    values = {
        "endpoint": "https://compliance.overheid.nl/ebms",
        "inbound_addresses": "[10.250.8.10]",
        "outbound_addresses": "[10.250.8.11]",
        "contact": "{name: Servicecentrum, email: servicecentrum@logius.nl, phone: '+31 70 123 45 68'}",
    }
    own = {party: f'"{{{{ files_folder }}}}/certificates/{party}.pem"' for party in ("organisation", "partner")}
    for file, found in ((root / "shared/compliance.yml", values), (inventory / "group_vars/all/connection.yml", own)):
        text = file.read_text()
        for name, value in found.items():
            text, count = re.subn(rf"{name}: TODO.*", f"{name}: {value}", text)
            assert count == 1, name
        file.write_text(text)
    oin = load_inventory(inventory).hosts["preprod-fw"]["connection_organisation"]["oin"]
    certificate(files(inventory) / "certificates/organisation.pem", "ebms.klant-201.nl", oin=oin)
    certificate(files(inventory) / "certificates/partner.pem", "compliance.overheid.nl", oin="")


def test_compliance_needs_its_partner(root: Path) -> None:
    endpoints = {**VENDOR, Environment.COMPLIANCE: VENDOR[Environment.PREPROD]}
    with pytest.raises(KitError, match=r"shared/compliance\.yml is not there"):
        new.make(order(endpoints=endpoints), root)
    assert [path.name for path in root.iterdir()] == ["shared"]


@pytest.mark.parametrize("kind", list(Kind))
def test_only_what_logius_sends_is_blank(root: Path, kind: Kind) -> None:
    for inventory in new.make(order(kind), root):
        found = examine(inventory)
        assert found.problems == ()
        assert {blank.variable for blank in found.blanks} == BLANKS


def test_the_lab_of_a_customer_is_the_kits_with_who_connects(root: Path) -> None:
    shutil.copytree(ROOT / "inventories/lab", root / "lab")
    endpoints = {**VENDOR, Environment.LAB: VENDOR[Environment.PREPROD]}
    _, inventory = new.make(order(endpoints=endpoints), root)
    kits, own = load_connection(root / "lab"), load_connection(inventory)
    assert (own.full_name, own.kind, own.organisation.name) == ("klant-201.lab", Kind.VENDOR, "Klant")
    assert own.endpoint == VENDOR[Environment.PREPROD]
    assert own.contacts.tester.email == "beheer@leverancier.nl"
    assert own.network == "diginetwerk"
    assert own.cpa.id == "MIJNOVERHEID-LZ-LAB_00000003123456780000-00000099000000002000_0001"
    for field in ("environment", "partner", "zones", "hosts", "inbound_address", "extra_flows"):
        assert getattr(own, field) == getattr(kits, field), field
    assert own.certificates.partner.resolve() == STATE / "pki/party-partner/certificate.pem"
    linked = {path.resolve().name for path in (inventory / "group_vars/all").iterdir() if path.is_symlink()}
    assert linked >= {path.name for path in (root / "lab/group_vars/all").iterdir()}
    assert "voorbeeld" not in repr(own).lower()


def test_a_lab_needs_the_kits(root: Path) -> None:
    with pytest.raises(KitError, match="lab is not there; the lab of a customer links it"):
        new.make(order(endpoints={**VENDOR, Environment.LAB: VENDOR[Environment.PREPROD]}), root)
    assert [path.name for path in root.iterdir()] == ["shared"]


def test_an_endpoint_is_of_one_customer(root: Path, customer: Customer) -> None:
    customer("klant-1", 1, Kind.VENDOR)
    with pytest.raises(ValueError, match=r"'ebms\.preprod\.klant-1\.nl' is the endpoint of .*klant-1 already"):
        new.accept_own_endpoint("EBMS.preprod.klant-1.nl", root)
    assert new.accept_own_endpoint("ebms.klant-1.nl", root) == "https://ebms.klant-1.nl/ebms"


def test_a_vendor_gets_no_production() -> None:
    assert new.environments_of(Kind.VENDOR) == (Environment.PREPROD,)
    assert new.environments_of(Kind.GOVERNMENT) == (Environment.PREPROD, Environment.PRODUCTION)


def test_shared_defaults_are_linked_and_not_repeated(root: Path) -> None:
    [inventory] = new.make(order(), root)
    folder = inventory / "group_vars/all"
    assert (folder / "00-shared.yml").resolve() == root / "shared/all.yml"
    assert (folder / "05-shared.yml").resolve() == root / "shared/preprod.yml"
    assert (folder / "10-customer.yml").resolve() == root / "klant-201/customer.yml"
    shared = set(new.shared_defaults(root, Environment.PREPROD))
    own = [*folder.glob("[!0-9]*.yml"), root / "klant-201/customer.yml"]
    assert not shared & {name for file in own for name in variables(file)}


def test_contacts_that_nobody_shares_are_blanks(root: Path) -> None:
    text = (root / "shared/all.yml").read_text()
    kept = text[: text.index("connection_contacts")] + text[text.index("new_inside_network") :]
    (root / "shared/all.yml").write_text(kept)
    [inventory] = new.make(order(), root)
    assert "connection_contacts.signatory" in {blank.variable for blank in examine(inventory).blanks}


def test_without_pools_addresses_are_blanks(root: Path) -> None:
    text = (root / "shared/all.yml").read_text()
    (root / "shared/all.yml").write_text(text[: text.index("new_inside_network")])
    [inventory] = new.make(order(), root)
    found = examine(inventory)
    assert found.problems == ()
    blanks = {blank.variable for blank in found.blanks}
    assert {"connection_inbound_address", "connection_zones.data.network"} <= blanks
    assert "preprod-db: connection_addresses.data" in blanks


def test_without_a_vault_password_secrets_are_blanks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANSIBLE_VAULT_PASSWORD_FILE")
    for inventory in new.make(order(Kind.GOVERNMENT), root):
        found = examine(inventory)
        assert found.problems == ()
        assert set(NAMES) <= {blank.variable for blank in found.blanks}


def test_the_environments_of_a_customer_share_no_address(root: Path, customer: Customer) -> None:
    preprod, production = map(load_connection, customer("gemeente-1", 1))
    addresses = [
        {str(address) for host in one.hosts.values() for address in host.addresses.values()}
        | {str(one.inbound_address), str(one.outbound_address)}
        for one in (preprod, production)
    ]
    assert not addresses[0] & addresses[1]
    assert not set(preprod.hosts) & set(production.hosts)


def test_a_block_that_came_free_is_taken_again(root: Path, customer: Customer) -> None:
    for number in range(3):
        customer(f"klant-{number}", number, Kind.VENDOR)
    first = load_connection(root / "klant-0/preprod").zones["dmz"]
    for part in sorted((root / "klant-0").rglob("*"), reverse=True):
        part.rmdir() if part.is_dir() and not part.is_symlink() else part.unlink()
    (root / "klant-0").rmdir()
    [inventory] = customer("klant-3", 3, Kind.VENDOR)
    assert load_connection(inventory).zones["dmz"] == first


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ("new_inside_network: 10.64.0.0/22", "has no free addresses left"),
        ("new_inside_network: 10.64.0.0/24", "smaller than /22"),
        ("new_inside_network: tien", "'tien' is no network"),
        ("new_inside_network: '2001:db8::/32'", "'2001:db8::/32' is no IPv4; IPv6 is not supported"),
        ("new_external_network: '2001:db8::/64'", "'2001:db8::/64' is no IPv4; IPv6 is not supported"),
        ("new_external_network: 10.32.0.0/29", "has no free addresses left"),
    ],
)
def test_a_pool_that_can_not_serve(root: Path, customer: Customer, pool: str, words: str) -> None:
    customer("klant-1", 1, Kind.VENDOR)
    file = root / "shared/all.yml"
    old = next(line for line in file.read_text().splitlines() if line.startswith(pool.split(":", maxsplit=1)[0]))
    change(file, old, pool)
    with pytest.raises(KitError, match=words):
        new.make(order(), root)
    assert sorted(path.name for path in root.iterdir()) == ["klant-1", "shared"], "nothing half made is left"


def test_secrets_are_in_the_vault(root: Path, tmp_path: Path) -> None:
    made = [*new.make(order(Kind.GOVERNMENT), root)]
    password = FileVaultSecret(filename=str(tmp_path / "vault-password"), loader=DataLoader())
    password.load()
    vault = VaultLib([("default", password)])
    seen = set()
    for inventory in made:
        secrets = variables(inventory / "group_vars/all/secrets.yml")
        assert list(secrets) == list(NAMES)
        seen |= {vault.decrypt(secret) for secret in secrets.values()}
    assert {len(secret) for secret in seen} == {40}
    assert len(seen) == 2 * len(NAMES), "no environment shares a secret"


def test_a_vault_password_that_is_not_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(root / "nowhere"))
    with pytest.raises(KitError, match="ANSIBLE_VAULT_PASSWORD_FILE"):
        new.make(order(), root)
    assert [path.name for path in root.iterdir()] == ["shared"]


@pytest.mark.parametrize("missing", ["all.yml", "preprod.yml"])
def test_shared_defaults_are_needed(root: Path, missing: str) -> None:
    (root / "shared" / missing).unlink()
    with pytest.raises(KitError, match=f"shared/{missing} is not there"):
        new.make(order(), root)
    assert [path.name for path in root.iterdir()] == ["shared"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("Klant 201", "expected is a name of at most 63 small letters"),
        ("../klant", "expected is a name of at most 63 small letters"),
        ("-klant", "expected is a name of at most 63 small letters"),
        ("klant-1", "nothing is overwritten"),
        ("shared", "nothing is overwritten"),
    ],
)
def test_names_that_are_refused(root: Path, customer: Customer, value: str, words: str) -> None:
    customer("klant-1", 1, Kind.VENDOR)
    with pytest.raises(ValueError, match=words):
        new.accept_name(value, root)


def test_oins_that_are_refused(root: Path, customer: Customer) -> None:
    customer("gemeente-1", 1)
    with pytest.raises(ValueError, match="19 characters"):
        new.accept_oin("0000000112345678900", Kind.GOVERNMENT, root)
    with pytest.raises(ValueError, match="is no HRN"):
        new.accept_oin("00000002123456789000", Kind.VENDOR, root)
    with pytest.raises(ValueError, match=r"is the OIN of .*gemeente-1 already"):
        new.accept_oin("00000001000000001000", Kind.GOVERNMENT, root)


@pytest.mark.parametrize("value", ["", "  ", "Gemeente {{ lookup('pipe', 'id') }}", "Gemeente {% x %}", "Klant\nB.V."])
def test_organisations_that_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"can't be an organisation's name|expected is a name of 1 to 200 characters"):
        new.accept_organisation(value)


@pytest.mark.parametrize("name", ["'s-Hertogenbosch", 'Klant "B.V."', "Súdwest-Fryslân: gemeente #1", "J&T <B.V.> \\"])
def test_an_organisation_comes_back_as_it_was_given(root: Path, name: str) -> None:
    [inventory] = new.make(order(organisation=new.accept_organisation(name)), root)
    fill(inventory)
    assert load_connection(inventory).organisation.name == name


def test_endpoints(root: Path) -> None:
    assert new.accept_endpoint("ebms.klant.nl") == "https://ebms.klant.nl/ebms"
    assert new.accept_endpoint("https://ebms.klant.nl/anders") == "https://ebms.klant.nl/anders"
    with pytest.raises(ValueError, match="is not https"):
        new.accept_endpoint("http://ebms.klant.nl/ebms")
    with pytest.raises(ValueError, match="names a host"):
        new.accept_endpoint("10.1.2.3")


def test_many_customers(root: Path, customer: Customer) -> None:
    """Every one of them gets addresses that are its own."""
    for number in range(60):
        customer(f"klant-{number}", number, Kind.VENDOR)
    entries = survey(find([root]))
    assert len(entries) == 60
    assert [problem for entry in entries for problem in entry.problems] == []


def test_what_is_being_made_is_not_yet_an_inventory(root: Path, customer: Customer) -> None:
    customer("klant-1", 1, Kind.VENDOR)
    (root / ".klant-2.abc/preprod").mkdir(parents=True)
    (root / ".klant-2.abc/preprod/hosts.yml").touch()
    assert find([root]) == [root / "klant-1/preprod"]
