"""The rules that need certificates or another environment, and the guards; the corpus tries all others."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from corpus import LAB, PREPROD, PRODUCTION, ROOT, VENDOR
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aansluitkit.connection import examine, flows_of, load_connection, refuse_deployment, refuse_load
from aansluitkit.connection.identifiers import doubt_oin
from aansluitkit.connection.model import Component, Connection, Environment, Profile
from aansluitkit.connection.views import views
from aansluitkit.errors import InventoryError, KitError, Problem

G4, TRIAL = "2.16.528.1.1003.1.2.44.15.35.11", "2.16.528.1.1003.1.2.41.15.35.11"
OIN, PARTNER_OIN = "00000001999991000000", "00000004999999001000"
HOST, PARTNER_HOST = "ebms.preprod.voorbeeldgemeente.internal", "ebms.preprod.mijnoverheid.internal"
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass
class Leaf:
    """A certificate to make."""

    oin: str = OIN
    host: str = HOST
    policy: str = G4
    days: int = 800
    begun: int = 1
    usages: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)
    issuer: str = "Voorbeeld TSP - G4"
    key: Key | None = None

    def write(self, path: Path) -> None:
        """Write it as PEM."""
        key = self.key or ec.generate_private_key(ec.SECP256R1())
        names = [
            x509.NameAttribute(NameOID.COMMON_NAME, self.host),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, self.oin),
        ]
        subject = x509.Name(names)
        issuer = (
            subject if self.issuer == "itself" else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.issuer)])
        )
        now = datetime.now(UTC)
        policies = [x509.PolicyInformation(x509.ObjectIdentifier(self.policy), None)]
        certificate = (
            x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=self.begun))
            .not_valid_after(now + timedelta(days=self.days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(self.host)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(self.usages), critical=False)
            .add_extension(x509.CertificatePolicies(policies), critical=False)
            .sign(key, hashes.SHA256())
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(certificate.public_bytes(Encoding.PEM))


@pytest.fixture
def inventories(tmp_path: Path) -> Path:
    """The shipped inventories, with addresses and names that are no examples, on Diginetwerk."""
    root = Path(shutil.copytree(ROOT / "inventories", tmp_path / "inventories", symlinks=True))
    shutil.rmtree(root / LAB)
    for path in root.rglob("*.yml"):
        if not path.is_symlink():
            text = (
                path.read_text().replace(".example", ".internal").replace("network: internet", "network: diginetwerk")
            )
            text = text.replace("198.51.100.", "10.90.2.").replace("203.0.113.", "10.90.1.")
            text = text.replace('start: "2026', f'start: "{datetime.now(UTC).year}').replace(
                'end: "2028-01-01', f'end: "{datetime.now(UTC) + timedelta(days=300):%Y-%m-%d}'
            )
            path.write_text(text.replace("connection_example: true\n", ""))
    for name, prefix in ((PREPROD, "preprod."), (PRODUCTION, "")):
        number = "00000004999999001000" if prefix else "00000004999999002000"
        Leaf(host=f"ebms.{prefix}voorbeeldgemeente.internal").write(own(root / name))
        Leaf(number, f"ebms.{prefix}mijnoverheid.internal").write(own(root / name).with_name("partner.pem"))
    return root


@pytest.fixture
def preprod(inventories: Path) -> Path:
    return inventories / PREPROD


def own(folder: Path) -> Path:
    return folder.parent / "files" / folder.name / "certificates/organisation.pem"


def change(path: Path, old: str, new: str) -> None:
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))


def problems(folder: Path) -> list[Problem]:
    found = examine(folder)
    assert found.connection is None
    return list(found.problems)


def only(folder: Path, rule: str) -> Problem:
    """The one thing that is wrong."""
    found = problems(folder)
    assert [problem.rule for problem in found] == [rule], "\n".join(map(str, found))
    return found[0]


def test_real_inventories_are_accepted(inventories: Path) -> None:
    for name in (PREPROD, PRODUCTION):
        found = examine(inventories / name)
        assert found.connection, "\n".join(map(str, found.problems))
        assert not found.warnings


def test_crls_from_anywhere_are_warned_of(preprod: Path) -> None:
    path = preprod / "group_vars/all/crls.yml"
    path.write_text("connection_crl_addresses: [10.90.3.0/28, 0.0.0.0/0]\n")
    (warning,) = examine(preprod).warnings
    assert (warning.rule, warning.variable) == ("crl_addresses_are_narrow", "connection_crl_addresses.1")


def test_adapter_that_looks_at_no_crls_is_warned_of(preprod: Path) -> None:
    path = preprod / "group_vars/adapter/own.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("ebms_adapter_implementation: ebms_admin\n")
    (warning,) = examine(preprod).warnings
    assert (warning.rule, warning.variable) == ("revocation_is_looked_up", "ebms_adapter_implementation")
    (preprod / "group_vars/all/tls.yml").write_text("connection_tls_ends_at: load_balancer\n")
    assert examine(preprod).warnings == ()


BROKEN = [
    (
        Leaf(oin="00000001999992000000"),
        "serial_number_is_the_oin",
        "'00000001999992000000', not '00000001999991000000'",
    ),
    (Leaf(host="ebms.voorbeeldstad.internal"), "certificate_covers_endpoint", "is for ebms.voorbeeldstad.internal"),
    (Leaf(host="*.preprod.voorbeeldgemeente.internal"), "certificate_covers_endpoint", "is for *.preprod"),
    (Leaf(days=100), "cpa_ends_with_certificates", "when the organisation's certificate ends"),
    (Leaf(usages=(ExtendedKeyUsageOID.SERVER_AUTH,)), "certificates_serve_both_ways", "is not for clientAuth"),
    (
        Leaf(key=rsa.generate_private_key(65537, 1024)),  # noqa: S505 - too short is what is tried
        "certificates_are_strong",
        "RSA 1024 bits, which is insufficient",
    ),
    (Leaf(policy=TRIAL), "test_certificates_stay_out", f"policy {TRIAL}"),
    (Leaf(issuer="itself"), "test_certificates_stay_out", "self-signed"),
    (Leaf(issuer="TRIAL My TSP - G4 PKIo Priv G-TLS SYS - 2025"), "test_certificates_stay_out", "PKIoverheid TRIAL"),
]


@pytest.mark.parametrize(
    ("leaf", "rule", "words"), BROKEN, ids=[f"{row[1]}-{index}" for index, row in enumerate(BROKEN)]
)
def test_certificate_that_breaks_a_rule(preprod: Path, leaf: Leaf, rule: str, words: str) -> None:
    leaf.write(own(preprod))
    problem = only(preprod, rule)
    assert words in problem.message
    line = Path(problem.file).read_text().splitlines()[problem.line - 1]
    assert line.strip().startswith(problem.variable.rsplit(".", maxsplit=1)[-1])


def test_certificate_that_is_over(preprod: Path) -> None:
    Leaf(begun=30, days=-1).write(own(preprod))
    assert {problem.rule for problem in problems(preprod)} == {
        "certificates_are_valid_now",
        "cpa_ends_with_certificates",
    }


def test_certificate_that_is_none(preprod: Path) -> None:
    own(preprod).write_text("-----BEGIN CERTIFICATE-----\nneen\n")
    assert "holds no PEM certificate" in only(preprod, "certificate_files_are_there").message
    own(preprod).unlink()
    assert "is not there" in only(preprod, "certificate_files_are_there").message


@pytest.mark.parametrize("leaf", [Leaf(policy=TRIAL), Leaf(issuer="itself")], ids=["TRIAL", "self-signed"])
def test_test_certificate_in_preprod_when_declared_but_never_in_production(inventories: Path, leaf: Leaf) -> None:
    declared = "connection_test_certificates_allowed: {reason: the partner asked for it by letter}\n"
    leaf.write(own(inventories / PREPROD))
    with (inventories / PREPROD / "group_vars/all/connection.yml").open("a") as file:
        file.write(declared)
    assert load_connection(inventories / PREPROD)
    leaf.host = "ebms.voorbeeldgemeente.internal"
    leaf.write(own(inventories / PRODUCTION))
    assert only(inventories / PRODUCTION, "test_certificates_stay_out")
    with (inventories / PRODUCTION / "group_vars/all/connection.yml").open("a") as file:
        file.write(declared)
    assert {problem.rule for problem in problems(inventories / PRODUCTION)} == {
        "test_certificates_stay_out",
        "test_certificates_fit_environment",
    }


def test_partner_behind_another_party_is_a_warning(preprod: Path) -> None:
    Leaf("00000004999999009000", PARTNER_HOST).write(own(preprod).with_name("partner.pem"))
    found = examine(preprod)
    assert found.connection
    assert [problem.rule for problem in found.warnings] == ["partner_serial_number_is_its_oin"]


def test_short_key_is_a_warning(preprod: Path) -> None:
    Leaf(key=rsa.generate_private_key(65537, 2048)).write(own(preprod))
    assert [problem.rule for problem in examine(preprod).warnings] == ["keys_are_long_enough"]


def test_root_that_has_ended_is_told(preprod: Path) -> None:
    change(preprod.parents[1] / "shared/all.yml", "ends: 2028-11-14", "ends: 2020-11-14")
    (warning,) = examine(preprod).warnings
    assert (warning.rule, warning.variable) == ("trusted_roots_have_not_ended", "connection_trust.roots.g1.ends")


def test_environments_share_no_key(inventories: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    for name, prefix in ((PREPROD, "preprod."), (PRODUCTION, "")):
        Leaf(host=f"ebms.{prefix}voorbeeldgemeente.internal", key=key).write(own(inventories / name))
    for name in (PREPROD, PRODUCTION):
        assert "share no key" in only(inventories / name, "shared_things").message


def test_environments_share_no_secret(inventories: Path) -> None:
    secrets = "group_vars/all/secrets.yml"
    for folder in (inventories / PREPROD, inventories / PRODUCTION):
        (folder / secrets).write_text(
            "secret_rest_password: \"{{ lookup('community.hashi_vault.vault_kv2_get', 'rest') }}\"\n"
        )
    assert only(inventories / PREPROD, "shared_things").variable == "secret_rest_password"
    for folder in (inventories / PREPROD, inventories / PRODUCTION):
        (folder / secrets).write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    problem = only(inventories / PREPROD, "shared_things")
    assert "the encrypted file" in problem.message
    assert problem.file.endswith(secrets)


@pytest.mark.parametrize(
    "text",
    [
        "secret_rest_password: \"{{ lookup('community.hashi_vault.vault_kv2_get', 'rest') }}\"\n",
        'secret_rest_password: "{{ vault_rest }}"\nvault_rest: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n',
        "secret_rest_password: \"{{ lookup('ansible.builtin.env', 'REST_PASSWORD') }}\"\n",
    ],
    ids=["password manager", "by way of a vaulted one", "environment"],
)
def test_secret_that_is_not_in_the_inventory(preprod: Path, text: str) -> None:
    (preprod / "group_vars/all/secrets.yml").write_text(text)
    assert load_connection(preprod)


def test_secrets_never_stand_in_a_message(preprod: Path) -> None:
    (preprod / "group_vars/all/secrets.yml").write_text("secret_rest_password: hunter2\nsecret_x: [a, hunter2]\n")
    assert "hunter2" not in "\n".join(map(str, problems(preprod)))


@pytest.fixture
def compliance(inventories: Path) -> Path:
    folder = inventories / "voorbeeldgemeente/compliance"
    shutil.copytree(own(inventories / PREPROD).parent, own(folder).parent)  # the keys of preprod as well
    host = "compliancevoorziening.digikoppeling.internal"
    Leaf("0" * 20, host).write(own(folder).with_name("partner.pem"))
    return folder


def test_compliance_and_preprod_are_one_acceptance_environment(compliance: Path, preprod: Path) -> None:
    found = examine(compliance)
    assert found.connection, "\n".join(map(str, found.problems))
    assert found.connection.partner.party_id == f"urn:cv:oin:{'0' * 20}"
    assert {service.profile for service in found.connection.cpa.services} == set(Profile)
    assert load_connection(preprod)


def test_compliancevoorziening_may_listen_elsewhere(compliance: Path, preprod: Path) -> None:
    """Whoever runs it from its image chooses the port; MijnOverheid's is 443 (TLS005)."""
    shared = compliance.parents[1] / "shared"
    change(shared / "example-compliance.yml", "digikoppeling.internal/ebms", "digikoppeling.internal:8888/ebms")
    flows = {flow.id: flow for flow in flows_of(load_connection(compliance))}
    assert flows["ebms-outbound-adapter-preprod-1"].port == 8888
    assert flows["ebms-inbound"].port == 443
    change(shared / "example-preprod.yml", "mijnoverheid.internal/ebms", "mijnoverheid.internal:8888/ebms")
    assert "TLS005" in only(preprod, "partner_listens_on_443").message


