"""Reports a run to the kit, which gives no verdict from text: a JSON object a line."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

from aansluitkit.playbook import EVENTS

DOCUMENTATION = """
name: events
type: notification
short_description: Reports plays, failures and the result of each host to the kit
description: [Writes them to the file descriptor that the environment variable AANSLUITKIT_EVENTS names.]
requirements: [callbacks_enabled in ansible.cfg]
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Does nothing in a run that the kit did not start."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        told = os.environ.pop(EVENTS, "")  # it is not for the commands that tasks start
        self._file = os.fdopen(int(told), "w", encoding="utf-8", buffering=1) if told else None
        if told:
            os.set_inheritable(int(told), False)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Report that a play begins."""
        self._report(play=play.get_name().strip())

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Report a failure that counts."""
        if not ignore_errors:
            self._failure(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Report a host that can't be reached."""
        if not result.task.ignore_unreachable:
            self._failure(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Report the result of each host."""
        hosts = {host: stats.summarize(host) for host in stats.processed}
        self._report(
            changed={host: found["changed"] for host, found in hosts.items()},
            failed=[host for host, found in hosts.items() if found["failures"] or found["unreachable"]],
        )

    def _failure(self, result: Any) -> None:
        said = result.result
        items = [item for item in said.get("results", []) if isinstance(item, dict) and item.get("failed")]
        messages = [_message(item) for item in items] or [_message(said)]
        self._report(host=result.host.get_name(), task=result.task.get_name(), message="; ".join(messages))

    def _report(self, **event: Any) -> None:
        if self._file:
            self._file.write(json.dumps(event, default=str) + "\n")


def _message(said: dict[str, Any]) -> str:
    words = (said.get(name) for name in ("censored", "msg", "stderr", "stdout"))
    return " ".join(str(word) for word in words if word)
