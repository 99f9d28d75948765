"""Make the files of the internal authority of a connection on the controller, and renew them ahead of their end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from aansluitkit.certificates.internal import InternalFiles
from aansluitkit.certificates.vault import Vault
from aansluitkit.connection import load_connection, refuse_deployment
from aansluitkit.errors import KitError


class ActionModule(ActionBase):  # type: ignore[misc]
    """Fails with everything that a person has to mend, and changes nothing then.

    ``folders`` has the folder on the controller of each host, by the host's name.
    """

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Runs only on the controller."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec({"folders": {"type": "dict", "required": True}})
        folders = {host: Path(folder) for host, folder in given["folders"].items()}
        try:
            made = self._make(Path((task_vars or {})["inventory_dir"]), folders)
        except KitError as error:
            return {**result, "failed": True, "msg": f"no internal certificate was changed:\n{error}"}
        done = "to be made" if self._task.check_mode else "made"
        told = "\n".join(f"{done} for {one}" for one in made) or "all internal certificates are right"
        return {**result, "changed": bool(made), "msg": told}

    def _make(self, inventory: Path, folders: dict[str, Path]) -> list[str]:
        connection = load_connection(inventory)
        refuse_deployment(inventory, connection)
        vault = Vault(self._loader)
        files = InternalFiles(connection, folders, vault.read)
        problems = files.problems()
        if problems:
            raise KitError("\n".join(f"{one.host}: {sentence}" for one, sentence in problems))
        made = [f"{one.host}: {reason}" for one, reason in files.to_make()]
        if made:
            vault.seal(b"")  # refuses also in check mode when no password is known
        if not self._task.check_mode:
            files.make(vault.seal)
        return made
