"""Where the project's own files lie, and with which settings its tools run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "templates"
STATE = ROOT / ".lab"
# The settings of Ansible that belong to the user and not to the kit. They say who the user is and where files may lie,
# and change nothing of what a playbook does; all others would, and are not handed on.
_USERS_OWN = (
    "ANSIBLE_VAULT_",  # the password that decrypts the inventory's secrets
    "ANSIBLE_HASHI_VAULT_",  # and the password manager that holds them (community.hashi_vault)
    "ANSIBLE_PRIVATE_KEY",  # the user's SSH key
    "ANSIBLE_SSH_AGENT",
    "ANSIBLE_REMOTE_USER",
    "ANSIBLE_ASK_",  # passwords of SSH and sudo
    "ANSIBLE_CONNECTION_PASSWORD_FILE",
    "ANSIBLE_BECOME_PASSWORD_FILE",
    "ANSIBLE_HOME",  # folders for what Ansible writes
    "ANSIBLE_LOCAL_TEMP",
    "ANSIBLE_REMOTE_TEMP",
    "ANSIBLE_REMOTE_TMP",
    "ANSIBLE_SSH_CONTROL_PATH_DIR",
    "ANSIBLE_COLLECTIONS_PATH",  # plugins that look up secrets
)


def cache() -> Path:
    """Folder for what is slow to make and the same for every checkout (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aansluitkit"


PULUMI_HOME = cache() / "pulumi"


def tools_environment() -> dict[str, str]:
    """The environment variables for Ansible and Pulumi: this process's, with the kit's settings of Ansible only.

    Commands that are called by name come from this Python environment. Nothing of Ansible or Pulumi is left in the
    user's home folder.
    """
    bin_folder = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    return {
        **{name: value for name, value in os.environ.items() if _is_passed_on(name)},
        "PATH": path if path.startswith(f"{bin_folder}:") else f"{bin_folder}:{path}",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "PULUMI_HOME": os.environ.get("PULUMI_HOME", str(PULUMI_HOME)),  # it logs there even what its version is
    }


def _is_passed_on(name: str) -> bool:
    return not name.startswith("ANSIBLE_") or name.startswith(_USERS_OWN)


def use_own_tools() -> None:
    """Give this process, and so whatever it starts, the environment of ``tools_environment``."""
    wanted: Mapping[str, str] = tools_environment()
    for name in [name for name in os.environ if name not in wanted]:
        del os.environ[name]
    os.environ.update(wanted)
