"""Playbooks become root on the hosts with sudo, and never on the controller."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
TASKS = sorted([*(ROOT / "playbooks/tasks").glob("*.yml"), *(ROOT / "roles").glob("*/tasks/*.yml")])
# They touch no host: the kit's own run inside Ansible.
ON_CONTROLLER = {
    "load_connection",
    "certificate_request",
    "certificate_intake",
    "certificate_set",
    "internal_certificates",
    "dns_records",
    "ansible.builtin.set_fact",
    "ansible.builtin.debug",
}
ROLES = ("ansible.builtin.import_role", "ansible.builtin.include_role")


def plays(playbook: Path) -> list[dict[str, Any]]:
    return [play for play in yaml.safe_load(playbook.read_text()) if "hosts" in play]


def flat(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in tasks:
        parts = [part for name in ("block", "rescue", "always") for part in task.get(name, [])]
        yield from flat(parts) if parts else [task]


def stays_on_controller(task: dict[str, Any]) -> bool:
    for name in ROLES:
        if name in task:
            file = ROOT / "roles" / task[name]["name"] / "tasks" / f"{task[name].get('tasks_from', 'main')}.yml"
            return all(map(stays_on_controller, flat(yaml.safe_load(file.read_text()))))
    return task.get("delegate_to") == "localhost" or not ON_CONTROLLER.isdisjoint(task)


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.name)
def test_a_play_becomes_root_where_it_works_on_hosts(playbook: Path) -> None:
    for play in plays(playbook):
        tasks = list(flat(play.get("tasks", [])))
        needs_none = "roles" not in play and all(map(stays_on_controller, tasks))
        assert play.get("become") == (not needs_none), play["name"]


def test_no_task_becomes_root_on_the_controller() -> None:
    tasks = [task for file in TASKS for task in flat(yaml.safe_load(file.read_text()) or [])]
    tasks += [task for file in PLAYBOOKS for play in plays(file) for task in flat(play.get("tasks", []))]
    here = [task for task in tasks if task.get("delegate_to") == "localhost" or task.get("become") is False]
    assert len(here) > 10
    for task in here:
        # The variable of an inventory beats a task's keyword, and the task's own variable that of the inventory.
        assert (task.get("become"), task.get("vars", {}).get("ansible_become")) == (False, False), task["name"]
    assert not [task for task in tasks if "local_action" in task or task.get("connection") == "local"]


def test_an_inventory_that_asks_for_sudo_gets_none_on_the_controller(tmp_path: Path) -> None:
    """With a sudo that fails wherever it is called."""
    (tmp_path / "hosts.yml").write_text(
        "all: {vars: {ansible_become: true, ansible_become_exe: /bin/false, ansible_user: beheer},"
        " children: {adapter: {hosts: {}}, partner: {hosts: {}}, load_balancer: {hosts: {lb: {}}}}}"
    )
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "--inventory",
            tmp_path / "hosts.yml",
            "playbooks/software.yml",
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_BECOME_ALLOW_SAME_USER": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
