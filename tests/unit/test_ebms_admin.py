"""ebms-admin: the jar that is taken, and what role ebms_adapter writes for it."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from aansluitkit.connection import Component, load_connection
from aansluitkit.connection.ansible_loader import host_variables
from aansluitkit.connection.views import DATABASE_CONNECTIONS
from aansluitkit.ebms.message import PING, read_envelope
from aansluitkit.ebms.tls import CIPHERS
from aansluitkit.errors import KitError
from aansluitkit.jar import MAIN, checked
from aansluitkit.lab import image
from aansluitkit.lab.adapter import check_adapter, declare_adapter, refuse_change
from aansluitkit.lab.pki import PARTNER, REVOKED, WRONG_OIN
from aansluitkit.project import ROOT

ROLE = ROOT / "roles/ebms_adapter"
PASSWORD = 'a "b" c\\d = é'  # noqa: S105 - of this test
SETTINGS = {
    "ebms_adapter_node": "adapter-1",
    "ebms_adapter_domain": "ebms.example.nl",
    "ebms_adapter_address": "192.0.2.11",
    "ebms_adapter_rest_password": "secret",
    "ebms_adapter_database": (
        "postgresql+psycopg://adapter@/name?host=db.example.nl:5433&host=db-2.example.nl:5433&connect_timeout=5"
        "&target_session_attrs=read-write&sslmode=verify-full&sslrootcert=/t.pem"
    ),
    "ebms_adapter_database_owner": "owner",
    "ebms_adapter_database_owner_password": PASSWORD,
    "ebms_adapter_database_password": "other",
    "ansible_managed": "managed",
}
OFFLOADED = {"ebms_adapter_certificate_header": "X-Client", "ebms_adapter_load_balancer_addresses": ["192.0.2.10"]}

APART = {"ebms_adapter_certificates_apart": ["signing", "encryption"]}


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    path = tmp_path / "ebms-admin.jar"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(MAIN, b"class")
    return path


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on loopback: its URL, and the folder that it serves."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_pinned_jar_is_taken(jar: Path) -> None:
    assert checked(str(jar), sha256(jar).upper()) == jar


@pytest.mark.parametrize(
    ("pin", "sentence"),
    [("0" * 64, "has SHA-256"), ("abc", "64 hexadecimal digits"), ("", "64 hexadecimal digits")],
)
def test_other_checksum_is_refused(jar: Path, pin: str, sentence: str) -> None:
    with pytest.raises(KitError, match=sentence):
        checked(str(jar), pin)


@pytest.mark.parametrize("content", [b"", b"not a jar"])
def test_file_that_is_no_jar_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ebms-admin.jar"
    path.write_bytes(content)
    with pytest.raises(KitError, match="is no ebms-admin"):
        checked(str(path), sha256(path))


def test_other_jar_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ebms-core.jar"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("nl/clockwork/ebms/Other.class", b"class")
    with pytest.raises(KitError, match="is no ebms-admin"):
        checked(str(path), sha256(path))


def test_jar_that_is_not_there_is_told() -> None:
    with pytest.raises(KitError, match=r"/nowhere\.jar can't be read: No such file"):
        checked("/nowhere.jar", "0" * 64)


def test_jar_of_a_mirror_is_kept(
    jar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: tuple[str, Path]
) -> None:
    url, folder = mirror
    (folder / "a.jar").write_bytes(jar.read_bytes())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = checked(f"{url}/a.jar", sha256(jar))
    (folder / "a.jar").unlink()
    assert checked(f"{url}/a.jar", sha256(jar)) == first
    with pytest.raises(KitError, match="can't be had: HTTP Error 404"):
        checked(f"{url}/a.jar", "0" * 64)


def test_jar_of_a_mirror_with_other_checksum_is_not_kept(
    jar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: tuple[str, Path]
) -> None:
    url, folder = mirror
    (folder / "a.jar").write_bytes(jar.read_bytes())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(KitError, match="has SHA-256"):
        checked(f"{url}/a.jar", "0" * 64)
    assert list((tmp_path / "cache/aansluitkit/jar").iterdir()) == []


def test_lab_wants_a_jar(jar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EBMS_ADMIN_JAR", raising=False)
    monkeypatch.delenv("ADAPTER", raising=False)
    assert check_adapter() == "embedded"
    plain = image.name()
    monkeypatch.setenv("ADAPTER", "ebms_admin")
    with pytest.raises(KitError, match="EBMS_ADMIN_JAR names no jar"):
        check_adapter()
    monkeypatch.setenv("EBMS_ADMIN_JAR", str(jar.parent))
    with pytest.raises(KitError, match="is no ebms-admin"):
        check_adapter()
    monkeypatch.setenv("EBMS_ADMIN_JAR", str(jar))
    assert check_adapter() == "ebms_admin"
    assert image.name() != plain
    monkeypatch.setenv("ADAPTER", "other")
    with pytest.raises(KitError, match="write embedded or ebms_admin"):
        check_adapter()


def test_lab_says_what_it_runs(jar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every later command knows it, whatever its environment; the partner's adapter stays as it is."""
    inventory = tmp_path / "lab"
    shutil.copytree(ROOT / "inventories/lab", inventory)
    monkeypatch.setenv("EBMS_ADMIN_JAR", os.path.relpath(jar))
    declare_adapter(inventory, "ebms_admin")
    told = host_variables(inventory, "ebms_adapter_")
    assert told["adapter-1"]["ebms_adapter_implementation"] == "ebms_admin"
    assert told["mijnoverheid"]["ebms_adapter_implementation"] == "embedded"
    assert told["adapter-1"]["ebms_adapter_jar"] == str(jar.resolve())
    assert told["adapter-1"]["ebms_adapter_jar_sha256"] == hashlib.sha256(jar.read_bytes()).hexdigest()
    assert load_connection(inventory).tls_ends_at is Component.LOAD_BALANCER
    declare_adapter(inventory, "embedded")
    assert "ebms_adapter_jar" not in host_variables(inventory, "ebms_adapter_")["adapter-1"]
    assert load_connection(inventory).tls_ends_at is Component.ADAPTER


