"""Reading an inventory with Ansible's own loader, so that ansible-playbook and the kit see the same."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aansluitkit.connection import rules
from aansluitkit.connection.model import Component, Connection
from aansluitkit.errors import InventoryError, Problem

PREFIX = "connection_"
HOST_ADDRESSES = "connection_addresses"
INVENTORY_FILE = "hosts.yml"
BLANK = "TODO"
BLANK_MESSAGE = "is still to be filled in: write the value"


@dataclass(frozen=True)
class Examination:
    """What one inventory turned out to be.

    ``connection`` is there only when nothing is wrong and nothing is blank. ``problems`` are what must be mended,
    ``blanks`` the values that a person still has to fill in, ``warnings`` what a person should look at.
    """

    path: Path
    connection: Connection | None = None
    problems: tuple[Problem, ...] = ()
    blanks: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def find_inventories(root: Path) -> list[Path]:
    """Every inventory below ``root``, sorted: a folder with hosts.yml. ``root`` itself may be one."""
    return sorted(Path(folder) for folder, _, files in os.walk(root) if INVENTORY_FILE in files)


def load_connection(inventory: Path) -> Connection:
    """Read the inventory folder ``inventory`` and return the connection that it declares.

    Raises:
        InventoryError: with every problem and every blank of the inventory, each naming file, line and variable.

    """
    found = examine(inventory)
    if found.connection is None:
        raise InventoryError([*found.problems, *found.blanks])
    return found.connection


def examine(inventory: Path) -> Examination:
    """Judge the inventory folder ``inventory``; whatever is wrong with it is in the answer, never raised."""
    folder = inventory.parent if inventory.name == INVENTORY_FILE else inventory
    hosts_file = folder / INVENTORY_FILE
    if not hosts_file.is_file():
        return Examination(
            folder,
            problems=(
                Problem(str(folder), INVENTORY_FILE, "is not there; an inventory is a folder with that file: name one"),
            ),
        )
    try:
        shared, hosts = _read(hosts_file)
    except InventoryError as error:
        return Examination(folder, problems=tuple(error.problems))
    return _judge(shared, hosts, folder)


def _judge(shared: dict[str, Any], hosts: dict[str, Any], folder: Path) -> Examination:
    fields = {key.removeprefix(PREFIX): value for key, value in shared.items() if key != HOST_ADDRESSES}
    places = _Places(folder)
    blanks = tuple(places.problem(path, BLANK_MESSAGE) for path in _blank_paths(fields))
    try:
        connection = Connection.model_validate({**fields, "hosts": hosts})
    except ValidationError as error:
        problems = (_problem(detail, places) for detail in error.errors())
        empty = tuple(blank.variable for blank in blanks)
        return Examination(
            folder,
            problems=tuple(problem for problem in problems if not problem.variable.startswith(empty or "\0")),
            blanks=blanks,
        )
    found = tuple(places.problem(path, message) for path, message in rules.findings(connection))
    usable = connection if not found and not blanks else None
    return Examination(folder, usable, found, blanks)


def _blank_paths(value: Any, path: str = "") -> Iterator[str]:
    """The dotted paths below ``value`` that hold nothing, or a text that begins with TODO."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _blank_paths(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _blank_paths(item, f"{path}.{index}")
    elif value is None or (isinstance(value, str) and value.startswith(BLANK)):
        yield path


def host_variables(inventory: Path, prefix: str) -> dict[str, dict[str, Any]]:
    """The variables of each host that begin with ``prefix``, templated as ansible-playbook would.

    Raises:
        InventoryError: when Ansible can't read the inventory.
    """
    return {name: variables for name, _, variables in _hosts(inventory / INVENTORY_FILE, prefix)}


