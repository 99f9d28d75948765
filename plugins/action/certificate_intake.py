"""Examine what the provider returned, and put what passed where the playbooks install it from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from aansluitkit.certificates.admission import (
    NEXT,
    Means,
    admit,
    changes_for,
    close_request,
    exposed_keys,
    received_files,
    trust_changes,
)
from aansluitkit.certificates.demands import Demands, Party, demands_of
from aansluitkit.certificates.request import KEY
from aansluitkit.certificates.revocation import fetcher
from aansluitkit.certificates.vault import Vault
from aansluitkit.errors import KitError

OPTIONS: dict[str, dict[str, Any]] = {
    "received": {"type": "path", "required": True},
    "request": {"type": "path", "required": True},
    "folders": {"type": "list", "elements": "path", "required": True},
    "passphrase": {"type": "str", "no_log": True},
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Fails with everything that is wrong, and changes nothing then; what could not be checked is a warning."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Runs on the controller alone."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(OPTIONS)
        try:
            return {**result, **self._take_in(given, Path((task_vars or {})["inventory_dir"]))}
        except KitError as error:
            return {**result, "failed": True, "msg": f"nothing was taken in:\n{error}"}

    def _take_in(self, given: dict[str, Any], inventory: Path) -> dict[str, Any]:
        demands, files = demands_of(inventory), received_files(Path(given["received"]))
        folders = list(dict.fromkeys(map(Path, given["folders"])))
        if not files:
            change = trust_changes(folders, demands)
            if not self._task.check_mode:
                change.write()
            told = "the roots are those of connection_trust again" if change.contents else "there is nothing to take in"
            return {"changed": bool(change.contents), "msg": f"{given['received']} is empty; {told}"}
        return self._examine(given, files, folders, demands)

    def _examine(
        self, given: dict[str, Any], files: list[Path], folders: list[Path], demands: dict[Party, Demands]
    ) -> dict[str, Any]:
        vault, request = Vault(self._loader), Path(given["request"])
        secret = given["passphrase"].encode() if given["passphrase"] else None
        means = Means(fetcher(), lambda _: secret, vault.read, vault.seal)
        document = demands[Party.ORGANISATION].present
        if document is None:
            raise KitError("connection_certificates.organisation is blank: write where the certificate is to be")
        keys = [request / KEY, *(place / KEY for folder in folders for place in (folder / NEXT, folder))]
        admitted = admit(files, keys, demands, means)
        change = changes_for(admitted, folders, document, means)
        if not self._task.check_mode:
            change.write()
            close_request(request, admitted, means)
        told = [*admitted.examined.warnings, *admitted.examined.notes, *exposed_keys(files)]
        where = "; it lies in next/ of each node: go on as docs/rotate.md says" if change.waits else ""
        said = f"taken in: {admitted.examined.file}{where}"
        return {"changed": bool(change.contents), "warnings": told, "msg": said}