def test_standing_lab_keeps_its_adapter(jar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database of one is nothing for the other."""
    (tmp_path / "group_vars/all").mkdir(parents=True)
    monkeypatch.setenv("EBMS_ADMIN_JAR", str(jar))
    refuse_change(tmp_path, "ebms_admin")
    monkeypatch.setattr("aansluitkit.lab.adapter.claimed", lambda: tmp_path)
    refuse_change(tmp_path, "embedded")
    with pytest.raises(KitError, match="runs embedded, and ebms_admin can't go on with its database"):
        refuse_change(tmp_path, "ebms_admin")
    declare_adapter(tmp_path, "ebms_admin")
    refuse_change(tmp_path, "ebms_admin")
    with pytest.raises(KitError, match="ADAPTER=ebms_admin as before"):
        refuse_change(tmp_path, "embedded")


def of_role(part: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLE / part / "main.yml").read_text())
    return found


@pytest.fixture(scope="module", params=[{}, OFFLOADED, APART], ids=["plain", "offloaded", "apart"])
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the role writes, by Ansible itself."""
    folder = tmp_path_factory.mktemp("rendered")
    task = {
        "ansible.builtin.template": {
            "src": "{{ item }}",
            "dest": f"{folder}/{{{{ item | basename | splitext | first }}}}",
        },
        "with_fileglob": f"{ROLE}/templates/ebms-admin/*.j2",
    }
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {**of_role("defaults"), **of_role("vars"), **SETTINGS, **request.param},
        "tasks": [task],
    }
    (folder / "play").mkdir()
    (folder / "play/templates").symlink_to(ROLE / "templates")
    (folder / "play/play.yml").write_text(yaml.safe_dump([play]))
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (folder / "play/hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"localhost": local}}}))
    command = ["ansible-playbook", "--inventory", "hosts.yml", "play.yml"]
    done = subprocess.run(command, cwd=folder / "play", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def properties(folder: Path) -> dict[str, str]:
    lines = (folder / "ebms-admin.embedded.properties").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: json.loads(f'"{value}"') for name, _, value in pairs}


def test_database_is_reached_with_tls(rendered: Path) -> None:
    found = properties(rendered)
    assert found["ebms.jdbc.url"] == (
        "jdbc:postgresql://db.example.nl:5433,db-2.example.nl:5433/name?targetServerType=primary&connectTimeout=5"
        "&tcpKeepAlive=true&sslmode=verify-full&sslrootcert=/t.pem"
    )
    assert int(found["ebms.pool.maxPoolSize"]) == DATABASE_CONNECTIONS
    assert (found["ebms.jdbc.username"], found["ebms.jdbc.password"]) == ("owner", PASSWORD)


def test_client_certificate_is_demanded(rendered: Path) -> None:
    found = properties(rendered)
    assert found["https.requireClientAuthentication"] == found["https.clientCertificateAuthentication"] == "true"
    offloaded = bool(found["https.clientCertificateHeader"])
    assert found["ebms.ssl"] == ("false" if offloaded else "true")
    assert ("ip saddr != { 192.0.2.10 } drop" in (rendered / "filter.nft").read_text()) == offloaded
    assert ("filter.nft" in (rendered / "aansluitkit-adapter.service").read_text()) == offloaded


def test_keys_of_the_jar_are_not_used(rendered: Path) -> None:
    found = properties(rendered)
    stores = ["keystore", "client.keystore", "signature.keystore", "encryption.keystore", "truststore"]
    assert [found[f"{store}.path"] for store in stores] == [
        f"/run/aansluitkit-adapter/{file}.p12" for file in ("key", "client", "signing", "encryption", "trust")
    ]


def keys_in(store: Path) -> list[str]:
    """The names of the keys in a PKCS#12."""
    words = ["openssl", "pkcs12", "-in", store, "-passin", "pass:aansluitkit", "-nocerts", "-noenc"]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return sorted(line.partition(": ")[2] for line in told.splitlines() if "friendlyName" in line)


def pair(pki: Path, party: str, folder: Path, prefix: str) -> None:
    for part in ("certificate", "key"):
        shutil.copy(pki / party / f"{part}.pem", folder / f"{prefix}{part}.pem")


@pytest.mark.skipif(shutil.which("keytool") is None, reason="there is no keytool of Java")
def test_stores_are_made_of_what_is_there(rendered: Path, pki_g1: Path, tmp_path: Path) -> None:
    """Each purpose has its own key, and while a certificate is being renewed the other one as well."""
    apart = "store signing.p12 signing- " in (rendered / "stores").read_text()
    files, made = tmp_path / "certificates", tmp_path / "stores"
    shutil.copytree(pki_g1 / "adapter-1", files)
    made.mkdir()
    shutil.copy(pki_g1 / PARTNER / "certificate.pem", files / "partner.pem")
    if apart:
        pair(pki_g1, PARTNER, files, "signing-")
        pair(pki_g1, REVOKED, files, "encryption-")
    script = (rendered / "stores").read_text().replace("/etc/aansluitkit/certificates", str(files))
    (tmp_path / "stores.sh").write_text(script.replace("/run/aansluitkit-adapter", str(made)))
    for renewing in (False, True):
        if renewing:
            pair(pki_g1, WRONG_OIN, files, "next-")
        subprocess.run(["sh", tmp_path / "stores.sh"], check=True, capture_output=True)
        beside = ["next-adapter"] if renewing else []
        assert keys_in(made / "key.p12") == ["adapter"]
        assert keys_in(made / "internal-key.p12") == ["internal-adapter"]
        assert keys_in(made / "client.p12") == ["adapter", *beside]
        for use in ("signing", "encryption"):
            own = f"{use}-adapter" if apart else "adapter"
            assert keys_in(made / f"{use}.p12") == sorted([own, *beside])


def test_tls_is_that_of_the_embedded_adapter(rendered: Path) -> None:
    java = properties(rendered)["https.cipherSuites"].split(",")
    assert sorted(java[3:]) == sorted(map(as_java, CIPHERS.split(":")))
    assert all(suite.startswith("TLS_") and "_WITH_" not in suite for suite in java[:3])
    assert f"-cipherSuites {','.join(java)}" in (rendered / "aansluitkit-adapter.service").read_text()


def as_java(suite: str) -> str:
    """The name in the IANA's registry of a suite that OpenSSL calls ``suite``."""
    exchange, authentication, cipher = suite.split("-", 2)
    cipher = cipher.replace("AES", "AES_").replace("-", "_")
    cipher += "_SHA256" if "POLY1305" in cipher else ""
    return f"TLS_{exchange}_{authentication}_WITH_{cipher}"


def test_nodes_share_no_work_and_no_cache(rendered: Path) -> None:
    found = properties(rendered)
    assert (found["ebms.serverId"], found["cache.type"]) == ("adapter-1", "NONE")


def test_interface_wants_tls_and_a_password(rendered: Path) -> None:
    unit = (rendered / "aansluitkit-adapter.service").read_text()
    words = unit.replace("\\\n", " ").split()
    assert {"-ssl", "-authentication", "-headless", "-soap", "-health"} <= set(words)
    assert words[words.index("-host") + 1] == "192.0.2.11"
    assert "secret" not in unit
    hashed = hashlib.md5(b"secret", usedforsecurity=False).hexdigest()
    assert (rendered / "realm.properties").read_text() == f"ebms: MD5:{hashed},user\n"


def test_first_message_is_one(rendered: Path) -> None:
    script = compile((rendered / "first-message").read_text().replace("\nmain()\n", "\n"), "first-message", "exec")
    names: dict[str, Any] = {}
    exec(script, names)  # noqa: S102 - the role's own
    header = read_envelope(names["MESSAGE"].encode()).header
    assert (header.cpa_id, header.action) == ("first-message-after-a-start", PING)


def test_log_is_well_formed(rendered: Path) -> None:
    loggers: dict[str, Any] = {
        logger.get("name", ""): logger.get("level")
        for logger in ElementTree.fromstring((rendered / "log4j2.xml").read_text()).iter("Logger")  # noqa: S314 - ours
    }
    assert loggers["nl.clockwork.ebms.message"] == "WARN"  # at INFO whole messages are in the log