def test_vendor_can_never_reach_production(inventories: Path) -> None:
    production = inventories / "voorbeeldleverancier/production"
    shutil.copytree(inventories / PRODUCTION, production, symlinks=True)
    assert "vendor_has_no_production" in {problem.rule for problem in problems(production)}


def test_everything_is_said_in_one_run(inventories: Path) -> None:
    """Wrong fields hide neither the rules on the others nor blanks, nor what is wrong between environments."""
    folder = inventories / PREPROD
    variables = folder / "group_vars/all/connection.yml"
    change(variables, "connection_sender_id: AFZ-VOORBEELD-0101", "connection_sender_id: TODO")
    change(variables, "profile: osb-rm", "profile: osb-xx")
    change(variables, "10.21.3.0/24", "10.21.2.0/24")
    change(variables, "connection_inbound_address: 10.90.1.42", "connection_inbound_address: 10.90.1.10")
    Leaf(policy=TRIAL).write(own(folder))
    found = examine(folder)
    assert {problem.variable for problem in found.blanks} == {"connection_sender_id"}
    rules = {problem.rule for problem in found.problems}
    assert rules == {
        "enum", "zones_are_disjoint", "hosts_stand_in_their_zones", "own_addresses_are_external", "shared_things",
        "test_certificates_stay_out",
    }  # fmt: skip


