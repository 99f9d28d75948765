"""The internal authority of a connection: made once, renewed in time, and never put in the place of somebody's own."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from aansluitkit.certificates import facts
from aansluitkit.certificates.expiry import Kind, watch
from aansluitkit.certificates.hostfiles import problems
from aansluitkit.certificates.internal import AUTHORITY, InternalFiles
from aansluitkit.certificates.internal_check import RULE
from aansluitkit.connection import Connection, examine
from aansluitkit.connection.views import views
from aansluitkit.errors import KitError
from aansluitkit.fleet.survey import survey
from aansluitkit.project import ROOT

from .makers import PARTNER_HOST, PARTNER_OIN, Authority, Wish

NOW = datetime.now(UTC)
OWN_HOST = "ebms.preprod.voorbeeldgemeente.internal"
PASSWORD = b"a password of this test"
SETS = ("adapter-1", "adapter-2", "db", "db-2", "mijnoverheid")
FILES = ["internal-certificate.pem", "internal-key.pem", "internal-trust.pem"]


def plain(key: bytes) -> bytes:
    return key


def files_of(connection: Connection, place: Path, now: datetime = NOW) -> InternalFiles:
    return InternalFiles(connection, {host: place / host for host in connection.hosts}, Path.read_bytes, now)


@pytest.fixture(scope="session")
def made_once(lab_connection: Connection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("internal") / "certificates"
    files_of(lab_connection, place).make(plain)
    return place


@pytest.fixture
def place(made_once: Path, tmp_path: Path) -> Path:
    """The files of the lab's hosts, just made."""
    return Path(shutil.copytree(made_once, tmp_path / "certificates"))


def contents(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def changed(before: dict[str, bytes], place: Path) -> set[str]:
    """The files that differ from ``before``, of authorities only that there is one."""
    after = contents(place)
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return {AUTHORITY if name.startswith(AUTHORITY) else name for name in names}


def leaf(place: Path, host: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((place / host / FILES[0]).read_bytes())


def roots(place: Path, host: str = "app") -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((place / host / FILES[2]).read_bytes())


def test_every_host_gets_what_it_needs(lab_connection: Connection, place: Path) -> None:
    there = {folder.name: sorted(path.name for path in folder.iterdir()) for folder in place.iterdir()}
    there.pop(AUTHORITY)
    assert there == {**dict.fromkeys(SETS, FILES), "app": FILES[2:]}
    for host, view in views(lab_connection).items():
        assert [name for name in view["certificate_files"] if name in FILES] == there.get(host, [])
    for host in SETS:
        assert problems(place / host, required=FILES) == []
        names = leaf(place, host).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [lab_connection.name_of(lab_connection.hosts[host])]
        assert names.get_values_for_type(x509.IPAddress) == [*lab_connection.hosts[host].addresses.values()]
        for purpose in ("sslserver", "sslclient"):
            command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", place / "app" / FILES[2]]
            subprocess.run([*command, place / host / FILES[0]], check=True, capture_output=True)
    assert {path.stat().st_mode & 0o077 for path in place.rglob("*.pem")} == {0}
    assert len({(place / host / FILES[1]).read_bytes() for host in SETS}) == len(SETS)


def handshake(server: Path, client: Path, name: str) -> str:
    """Connect with the sets of two hosts, both of which show a certificate, and return what the client saw."""
    accepting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=server / FILES[2])
    asking = ssl.create_default_context(cafile=client / FILES[2])
    accepting.verify_mode = ssl.CERT_REQUIRED
    for context, folder in ((accepting, server), (asking, client)):
        context.load_cert_chain(folder / FILES[0], folder / FILES[1])
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with suppress(ssl.SSLError), ours, accepting.wrap_socket(ours, server_side=True) as connected:
            connected.sendall(b"seen")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with theirs, asking.wrap_socket(theirs, server_hostname=name) as connected:
            return connected.recv(4).decode()
    finally:
        thread.join()


def test_hosts_meet_each_other_over_tls(lab_connection: Connection, place: Path) -> None:
    db = lab_connection.hosts["db"]
    for name in (lab_connection.name_of(db), str(db.address)):
        assert handshake(place / "db", place / "adapter-1", name) == "seen"
    for other in (lab_connection.name_of(lab_connection.hosts["db-2"]), "192.0.2.99"):
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            handshake(place / "db", place / "adapter-1", other)


def test_environments_do_not_trust_each_other(lab_connection: Connection, place: Path, tmp_path: Path) -> None:
    files_of(lab_connection, tmp_path / "production").make(plain)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(place / "db", tmp_path / "production/adapter-1", lab_connection.name_of(lab_connection.hosts["db"]))


def test_what_is_right_is_not_touched(lab_connection: Connection, place: Path) -> None:
    before = contents(place)
    for days in (0, 300):
        files = files_of(lab_connection, place, NOW + timedelta(days))
        assert (files.problems(), files.to_make(), files.needs_authority) == ([], [], False)
        files.make(plain)
        assert contents(place) == before


def test_certificates_are_renewed_before_they_end(lab_connection: Connection, place: Path) -> None:
    before, later = contents(place), NOW + timedelta(days=310)
    old = leaf(place, "db")
    assert [one.host for one, reason in files_of(lab_connection, place, later).to_make()] == [
        one.host for one in files_of(lab_connection, place).wanted if one.serves
    ]
    files_of(lab_connection, place, later).make(plain)
    assert changed(before, place) == {f"{host}/{name}" for host in SETS for name in FILES[:2]}
    assert leaf(place, "db").not_valid_after_utc > later + timedelta(days=360)
    assert facts.public_key(leaf(place, "db")) != facts.public_key(old)
    assert not files_of(lab_connection, place, later).to_make()


def test_next_authority_is_trusted_long_before_it_issues(lab_connection: Connection, place: Path) -> None:
    (old,) = roots(place)
    trusting = old.not_valid_after_utc - timedelta(days=700)
    files_of(lab_connection, place, trusting).make(plain)
    assert roots(place) == roots(place, "db") == [old, new := roots(place)[1]]
    assert all(facts.signed_by(leaf(place, host), old) for host in SETS)
    using = old.not_valid_after_utc - timedelta(days=364)
    files_of(lab_connection, place, using).make(plain)
    assert all(facts.signed_by(leaf(place, host), new) for host in SETS)
    assert roots(place, "db") == [old, new]
    gone = old.not_valid_after_utc - timedelta(days=50)
    files_of(lab_connection, place, gone).make(plain)
    assert roots(place, "db") == [new]
    assert not files_of(lab_connection, place, gone).to_make()


def wrong(place: Path, host: str, name: str, content: bytes | None) -> None:
    path = place / host / name
    path.unlink() if content is None else path.write_bytes(content)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [None, b"half a"])
