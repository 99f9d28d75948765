"""What the provider returned is taken in when it passes, and else leaves everything as it was; with real playbooks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    load_pem_private_key,
    pkcs12,
)

from aansluitkit.certificates import facts
from aansluitkit.certificates.admission import Means, admit, changes_for, close_request, exposed_keys, trust_changes
from aansluitkit.certificates.demands import demands_of
from aansluitkit.certificates.hostfiles import problems
from aansluitkit.certificates.reading import no_passphrase
from aansluitkit.certificates.revocation import offline
from aansluitkit.errors import KitError
from aansluitkit.project import ROOT

from .makers import PARTNER_OIN, PSS, Authority, Made, Wish

HOST = "ebms.preprod.voorbeeldgemeente.internal"
WISH = Wish(names=(HOST,))
PASSWORD = b"a password of this test"
MEANS = Means(offline, no_passphrase, Path.read_bytes, lambda key: key)


@pytest.fixture
def place(own_inventory: Path) -> Path:
    """The folder with certificates of the inventory, with a received folder and a key that was ordered with."""
    folder = own_inventory.parent / "files/preprod/certificates"
    (folder / "received").mkdir(parents=True)
    (folder / "request").mkdir()
    return folder


def inventory_of(place: Path) -> Path:
    return place.parents[2] / "preprod"


def taken_in(place: Path, means: Means = MEANS) -> bool:
    """Take in what lies in the received folder, for two nodes."""
    folders = [place / "node-1", place / "node-2"]
    keys = [place / "request/key.pem", *(folder / "key.pem" for folder in folders), place / "node-1/next/key.pem"]
    admitted = admit(sorted((place / "received").iterdir()), keys, demands_of(inventory_of(place)), means)
    change = changes_for(admitted, folders, place / "organisation.pem", means)
    change.write()
    close_request(place / "request", admitted, means)
    return bool(change.contents)


def contents(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def test_what_passes_is_put_for_every_node(authority: Authority, place: Path) -> None:
    made = authority.leaf(WISH)
    (place / "request/key.pem").write_bytes(made.key_pem)
    (place / "received/leaf.cer").write_bytes(made.der)
    assert taken_in(place) is True
    for node in ("node-1", "node-2"):
        chain = x509.load_pem_x509_certificates((place / node / "certificate.pem").read_bytes())
        assert [facts.subject(one) for one in chain] == [HOST, "Voorbeeld G4 TSP", "Voorbeeld G4 Domein"]
        assert (place / node / "trust.pem").read_bytes() == authority.root.pem
        assert (place / node / "key.pem").read_bytes() == made.key_pem
        assert not problems(place / node)
        trust, chain_file = place / node / "trust.pem", place / node / "certificate.pem"
        for purpose in ("sslserver", "sslclient"):
            judged = ["openssl", "verify", "-purpose", purpose, "-CAfile", trust, "-untrusted", chain_file, chain_file]
            subprocess.run(judged, check=True, capture_output=True)
    assert (place / "organisation.pem").read_bytes() == (place / "node-1/certificate.pem").read_bytes()
    assert not (place / "request").exists()
    assert [path.name for path in place.glob("issued-*/key.pem")] == ["key.pem"]
    before = contents(place)
    assert taken_in(place) is False
    assert contents(place) == before


def renewed(authority: Authority, stranger: Authority, old: Made) -> Made:
    """The next certificate of ``old``, with a key of its own."""
    key = stranger.key(3072)
    request = x509.CertificateSigningRequestBuilder(old.certificate.subject).sign(key, hashes.SHA256())
    return Made(_issued(authority, request), key)


def test_renewal_goes_beside_what_is_in_force(authority: Authority, stranger: Authority, place: Path) -> None:
    old = authority.leaf(replace(WISH, begins=-300, ends=40))
    (place / "request/key.pem").write_bytes(old.key_pem)
    (place / "received/x.pem").write_bytes(old.pem)
    assert taken_in(place)
    before = {name: content for name, content in contents(place).items() if name[:4] == "node"}
    new = renewed(authority, stranger, old)
    (place / "received/x.pem").write_bytes(new.pem + new.key_pem)
    assert taken_in(place)
    after = contents(place)
    assert {name: content for name, content in after.items() if name in before} == before
    assert after["node-1/next/key.pem"] == after["node-2/next/key.pem"] == new.key_pem
    assert not problems(place / "node-1/next")
    assert after["organisation.pem"] == before["node-1/certificate.pem"]
    assert not taken_in(place)


def test_what_has_expired_is_replaced_and_kept(authority: Authority, stranger: Authority, place: Path) -> None:
    old = authority.leaf(replace(WISH, begins=-300, ends=-2))
    for name, content in (("certificate.pem", old.pem), ("key.pem", old.key_pem)):
        (place / "node-1").mkdir(exist_ok=True)
        (place / "node-1" / name).write_bytes(content)
    new = renewed(authority, stranger, old)
    (place / "received/new.pem").write_bytes(new.pem + new.key_pem)
    assert taken_in(place)
    (kept,) = place.glob("node-1/before-*")
    assert (kept / "key.pem").read_bytes() == old.key_pem
    assert (place / "node-1/key.pem").read_bytes() == new.key_pem
    (place / "received/new.pem").unlink()
    older = authority.leaf(replace(WISH, begins=-20))
    (place / "received/old.pem").write_bytes(older.pem + older.key_pem)
    with pytest.raises(KitError, match="take the old file away"):
        taken_in(place)


def _issued(authority: Authority, request: x509.CertificateSigningRequest) -> x509.Certificate:
    """What the provider makes of ``request``."""
    like, now = authority.leaf(WISH).certificate, datetime.now(UTC)
    builder = x509.CertificateBuilder(like.issuer, request.subject, request.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1000))
    for extension in like.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.sign(authority.tsp.key, hashes.SHA512(), rsa_padding=PSS)


def test_what_does_not_pass_changes_nothing(authority: Authority, stranger: Authority, place: Path) -> None:
    made = authority.leaf(WISH)
    (place / "request/key.pem").write_bytes(made.key_pem)
    refused = {
        "it has expired": authority.leaf(replace(WISH, begins=-50, ends=-2)).pem,
        "not for 'ebms": authority.leaf(replace(WISH, names=("ebms.elders.internal",))).pem,
        "incomplete chain": stranger.leaf(replace(WISH)).pem,
        "does not belong to": made.pem,
        "holds no certificate, key or request": b"Geachte heer",
        "hold 2 certificates for us": made.pem + authority.leaf(replace(WISH, ends=500)).pem,
    }
    for words, content in refused.items():
        key = stranger.leaf(WISH).key_pem if words == "does not belong to" else made.key_pem
        (place / "request/key.pem").write_bytes(key)
        (place / "received/x.pem").write_bytes(content)
        before = contents(place)
        with pytest.raises(KitError, match=words):
            taken_in(place)
        assert contents(place) == before


def test_roots_must_be_there(authority: Authority, place: Path) -> None:
    made = authority.leaf(WISH)
    (place / "received/x.pem").write_bytes(made.pem + made.key_pem + authority.intermediates)
    shared = place.parents[3] / "shared"
    text = (shared / "all.yml").read_text()
    another = f'    g1: {{name: Weg Root, sha256: "{"0" * 64}"}}\n'
    (shared / "all.yml").write_text(text.replace("  roots:\n", f"  roots:\n{another}"))
    with pytest.raises(KitError, match=r"does not hold root 'Weg Root' of connection_trust\.roots\.g1"):
        taken_in(place)
    (shared / "all.yml").write_text(text[: text.index("connection_trust:")] + text[text.index("# Hosts are reached") :])
    with pytest.raises(KitError, match="connection_trust is not set"):
        taken_in(place)


def test_key_that_lies_open_is_told(authority: Authority, tmp_path: Path) -> None:
    made = authority.leaf(WISH)
    secret = BestAvailableEncryption(PASSWORD)
    files = {
        "open.pem": made.pem + made.key_pem,
        "open.p12": pkcs12.serialize_key_and_certificates(None, made.key, made.certificate, None, NoEncryption()),
        "sealed.p12": pkcs12.serialize_key_and_certificates(None, made.key, made.certificate, None, secret),
        "leaf.pem": made.pem,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    told = exposed_keys(sorted(tmp_path.iterdir()))
    assert [sentence.split()[0] for sentence in told] == [str(tmp_path / "open.p12"), str(tmp_path / "open.pem")]


def test_without_key_nothing_is_taken_in(authority: Authority, place: Path) -> None:
    (place / "received/x.pem").write_bytes(authority.leaf(WISH).pem)
    with pytest.raises(KitError, match=r"no private key is in .*request/key\.pem"):
        taken_in(place)


def test_a_failure_while_writing_leaves_the_old_set(
    authority: Authority, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = authority.leaf(WISH)
    (place / "received/x.pem").write_bytes(made.pem + made.key_pem)
    assert taken_in(place)
    before = {name: content for name, content in contents(place).items() if not name.startswith("received")}
    new = authority.leaf(replace(WISH, ends=900))
    (place / "received/x.pem").write_bytes(new.pem + new.key_pem)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aansluitkit.certificates.admission.os.open", full)
    with pytest.raises(OSError, match="No space left"):
        taken_in(place)
    assert {name: content for name, content in contents(place).items() if not name.startswith("received")} == before


def test_switch_of_generation_is_configuration(authority: Authority, stranger: Authority, place: Path) -> None:
    """Both generations trusted, then one: without a new certificate, and not while the partner shows the old one."""
    made = authority.leaf(WISH)
    (place / "received/x.pem").write_bytes(made.pem + made.key_pem)
    assert taken_in(place)
    folders, shared = [place / "node-1", place / "node-2"], place.parents[3] / "shared"
    text, digest = (shared / "all.yml").read_text(), facts.fingerprint(stranger.root.certificate)
    added = f'    g1: {{name: Vreemd G4 Root, sha256: "{digest}"}}\n'
    (shared / "all.yml").write_text(text.replace("  roots:\n", f"  roots:\n{added}"))
    with pytest.raises(KitError, match="does not hold root 'Vreemd G4 Root'"):
        trust_changes(folders, demands_of(inventory_of(place)))
    (shared / "pkioverheid/g1.crt").write_bytes(stranger.root.der)
    trust_changes(folders, demands_of(inventory_of(place))).write()
    assert (place / "node-2/trust.pem").read_bytes() == stranger.root.pem + authority.root.pem
    assert not trust_changes(folders, demands_of(inventory_of(place))).contents
    wish = Wish(number=PARTNER_OIN, names=("ebms.preprod.mijnoverheid.internal",))
    (place / "partner.pem").write_bytes(stranger.leaf(wish).pem + stranger.intermediates)
    (shared / "all.yml").write_text(text)
    with pytest.raises(KitError, match="keep it there until the partner shows a certificate of another generation"):
        trust_changes(folders, demands_of(inventory_of(place)))
    (place / "partner.pem").write_bytes(authority.leaf(wish).pem + authority.intermediates)
    trust_changes(folders, demands_of(inventory_of(place))).write()
    assert (place / "node-1/trust.pem").read_bytes() == authority.root.pem


INTAKE = """\
- hosts: adapter
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: certificates, tasks_from: intake}
      vars:
        certificates_set_folders: "{{ ansible_play_hosts_all | map('extract', hostvars, 'certificates_host_source') }}"
        certificates_passphrase: "geheim van de leverancier"