def test_blank_alone_keeps_the_connection_back(preprod: Path) -> None:
    change(
        preprod / "group_vars/all/connection.yml",
        "connection_outbound_address: 10.90.1.43",
        "connection_outbound_address:",
    )
    found = examine(preprod)
    assert found.connection is None
    assert not found.problems
    assert [(problem.variable, problem.line > 0) for problem in found.blanks] == [("connection_outbound_address", True)]


@pytest.mark.parametrize("name", [PREPROD, PRODUCTION, VENDOR])
def test_examples_are_not_deployed(name: str) -> None:
    inventory = ROOT / "inventories" / name
    with pytest.raises(InventoryError, match=r"10-customer\.yml:\d+: connection_example: is true: .* is an example"):
        refuse_deployment(inventory, load_connection(inventory))


def test_load_goes_to_the_lab_alone(lab_connection: Connection) -> None:
    refuse_deployment(ROOT / "inventories/lab", lab_connection)
    refuse_load(lab_connection)
    for environment in (Environment.COMPLIANCE, Environment.PREPROD, Environment.PRODUCTION):
        with pytest.raises(KitError, match=r"seed 4\.4\.4"):
            refuse_load(lab_connection.model_copy(update={"environment": environment}))


@pytest.mark.parametrize(
    ("oin", "usual"),
    [
        ("00000001002220647000", True), ("00000001822477348000", True), ("00000004194049711000", True),
        ("00000004003214345001", True), ("00000008823631400000", True), ("00000003803078680000", True),
        ("00000099999999910000", True), ("00000001123456789000", False), ("00000001000000000000", False),
        ("00000001003214436001", False),
    ],
)  # fmt: skip
def test_unusual_numbers_are_doubted(oin: str, usual: bool) -> None:
    assert (doubt_oin(oin) is None) == usual


