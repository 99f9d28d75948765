"""Secrets of a new inventory: random, and never on disk but in Ansible Vault."""

from __future__ import annotations

import secrets
import textwrap
from pathlib import Path

from aansluitkit.errors import KitError

NAMES = (
    "secret_database_password",
    "secret_database_owner_password",
    "secret_database_replication_password",
    "secret_backup_passphrase",
    "secret_rest_password",
)
LENGTH = 40  # hexadecimal digits: 160 bits


def encrypted_secrets() -> dict[str, str]:
    """A new value for each secret as YAML, encrypted with the vault password that Ansible is told of; none without.

    Raises:
        KitError: when the password can't be had.
    """
    # Imported here: it takes a while, and the adapter's hosts have no Ansible.
    from ansible.constants import config  # noqa: PLC0415
    from ansible.errors import AnsibleError  # noqa: PLC0415
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
    from ansible.parsing.vault import VaultLib, get_file_vault_secret  # noqa: PLC0415

    file = config.get_config_value("DEFAULT_VAULT_PASSWORD_FILE")
    if not file:
        return {}
    try:
        password = get_file_vault_secret(filename=str(Path(file).absolute()), loader=DataLoader())
        password.load()
        vault = VaultLib([("default", password)])
        made = {name: vault.encrypt(secrets.token_hex(LENGTH // 2)).decode() for name in NAMES}
    except AnsibleError as error:
        raise KitError(
            f"ANSIBLE_VAULT_PASSWORD_FILE {file}: {' '.join(str(error).split())}: mend it or unset it"
        ) from error
    return {name: "!vault |\n" + textwrap.indent(text.rstrip(), "  ") for name, text in made.items()}