"""


@pytest.fixture
def vaulted(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "vault-password").write_bytes(PASSWORD)
    return {"ANSIBLE_VAULT_PASSWORD_FILE": str(tmp_path / "vault-password")}


def play(playbook: Path, inventory: Path, environment: dict[str, str], *options: str) -> tuple[int, str]:
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, playbook, *options],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_HOME": str(inventory / ".ansible"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def unsealed(path: Path) -> bytes:
    decrypted: bytes = VaultLib([("default", VaultSecret(PASSWORD))]).decrypt(path.read_bytes())
    return decrypted


def test_from_request_to_set(authority: Authority, place: Path, tmp_path: Path, vaulted: dict[str, str]) -> None:
    """What a system administrator does, with the project's own playbooks and role."""
    shutil.rmtree(place)
    inventory, ask = inventory_of(place), ROOT / "playbooks/certificate-request.yml"
    assert "no vault password is known" in play(ask, inventory, {})[1]
    assert not place.exists()
    status, output = play(ask, inventory, vaulted, "--check")
    assert (status, "changed=1" in output, place.exists()) == (0, True, False)
    status, output = play(ask, inventory, vaulted, "-e", "certificates_request_generation=g4")
    assert (status, "send " in output) == (0, True), output
    key = load_pem_private_key(unsealed(place / "request/key.pem"), None)
    assert b"PRIVATE KEY" not in (place / "request/key.pem").read_bytes()
    certificate = _issued(authority, x509.load_pem_x509_csr((place / "request/request.csr").read_bytes()))
    (place / "received").mkdir()
    secret = BestAvailableEncryption(b"geheim van de leverancier")
    store = pkcs12.serialize_key_and_certificates(None, None, certificate, [authority.tsp.certificate], secret)
    (place / "received/geleverd.p12").write_bytes(store)
    intake = tmp_path / "intake.yml"
    intake.write_text(INTAKE)
    status, output = play(intake, inventory, vaulted, "--check")
    assert (status, "changed=1" in output) == (0, True), output
    assert sorted(path.name for path in place.iterdir()) == ["received", "request"]
    status, output = play(intake, inventory, vaulted, "-vvv")
    assert (status, "changed=1" in output) == (0, True), output
    assert "was not checked for revocation, because it names no CRL" in " ".join(output.split())
    assert "geheim van de leverancier" not in output
    for node in ("adapter-preprod-1", "adapter-preprod-2"):
        assert load_pem_private_key(unsealed(place / node / "key.pem"), None).public_key() == key.public_key()
        assert (place / node / "certificate.pem").read_bytes().count(b"BEGIN") == 3
    assert certificate.public_bytes(Encoding.PEM) in (place / "organisation.pem").read_bytes()
    assert "changed=0" in play(intake, inventory, vaulted)[1]
    (place / "received/geleverd.p12").write_bytes(authority.leaf(replace(WISH, begins=-9, ends=-2)).pem)
    before = contents(place)
    status, output = play(intake, inventory, vaulted)
    assert (status, "nothing was taken in" in output, contents(place) == before) == (2, True, True)
