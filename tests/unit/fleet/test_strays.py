"""What the kit and people lay beside hosts.yml gives Ansible no hosts: the real ansible-inventory is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from aansluitkit.connection import Kind, examine, load_connection
from aansluitkit.documents import write_documents
from aansluitkit.project import ROOT, tools_environment

from .conftest import Customer, change, files


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words], cwd=ROOT, env=tools_environment(), capture_output=True, text=True, check=False
    )


def listed(source: Path) -> tuple[set[str], str]:
    """The hosts that Ansible finds, and its complaints."""
    done = run("ansible-inventory", "-i", source, "--list")
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout)["_meta"]["hostvars"]), done.stderr


@pytest.fixture
def inventory(customer: Customer) -> Path:
    return customer("klant-1", 1, Kind.VENDOR)[0]


def test_what_the_kit_writes_is_no_source_of_hosts(inventory: Path, tmp_path: Path) -> None:
    before = sorted(inventory.rglob("*"))
    book = tmp_path / "book.yml"
    book.write_text(f"""\
- import_playbook: {ROOT}/playbooks/certificate-request.yml
- hosts: management
  gather_facts: false
  tasks:
    - ansible.builtin.command:
        cmd: "{sys.executable} -m aansluitkit documents {{{{ inventory_dir }}}} --output {{{{ documents_folder }}}}"
""")
    done = run("ansible-playbook", "-i", inventory, book)
    assert done.returncode == 0, done.stdout + done.stderr
    made = {str(path.relative_to(files(inventory))) for path in files(inventory).rglob("*")}
    assert {"documents/netwerkoverzicht.pdf", "documents/cpa.xml", "certificates/request/key.pem"} <= made
    assert sorted(inventory.rglob("*")) == before
    declared = set(load_connection(inventory).hosts)
    assert listed(inventory) == listed(inventory / "hosts.yml") == (declared, "")


def test_strays_are_neither_read_nor_run(inventory: Path) -> None:
    """As they lie there since former versions of the kit, or as people lay them there."""
    connection = load_connection(inventory)
    write_documents(connection, inventory / "documents", date(2026, 3, 1))
    (inventory / "notes.yml").write_text("all: {hosts: {stray: {}}}\n")
    (inventory / "call.xml").write_text("<?xml version='1.0'?>\n")
    program = inventory / "documents/program"
    program.write_text(f"#!/bin/sh\ntouch {inventory}/ran\n")
    program.chmod(0o755)
    assert listed(inventory) == (set(connection.hosts), "")
    assert not (inventory / "ran").exists()


def test_a_folder_of_inventories_is_none(inventory: Path) -> None:
    done = run("ansible-inventory", "-i", inventory.parent, "--list")
    assert done.returncode != 0
    assert "Completely failed to parse inventory source" in done.stderr


def test_check_names_what_is_in_the_way(inventory: Path) -> None:
    write_documents(load_connection(inventory), inventory / "documents", date(2026, 3, 1))
    found = examine(inventory)
    assert found.connection, "a warning only: Ansible as the kit starts it does not read there"
    [warning] = found.warnings
    assert warning.file == str(inventory / "documents/")
    assert "move it to ../files/<environment>/documents" in warning.message
    (inventory / "received.pdf").write_bytes(b"%PDF-1.7")
    [problem] = examine(inventory).problems
    assert "received.pdf:1: file: stands beside hosts.yml" in str(problem)


def test_files_of_hosts_in_the_former_place_are_told(inventory: Path) -> None:
    """Before the role misses them on the first host; whoever says that they lie there goes on as ever."""
    place = inventory / "certificates" / next(iter(load_connection(inventory).hosts))
    place.mkdir(parents=True)
    [problem] = examine(inventory).problems
    assert "move this folder to ../files/<environment>/certificates" in problem.message
    own = inventory / "group_vars/all/connection.yml"
    change(own, "---\n", '---\ncertificates_host_source: "{{ inventory_dir }}/certificates/{{ inventory_hostname }}"\n')
    assert examine(inventory).connection
