"""Loading an inventory: what Ansible would give each host, of the variables that concern the kit.

Plain inventories (YAML, ``{{ name }}``) are merged here, many times as fast as Ansible does and with the same
result; a test holds the two together. Whatever is not plain (filters, lookups, host ranges, group priorities) goes
to Ansible's own loader. Files are read strictly in either case.

Not supported: inventories in other formats than YAML, and ``hash_behaviour = merge``.
"""

from __future__ import annotations

import math
import os
import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from aansluitkit.connection.yamlfile import MOST_VALUES, Unsafe, Vaulted, line_of, read_yaml
from aansluitkit.errors import InventoryError, KitError, Problem, unexpected

PREFIX = "connection_"
SECRET_PREFIX = "secret_"  # noqa: S105 - of names
INVENTORY_FILE = "hosts.yml"
HOST_FOLDER = "certificates_host_source"  # the folder on the controller with a host's PEM files
VARIABLE_FOLDERS = ("group_vars", "host_vars")
USUAL_LENGTH = 64  # of a text; a longer one counts for more
_EXTENSIONS = ("", ".yml", ".yaml", ".json")
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_EXPRESSION = re.compile(rf"\{{\{{\s*({_NAME}(?:\.{_NAME})*)\s*\}}\}}")
_MARKS = ("{{", "{%", "{#")
_RANGE = re.compile(r"\[(?:(\d{1,9}):(\d{1,9})|[a-z]:[a-z]|[A-Z]:[A-Z])(?::0*[1-9]\d{0,8})?\]")
_PATTERN = re.compile(r"[\[\]:,]")  # in a host's name: a range or a port
MOST_HOSTS = 1000  # that one name stands for


class NotPlainError(Exception):
    """This inventory needs Ansible's own loader."""


@dataclass
class Group:
    """A group of hosts.yml; ``depth`` is its longest way down from 'all'."""

    name: str
    depth: int = 0
    variables: dict[str, Any] = field(default_factory=dict)
    children: dict[str, Group] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Inventory:
    """An inventory as loaded, not judged.

    ``hosts`` maps each host to its ``connection_`` variables, templated; ``groups`` to the groups that it is in.
    ``contents`` are the files with variables and what stands in them, lowest precedence first, hosts.yml excepted;
    ``hosts_content`` is that of hosts.yml. One that ``is_plain`` depends on nothing but its files. ``host_folders`` has
    the folder of each host's PEM files, where that is plain.
    """

    folder: Path
    groups: dict[str, tuple[str, ...]]
    hosts: dict[str, dict[str, Any]]
    contents: dict[Path, Any]
    hosts_content: dict[str, Any]
    is_plain: bool
    problems: tuple[Problem, ...] = ()
    host_folders: dict[str, Path] = field(default_factory=dict)

    @property
    def hosts_file(self) -> Path:
        """The file that names the hosts."""
        return self.folder / INVENTORY_FILE

    def encrypted_files(self) -> list[Path]:
        """The files that Ansible Vault encrypted whole."""
        return [path for path, content in self.contents.items() if isinstance(content, Vaulted)]

    def raw(self, prefix: str) -> Iterator[tuple[Path, str, Any]]:
        """Every variable whose name begins with ``prefix``, as it stands in its file: file, name, value."""
        for path, content in self.contents.items():
            if isinstance(content, dict):
                yield from ((path, name, value) for name, value in content.items() if str(name).startswith(prefix))
        for variables in _variables_in(self.hosts_content):
            yield from ((self.hosts_file, name, value) for name, value in variables.items() if name.startswith(prefix))


def _variables_in(group: Any) -> Iterator[dict[str, Any]]:
    """Every mapping of variables in a part of hosts.yml."""
    for content in group.values():
        if isinstance(content, dict):
            hosts, children = content.get("hosts"), content.get("children")  # a single name without variables is a text
            yield from filter(None, (content.get("vars"), *(hosts.values() if isinstance(hosts, dict) else ())))
            yield from _variables_in(children if isinstance(children, dict) else {})