def test_what_is_damaged_is_made_anew(
    lab_connection: Connection, place: Path, name: str, content: bytes | None
) -> None:
    before = contents(place)
    wrong(place, "db", name, content)
    ((one, reason),) = files_of(lab_connection, place).to_make()
    assert (one.host, name in reason) == ("db", True)
    files_of(lab_connection, place).make(plain)
    assert changed(before, place) == ({f"db/{file}" for file in FILES[:2]} if name in FILES[:2] else set())
    assert not files_of(lab_connection, place).to_make()


def test_host_that_is_added_or_moved(lab_connection: Connection, place: Path) -> None:
    before = contents(place)
    hosts = dict(lab_connection.hosts)
    hosts["db-3"] = hosts["db"].model_copy(update={"name": "db-3"})
    hosts["db-2"] = hosts["db-2"].model_copy(update={"addresses": hosts["adapter-1"].addresses})
    connection = lab_connection.model_copy(update={"hosts": hosts})
    files_of(connection, place).make(plain)
    assert changed(before, place) == {f"db-2/{FILES[0]}", f"db-2/{FILES[1]}", *(f"db-3/{name}" for name in FILES)}
    assert not files_of(connection, place).to_make()


def test_nothing_is_left_when_a_key_cannot_be_encrypted(lab_connection: Connection, place: Path) -> None:
    def refuse(_key: bytes) -> bytes:
        raise KitError("no vault password")

    with pytest.raises(KitError, match="no vault password"):
        files_of(lab_connection, place.parent / "new").make(refuse)
    assert not (place.parent / "new").exists()
    before = contents(place)
    with pytest.raises(KitError, match="no vault password"):
        files_of(lab_connection, place, NOW + timedelta(days=310)).make(refuse)
    assert contents(place) == before


def test_nothing_half_written_is_left(lab_connection: Connection, place: Path) -> None:
    before = contents(place)
    (place / "db-2" / FILES[0]).unlink()
    (place / "db-2" / FILES[0]).mkdir()
    with pytest.raises(OSError, match="directory"):
        files_of(lab_connection, place).make(plain)
    assert not list(place.rglob(".*"))
    (place / "db-2" / FILES[0]).rmdir()
    files_of(lab_connection, place).make(plain)
    assert changed(before, place) == {f"db-2/{name}" for name in FILES[:2]}


def test_authority_without_its_key(lab_connection: Connection, place: Path) -> None:
    (key,) = place.glob(f"{AUTHORITY}/*/key.pem")
    key.unlink()
    files_of(lab_connection, place).make(plain)  # nothing to issue
    wrong(place, "db", FILES[1], None)
    with pytest.raises(KitError, match="is not the private key of the internal authority beside it"):
        files_of(lab_connection, place).make(plain)


