"""Judging an inventory: from its folder to the connection that it declares, or to everything that is wrong with it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from aansluitkit.connection import certificate_rules, cpa_rules, inventory_rules, rules
from aansluitkit.connection.environments import Neighbour, same_environment, shared_things
from aansluitkit.connection.identifiers import shown
from aansluitkit.connection.inventory_rules import (
    BLANK,
    HOST_ADDRESSES,
    HOST_VARIABLES,
    blank_paths,
    nearest,
    secrets_are_encrypted,
)
from aansluitkit.connection.loading import INVENTORY_FILE, PREFIX, SECRET_PREFIX, Inventory, load_inventory
from aansluitkit.connection.model import Component, Connection, Environment
from aansluitkit.connection.partial import Unknown, partial_connection
from aansluitkit.connection.places import Places
from aansluitkit.connection.role_rules import revocation_is_looked_up, role_variables_are_known
from aansluitkit.errors import InventoryError, KitError, Problem, unexpected

# What to do about the kinds of error that pydantic names for programmers.
ADVICE = {
    "string_type": "a text is expected: put it between quotes",
    "tuple_type": "a list is expected: write it between brackets, [a, b]",
    "dict_type": "a mapping is expected: write 'name: value' lines",
    "model_type": "a mapping is expected: write 'name: value' lines",
    "model_attributes_type": "a mapping is expected: write 'name: value' lines",
    "too_short": "it holds too little, at least {min_length} is expected: add what is missing",
    "ip_v4_address": "an IPv4 address is expected, and IPv6 is not supported: write it as 10.1.2.3",
    "bool_type": "a boolean is expected: write true or false",
    "int_type": "a whole number is expected: write digits without quotes",
    "timezone_aware": "a moment with timezone is expected: end it with Z for UTC",
    "path_type": "the path of a file is expected: put it between quotes",
}


_AnyRule = Callable[..., Iterable[rules.Finding]]
_Place = Callable[[str, str, str], Problem]  # from path, sentence and name of the rule


@dataclass(frozen=True)
class Examination:
    """What one inventory turned out to be.

    ``connection`` is there only when nothing is wrong and nothing is blank. ``problems`` are what must be mended,
    ``blanks`` the values that a person still has to fill in, ``warnings`` what a person should look at. ``known`` is
    the connection as far as it is valid; asking it for the rest raises ``Unknown``. ``host_folders`` has the folder of
    each host's PEM files, where that is plain.
    """

    path: Path
    connection: Connection | None = None
    problems: tuple[Problem, ...] = ()
    blanks: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    known: Connection | None = None
    host_folders: Mapping[str, Path] = field(default_factory=dict)


def find_inventories(root: Path) -> list[Path]:
    """Every inventory below ``root``, sorted: a folder with hosts.yml. ``root`` itself may be one."""
    walk = os.walk(root, onerror=_refuse_to_skip)
    return sorted(Path(folder) for folder, folders, files in walk if INVENTORY_FILE in (*folders, *files))


def _refuse_to_skip(error: OSError) -> None:
    if error.filename and Path(error.filename).is_dir():
        message = f"can't be read: {str(error.strerror).lower()}: mend that, or name the inventories that are meant"
        raise InventoryError([Problem(str(error.filename), "folder", message)]) from error


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
    if not os.path.lexists(folder / INVENTORY_FILE):
        message = "is not there; an inventory is a folder with that file: name one"
        return Examination(folder, problems=(Problem(str(folder), INVENTORY_FILE, message),))
    try:
        return _Judgement(load_inventory(folder)).examination()
    except InventoryError as error:
        return Examination(folder, problems=tuple(error.problems))
    except KitError:
        raise  # of this machine, and so of every inventory
    except Exception as error:  # no inventory may keep others from being examined
        problem = Problem(str(folder / INVENTORY_FILE), "inventory", unexpected("this inventory", error), 0, "examine")
        return Examination(folder, problems=(problem,))


class _Judgement:
    """One inventory under judgement; problems gather in the order in which a person would mend them."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.places = Places(inventory)
        self.problems = [self._placed(problem) for problem in inventory.problems]
        self.warnings: list[Problem] = []
        fields = connection_fields(inventory)
        self._judge_inventory(self.problems, inventory_rules.RULES)
        self._judge_inventory(self.warnings, inventory_rules.WARNINGS)
        self._judge_role_variables()
        self.blanks = [self._blank(path, value) for path, value in self._blank_paths(fields)]
        self.whole, self.connection = self._validated(fields)

    def examination(self) -> Examination:
        """What was found, with the connection when it can be used."""
        self._judge_connection()
        self._judge_revocation()
        self._judge_inventory(self.problems, inventory_rules.AFTERWARDS)
        self._judge_secrets()
        self._compare_environments()
        usable = self.whole if not self.problems and not self.blanks else None
        return Examination(
            self.inventory.folder,
            usable,
            tuple(dict.fromkeys(self.problems)),
            tuple(self.blanks),
            tuple(self.warnings),
            self.connection,
            self.inventory.host_folders,
        )

    def _placed(self, problem: Problem) -> Problem:
        return self.places.problem(problem.variable, problem.message, problem.rule)

    def _judge_inventory(
        self, into: list[Problem], rules: Iterable[Callable[[Inventory], inventory_rules.Found]]
    ) -> None:
        for rule in rules:
            self._hear(into, rule, self.inventory)

    def _judge_role_variables(self) -> None:
        self._hear(self.problems, role_variables_are_known, self.inventory, place=self.places.of_variable)

    def _hear(self, into: list[Problem], rule: _AnyRule, *judged: Any, place: _Place | None = None) -> None:
        """Collect the findings of ``rule`` up to where it asks for a field that is wrong or blank itself.

        A rule that raises anything else is a problem of its own; what it found before stays, and other rules go on.
        """
        place = place or self.places.problem
        try:
            for path, message in rule(*judged):
                into.append(place(path, message, rule.__name__))
        except Unknown:
            return
        except Exception as error:  # a defect of one rule must not hide what others find
            message = unexpected(f"rule {rule.__name__}", error)
            self.problems.append(Problem(str(self.inventory.hosts_file), "inventory", message, 0, rule.__name__))

    def _blank_paths(self, fields: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        yield from blank_paths({name: value for name, value in fields.items() if name != "hosts"}, "")
        for name, host in fields["hosts"].items():
            yield from blank_paths(host["addresses"], f"hosts.{name}.addresses")
        for _, name, value in self.inventory.raw(SECRET_PREFIX):
            yield from blank_paths(value, name)

    def _blank(self, path: str, value: Any) -> Problem:
        hint = str(value or "").removeprefix(BLANK).strip(" :-")
        return self.places.problem(
            path.removeprefix("."), f"is still to be filled in{f' ({hint})' if hint else ''}: write the value", "blank"
        )

    def _validated(self, fields: dict[str, Any]) -> tuple[Connection | None, Connection]:
        """The connection when all its fields are valid, and the one that the rules judge."""
        told = [problem.variable for problem in (*self.problems, *self.blanks)]
        untold = set(_fields_of(told))
        try:
            whole = Connection.model_validate(fields)
        except ValidationError as error:
            details = error.errors(include_url=False)
            for detail in details:
                problem = _model_problem(detail, self.places)
                if detail["type"] == "too_short" and _is_within(detail["loc"], details):
                    continue  # its items are wrong, and that is said
                if not any(f"{problem.variable}.".startswith(f"{variable}.") for variable in told):
                    self.problems.append(problem)
            return None, partial_connection(fields, untold | {str(detail["loc"][0]) for detail in details})
        except Exception as error:  # of a value that its own check does not expect
            message = unexpected("a value of this inventory", error)
            self.problems.append(Problem(str(self.inventory.hosts_file), "inventory", message, 0, "value"))
            return None, partial_connection(fields, untold)
        return whole, partial_connection(fields, untold) if untold else whole

    def _judge_connection(self) -> None:
        files = self._certificate_rules()
        for rule in (*rules.RULES, *files, *cpa_rules.RULES):
            self._hear(self.problems, rule, self.connection)
        warnings = (*(certificate_rules.WARNINGS if files else ()), *cpa_rules.WARNINGS)
        for rule in (*rules.WARNINGS, *warnings):
            self._hear(self.warnings, rule, self.connection)
        for rule in (*rules.OF_RENEWAL, *files, *cpa_rules.RULES):
            self._hear(self.problems, _of_renewal(rule), self.connection)
        for rule in warnings:
            self._hear(self.warnings, _of_renewal(rule), self.connection)

    def _certificate_rules(self) -> tuple[rules.Rule, ...]:
        try:
            return certificate_rules.rules_of(self.connection)
        except Unknown:
            return ()

    def _judge_revocation(self) -> None:
        judged = (self.inventory, self.connection)
        self._hear(self.warnings, revocation_is_looked_up, *judged, place=self.places.of_variable)

    def _judge_secrets(self) -> None:
        if self.connection.__dict__.get("environment", Environment.LAB) is not Environment.LAB:
            self._hear(self.problems, secrets_are_encrypted, self.inventory)

    def _compare_environments(self) -> None:
        own = Neighbour(self.inventory, self.connection)
        for other in _neighbours(self.inventory.folder):
            for rule in (same_environment, shared_things):
                self._hear(self.problems, rule, own, other)


def _of_renewal(rule: rules.Rule) -> rules.Rule:
    """``rule``, asked of the connection after the renewal, and heard as far as the renewal changes what it judges."""

    @wraps(rule)
    def of_renewal(connection: Connection) -> Iterator[rules.Finding]:
        following, renewal = connection.following, connection.renewal
        if following is None or renewal is None:
            return
        changed = {f"certificates.{name}" for name in renewal.certificates}
        for path, message in rule(following):
            if path.startswith("cpa.") or path in changed:
                yield f"renewal.{path}", message

    return of_renewal


def _neighbours(folder: Path) -> Iterator[Neighbour]:
    """The other environments of the same customer: the inventories beside ``folder``, those that can be read."""
    for path in sorted(folder.absolute().parent.iterdir()):
        if path.name == folder.absolute().name or not (path / INVENTORY_FILE).is_file():
            continue
        try:
            inventory = load_inventory(path)
        except InventoryError:
            continue  # said when it is examined itself
        yield Neighbour(inventory, partial_connection(connection_fields(inventory), set()))


def connection_fields(inventory: Inventory) -> dict[str, Any]:
    """The fields of the connection that ``inventory`` declares, not yet validated."""
    shared: dict[str, Any] = {}
    for variables in inventory.hosts.values():
        shared |= variables
    fields = {name.removeprefix(PREFIX): value for name, value in shared.items() if name not in HOST_VARIABLES}
    hosts = {
        name: {
            "name": name,
            "components": [component.value for component in Component if component.value in inventory.groups[name]],
            "addresses": variables.get(HOST_ADDRESSES, {}),
        }
        for name, variables in inventory.hosts.items()
    }
    return {**fields, "hosts": hosts}


def _fields_of(variables: Iterable[str]) -> Iterator[str]:
    """The fields of the model that hold ``variables``, as problems name them."""
    for variable in variables:
        if variable.startswith(PREFIX):
            yield variable.removeprefix(PREFIX).split(".", maxsplit=1)[0]
        elif ": " in variable or variable.startswith("group "):
            yield "hosts"


def _is_within(location: tuple[Any, ...], details: list[Any]) -> bool:
    """Whether something below ``location`` is wrong as well."""
    return any(len(other["loc"]) > len(location) and other["loc"][: len(location)] == location for other in details)


_MEMBER = re.compile(r"<\S+: ('[^']*')>")  # of an enumeration, as Python shows it


def _model_problem(detail: Any, places: Places) -> Problem:
    path = ".".join(str(part) for part in detail["loc"] if part != "[key]")
    kind, message = detail["type"], detail["msg"]
    if kind == "extra_forbidden":
        message = _unknown(detail["loc"])
    elif kind == "missing":
        message = f"is not set: add it (README.md, 'A first own connection'){places.encrypted()}"
    elif path.startswith("hosts.") and path.endswith(".components"):
        known = ", ".join(component.value for component in Component)
        message = f"is in no group that is a component; known are {known}: put the host in one"
    elif path.startswith("hosts.") and path.endswith(".addresses") and kind == "too_short":
        message = "is not set; a host has an address in its zone: add it"
    elif kind == "value_error":
        message = message.removeprefix("Value error, ")
    else:
        advice = (
            ADVICE.get(kind, "").format(**detail.get("ctx", {})) or f"{message[0].lower()}{message[1:]}: correct it"
        )
        advice = _MEMBER.sub(r"\1", advice)
        message = f"'{shown(str(detail['input']))}' is not accepted: {advice}"
    return places.problem(path, message, kind)


def _unknown(location: tuple[str | int, ...]) -> str:
    near = nearest(str(location[-1]), _known_names(location[:-1]))
    hint = f"; the nearest known one is '{near}'" if near else f"; known are {', '.join(_known_names(location[:-1]))}"
    return f"is not a known name{hint}: correct or remove it"


def _known_names(location: tuple[str | int, ...]) -> list[str]:
    """The names of the model at ``location``."""
    model: Any = Connection
    for part in location:
        inner = model.model_fields[part].annotation if part in getattr(model, "model_fields", {}) else model
        model = next((item for item in (inner, *_parts(inner)) if hasattr(item, "model_fields")), model)
    return list(model.model_fields)


def _parts(annotation: Any) -> Iterator[Any]:
    for part in get_args(annotation):
        yield part
        yield from _parts(part)
