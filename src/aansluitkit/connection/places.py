"""Where a variable of an inventory stands: its file and line, looked up only once something is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aansluitkit.connection.inventory_rules import HOST_ADDRESSES
from aansluitkit.connection.loading import (
    PREFIX,
    SECRET_PREFIX,
    Inventory,
    groups_in,
    ways_to_group,
    ways_to_host,
)
from aansluitkit.connection.yamlfile import line_of
from aansluitkit.errors import Problem


class Places:
    """Turns findings into problems with file and line; of several files the one that wins in Ansible is named."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory

    def problem(self, path: str, message: str, rule: str) -> Problem:
        """The problem at ``path``: a dotted path of the model, a variable, 'group NAME', a file, or 'FOLDER/'."""
        if path.startswith("group "):
            keys = next(ways_to_group(self.inventory.hosts_content, path.removeprefix("group ")), ())
            return self._at(self.inventory.hosts_file, path, message, keys, rule)
        if path.endswith("/") or os.path.isfile(self.inventory.folder / path):  # noqa: PTH113 - takes any name, however long
            kind = "folder" if path.endswith("/") else "file"
            return Problem(str(self.inventory.folder / path), kind, message, int(kind == "file"), rule)
        if path == "hosts":
            return Problem(str(self.inventory.hosts_file), "hosts", message, 1, rule)
        if path.startswith("hosts."):
            return self._of_host(path, message, rule)
        return self.of_variable(path if path.startswith((PREFIX, SECRET_PREFIX)) else PREFIX + path, message, rule)

    def of_variable(self, variable: str, message: str, rule: str) -> Problem:
        """The problem of ``variable``, a dotted path below any variable of the inventory."""
        file, way = self._file_of(variable.split(".", maxsplit=1)[0])
        return self._at(file, variable, message, (*way, *variable.split(".")), rule)

    def _of_host(self, path: str, message: str, rule: str) -> Problem:
        path = path.removeprefix("hosts.")
        host = max((name for name in self.inventory.hosts if f"{path}.".startswith(f"{name}.")), key=len, default=path)
        rest = path.removeprefix(host).removeprefix(".").split(".")
        keys = (HOST_ADDRESSES, *rest[1:]) if rest[:1] == ["addresses"] else ()
        variable = f"{host}: {'.'.join(keys) or 'group'}"
        for file in self._files_of(f"host_vars/{host}"):
            if keys and HOST_ADDRESSES in (self.inventory.contents[file] or {}):
                return self._at(file, variable, message, keys, rule)
        way = next(ways_to_host(self.inventory.hosts_content, host), ())
        return self._at(self.inventory.hosts_file, variable, message, (*way, *keys), rule)

    def _at(self, file: Path, variable: str, message: str, keys: tuple[str, ...], rule: str) -> Problem:
        return Problem(str(file), variable, message, line_of(file, keys), rule)

    def _files_of(self, scope: str) -> list[Path]:
        start = str(self.inventory.folder / scope)
        return [path for path in self.inventory.contents if str(path).startswith((start + "/", start + "."))]

    def _file_of(self, variable: str) -> tuple[Path, tuple[str, ...]]:
        """The file that sets ``variable``, and the keys that lead to it there; what is nearest to a host wins."""
        holders = [path for path, content in self.inventory.contents.items() if _holds(content, variable)]
        of_hosts = [path for path in holders if path.relative_to(self.inventory.folder).parts[0] == "host_vars"]
        ways = sorted(_ways_to_variable(self.inventory.hosts_content, variable), key=lambda way: way[-1] == "vars")
        if of_hosts:
            return of_hosts[0], ()
        if ways and (ways[0][-1] != "vars" or not holders):
            return self.inventory.hosts_file, ways[0]
        if holders:
            return holders[-1], ()
        own = [path for path in self._files_of("group_vars/all") if not path.is_symlink()]
        likely = [path for path in own if any(str(name).startswith(PREFIX) for name in self._names(path))]
        return (likely[0] if likely else self.inventory.hosts_file), ()

    def _names(self, path: Path) -> list[str]:
        content = self.inventory.contents[path]
        return list(content) if isinstance(content, dict) else []

    def encrypted(self) -> str:
        """Names the encrypted files, in which a variable that is missed may stand."""
        names = [str(path) for path in self.inventory.encrypted_files()]
        return f" (what stands in {', '.join(names)} is not read: it is encrypted)" if names else ""


def _holds(content: Any, variable: str) -> bool:
    return isinstance(content, dict) and variable in content


def _ways_to_variable(content: dict[str, Any], variable: str) -> Iterator[tuple[str, ...]]:
    for way, group in groups_in(content):
        if isinstance(group.get("vars"), dict) and variable in group["vars"]:
            yield (*way, "vars")
        for host, variables in (group.get("hosts") or {}).items() if isinstance(group.get("hosts"), dict) else ():
            if isinstance(variables, dict) and variable in variables:
                yield (*way, "hosts", str(host))
