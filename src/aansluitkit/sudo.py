"""The password of sudo on the hosts, where the inventory does not hold it.

Ansible reads it from the file that ``ANSIBLE_BECOME_PASSWORD_FILE`` names. All that a run starts inherits that
variable: no command line and no log shows the password.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from aansluitkit.errors import KitError

VARIABLE = "ANSIBLE_BECOME_PASSWORD_FILE"


def hand_on(password: str) -> None:
    """Give ``password`` to all that this process starts; only this user can read it, and it goes with this process."""
    folder, owner = Path(tempfile.mkdtemp(prefix="aansluitkit-")), os.getpid()
    file = folder / "sudo"
    file.touch(mode=0o600)
    file.write_text(password, encoding="utf-8")
    os.environ[VARIABLE] = str(file)

    def remove() -> None:
        if os.getpid() == owner:  # and not in a fork of it
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)


def handed_on() -> str | None:
    """The password that Ansible would read: out of a file, or what a program prints.

    Raises:
        KitError: when it can't be had.
    """
    from ansible.constants import config  # noqa: PLC0415 - it takes a while

    file = config.get_config_value("BECOME_PASSWORD_FILE")
    if not file:
        return None
    try:
        if os.access(file, os.X_OK):
            return subprocess.run([file], stdout=subprocess.PIPE, text=True, check=True).stdout.strip("\r\n")
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise KitError(
            f"{VARIABLE} names {file}, which gives no password of sudo ({error}): name a file that holds it"
        ) from error
