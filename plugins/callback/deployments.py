"""Ends the deployment that a playbook began, however it went: the lock is given back, and each host has it recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible import constants as C  # noqa: N812 - as Ansible calls it
from ansible import context
from ansible.plugins.callback import CallbackBase

from aansluitkit import sudo
from aansluitkit.playbook import source_of

DOCUMENTATION = """
name: deployments
type: notification
short_description: Records deployments on the hosts
description: [Gives the lock of action C(deployment) back, and records on every host of the run how it went.]
requirements: [callbacks_enabled in ansible.cfg]
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Does nothing in a run that began no deployment."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "deployments"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._run: dict[str, Any] | None = None
        self._refused = False

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Give the vault passwords of the command line, as files, to what this run starts."""
        given = [
            *context.CLIARGS["vault_ids"],
            *(f"default@{path}" for path in context.CLIARGS["vault_password_files"]),
        ]
        named = [name.rpartition("@") for name in given]
        files = [f"{label or 'default'}@{Path(path).expanduser().absolute()}" for label, _, path in named]
        if files and not any(path.startswith("prompt") for _, _, path in named):
            os.environ["ANSIBLE_VAULT_IDENTITY_LIST"] = ",".join([*C.DEFAULT_VAULT_IDENTITY_LIST, *files])

    def set_play_context(self, play_context: Any) -> None:
        """Give the password of sudo to what this run starts: the checks, and the record at its end."""
        if play_context.become_pass and sudo.VARIABLE not in os.environ:
            sudo.hand_on(play_context.become_pass)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note that a deployment has begun."""
        self._note(result)

    def v2_runner_on_failed(self, result: Any, **_: Any) -> None:
        """Note that it was refused."""
        self._note(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """End it."""
        if self._run is None or context.CLIARGS.get("check"):
            return
        failed = bool(stats.failures or stats.dark)
        ended = {
            **self._run,
            "ended": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "outcome": "refused" if self._refused else "failed" if failed else "done",
            "changed": sum(stats.changed.values()),
        }
        given = (source_of(source) for source in context.CLIARGS["inventory"])
        sources = [word for source in given for word in ("--inventory", source)]
        hosts = ",".join([*sorted(stats.processed), "!management"])
        command = [sys.executable, "-m", "ansible", "adhoc", *sources, hosts, "--become", "--module-name", "deployment"]
        done = subprocess.run(
            [*command, "--args", json.dumps({"state": "ended", "run": ended})],
            env={**os.environ, "ANSIBLE_LOAD_CALLBACK_PLUGINS": "false"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            self._display.warning("not every host has this deployment in its record")

    def _note(self, result: Any) -> None:
        if result.task.action == "deployment" and "run" in result.result:
            self._run = dict(result.result["run"])
            self._refused = self._refused or "holder" in result.result
