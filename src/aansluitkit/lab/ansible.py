"""How Ansible runs in the lab."""

from aansluitkit.lab.podman import VOLATILE

# Ansible would keep these below the home folder.
ENVIRONMENT = {
    "ANSIBLE_SSH_CONTROL_PATH_DIR": str(VOLATILE / "ssh"),
    "ANSIBLE_REMOTE_TMP": str(VOLATILE / "tmp"),
    "ANSIBLE_NOCOLOR": "1",
}