def load_inventory(folder: Path) -> Inventory:
    """Read the inventory in ``folder``.

    Raises:
        InventoryError: when a file can't be read, with every such problem.
        KitError: when Ansible can't read its own settings.
    """
    try:
        return _load(folder)
    except KitError:
        raise
    except Exception as error:  # whoever reads many inventories goes on with the others
        message = unexpected("this inventory", error)
        raise InventoryError([Problem(str(folder / INVENTORY_FILE), "inventory", message, 0, "loading")]) from error


def _load(folder: Path) -> Inventory:
    hosts_file = folder / INVENTORY_FILE
    parsed = _HostsFile(hosts_file)
    contents: dict[Path, Any] = {}
    scopes: dict[str, dict[str, Any]] = {}
    problems = parsed.problems
    for scope, path in _files(folder, parsed):
        try:
            contents[path] = _content(path)
        except InventoryError as error:
            problems += error.problems
        else:
            scopes.setdefault(scope, {}).update(contents[path] if isinstance(contents[path], dict) else {})
    if problems:
        raise InventoryError(problems)
    is_plain = True
    host_folders: dict[str, Path] = {}
    try:
        groups, hosts = parsed.memberships(), _merge(folder, parsed, scopes, host_folders)
    except NotPlainError:
        from aansluitkit.connection.ansible_loader import hosts_by_ansible  # noqa: PLC0415 - takes half a second

        is_plain = False
        groups, hosts, problems = hosts_by_ansible(hosts_file, PREFIX)
    return Inventory(folder, groups, hosts, contents, parsed.content, is_plain, tuple(problems), host_folders)


def _content(path: Path) -> Any:
    content = read_yaml(path)
    wrong = [name for name in content if not isinstance(name, str)] if isinstance(content, dict) else []
    if wrong:
        raise InventoryError([_problem(path, str(name), _no_name(name), str(name)) for name in wrong])
    if content is None or isinstance(content, dict | Vaulted):
        return content
    raise InventoryError(
        [_problem(path, "file", f"holds {kind(content)}; variables are a mapping: write 'name: value'")]
    )


def _no_name(name: Any) -> str:
    return f"has a variable named {name}, {kind(name)}; a name is a text: rename it, or put it between quotes"


def _wrong_range(host: str) -> str:
    """What is wrong with the ranges in the name ``host``, of which Ansible would make nothing or too much."""
    counts = [(found[0], int(found[2]) - int(found[1]) + 1) for found in _RANGE.finditer(host) if found[1]]
    backwards = next((text for text, count in counts if count < 1), None)
    if backwards:
        return f"holds {backwards}, a range of no host at all, for it runs backwards: turn it round"
    if re.search(r"[\[\]]", _RANGE.sub("", host)):
        return "holds brackets that are no range: write one as [1:3] or [a:c]"
    if math.prod(count for _, count in counts) > MOST_HOSTS:
        return f"stands for more than {MOST_HOSTS} hosts, which no connection has: write the range that is meant"
    return ""