def test_unusual_number_is_a_warning(preprod: Path) -> None:
    change(preprod.parent / "customer.yml", OIN, "00000001123456789000")
    Leaf(oin="00000001123456789000").write(own(preprod))
    found = examine(preprod)
    assert found.connection
    assert [(problem.rule, problem.variable) for problem in found.warnings] == [
        ("oin_is_usual", "connection_organisation.oin")
    ]


RENEWAL = """connection_renewal:
  cpa: {{id: {id}, start: "{start}", end: "{end}"}}
  certificates: {{organisation: "{{{{ files_folder }}}}/certificates/next.pem"}}
"""


def renewing(folder: Path, identity: str = "NEXT_0002", begins: int = 0, lasts: int = 300) -> Path:
    """Declare a renewal of our certificate, and return the file that is to hold the new one."""
    start, end = (f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%dT00:00:00Z}" for days in (begins, begins + lasts))
    told = RENEWAL.format(id=identity, start=start, end=end)
    (folder / "group_vars/all/renewal.yml").write_text(told)
    return own(folder).with_name("next.pem")


def test_renewal_is_what_follows(preprod: Path) -> None:
    Leaf().write(renewing(preprod))
    connection = load_connection(preprod)
    following = connection.following
    assert following
    assert (connection.following, following.following) == (following, None)
    assert (connection.cpa.id != following.cpa.id) is (following.cpa.id == "NEXT_0002")
    assert following.certificates.organisation != connection.certificates.organisation
    assert following.certificates.partner == connection.certificates.partner
    assert following.cpa.services == connection.cpa.services


