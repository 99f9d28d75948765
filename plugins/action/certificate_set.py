"""Check the PEM files of a host on the controller, before they are installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from aansluitkit.certificates.hostfiles import problems
from aansluitkit.certificates.vault import Vault

OPTIONS: dict[str, dict[str, Any]] = {
    "folder": {"type": "path", "required": True},
    "files": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Fails with everything that is wrong with ``folder``, in which ``files`` must be.

    Ansible Vault may have encrypted keys.
    """

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Runs on the controller alone."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(OPTIONS)
        found = problems(Path(given["folder"]), Vault(self._loader).read, given["files"])
        return {**result, "changed": False, "failed": bool(found), "msg": "\n".join(found)}
