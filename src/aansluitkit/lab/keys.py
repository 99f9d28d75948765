"""The lab's SSH keys, and the password with which the user who logs in becomes root.

One key is to log in with, one is shown by every host, so that the controller knows whom it meets.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aansluitkit.project import STATE

FOLDER = STATE / "ssh"
LOGIN = FOLDER / "id_ed25519"
HOST = FOLDER / "host_ed25519"
KNOWN_HOSTS = FOLDER / "known_hosts"
USER = "beheer"
SUDO = STATE / "secrets/sudo"  # the lab's inventory looks it up there


def make_keys() -> None:
    """Make both key pairs, the file of known hosts and the password, once."""
    sudo_password()
    if KNOWN_HOSTS.is_file():
        return
    FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in (LOGIN, HOST):
        _make(path)
    KNOWN_HOSTS.write_text(f"* {HOST.with_suffix('.pub').read_text()}")


def sudo_password() -> str:
    """The password of ``USER``, made once."""
    if not SUDO.is_file():
        SUDO.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        SUDO.touch(mode=0o600)
        SUDO.write_text(f"{secrets.token_hex(20)}\n")
    return SUDO.read_text().strip()


def _make(path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    path.with_suffix(".pub").write_bytes(public + b" aansluitkit-lab\n")