@pytest.fixture
def supplied(place: Path) -> Path:
    """Files of an authority that is not the kit's."""
    shutil.rmtree(place / AUTHORITY)
    return place


def told(connection: Connection, place: Path, now: datetime = NOW) -> list[str]:
    files, before = files_of(connection, place, now), contents(place)
    assert files.to_make() == []
    files.make(plain)
    assert contents(place) == before
    return [f"{one.host}: {sentence}" for one, sentence in files.problems()]


def test_own_authority_is_judged_and_never_replaced(
    lab_connection: Connection, supplied: Path, authority: Authority
) -> None:
    assert told(lab_connection, supplied) == []
    assert told(lab_connection, supplied, NOW + timedelta(days=350)) == []
    assert len(told(lab_connection, supplied, NOW + timedelta(days=366))) == len(SETS)
    other = authority.leaf(Wish(names=("db.elders.internal",)))
    cases = [
        (FILES[0], None, "lacks internal-certificate.pem, and other hosts have files of your own authority"),
        (FILES[1], other.key_pem, "internal-key.pem is not the private key of internal-certificate.pem beside it"),
        (FILES[0], b"x", "holds no PEM certificate: put the certificate of db."),
        (FILES[0], (supplied / "db-2" / FILES[0]).read_bytes(), "not for db."),
        (FILES[0], other.pem, f"{supplied}/app/internal-trust.pem does not hold"),
        (FILES[2], authority.root.pem, f"{supplied}/db/internal-trust.pem does not hold"),
    ]
    for name, content, words in cases:
        right = (supplied / "db" / name).read_bytes()
        wrong(supplied, "db", name, content)
        assert any(words in sentence for sentence in told(lab_connection, supplied)), words
        (supplied / "db" / name).write_bytes(right)


def test_own_certificate_beside_the_authority_of_the_kit(
    lab_connection: Connection, place: Path, authority: Authority
) -> None:
    wrong(place, "db", FILES[0], authority.leaf().pem)
    (sentence,) = told(lab_connection, place)
    assert sentence.startswith(f"db: {place}/db/{FILES[0]} was issued by 'Voorbeeld G4 TSP', not by the internal")


def host_files(inventory: Path) -> Path:
    """Where the shared defaults put the certificates of ``inventory``."""
    return inventory / "../files" / inventory.name / "certificates"


@pytest.fixture
def inventory_to_deploy(own_inventory: Path, authority: Authority) -> Path:
    """Somebody's own inventory, complete but for the internal files."""
    folder = host_files(own_inventory)
    folder.mkdir(parents=True)
    partner = Wish(number=PARTNER_OIN, names=(PARTNER_HOST.replace(".example", ".internal"),), organisation="Logius")
    (folder / "organisation.pem").write_bytes(authority.leaf(Wish(names=(OWN_HOST,))).pem + authority.intermediates)
    (folder / "partner.pem").write_bytes(authority.leaf(partner).pem + authority.intermediates)
    for path in own_inventory.parents[1].rglob("*.yml"):
        if not path.is_symlink():
            text = path.read_text().replace("203.0.113.", "145.10.113.").replace("198.51.100.", "145.10.100.")
            path.write_text(text.replace("192.0.2.", "145.10.2."))  # no documentation ranges
    found = examine(own_inventory)
    assert found.connection, (found.problems, found.blanks)
    return own_inventory


@pytest.fixture
def password(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "vault-password").write_bytes(PASSWORD)
    return {"ANSIBLE_VAULT_PASSWORD_FILE": str(tmp_path / "vault-password")}


def play(playbook: str, inventory: Path, environment: dict[str, str], *options: str) -> tuple[int, str]:
    program = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [program, "--inventory", inventory / "hosts.yml", ROOT / "playbooks" / playbook, *options],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_HOME": str(inventory / ".ansible"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def unsealed(path: Path) -> bytes:
    decrypted: bytes = VaultLib([("default", VaultSecret(PASSWORD))]).decrypt(path.read_bytes())
    return decrypted


