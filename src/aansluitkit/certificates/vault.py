"""Private keys at rest: encrypted with Ansible Vault, by the password that the play was told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError

from aansluitkit.certificates.reading import VAULT_HEADER, read_bytes
from aansluitkit.errors import KitError


class Vault:
    """Reads and encrypts with the vault of ``loader``, Ansible's DataLoader."""

    def __init__(self, loader: Any) -> None:
        self._vault = loader._vault

    def read(self, path: Path) -> bytes:
        """The content of ``path``, decrypted where it is encrypted.

        Raises:
            KitError: when it can't be read or decrypted.
        """
        content = read_bytes(path)
        if not content.startswith(VAULT_HEADER):
            return content
        try:
            decrypted: bytes = self._vault.decrypt(content)
        except AnsibleError as error:
            raise KitError(f"{path} can't be decrypted: give the vault password that it was encrypted with") from error
        return decrypted

    def seal(self, content: bytes) -> bytes:
        """``content``, encrypted.

        Raises:
            KitError: when no vault password is known.
        """
        if not self._vault.secrets:
            raise KitError(
                "a private key is kept encrypted alone, and no vault password is known: set "
                "ANSIBLE_VAULT_PASSWORD_FILE or give --vault-password-file"
            )
        encrypted: bytes = self._vault.encrypt(content)
        return encrypted
