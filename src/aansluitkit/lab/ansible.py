"""How Ansible runs in the lab."""

from __future__ import annotations

from aansluitkit.connection import Connection, Environment
from aansluitkit.lab.podman import VOLATILE

# Ansible would keep these below the home folder.
ENVIRONMENT = {
    "ANSIBLE_SSH_CONTROL_PATH_DIR": str(VOLATILE / "ssh"),
    "ANSIBLE_REMOTE_TMP": str(VOLATILE / "tmp"),
    "ANSIBLE_NOCOLOR": "1",
}


def settings_for(connection: Connection) -> dict[str, str]:
    """The environment variables with which Ansible runs for ``connection``: outside the lab the user's own."""
    return ENVIRONMENT if connection.environment is Environment.LAB else {}
