"""Which hosts the playbooks reach, as Ansible itself says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from aansluitkit.project import ROOT

LAB = ROOT / "inventories/lab"
PROGRAM = Path(sys.executable).with_name("ansible-playbook")
NOT_OURS = {"management", "partner"}


def ansible(*words: str | Path) -> str:
    done = subprocess.run(
        [PROGRAM, "-i", LAB, *words],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_upgrade_brings_packages_to_every_host() -> None:
    """What the nightly updates leave out must come by upgrade.yml, on whichever host it runs."""
    listed = ansible("playbooks/upgrade.yml", "--list-hosts")
    play = re.compile(r"play #\d+ \(.*?\): (.+?)\tTAGS.*?hosts \(\d+\):\n((?: {6}\S+\n)*)", re.DOTALL)
    plays = {name: set(hosts.split()) for name, hosts in play.findall(listed + "\n")}
    written = yaml.safe_load((ROOT / "playbooks/upgrade.yml").read_text())
    upgrading = [play["name"] for play in written if "serial" in play]
    groups = yaml.safe_load((LAB / "hosts.yml").read_text())
    children = groups["all"]["children"]
    ours = {host for group, entry in children.items() if group not in NOT_OURS for host in entry["hosts"]}
    assert ours == set().union(*(plays[name] for name in upgrading))
    assert all(play["serial"] == 1 for play in written if "serial" in play)


def test_upgrade_of_one_adapter_asks_the_others(tmp_path: Path) -> None:
    """Also when --limit leaves them out: ``hostvars`` has no view of them then."""
    (tmp_path / "group_vars").symlink_to(ROOT / "playbooks/group_vars")
    before = {"ansible.builtin.include_tasks": str(ROOT / "playbooks/tasks/before.yml")}
    nobody = {"ansible.builtin.uri": {"unix_socket": str(tmp_path / "nobody")}}  # so that no network is asked
    play = {"hosts": "adapter", "module_defaults": nobody, "tasks": [before]}
    validate = {"ansible.builtin.import_playbook": str(ROOT / "playbooks/validate.yml")}
    playbook = tmp_path / "limited.yml"
    playbook.write_text(yaml.safe_dump([validate, play]))
    here = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
    said = ansible(playbook, "--limit", "adapter-1", "-e", here)
    assert "adapter-2 is not ready" in " ".join(said.split())
