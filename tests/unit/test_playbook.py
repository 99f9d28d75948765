"""What a run of ansible-playbook is said to have done, whatever the user's settings make of its text."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from aansluitkit import playbook
from aansluitkit.errors import KitError

HOSTS = "all:\n  hosts:\n    one: {ansible_connection: local, ansible_python_interpreter: %s}\n"
CHANGES = """\
- name: The first play
  hosts: all
  gather_facts: false
  tasks:
    - {name: Change something, ansible.builtin.command: /bin/true}
    - {name: Change nothing, ansible.builtin.command: /bin/true, changed_when: false}
    - name: Recover
      block:
        - {name: Fail at first, ansible.builtin.fail: {msg: recovered}}
      rescue:
        - {name: Go on, ansible.builtin.command: /bin/true}
"""
FAILS = (
    CHANGES
    + """\
- name: The second play
  hosts: all
  gather_facts: false
  tasks:
    - {name: Fail and go on, ansible.builtin.fail: {msg: of no account}, ignore_errors: true}
    - {name: Fail, ansible.builtin.fail: {msg: "this is why\\nand this"}}
"""
)
# Of the user: what changes the text, and what changes the run.
ODD = {
    "minimal": {
        "ANSIBLE_STDOUT_CALLBACK": "minimal",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_DISPLAY_FAILED_STDERR": "1",
        "ANSIBLE_CONFIG": "/nonexistent/ansible.cfg",
        "ANSIBLE_STRATEGY": "free",
    },
    "oneline": {
        "ANSIBLE_STDOUT_CALLBACK": "oneline",
        "ANSIBLE_LIBRARY": "/nonexistent",
        "ANSIBLE_ROLES_PATH": "/nonexistent",
        "ANSIBLE_CALLBACKS_ENABLED": "",
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "0",
    },
    "colour": {
        "ANSIBLE_FORCE_COLOR": "1",
        "ANSIBLE_NOCOLOR": "",
        "ANSIBLE_CHECK_MODE_MARKERS": "1",
        "ANSIBLE_DISPLAY_OK_HOSTS": "0",
    },
}


@pytest.fixture(params=ODD)
def odd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the user that change what Ansible writes or does."""
    for name, value in ODD[request.param].items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/hosts.yml").write_text(HOSTS % sys.executable)
    return tmp_path / "inventory"


def run(inventory: Path, text: str, *options: str) -> tuple[dict[str, int], list[str]]:
    book = inventory.parent / "book.yml"
    book.write_text(text)
    said: list[str] = []
    changed = playbook.play(book, inventory, inventory.parent / "log/book.log", said.append, options=options)
    return changed, said


@pytest.mark.usefixtures("odd")
def test_the_users_settings_change_no_verdict(inventory: Path) -> None:
    assert run(inventory, CHANGES) == ({"one": 2}, ["The first play"])
    assert "PLAY [The first play]" in (inventory.parent / "log/book.log").read_text()
    with pytest.raises(KitError) as caught:
        run(inventory, FAILS)
    assert str(caught.value).startswith(
        "book.yml failed: one: Fail at first: recovered; Fail: this is why and this (all of it: "
    )


def test_an_unreachable_host_is_told(inventory: Path) -> None:
    (inventory / "hosts.yml").write_text("all: {hosts: {far: {ansible_host: 127.0.0.1, ansible_port: 1}}}")
    with pytest.raises(KitError, match=r"^book.yml failed: far: Change something: .*Connection refused"):
        run(inventory, CHANGES)


def test_a_playbook_that_does_not_begin_is_told(inventory: Path) -> None:
    with pytest.raises(KitError, match=r"^book.yml failed: .*conflicting action statements"):
        run(inventory, "- hosts: all\n  tasks: [{ansible.builtin.debug: {}, ansible.builtin.fail: {}}]\n")


def test_without_a_result_there_is_no_verdict(inventory: Path) -> None:
    with pytest.raises(KitError, match=r"^book.yml ended without a result"):
        run(inventory, CHANGES, "--syntax-check")


def test_hosts_that_ansible_cannot_read_are_told(inventory: Path) -> None:
    """Ansible's own way is a warning, and a run of no host that changed nothing."""
    (inventory / "hosts.yml").write_text("all: [")
    with pytest.raises(KitError, match=r"^book.yml failed: .*Completely failed to parse inventory source"):
        run(inventory, CHANGES)


def test_a_secret_is_not_told(inventory: Path) -> None:
    task = "    - {name: Fail, ansible.builtin.fail: {msg: geheim}, no_log: true}\n"
    with pytest.raises(KitError) as caught:
        run(inventory, CHANGES + task)
    assert "geheim" not in str(caught.value)


def test_files_beside_hosts_yml_are_not_read(inventory: Path) -> None:
    (inventory / "stray.yml").write_text("all: {hosts: {stray: {ansible_connection: local}}}")
    program = inventory / "program"
    program.write_text(f"#!/bin/sh\ntouch {inventory}/ran\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert run(inventory, CHANGES)[0] == {"one": 2}
    assert not (inventory / "ran").exists()


def test_the_users_own_business_reaches_ansible(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = inventory.parent / "password"
    told.write_text("geheim")
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(told))
    monkeypatch.setenv("ANSIBLE_REMOTE_USER", "somebody")
    text = """\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.assert:
        that: lookup('ansible.builtin.config', item.key) == item.value
      loop:
        - {key: DEFAULT_VAULT_PASSWORD_FILE, value: FILE}
        - {key: DEFAULT_REMOTE_USER, value: somebody}
"""
    assert run(inventory, text.replace("FILE}", f"{told}}}"))[0] == {"one": 0}
