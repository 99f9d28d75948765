#!/usr/bin/python
"""Ansible module: who deploys on this host, one at a time, and the record of it. Standard library alone."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: deployment
short_description: Holds the lock of a deployment, and records deployments
description:
  - The lock belongs to a process of a controller. It runs out after C(lease_minutes), so that a controller that died
    blocks nobody for ever; a reboot of the host frees it as well.
  - The record has a line of JSON for each deployment. It is only added to, and put aside when it grows over 1 MiB.
options:
  state: {description: What happens., type: str, choices: [begun, ended], required: true}
  run: {description: 'The deployment; C(token) says whose it is.', type: dict, required: true}
  take: {description: Token of a holder that is known to be gone., type: str, default: ''}
  lease_minutes: {description: How long the lock holds without its owner., type: int, default: 60}
author: [aansluitkit]
"""
EXAMPLES = """
- name: Be the only one
  deployment:
    state: begun
    run: {token: controller/1234, operator: beheerder, playbook: site.yml}
"""
RETURN = """
holder: {description: Who holds the lock instead., type: dict, returned: when it is another}
"""
LOCK = Path("/run/aansluitkit-deployment.json")
RECORD = Path("/var/log/aansluitkit-deployments.jsonl")
_LARGEST = 1024 * 1024  # bytes
_KEPT = 5  # files that were put aside


def begin(run: dict[str, Any], gone: str, lease_minutes: int) -> dict[str, Any] | None:
    """Take the lock, and return None; or who holds it."""
    with _opened() as file:
        text = file.read()
        holder: dict[str, Any] = json.loads(text) if text else {}
        if holder and holder["token"] not in (run["token"], gone) and holder["until"] > time.time():
            return holder
        if holder and holder["token"] != run["token"]:
            record({**_told(holder), "outcome": "broken off"})
        _write(file, {**run, "until": time.time() + lease_minutes * 60})
    return None


def end(run: dict[str, Any]) -> None:
    """Give the lock back, if it is ours, and record how it went."""
    with _opened() as file:
        text = file.read()
        if text and json.loads(text)["token"] == run["token"]:
            _write(file, None)
    record(_told(run))


def record(entry: dict[str, Any]) -> None:
    """Add ``entry`` to the record."""
    if RECORD.exists() and RECORD.stat().st_size > _LARGEST:
        for number in range(_KEPT - 1, 0, -1):
            former = RECORD.with_suffix(f".jsonl.{number}")
            if former.exists():
                former.replace(RECORD.with_suffix(f".jsonl.{number + 1}"))
        RECORD.replace(RECORD.with_suffix(".jsonl.1"))
    line = json.dumps(entry, sort_keys=True) + "\n"
    descriptor = os.open(RECORD, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    with os.fdopen(descriptor, "a") as file:
        file.write(line)


def _told(run: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in run.items() if name not in ("token", "until")}


def _opened() -> Any:
    """The lock's file, which nobody else has open until it is closed."""
    file = os.fdopen(os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o644), "r+")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _write(file: Any, content: dict[str, Any] | None) -> None:
    file.seek(0)
    file.truncate()
    if content:
        json.dump(content, file)
    file.flush()


def main() -> None:
    """Run as Ansible calls it."""
    arguments = {
        "state": {"type": "str", "choices": ["begun", "ended"], "required": True},
        "run": {"type": "dict", "required": True},
        "take": {"type": "str", "default": ""},
        "lease_minutes": {"type": "int", "default": 60},
    }
    module = AnsibleModule(arguments, supports_check_mode=True)
    given = module.params
    try:
        if module.check_mode:
            module.exit_json(changed=False)
        if given["state"] == "ended":
            end(given["run"])
        elif holder := begin(given["run"], given["take"], given["lease_minutes"]):
            module.exit_json(changed=False, holder=holder)
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}: see that the disk of this host has room")
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
