"""Be the only one who deploys: take the lock on a host, or refuse with who has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from aansluitkit.deployments import is_gone, this_run


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs module ``deployment`` with what the controller knows of this run. In check mode nobody is shut out."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Once more when the holder was a process of this very controller, which is gone."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        given, variables = dict(self._task.args), task_vars or {}
        if given["state"] == "begun":
            given["run"] = this_run(variables["inventory_dir"])
        try:
            found = self._execute_module("deployment", given, task_vars=variables)
            if is_gone(found.get("holder")):
                given["take"] = found["holder"]["token"]
                found = self._execute_module("deployment", given, task_vars=variables)
        except AnsibleConnectionFailure as error:
            return {**result, "unreachable": True, "msg": str(error)}
        holder = found.get("holder")
        if holder:
            until = datetime.fromtimestamp(holder["until"], UTC)
            found |= {
                "failed": True,
                "msg": f"{holder['operator']} on {holder['controller']} deploys here since {holder['began']} "
                f"({holder['playbook']}): wait until that is done; when that controller is gone, the lock runs out at "
                f"{until:%Y-%m-%dT%H:%M:%SZ}, or goes with /run/aansluitkit-deployment.json on "
                f"{variables['inventory_hostname']}. Nothing was changed",
            }
        return {**result, **found, **({"run": given["run"]} if given["state"] == "begun" else {})}
