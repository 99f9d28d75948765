"""Make key, request and order form of the endpoint's certificate, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from aansluitkit.certificates.pkioverheid import Generation
from aansluitkit.certificates.reading import read_content
from aansluitkit.certificates.request import FORM, REQUEST, make_request, order_of
from aansluitkit.certificates.vault import Vault
from aansluitkit.errors import KitError

OPTIONS: dict[str, dict[str, Any]] = {
    "folder": {"type": "path", "required": True},
    "generation": {"type": "str", "required": True, "choices": list(map(str, Generation))},
    "bits": {"type": "int", "required": True},
    "extra_names": {"type": "list", "elements": "str", "default": []},
    "own_key": {"type": "path"},
    "passphrase": {"type": "str", "no_log": True},
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Fails with a sentence, and leaves nothing half made."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Runs on the controller alone."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(OPTIONS)
        try:
            changed = self._make(given, Path((task_vars or {})["inventory_dir"]))
        except KitError as error:
            return {**result, "failed": True, "msg": str(error)}
        told = (
            f"send {given['folder']}/{REQUEST} to the provider, with {FORM}; put what returns in "
            "certificates_received_folder"
        )
        return {**result, "changed": changed, "msg": f"{told}, and run playbooks/certificates.yml"}

    def _make(self, given: dict[str, Any], inventory: Path) -> bool:
        vault, folder = Vault(self._loader), Path(given["folder"])
        order = order_of(inventory, Generation(given["generation"]), given["bits"], tuple(given["extra_names"]))
        if self._task.check_mode and not folder.exists():
            return True
        own = Path(given["own_key"]) if given["own_key"] else None
        return make_request(order, folder, vault.seal, self._own_key(own, vault, given["passphrase"]))

    def _own_key(self, path: Path | None, vault: Vault, passphrase: str | None) -> RSAPrivateKey | None:
        if path is None:
            return None
        secret = passphrase.encode() if passphrase else None
        keys = read_content(path, vault.read(path), lambda _: secret).keys
        if len(keys) != 1 or not isinstance(keys[0], RSAPrivateKey):
            raise KitError(f"{path} holds no RSA private key, or more than one: give one")
        return keys[0]
