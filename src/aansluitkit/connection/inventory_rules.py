"""Rules on the inventory itself, before there is a connection: where a variable may stand, and secrets."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aansluitkit.connection.loading import INVENTORY_FILE, PREFIX, SECRET_PREFIX, VARIABLE_FOLDERS, Inventory
from aansluitkit.connection.model import Component, Connection, View
from aansluitkit.connection.yamlfile import Vaulted

HOST_ADDRESSES = "connection_addresses"
HOST_VARIABLES = frozenset({HOST_ADDRESSES})  # what a host says of itself; all else belongs to the connection
TRANSFER_SECRET = "secret_dns_transfer"  # noqa: S105 - the name of the variable
UPDATE_SECRET = "secret_dns_update_"  # noqa: S105 - and of those of updates, before the view
BLANK = "TODO"
NEAR = 0.65  # likeness from which a name is taken for a slip of the pen
FILES = "../files/<environment>"  # beside the inventories of a customer: what is no source of hosts
FILES_VARIABLE = "files_folder"
HOST_SOURCE = "certificates_host_source"
_LOOKUP = re.compile(r"\b(?:lookup|query|q)\s*\(\s*['\"]([A-Za-z0-9_.]+)")
_CLEAR = {"file", "password", "template", "ini", "csvfile", "unvault", "vars", "lines", "pipe"}
_NAMES = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_TEMPLATE = ("{{", "{%")
# Endings that Ansible passes over in a folder (INVENTORY_IGNORE_EXTS).
_NO_SOURCES = (".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry")

Found = Iterator[tuple[str, str]]  # variable and sentence


def nearest(name: str, names: list[str]) -> str | None:
    """The one of ``names`` that ``name`` is a slip of, if any is near enough."""
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=NEAR)), None)


def host_variables_are_known(inventory: Inventory) -> Found:
    """A variable that host and connection both could have belongs to the connection, so all hosts agree on it."""
    hosts = inventory.hosts
    names = dict.fromkeys(name for variables in hosts.values() for name in variables)
    for name in names:
        if name in HOST_VARIABLES:
            continue
        values = {host: variables.get(name, _ABSENT) for host, variables in hosts.items()}
        first, *others = values
        odd = next((host for host in others if values[host] != values[first]), None)
        if odd is None:
            continue
        known = [known.removeprefix(PREFIX) for known in sorted(HOST_VARIABLES)] + list(Connection.model_fields)
        near = nearest(name.removeprefix(PREFIX), known)
        hint = f"; the nearest known name is '{PREFIX}{near}'" if near and PREFIX + near != name else ""
        yield (
            name,
            f"differs between hosts '{first}' and '{odd}'; it belongs to the whole connection{hint}: set it once, in "
            "group_vars/all",
        )


_ABSENT = object()


def groups_are_components(inventory: Inventory) -> Found:
    """A group that is a component but for its spelling would leave its hosts without one."""
    components = [component.value for component in Component]
    for group in sorted({name for names in inventory.groups.values() for name in names}):
        if group in components:
            continue
        near = nearest(group.lower().replace("-", "_").removesuffix("s"), components)
        if near:
            yield (
                f"group {group}",
                f"is no component; the nearest is '{near}', known are {', '.join(components)}: correct it",
            )


def hosts_are_no_groups(inventory: Inventory) -> Found:
    """Ansible's patterns can't tell a host and a group of one name apart."""
    groups = {"all", "ungrouped", *(name for names in inventory.groups.values() for name in names)}
    for name in sorted(groups.intersection(inventory.hosts)):
        yield f"hosts.{name}", f"host '{name}' has the name of a group, so Ansible can't tell them apart: rename it"


def hosts_have_one_source(inventory: Inventory) -> Found:
    """Ansible takes hosts from every file beside hosts.yml, and runs those that are programs."""
    for path in _strays(inventory):
        if not path.is_dir():
            yield (
                path.name,
                f"stands beside {INVENTORY_FILE}, so Ansible takes hosts from it too: name them in {INVENTORY_FILE}, "
                f"and move this file to {FILES}/",
            )


def folders_hold_variables(inventory: Inventory) -> Found:
    """Ansible takes hosts from the files in every folder beside hosts.yml too, such as documents and certificates."""
    for path in _strays(inventory):
        if path.is_dir():
            yield (
                f"{path.name}/",
                f"stands beside {INVENTORY_FILE}; an Ansible without the kit's ansible.cfg takes hosts from the files "
                f"in it: move it to {FILES}/{path.name} and correct the variables that name it",
            )


def host_files_are_found(inventory: Inventory) -> Found:
    """The files of hosts once lay beside hosts.yml; where the shared defaults name the new place they are missed."""
    names = {name for _, name, _ in inventory.raw(FILES_VARIABLE)}
    sources = [value for _, _, value in inventory.raw(HOST_SOURCE)]  # the last one wins
    if FILES_VARIABLE not in names or not sources or FILES_VARIABLE not in str(sources[-1]):
        return
    left = next((host for host in inventory.hosts if (inventory.folder / "certificates" / host).is_dir()), None)
    if left:
        yield (
            "certificates/",
            f"holds the files of host '{left}', and {HOST_SOURCE} is {sources[-1]}, where none of them are: move this "
            f"folder to {FILES}/certificates and correct the variables that name it",
        )


def _strays(inventory: Inventory) -> Iterator[Path]:
    """What stands in the folder and is neither hosts.yml nor variables, as far as Ansible does not pass over it."""
    for path in sorted(inventory.folder.iterdir()):
        passed_over = path.name.startswith(".") or path.name.endswith(_NO_SOURCES)
        if path.name not in (INVENTORY_FILE, *VARIABLE_FOLDERS) and not passed_over:
            yield path


def secrets_are_encrypted(inventory: Inventory) -> Found:
    """A secret lies in Ansible Vault or a password manager, never in clear (seed 4.3.4; Ansible Vault)."""
    for _, name, value in inventory.raw(SECRET_PREFIX):
        if not is_blank(value) and not _is_protected(inventory, value, (name,)):
            yield (
                name,
                "stands there in clear; outside the lab secrets are encrypted: encrypt it (ansible-vault "
                "encrypt_string), keep it in a vaulted file, or look it up in a password manager",
            )


def _is_protected(inventory: Inventory, value: Any, within: tuple[str, ...]) -> bool:
    if isinstance(value, Vaulted):
        return True
    if not isinstance(value, str) or not any(mark in value for mark in _TEMPLATE):
        return False
    plugins = [plugin.removeprefix("ansible.builtin.") for plugin in _LOOKUP.findall(value)]
    if plugins:
        return not _CLEAR.intersection(plugins)
    names = _NAMES.findall(value)
    return bool(names) and all(_name_is_protected(inventory, name, within) for name in names)


def _name_is_protected(inventory: Inventory, name: str, within: tuple[str, ...]) -> bool:
    if name in within:
        return False
    values = [value for _, found, value in inventory.raw(name) if found == name]
    if not values:
        return bool(inventory.encrypted_files())
    return all(_is_protected(inventory, value, (*within, name)) for value in values)


def name_servers_share_a_secret(inventory: Inventory) -> Found:
    """A secondary takes its zones from the primary with transfers that are signed (TSIG, RFC 8945)."""
    servers = [host for host, groups in inventory.groups.items() if Component.NAME_SERVER in groups]
    if len(servers) > 1 and _is_missing(inventory, TRANSFER_SECRET):
        yield (
            TRANSFER_SECRET,
            f"is not set; name servers {' and '.join(servers)} sign what they exchange with it (RFC 8945): put a "
            "random word of at least 32 characters there (ansible-vault encrypt_string)",
        )


def _is_missing(inventory: Inventory, secret: str) -> bool:
    """Whether ``secret`` stands nowhere, as far as that can be seen: a file that is encrypted whole may have it."""
    known = {name for _, name, _ in inventory.raw(SECRET_PREFIX)}
    return secret not in known and not inventory.encrypted_files()


def updates_have_a_secret(inventory: Inventory) -> Found:
    """Name servers of others take updates that are signed alone (TSIG, RFC 8945)."""
    views = {
        view
        for _, name, value in inventory.raw(PREFIX)
        if name == f"{PREFIX}dns" and isinstance(value, dict) and isinstance(value.get("updates"), dict)
        for view in value["updates"]
    }
    for view in sorted(views.intersection(View)):
        if _is_missing(inventory, UPDATE_SECRET + view):
            yield (
                UPDATE_SECRET + view,
                f"is not set; connection_dns.updates.{view} has records entered by updates that are signed with it "
                "(RFC 8945): put the key's secret there, in base64 as its operator gave it, encrypted (ansible-vault "
                "encrypt_string)",
            )


def vaulted_connection_variables(inventory: Inventory) -> Found:
    """The model is read without password, so only ``secret_`` variables are encrypted."""
    for _, name, value in inventory.raw(PREFIX):
        path = next(_vaulted_paths(value, name), None)
        if path:
            yield (
                path,
                "is encrypted with Ansible Vault; an inventory is checked without its password, and a secret belongs "
                "in a secret_ variable: write this one in clear",
            )


def _vaulted_paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Vaulted):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _vaulted_paths(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _vaulted_paths(item, f"{path}.{index}")


def is_blank(value: Any) -> bool:
    """Whether a person still has to fill ``value`` in: it is null, or a text that begins with TODO."""
    return value is None or (isinstance(value, str) and value.startswith(BLANK))


def blank_paths(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The dotted paths of the blanks in ``value``, which stands at ``path``, with what stands there."""
    if is_blank(value):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from blank_paths(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from blank_paths(item, f"{path}.{index}")


RULES = (
    hosts_have_one_source,
    host_files_are_found,
    host_variables_are_known,
    groups_are_components,
    name_servers_share_a_secret,
    updates_have_a_secret,
    vaulted_connection_variables,
)

WARNINGS = (folders_hold_variables,)

# Hides nothing from the rules on the connection, which are asked first.
AFTERWARDS = (hosts_are_no_groups,)