class _HostsFile:
    """hosts.yml, as the YAML inventory plugin of Ansible reads it, but with everything that it skips an error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self.groups = {"all": Group("all")}
        self.hosts: dict[str, dict[str, Any]] = {}  # the variables of each
        self.content: Any = read_yaml(path)
        if not isinstance(self.content, dict) or not self.content:
            message = f"holds {kind(self.content)}; an inventory maps groups to hosts: begin with 'all:'"
            raise InventoryError([_problem(path, "groups", message)])
        for name, content in self.content.items():
            self._group(name, content)
        if not self.hosts and not self.problems:
            self._refuse("hosts", "are none; an inventory names its hosts in the groups of their components: add them")
        children = {child for group in self.groups.values() for child in group.children}
        everything = self.groups["all"].children
        everything.update({name: group for name, group in self.groups.items() if name not in {"all", *children}})
        if not self.problems:
            self._deepen(self.groups["all"], 0, ())

    def _refuse(self, variable: str, message: str) -> None:
        name = variable.removeprefix("group ")
        ways = ways_to_group if variable.startswith("group ") else ways_to_host
        keys = next(ways(self.content, name), ())
        self.problems.append(_problem(self.path, variable, message, *keys))

    def _group(self, name: Any, content: Any) -> Group:
        group = self.groups.setdefault(str(name), Group(str(name)))
        if content is not None and not isinstance(content, dict):
            self._refuse(f"group {name}", f"is {kind(content)}; a group takes hosts, children and vars: write those")
            content = {}
        for section, entries in (content or {}).items():
            if section not in ("hosts", "children", "vars"):
                self._refuse(f"group {name}", f"has '{section}'; it takes hosts, children and vars alone: correct it")
            elif isinstance(entries, dict | str):
                self._section(group, section, {entries: None} if isinstance(entries, str) else entries)
            elif entries is not None:
                self._refuse(f"group {name}", f"has {kind(entries)} as {section}; write names with a colon, one a line")
        return group

    def _section(self, group: Group, section: str, entries: dict[Any, Any]) -> None:
        if section == "vars":
            self._named(f"group {group.name}", entries)
            group.variables.update(entries)
            return
        for name, content in entries.items():
            if not isinstance(name, str):
                self._refuse(f"group {group.name}", f"names {name!r} in {section}, {kind(name)}: put it between quotes")
            elif section == "children":
                group.children[name] = self._group(name, content)
            else:
                self._host(group, name, content)

    def _host(self, group: Group, name: str, content: Any) -> None:
        if content is not None and not isinstance(content, dict):
            self._refuse(name, f"is {kind(content)}; a host has variables, one 'name: value' a line, or nothing")
            return
        wrong = _wrong_range(name)
        if wrong:
            self._refuse(name, wrong)
            return
        self._named(name, content or {})
        if name not in group.hosts:
            group.hosts.append(name)
        self.hosts.setdefault(name, {}).update(content or {})

    def _named(self, whose: str, variables: dict[Any, Any]) -> None:
        for name in variables:
            if not isinstance(name, str):
                self._refuse(whose, _no_name(name))

    def _deepen(self, group: Group, depth: int, within: tuple[str, ...]) -> None:
        if group.name in within:
            chain = " > ".join((*within[within.index(group.name) :], group.name))
            self._refuse(f"group {group.name}", f"is its own child ({chain}): take it out of one")
            raise InventoryError(self.problems)
        group.depth = max(group.depth, depth)
        for child in group.children.values():
            self._deepen(child, depth + 1, (*within, group.name))

    def memberships(self) -> dict[str, tuple[str, ...]]:
        """The groups of each host, 'all' excepted, in the order in which their variables go over each other."""
        found: dict[str, set[str]] = {name: set() for name in self.hosts}

        def walk(group: Group, above: tuple[str, ...]) -> None:
            line = (*above, group.name)
            for host in group.hosts:
                found[host].update(line)
            for child in group.children.values():
                walk(child, line)

        walk(self.groups["all"], ())
        order = {name: (group.depth, name) for name, group in self.groups.items()}
        return {host: tuple(sorted(names - {"all"}, key=order.__getitem__)) for host, names in found.items()}

    def in_order(self) -> list[str]:
        """The hosts, in Ansible's order: group by group, those nearest to 'all' first."""
        hosts: dict[str, None] = {}
        level, seen = ["all"], {"all"}
        while level:
            hosts.update((host, None) for name in level for host in self.groups[name].hosts)
            below = dict.fromkeys(child for name in level for child in self.groups[name].children)
            level = [name for name in below if name not in seen]
            seen.update(level)
        return list(hosts)


