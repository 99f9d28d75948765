"""Load the inventory through the connection model, and give every host its view of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from aansluitkit.connection import load_connection, refuse_deployment
from aansluitkit.connection.views import views
from aansluitkit.errors import KitError


class ActionModule(ActionBase):  # type: ignore[misc]
    """Sets fact ``connections`` (host to view), or fails with everything that is wrong with the inventory."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Runs on the controller alone."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            inventory = Path((task_vars or {})["inventory_dir"])
            connection = load_connection(inventory)
            refuse_deployment(inventory, connection)
        except KitError as error:
            return {**result, "failed": True, "msg": f"the inventory is refused, nothing was changed:\n{error}"}
        return {**result, "changed": False, "ansible_facts": {"connections": views(connection)}}
