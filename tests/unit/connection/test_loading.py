"""The fast loader gives what Ansible gives, and refuses what Ansible takes silently."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from corpus import COMPLIANCE, LAB, PREPROD, PRODUCTION, ROOT, VENDOR

from aansluitkit.connection import ansible_loader, examine, find_inventories, load_connection
from aansluitkit.connection.loading import PREFIX, load_inventory
from aansluitkit.errors import InventoryError

SHIPPED = [ROOT / "inventories" / name for name in (LAB, PREPROD, PRODUCTION, VENDOR)]


@pytest.fixture
def inventories(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "inventories", tmp_path / "inventories", symlinks=True))


def same_as_ansible(folder: Path) -> dict[str, dict[str, Any]]:
    """The variables of each host, after comparing with Ansible's, hosts and keys in the same order."""
    inventory = load_inventory(folder)
    groups, hosts, problems = ansible_loader.hosts_by_ansible(folder / "hosts.yml", PREFIX)
    assert not problems
    assert inventory.hosts == hosts
    assert list(inventory.hosts) == list(hosts)
    assert {host: set(names) for host, names in inventory.groups.items()} == {
        host: set(names) for host, names in groups.items()
    }
    return inventory.hosts


@pytest.fixture
def without_ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the loader fail where it would ask Ansible."""
    own = sys.modules["aansluitkit.connection.ansible_loader"]
    really = own.hosts_by_ansible

    def refuse(file: Path, prefix: str) -> Any:
        if sys._getframe(1).f_code.co_name == "load_inventory":
            raise AssertionError("not plain")
        return really(file, prefix)

    monkeypatch.setattr(own, "hosts_by_ansible", refuse)


@pytest.mark.usefixtures("without_ansible")
@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: "-".join(folder.parts[-2:]))
def test_shipped_inventories_load_as_in_ansible(folder: Path) -> None:
    assert same_as_ansible(folder)


def generate(folder: Path, seed: int) -> None:
    """Writes an inventory of random shape: nested groups, variables on every level that go over each other."""
    chance = random.Random(seed)  # noqa: S311 - shapes, no secrets
    names = [f"g{number}" for number in range(7)]
    hosts = [f"h{number}" for number in range(5)]
    values = [
        "text",
        7,
        True,
        None,
        [1, "{{ inventory_dir }}/x"],
        {"k": "{{ other }}", 5: "n"},
        "{{ other }}",
        "{{ tree.leaf }}!",
    ]

    def variables(level: str) -> dict[str, Any]:
        found: dict[str, Any] = {f"free_{chance.randrange(3)}": level}
        if level != "group":
            found |= {f"connection_{chance.choice('abc')}": chance.choice(values) for _ in range(chance.randrange(3))}
        return found

    groups: dict[str, dict[str, Any]] = {
        name: {"hosts": dict.fromkeys(chance.sample(hosts, chance.randrange(1, 4))), "vars": variables("group")}
        for name in names
    }
    for host in hosts:
        owner = chance.choice(names)
        groups[owner]["hosts"][host] = variables("host") | {"connection_addresses": {"z": host}}
    for number, name in enumerate(names[:-1]):  # a child comes later, so there is no circle
        children = chance.sample(names[number + 1 :], chance.randrange(0, 2))
        groups[name]["children"] = dict.fromkeys(children)
    top = chance.sample(names, 4)
    content: dict[str, Any] = {"all": {"children": {name: groups[name] for name in top}, "vars": variables("all")}}
    content |= {name: groups[name] for name in names if name not in top}
    common = {"other": "of all", "tree": {"leaf": "green"}}
    files: dict[str, Any] = {
        "hosts.yml": content,
        "group_vars/all/0.yml": common,
        "group_vars/all/b/deep.yaml": variables("all"),
    }
    files["group_vars/all/z.yml"] = variables("all")
    for name in chance.sample(names, 3):
        files[f"group_vars/{name}.yml"] = variables("file")
    files[f"host_vars/{chance.choice(hosts)}/x.yml"] = variables("file")
    files["group_vars/all/.hidden.yml"] = files["group_vars/all/old.yml~"] = {"connection_a": "never"}
    files["group_vars/all/notes.txt"] = {"connection_a": "never"}
    for path, held in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(yaml.safe_dump(held, sort_keys=False))


@pytest.mark.usefixtures("without_ansible")
@pytest.mark.parametrize("seed", range(40))
def test_generated_inventories_load_as_in_ansible(tmp_path: Path, seed: int) -> None:
    generate(tmp_path, seed)
    assert len(same_as_ansible(tmp_path)) == 5


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("group_vars/all/x.yml", 'connection_b: "{{ [1, 2] | sum }}"'),
        ("group_vars/all/x.yml", 'connection_b: "{{ inventory_hostname }}"'),
        ("group_vars/all/x.yml", 'connection_b: "{% if true %}ja{% endif %}"'),
        ("group_vars/all/x.yml", 'connection_b: "{{ yes_no }}x"\nyes_no: true'),
        ("group_vars/all/x.yml", "connection_b: !unsafe '{{ x }}'"),
        ("group_vars/g1.yml", "other: of a group"),
    ],
)
def test_what_is_not_plain_loads_as_in_ansible(tmp_path: Path, file: str, text: str) -> None:
    generate(tmp_path, 3)
    (tmp_path / file).write_text(text + "\n")
    assert same_as_ansible(tmp_path)


@pytest.mark.parametrize("name", ["h[1:3]", "h1:2222"])
def test_host_patterns_load_as_in_ansible(tmp_path: Path, name: str) -> None:
    (tmp_path / "hosts.yml").write_text(f"g: {{hosts: {{'{name}': {{connection_a: 1}}}}}}\n")
    _, hosts, _ = ansible_loader.hosts_by_ansible(tmp_path / "hosts.yml", PREFIX)
    assert load_inventory(tmp_path).hosts == hosts


def test_ansible_sees_the_shared_defaults_and_what_goes_over_them(inventories: Path) -> None:
    folder = inventories / PREPROD
    (folder / "group_vars/all/connection.yml").open("a").write("connection_message_stream: stuf\n")
    (inventories / "shared/all.yml").open("a").write("connection_ports: {ebms: 9443}\n")
    ended = subprocess.run(
        [Path(sys.executable).with_name("ansible-inventory"), "-i", folder, "--host", "lb-preprod"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seen = json.loads(ended.stdout)
    assert seen["connection_message_stream"] == "stuf"
    assert seen["connection_ports"] == {"ebms": 9443}
    assert seen["connection_name"] == "voorbeeldgemeente"
    assert seen["connection_environment"] == "preprod"
    connection = load_connection(folder)
    assert (connection.message_stream, connection.ports.ebms) == ("stuf", 9443)


def test_encrypted_files_are_passed_over(inventories: Path) -> None:
    folder = inventories / PREPROD / "group_vars/all"
    (folder / "secrets.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    assert load_connection(inventories / PREPROD)
    with (folder / "connection.yml").open("a") as file:
        file.write("connection_name: \"{{ 'Voorbeeldgemeente' | lower }}\"\n")  # not plain, so Ansible is asked
    assert load_connection(inventories / PREPROD).name == "voorbeeldgemeente"


def test_a_changed_file_is_read_again(inventories: Path) -> None:
    assert load_connection(inventories / LAB).name == "lab"
    path = inventories / LAB / "group_vars/all/customer.yml"
    path.write_text(path.read_text().replace("connection_name: lab", "connection_name: werk"))
    assert load_connection(inventories / LAB).name == "werk"


def test_inventories_are_found(inventories: Path) -> None:
    assert find_inventories(inventories) == [
        inventories / name for name in sorted((LAB, COMPLIANCE, PREPROD, PRODUCTION, VENDOR))
    ]
    assert find_inventories(inventories / LAB) == [inventories / LAB]
    assert find_inventories(inventories / "shared") == []


def test_examining_never_raises(tmp_path: Path) -> None:
    found = examine(tmp_path / "nergens")
    assert found.connection is None
    assert "is not there" in found.problems[0].message
    with pytest.raises(InventoryError, match=r"hosts\.yml"):
        load_connection(tmp_path)


def test_a_template_that_goes_on_is_ended(inventories: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is one that multiplies by names alone; what else is wrong with the inventory is told in the same run."""
    monkeypatch.setattr(ansible_loader, "COMPUTING_SECONDS", 2)
    file = inventories / LAB / "group_vars/all/customer.yml"
    text = file.read_text().replace(
        "connection_name: lab", 'connection_name: "{% for _ in range(10**12) %}{% endfor %}"'
    )
    text = text.replace("connection_kind: government", 'connection_kind: "{{ many_0 }}"')
    text = text.replace('oin: "00000099000000001000"', 'oin: "{{ nobody }}"')
    doubled = "".join(
        f"many_{level}: ['{{{{ many_{level + 1} }}}}', '{{{{ many_{level + 1} }}}}']\n" for level in range(60)
    )
    file.write_text(f"{text}{doubled}many_60: x\n")
    found = {problem.variable: problem for problem in examine(inventories / LAB).problems}
    for variable in ("connection_name", "connection_kind"):
        assert "which no inventory needs" in found[variable].message
        assert found[variable].file == str(file)
    assert "nobody" in found["connection_organisation"].message
    assert load_inventory(inventories / PREPROD).is_plain


def test_ansible_is_asked_in_the_environment_of_who_asks(inventories: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = inventories / LAB / "group_vars/all/customer.yml"
    file.write_text(file.read_text().replace("name: lab", "name: \"{{ lookup('env', 'NAME_OF_THE_LAB') }}\""))
    for name in ("werk", "thuis"):
        monkeypatch.setenv("NAME_OF_THE_LAB", name)
        assert load_connection(inventories / LAB).name == name