def test_playbook(inventory_to_deploy: Path, tmp_path: Path, password: dict[str, str]) -> None:
    """What a system administrator does, with the project's own playbooks and role; the hosts are nowhere."""
    inventory, place = inventory_to_deploy, host_files(inventory_to_deploy)
    before, make = contents(place), "internal-certificates.yml"
    status, output = play(make, inventory, {})
    assert (status, "no vault password is known: set ANSIBLE_VAULT_PASSWORD_FILE" in output) == (2, True), output
    status, output = play(make, inventory, password, "--check")
    assert (status, "changed=1" in output, "to be made for db-preprod: internal-certificate.pem" in output) == (
        0,
        True,
        True,
    )
    assert contents(place) == before
    status, output = play(make, inventory, password)
    assert (status, "changed=1" in output) == (0, True), output
    sets = ("adapter-preprod-1", "adapter-preprod-2", "db-preprod")
    for host in sets:
        assert b"PRIVATE KEY" not in (place / host / FILES[1]).read_bytes()
        key = load_pem_private_key(unsealed(place / host / FILES[1]), None)
        assert key.public_key() == leaf(place, host).public_key()
    assert unsealed(next(place.glob(f"{AUTHORITY}/*/key.pem"))).startswith(b"-----BEGIN PRIVATE KEY")
    made = contents(place)
    assert set(made) - set(before) == {
        *(f"{host}/{name}" for host in sets for name in FILES),
        f"zaaksysteem-preprod/{FILES[2]}",
        *(name for name in made if name.startswith(AUTHORITY)),
    }
    status, output = play(make, inventory, password)
    assert (status, "changed=0" in output, contents(place) == made) == (0, True, True)
    (tmp_path / "vault-password").write_bytes(b"another")
    status, output = play(make, inventory, password)
    assert (status, "can't be decrypted" in output, contents(place) == made) == (2, True, True)


def test_files_are_checked_before_hosts_change(
    inventory_to_deploy: Path, tmp_path: Path, password: dict[str, str]
) -> None:
    """The files of the endpoint are not there yet, and no host is reached."""
    playbooks = ROOT / "playbooks"
    (tmp_path / "site.yml").write_text(
        "".join(f"- import_playbook: {playbooks}/{name}.yml\n" for name in ("validate", "certificate-files"))
    )
    (tmp_path / "group_vars").symlink_to(playbooks / "group_vars")
    status, output = play(str(tmp_path / "site.yml"), inventory_to_deploy, password)
    place = host_files(inventory_to_deploy)
    assert status == 2
    assert f"{place}/adapter-preprod-1 lacks certificate.pem, key.pem, trust.pem: take in the endpoint's" in output
    assert "db-preprod lacks" not in output
    assert "unreachable=1" not in output
    for path in place.glob("*/internal-*.pem"):
        path.rename(path.with_name(f"put-away-{path.name}"))
    status, output = play(str(tmp_path / "site.yml"), inventory_to_deploy, password, "--check")
    assert (status, "to be made for db-preprod" in output, "db-preprod lacks" in output) == (2, True, False)


def test_check_reports_what_a_person_must_know(
    inventory_to_deploy: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory, place = inventory_to_deploy, host_files(inventory_to_deploy)
    monkeypatch.delenv("ANSIBLE_VAULT_PASSWORD_FILE", raising=False)

    def checked() -> tuple[list[str], list[str]]:
        [entry] = survey([inventory])
        of_rule = [[one.message for one in kind if one.rule == RULE] for kind in (entry.problems, entry.warnings)]
        return of_rule[0], of_rule[1]

    problems, (warning,) = checked()
    assert not problems
    assert "set ANSIBLE_VAULT_PASSWORD_FILE" in warning
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", "/nowhere")
    assert checked() == ([], [])
    connection = examine(inventory).connection
    assert connection
    InternalFiles(connection, {host: place / host for host in connection.hosts}, Path.read_bytes).make(
        VaultLib([("default", VaultSecret(PASSWORD))]).encrypt
    )
    assert checked() == ([], [])
    (place / "db-preprod" / FILES[0]).write_bytes((place / "adapter-preprod-1" / FILES[0]).read_bytes())
    problems, (warning,) = checked()
    assert not problems
    assert f"db-preprod: {place}/db-preprod/{FILES[0]}: {FILES[0]} is for " in warning
    assert "playbooks/internal-certificates.yml and site.yml renew it" in warning
    shutil.rmtree(place / AUTHORITY)
    (problem,), warnings = checked()
    assert not warnings
    assert problem.startswith(f"db-preprod: {place}/db-preprod/{FILES[0]} is for ")
    (place / "db-preprod" / FILES[0]).write_bytes(authority.leaf(Wish(begins=-9, ends=-2)).pem)
    assert any("not today: have your own authority issue" in problem for problem in checked()[0])


def test_expiry_lists_the_hosts_certificates(inventory_to_deploy: Path) -> None:
    connection = examine(inventory_to_deploy).connection
    assert connection
    place = host_files(inventory_to_deploy)
    InternalFiles(connection, {host: place / host for host in connection.hosts}, Path.read_bytes).make(plain)
    ends = {end.name: end.kind for end in watch([inventory_to_deploy]).ends if "intern" in end.place}
    hosts = ("adapter-preprod-1", "adapter-preprod-2", "db-preprod")
    names = {host: connection.name_of(connection.hosts[host]) for host in hosts}
    (authority,) = [name for name, kind in ends.items() if kind is Kind.ROOT]
    assert authority.startswith("intern ")
    assert {name for name in ends if name != authority} == {f"{names[host]} ({host}/{FILES[0]})" for host in hosts}
