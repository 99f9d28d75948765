"""How Ansible runs in the lab."""

from __future__ import annotations

from importlib.metadata import distribution

from aansluitkit.connection import Connection, Environment
from aansluitkit.lab.podman import VOLATILE

# With the strategy of Ansible itself, which would keep these folders below the home folder.
PLAIN = {
    "ANSIBLE_SSH_CONTROL_PATH_DIR": str(VOLATILE / "ssh"),
    "ANSIBLE_REMOTE_TMP": "/tmp/aansluitkit",  # noqa: S108 - on the hosts, where the user who logs in makes it
    "ANSIBLE_NOCOLOR": "1",
}


def in_lab() -> dict[str, str]:
    """The environment variables with which Ansible keeps one Python on each host for a whole playbook.

    All hosts of a lab share the processors of one machine, and Ansible's own way starts Python anew for each task.
    """
    strategies = distribution("mitogen").locate_file("ansible_mitogen/plugins/strategy")
    return {**PLAIN, "ANSIBLE_STRATEGY": "mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS": str(strategies)}


def settings_for(connection: Connection) -> dict[str, str]:
    """The environment variables with which Ansible runs for ``connection``: outside the lab the user's own."""
    return in_lab() if connection.environment is Environment.LAB else {}