def test_renewal_is_judged_before_it_begins(preprod: Path) -> None:
    """By the rules of what is in force: what comes next would break the connection as well."""
    path = renewing(preprod)
    assert only(preprod, "certificate_files_are_there").variable == "connection_renewal.certificates.organisation"
    for leaf, rule, _ in BROKEN:
        leaf.write(path)
        problem = only(preprod, rule)
        assert problem.variable.startswith("connection_renewal.")
        assert problem.file.endswith("renewal.yml")
    Leaf().write(path)
    renewing(preprod, lasts=-1)
    assert only(preprod, "cpa_dates").variable == "connection_renewal.cpa.end"


def test_renewal_overlaps(preprod: Path) -> None:
    Leaf().write(renewing(preprod, load_connection(preprod).cpa.id))
    assert only(preprod, "renewal_overlaps").variable == "connection_renewal.cpa.id"
    renewing(preprod, begins=400)
    problem = only(preprod, "renewal_overlaps")
    assert (problem.variable, "nothing can be sent" in problem.message) == ("connection_renewal.cpa.start", True)


def test_renewal_reaches_the_hosts(preprod: Path) -> None:
    Leaf().write(renewing(preprod))
    connection = load_connection(preprod)
    view = views(connection)[connection.host_of(Component.ADAPTER).name]
    adapter, certificates = view["adapter"], view["certificates"]
    assert adapter["next_cpa"]["id"] == "NEXT_0002"
    assert adapter["next_cpa"]["certificates"] != adapter["cpa_certificates"]
    assert certificates["other_party_next"] == certificates["other_party"] != []
    assert adapter["certificates_apart"] == []