def _files(folder: Path, parsed: _HostsFile) -> Iterator[tuple[str, Path]]:
    """The files with variables, lowest precedence first, each with whose they are: 'group_vars/all', 'host_vars/fw'."""
    groups = sorted(parsed.groups.values(), key=lambda group: (group.depth, group.name))
    for kind_of, entities in zip(VARIABLE_FOLDERS, ([group.name for group in groups], list(parsed.hosts)), strict=True):
        place = folder / kind_of
        if not os.path.lexists(place):
            continue
        there = {path.name for path in _listed(place)}
        for entity in entities:
            found = [entity + extension for extension in _EXTENSIONS if entity + extension in there]
            if len(found) > 1:
                message = f"is passed over, for {found[0]} stands beside it and Ansible takes that one alone: keep one"
                raise InventoryError([_problem(place / found[1], "file", message)])
            if found:
                yield from ((f"{kind_of}/{entity}", path) for path in _variable_files(place / found[0], ()))


def _variable_files(path: Path, within: tuple[str, ...]) -> Iterator[Path]:
    """The files in a folder of variables as Ansible takes them, or the file ``path`` itself."""
    if not path.is_dir():
        yield path
        return
    own = os.path.realpath(path)
    if own in within:
        raise InventoryError([_problem(path, "folder", "is a link to a folder that it stands in: remove it")])
    for inner in _listed(path):
        if inner.name.startswith(".") or inner.name.endswith("~") or inner.suffix not in _EXTENSIONS:
            continue
        if not inner.is_dir():
            yield inner  # a broken link too: it is refused where it is read
        elif not inner.suffix:
            yield from _variable_files(inner, (*within, own))


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), key=lambda inner: inner.name)
    except OSError as error:
        message = f"can't be read: {str(error.strerror).lower()}: mend that"
        raise InventoryError([_problem(folder, "folder", message)]) from error


def _merge(
    folder: Path, parsed: _HostsFile, scopes: dict[str, dict[str, Any]], host_folders: dict[str, Path]
) -> dict[str, dict[str, Any]]:
    """The ``connection_`` variables of each host, with Ansible's precedence; fills ``host_folders``.

    Raises:
        NotPlainError: when Ansible has to do it.
    """
    members = parsed.memberships()
    groups = [group.variables for group in parsed.groups.values() if group.name != "all"]
    if any(_PATTERN.search(name) for name in parsed.hosts) or not all(members.values()):
        raise NotPlainError
    if any(str(name).startswith((PREFIX, "ansible_group_priority")) for variables in groups for name in variables):
        raise NotPlainError
    common = {**parsed.groups["all"].variables, **scopes.get("group_vars/all", {})}
    place = {"inventory_dir": os.path.abspath(folder)}  # noqa: PTH100 - links stay, as in Ansible
    shared = _expand_all(common, ChainMap(place, common))
    merged = {}
    for host in parsed.in_order():
        of_groups = (scopes.get(f"group_vars/{name}") for name in reversed(members[host]))
        own = [layer for layer in (scopes.get(f"host_vars/{host}"), parsed.hosts[host], *of_groups) if layer]
        everything = ChainMap(place, {"inventory_hostname": host}, *own, *groups, common)
        if shared.names & {"inventory_hostname", *(name for layer in (*own, *groups) for name in layer)}:
            raise NotPlainError
        merged[host] = shared.values | _expand_all(ChainMap(*own), everything).values
        host_folder = _host_folder(everything)
        if host_folder:
            host_folders[host] = host_folder
    return merged


def _host_folder(everything: Mapping[str, Any]) -> Path | None:
    try:
        value = _expand(everything.get(HOST_FOLDER), _Scope(everything), (HOST_FOLDER,))
    except NotPlainError:
        return None
    return Path(value) if isinstance(value, str) else None


@dataclass(frozen=True)
class _Expanded:
    values: dict[str, Any]
    names: frozenset[str]  # of the variables that templates asked for


