"""Rules on the variables of roles that an inventory sets: known to a role or a playbook, and of the kind that it takes.

Ansible holds them against the same ``argument_specs``, but only when it comes to the role: then others have run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

from aansluitkit.connection.identifiers import shown
from aansluitkit.connection.inventory_rules import Found, is_blank, nearest
from aansluitkit.connection.loading import Inventory, kind
from aansluitkit.connection.model import Connection
from aansluitkit.connection.yamlfile import Unsafe, Vaulted
from aansluitkit.project import ROOT

_TEMPLATE = ("{{", "{%", "{#")
_KINDS = {
    "str": "a text",
    "path": "a path",
    "int": "a whole number",
    "float": "a number above 0",
    "bool": "true or false",
    "dict": "a mapping",
    "list": "a list",
}


@cache
def options() -> dict[str, dict[str, dict[str, Any]]]:
    """What each role takes, by role and variable, as its ``meta/argument_specs.yml`` says (all entry points)."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        entries = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["argument_specs"].values()
        role = path.parts[-3]
        found[role] = {name: option for entry in entries for name, option in entry.get("options", {}).items()}
    return found


@cache
def _names_in_playbooks() -> frozenset[str]:
    """The variables with a role's prefix that playbooks ask for themselves."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "playbooks").glob("*.yml")))
    return frozenset(name for role in options() for name in re.findall(rf"\b{role}_[a-z0-9_]+", text))


def role_variables_are_known(inventory: Inventory) -> Found:
    """Each variable with a role's prefix is one that the role takes, with a value that it takes."""
    for role, taken in options().items():
        for _, name, value in inventory.raw(f"{role}_"):
            if name in taken:
                yield from _wrong(role, name, taken[name], value)
            elif name not in _names_in_playbooks():
                near = nearest(name, [*taken, *_names_in_playbooks()])
                hint = f"; the nearest known one is '{near}'" if near else ""
                yield name, f"is no variable of role {role} (roles/{role}/README.md){hint}: correct or remove it"


def revocation_is_looked_up(inventory: Inventory, connection: Connection) -> Found:
    """A revoked certificate is refused: by the adapter, or by load balancers that end TLS in front of one that can't.

    Digikoppeling use of certificates, chapter 7.
    """
    if connection.offload:
        return
    for _, name, value in inventory.raw("ebms_adapter_implementation"):
        if value == "ebms_admin":
            yield (
                name,
                "is 'ebms_admin', which looks at no CRLs and lets revoked certificates in: have the load balancers "
                "end TLS (connection_tls_ends_at: load_balancer), which do",
            )


def _wrong(role: str, name: str, option: dict[str, Any], value: Any) -> Found:
    if is_blank(value) or _is_for_ansible(value):
        return
    if option["type"] in ("str", "path") and isinstance(value, dict | list):
        refused = True
    else:
        from ansible.module_utils.common.arg_spec import ArgumentSpecValidator  # noqa: PLC0415 - takes a fifth of a second

        checked = ArgumentSpecValidator({name: {**option, "required": False}}).validate({name: value})
        refused = bool(checked.error_messages) or not _in_range(name, option, checked.validated_parameters[name])
    if refused:
        hidden = option.get("no_log") or not isinstance(value, str | int | float)
        found = kind(value) if hidden else f"'{shown(str(value))}'"
        yield name, f"is {found}; role {role} takes {_taken(name, option)} (roles/{role}/README.md): correct it"


def _taken(name: str, option: dict[str, Any]) -> str:
    if "choices" in option:
        return f"one of {', '.join(map(str, option['choices']))}"
    if option["type"] == "int":
        least, most = _range(name)
        return (
            f"{_KINDS['int']} from {least}{f' to {most}' if most else ''}{' or 0' if _may_be_0(name, option) else ''}"
        )
    elements = f", of which each is {_KINDS[option['elements']]}" if "elements" in option else ""
    return _KINDS[option["type"]] + elements


def _in_range(name: str, option: dict[str, Any], value: Any) -> bool:
    """Whether a number is one that the role can work with; what is no number is."""
    if option["type"] not in ("int", "float") or (value == 0 and _may_be_0(name, option)):
        return True
    least, most = _range(name)
    return bool(value > 0 if option["type"] == "float" else least <= value <= (most or value))


def _range(name: str) -> tuple[int, int | None]:
    """The least that the whole number ``name`` may be, and the most."""
    kinds = {"_port": (1, 65535), "_percent": (1, 100), "_ping_minutes": (5, None)}  # a Ping is no load on the partner
    return next((bounds for ending, bounds in kinds.items() if name.endswith(ending)), (1, None))


def _may_be_0(name: str, option: dict[str, Any]) -> bool:
    return option.get("default") == 0 or name in ("dns_ttl", "ebms_adapter_retention_days")


def _is_for_ansible(value: Any) -> bool:
    """Whether the value is known to Ansible alone: a template or encrypted, in any part of it."""
    return any(
        isinstance(part, Vaulted | Unsafe) or (isinstance(part, str) and any(mark in part for mark in _TEMPLATE))
        for part in _parts(value)
    )


def _parts(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _parts(part)