def _read(hosts_file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    shared: dict[str, Any] = {}
    hosts: dict[str, Any] = {}
    for name, groups, variables in _hosts(hosts_file, PREFIX):
        hosts[name] = host_entry(name, groups, variables)
        shared = variables
    return shared, hosts


def _hosts(hosts_file: Path, prefix: str) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    """Name, groups and variables of each host."""
    # Imported here: the adapter's hosts have no Ansible.
    from ansible.errors import AnsibleError  # noqa: PLC0415
    from ansible.inventory.manager import InventoryManager  # noqa: PLC0415
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
    from ansible.template import Templar  # noqa: PLC0415
    from ansible.vars.manager import VariableManager  # noqa: PLC0415

    loader = DataLoader()
    try:
        manager = InventoryManager(loader=loader, sources=[str(hosts_file)])
        variables = VariableManager(loader=loader, inventory=manager)
        for host in manager.get_hosts():
            raw = variables.get_vars(host=host, include_hostvars=False)
            own = {key: value for key, value in raw.items() if key.startswith(prefix)}
            plain = _plain(Templar(loader=loader, variables=raw).template(own))
            yield host.name, [group.name for group in host.groups], plain
    except AnsibleError as error:
        raise InventoryError([Problem(str(hosts_file.parent), INVENTORY_FILE, _one_line(error))]) from error


def host_entry(name: str, groups: list[str], variables: dict[str, Any]) -> dict[str, Any]:
    """What the model wants to know of one host: its components are the groups that bear a component's name."""
    return {
        "name": name,
        "components": [component.value for component in Component if component.value in groups],
        "addresses": variables.get(HOST_ADDRESSES, {}),
    }


def _plain(value: Any) -> Any:
    """Ansible's tagged values as the plain ones that pydantic's strict core takes."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _problem(detail: Any, places: _Places) -> Problem:
    path = ".".join(str(part) for part in detail["loc"])
    kind, message = detail["type"], detail["msg"]
    if kind == "extra_forbidden":
        return places.problem(path, _unknown(detail["loc"]))
    if kind == "missing":
        return places.problem(path, "is not set: add it (README.md, 'A first own connection')")
    message = message.removeprefix("Value error, ")
    if kind != "value_error":
        message = f"'{detail['input']}' is not accepted: {message[0].lower()}{message[1:]}"
    return places.problem(path, message)


def _unknown(location: tuple[str | int, ...]) -> str:
    names = _known_names(Connection, location[:-1])
    near = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=0)
    hint = f"; the nearest known one is '{near[0]}'" if near else ""
    return f"is not a known name{hint}: correct or remove it"


def _known_names(model: Any, location: tuple[str | int, ...]) -> list[str]:
    for part in location:
        if isinstance(part, int):
            continue
        field = getattr(model, "model_fields", {}).get(part)
        inner = field.annotation if field else model
        for candidate in (inner, *getattr(inner, "__args__", ())):
            if hasattr(candidate, "model_fields"):
                model = candidate
    return list(model.model_fields)


class _Places:
    """Finds the file that sets a variable; the nearest wins, as it does in Ansible."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = [
            path
            for pattern in ("host_vars/**/*.yml", "group_vars/**/*.yml", INVENTORY_FILE)
            for path in sorted(folder.glob(pattern))
        ]

    def problem(self, path: str, message: str) -> Problem:
        parts = path.split(".")
        if parts[0] == "hosts":
            variable = ".".join([HOST_ADDRESSES, *parts[3:]]) if parts[2:3] == ["addresses"] else "group"
            where = f"{parts[1]}: {variable}" if len(parts) > 1 else "hosts"
            return Problem(str(self.folder / INVENTORY_FILE), where, message)
        return Problem(str(self._file_of(PREFIX + parts[0])), PREFIX + path, message)

    def _file_of(self, variable: str) -> Path:
        for path in self.files:
            text = path.read_text(encoding="utf-8", errors="replace")
            if any(line.lstrip().startswith(f"{variable}:") for line in text.splitlines()):
                return path
        return self.folder / "group_vars/all/connection.yml"
