"""Folders in one file, encrypted as Ansible Vault does: ``ansible-vault decrypt`` opens it too, to a tar.gz."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret

from aansluitkit.errors import KitError


def pack(paths: Sequence[Path], passphrase: str, target: Path) -> None:
    """Write ``paths`` (files and folders, by their absolute names; what links lead to, too) encrypted to ``target``.

    Raises:
        KitError: when one can't be read.
    """
    content = io.BytesIO()
    try:
        with tarfile.open(fileobj=content, mode="w:gz", dereference=True) as file:
            for path in paths:
                file.add(path.resolve())
    except OSError as error:
        raise KitError(f"{error.filename} can't be backed up: {error.strerror}; see backup_configuration") from error
    target.touch(mode=0o600)
    target.write_bytes(_vault(passphrase).encrypt(content.getvalue()))


def unpack(source: Path, passphrase: str, folder: Path) -> list[Path]:
    """Put what ``source`` holds below ``folder``, and return the files; none that is there is overwritten.

    Raises:
        KitError: when the passphrase is another, or a file is there already.
    """
    content = opened(source, passphrase)
    with tarfile.open(fileobj=io.BytesIO(content)) as file:
        members = [member for member in file.getmembers() if member.isfile()]
        found = [folder / member.name for member in members]
        there = next((path for path in found if path.exists()), None)
        if there:
            raise KitError(f"{there} is there already: move it away, or unpack in another folder")
        file.extractall(folder, members=members, filter="data")
    return found


def opened(source: Path, passphrase: str) -> bytes:
    """What ``source`` holds.

    Raises:
        KitError: when the passphrase is another.
    """
    try:
        return bytes(_vault(passphrase).decrypt(source.read_bytes()))
    except (AnsibleError, OSError) as error:
        raise KitError(f"{source} can't be decrypted: is secret_backup_passphrase the one of that time?") from error


def _vault(passphrase: str) -> VaultLib:
    return VaultLib([("default", VaultSecret(passphrase.encode()))])
