"""Hosts are asked as a user who becomes root with sudo and its password."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aansluitkit import sudo
from aansluitkit.connection import Connection, Host
from aansluitkit.errors import InventoryError, KitError
from aansluitkit.verification.site import Site

PASSWORD = "geheim van beheer"  # noqa: S105 - of this test
VAULT = "password of the vault"
# What stands on the way to a host: ssh runs the command here, where nobody is root before sudo was given the password.
PROGRAMS = {
    "ssh": """echo "$@" >> {folder}/seen; for last; do :; done; exec sh -c "$last" """,
    "id": "echo 1000",
    "sudo": """\
        echo "sudo: unable to resolve host" >&2
        read -r given || {{ echo "sudo: a password is required" >&2; exit 1; }}
        [ "$given" = "{password}" ] || {{ echo "Sorry, try again." >&2; exit 1; }}
        while [ "$1" != /bin/sh ]; do shift; done; exec "$@" """,
}


@pytest.fixture
def way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the programs; ``seen`` in it holds the command lines."""
    for name, text in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n" + text.format(folder=tmp_path, password=PASSWORD))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.delenv(sudo.VARIABLE, raising=False)
    monkeypatch.delenv("ANSIBLE_VAULT_PASSWORD_FILE", raising=False)
    return tmp_path


def inventory(folder: Path, variables: str = "") -> str:
    (folder / "hosts.yml").write_text("all: {hosts: {app: {ansible_host: 192.0.2.1, ansible_user: beheer}}}\n")
    (folder / "group_vars").mkdir()
    (folder / "group_vars/all.yml").write_text(f"other: 1\n{variables}")
    return str(folder)


def vaulted(folder: Path, text: str) -> str:
    (folder / "vault").write_text(VAULT)
    command = [Path(sys.executable).with_name("ansible-vault"), "encrypt_string", "--vault-password-file"]
    done = subprocess.run(
        [*command, folder / "vault", "--name", "ansible_become_password", text],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def app(connection: Connection) -> Host:
    return connection.hosts["app"]


def test_password_out_of_the_vault(
    way: Path, connection: Connection, app: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = inventory(way, vaulted(way, PASSWORD))
    with pytest.raises(InventoryError, match=r"ansible_become_password.* ANSIBLE_VAULT_PASSWORD_FILE"):
        Site(connection, folder)
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(way / "vault"))
    found = Site(connection, folder).run(app, "cat; echo %s; echo wrong >&2; exit 3", "done")
    assert (found.stdout, found.stderr, found.rc) == ("done\n", "wrong\n", 3), "sudo's words are not the command's"
    assert PASSWORD not in (way / "seen").read_text()


def test_password_in_a_file_that_is_vaulted_whole(
    way: Path, connection: Connection, app: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = inventory(way, f"ansible_become_password: {PASSWORD}\n")
    (way / "vault").write_text(VAULT)
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(way / "vault"))
    encrypt = [Path(sys.executable).with_name("ansible-vault"), "encrypt", way / "group_vars/all.yml"]
    subprocess.run(encrypt, check=True, capture_output=True)
    assert Site(connection, folder).run(app, "true").rc == 0


def test_password_that_was_handed_on(
    way: Path, connection: Connection, app: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = inventory(way)
    monkeypatch.setenv(sudo.VARIABLE, "")
    sudo.hand_on(PASSWORD)
    assert Site(connection, folder).run(app, "true").rc == 0
    (way / "program").write_text(f"#!/bin/sh\necho {PASSWORD}\n")
    (way / "program").chmod(0o700)
    monkeypatch.setenv(sudo.VARIABLE, str(way / "program"))
    assert Site(connection, folder).run(app, "true").rc == 0
    monkeypatch.setenv(sudo.VARIABLE, str(way / "nowhere"))
    with pytest.raises(KitError, match="nowhere, which gives no password of sudo"):
        Site(connection, folder)


@pytest.mark.parametrize(
    ("variables", "words"),
    [("", "a password is required"), ("ansible_become_password: other\n", "Sorry, try again")],
    ids=["none", "wrong"],
)
def test_refusal_of_sudo_is_a_sentence(
    way: Path, connection: Connection, app: Host, variables: str, words: str
) -> None:
    site = Site(connection, inventory(way, variables))
    with pytest.raises(KitError, match=f"^app: sudo refuses .*{words}.* ansible_become_password .*--ask-become-pass$"):
        site.run(app, "true")


def test_no_sudo_where_the_inventory_declines_it(way: Path, connection: Connection, app: Host) -> None:
    assert Site(connection, inventory(way, "ansible_become: false\n")).run(app, "id -u").stdout == "1000\n"


def test_a_playbook_hands_the_passwords_to_what_it_starts(way: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (way / "password").write_text(PASSWORD)
    (way / "vault").write_text(VAULT)
    (way / "play.yml").write_text(
        "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n"
        f'    - shell: cat "${sudo.VARIABLE}"; echo; ls -l "${sudo.VARIABLE}"; echo "${sudo.VARIABLE}"\n'
        "      register: found\n    - debug: {var: found.stdout_lines}\n"
        '    - shell: cat "${ANSIBLE_VAULT_IDENTITY_LIST#*@}"\n'
        "      register: vault\n    - debug: {var: vault.stdout_lines}\n"
    )
    monkeypatch.delenv("ANSIBLE_CONFIG", raising=False)
    command = [Path(sys.executable).with_name("ansible-playbook"), "--become-password-file", way / "password"]
    done = subprocess.run(
        [*command, "--vault-password-file", way / "vault", "--inventory", "localhost,", way / "play.yml"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"- {PASSWORD}\n" in done.stdout
    assert f"- {VAULT}\n" in done.stdout
    assert "- -rw------- " in done.stdout
    [file] = [line.split()[-1] for line in done.stdout.splitlines() if line.endswith("/sudo") and "-rw" not in line]
    assert not Path(file).parent.exists(), "it goes with the run"