@dataclass
class _Scope:
    """What templates may ask for, what they asked for, and how many values that made."""

    variables: Mapping[str, Any]
    asked: set[str] = field(default_factory=set)
    made: int = 0

    def count(self, more: int) -> None:
        """Count ``more`` values.

        Raises:
            NotPlainError: when they multiply without end; Ansible is asked within bounds.
        """
        self.made += more
        if self.made > MOST_VALUES:
            raise NotPlainError


def _expand_all(variables: Mapping[str, Any], everything: Mapping[str, Any]) -> _Expanded:
    scope = _Scope(everything)
    values = {
        name: _expand(value, scope, (name,))
        for name, value in variables.items()
        if isinstance(name, str) and name.startswith(PREFIX)
    }
    return _Expanded(values, frozenset(scope.asked))


def _expand(value: Any, scope: _Scope, within: tuple[str, ...]) -> Any:
    """``value`` with its templates filled in, as far as they are names alone."""
    scope.count(1)
    if isinstance(value, str):
        return _fill(value, scope, within) if any(mark in value for mark in _MARKS) else value
    if isinstance(value, dict):
        return {str(key): _expand(item, scope, within) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, scope, within) for item in value]
    return value.value if isinstance(value, Unsafe) else value


def _fill(text: str, scope: _Scope, within: tuple[str, ...]) -> Any:
    def value_of(match: re.Match[str]) -> Any:
        name, *attributes = match[1].split(".")
        if name in within or name not in scope.variables:
            raise NotPlainError
        scope.asked.add(name)
        value = _expand(scope.variables[name], scope, (*within, name))
        for attribute in attributes:
            if not isinstance(value, dict) or attribute not in value or hasattr(dict, attribute):
                raise NotPlainError
            value = value[attribute]
        return value

    def words_of(match: re.Match[str]) -> str:
        value = value_of(match)
        if isinstance(value, str) or type(value) is int:
            return str(value)
        raise NotPlainError

    whole = _EXPRESSION.fullmatch(text)
    if whole:
        value = value_of(whole)
        if isinstance(value, Vaulted):
            raise NotPlainError
        return value
    if any(mark in _EXPRESSION.sub("", text) for mark in _MARKS):
        raise NotPlainError
    filled = _EXPRESSION.sub(words_of, text)
    scope.count(len(filled) // USUAL_LENGTH)
    return filled


def groups_in(content: dict[str, Any], way: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every group in a part of hosts.yml: the keys that lead to it, and what stands there."""
    for name, group in content.items():
        yield (*way, str(name)), group if isinstance(group, dict) else {}
        children = group.get("children") if isinstance(group, dict) else None
        if isinstance(children, dict):
            yield from groups_in(children, (*way, str(name), "children"))


def ways_to_group(content: dict[str, Any], name: str) -> Iterator[tuple[str, ...]]:
    """The keys that lead to group ``name`` in hosts.yml."""
    yield from (way for way, _ in groups_in(content) if way[-1] == name)


def ways_to_host(content: dict[str, Any], host: str) -> Iterator[tuple[str, ...]]:
    """The keys that lead to ``host`` in hosts.yml, those with variables first."""
    found = [
        ((*way, "hosts", host), group["hosts"][host])
        for way, group in groups_in(content)
        if isinstance(group.get("hosts"), dict) and host in group["hosts"]
    ]
    yield from (way for way, _ in sorted(found, key=lambda item: not item[1]))


def kind(value: Any) -> str:
    """What ``value`` is, in words of YAML."""
    if isinstance(value, date):
        return "a date"
    kinds = {dict: "a mapping", list: "a list", str: "a text", bool: "a truth value", type(None): "nothing"}
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else "an encrypted value")


def _problem(path: Path, variable: str, message: str, *keys: str) -> Problem:
    return Problem(str(path), variable, message, line_of(path, keys), "yaml")
