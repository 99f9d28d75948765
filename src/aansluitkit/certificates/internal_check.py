"""What ``aansluitkit check`` reports of the internal files of an inventory, without a vault password."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from aansluitkit.certificates.internal import CERTIFICATE, PLAYBOOK, InternalFiles
from aansluitkit.certificates.reading import VAULT_HEADER
from aansluitkit.connection import Connection, Environment, Examination
from aansluitkit.connection.ansible_loader import host_variables
from aansluitkit.connection.loading import HOST_FOLDER
from aansluitkit.connection.partial import Unknown
from aansluitkit.errors import KitError, Problem

RULE = "internal_files_are_right"
PASSWORD_FILE = "ANSIBLE_VAULT_PASSWORD_FILE"  # noqa: S105 - the name of a variable
NO_PASSWORD = (
    f"is not made yet for any host; {PLAYBOOK} and site.yml make the internal certificates with keys that the vault "
    f"password encrypts: set {PASSWORD_FILE}, or give --vault-password-file to these playbooks"
)


@dataclass(frozen=True)
class InternalFindings:
    """``problems`` need a person; of ``warnings`` the playbook takes care, so that they stop no deployment."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def examine_internal(found: Examination) -> InternalFindings:
    """Judge the internal files of the inventory that ``found`` is about; an example and the lab have none.

    Files that are not there yet are made by site.yml, which needs a vault password for that.
    """
    connection = found.known
    try:
        if connection is None or connection.example or connection.environment is Environment.LAB:
            return InternalFindings()
        return _examine(connection, found)
    except Unknown:
        return InternalFindings()  # reported as a blank or a problem of its own
    except KitError as error:
        return InternalFindings((_problem(found.path, str(error)),))


def _examine(connection: Connection, found: Examination) -> InternalFindings:
    folders = dict(found.host_folders)
    if set(folders) != set(connection.hosts):
        variables = host_variables(found.path, HOST_FOLDER)
        folders = {host: Path(own[HOST_FOLDER]) for host, own in variables.items() if own.get(HOST_FOLDER)}
    if not set(folders) >= set(connection.hosts):
        return InternalFindings()
    files = InternalFiles(connection, folders, _read)
    problems = [_problem(found.path, f"{one.host}: {sentence}") for one, sentence in files.problems()]
    if files.authorities:
        warnings = [
            _problem(found.path, f"{one.host}: {one.folder / CERTIFICATE}: {reason}: {PLAYBOOK} and site.yml renew it")
            for one, reason in files.to_make()
        ]
    else:
        warnings = [_problem(found.path, NO_PASSWORD)] if files.to_make() and not os.environ.get(PASSWORD_FILE) else []
    return InternalFindings(tuple(problems), tuple(warnings))


def _problem(inventory: Path, message: str) -> Problem:
    return Problem(str(inventory), CERTIFICATE, message, 0, RULE)


def _read(path: Path) -> bytes | None:
    """The content of ``path``; None when Ansible Vault encrypted it."""
    content = path.read_bytes()
    return None if content.startswith(VAULT_HEADER) else content
