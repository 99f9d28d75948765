"""Loading an inventory with Ansible itself: what isn't plain enough for ``loading``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aansluitkit.connection.yamlfile import is_vaulted
from aansluitkit.errors import InventoryError, KitError, Problem

Hosts = dict[str, dict[str, Any]]


def hosts_by_ansible(hosts_file: Path, prefix: str) -> tuple[dict[str, tuple[str, ...]], Hosts, list[Problem]]:
    """Groups and variables of each host, and what Ansible could not fill in.

    Only variables that begin with ``prefix`` are taken, templated as ansible-playbook would.

    Raises:
        InventoryError: when Ansible can't read the inventory.
        KitError: when Ansible can't read its own settings.
    """
    groups, hosts = {}, {}
    problems: dict[str, Problem] = {}
    for name, members, variables, failed in _hosts(hosts_file, prefix):
        groups[name] = members
        hosts[name] = variables
        for variable, message in failed.items():
            problems.setdefault(variable, Problem(str(hosts_file), variable, message, 0, "template"))
    return groups, hosts, list(problems.values())


def host_variables(inventory: Path, prefix: str) -> Hosts:
    """The variables of each host that begin with ``prefix``, templated as ansible-playbook would.

    Raises:
        InventoryError: when Ansible can't read the inventory or fill in a variable.
    """
    _, hosts, problems = hosts_by_ansible(inventory / "hosts.yml", prefix)
    if problems:
        raise InventoryError(problems)
    return hosts


def _hosts(hosts_file: Path, prefix: str) -> Iterator[tuple[str, tuple[str, ...], dict[str, Any], dict[str, str]]]:
    """Name, groups, variables of each host, and the variables that can't be filled in, each with why."""
    from ansible.errors import AnsibleError  # noqa: PLC0415 - the adapter's hosts have no Ansible

    try:
        from ansible.inventory.manager import InventoryManager  # noqa: PLC0415
        from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
        from ansible.template import Templar  # noqa: PLC0415
        from ansible.vars.manager import VariableManager  # noqa: PLC0415
    except AnsibleError as error:  # Ansible reads its settings when it is imported
        raise KitError(
            f"ANSIBLE_CONFIG {os.environ.get('ANSIBLE_CONFIG')}: {_one_line(error)}: mend it or unset it"
        ) from error

    class _Loader(DataLoader):  # type: ignore[misc]
        """Passes over the files that Vault encrypted whole: no password is needed to judge an inventory."""

        def load_from_file(self, file_name: str, *args: Any, **options: Any) -> Any:
            return {} if is_vaulted(Path(file_name)) else super().load_from_file(file_name, *args, **options)

    loader = _Loader()
    try:
        manager = InventoryManager(loader=loader, sources=[str(hosts_file)])
        variables = VariableManager(loader=loader, inventory=manager)
        for host in manager.get_hosts():
            raw = variables.get_vars(host=host, include_hostvars=False)
            templar = Templar(loader=loader, variables=raw)
            filled: dict[str, Any] = {}
            failed: dict[str, str] = {}
            for name in [name for name in raw if name.startswith(prefix)]:
                try:
                    filled[name] = plain(templar.template(raw[name]))
                except AnsibleError as error:
                    failed[name] = _why_not(_one_line(error))
            yield host.name, tuple(group.name for group in host.groups if group.name != "all"), filled, failed
    except AnsibleError as error:
        problem = Problem(str(hosts_file), "inventory", f"Ansible can't read it: {_one_line(error)}", 0, "ansible")
        raise InventoryError([problem]) from error


def _why_not(error: str) -> str:
    if "undecryptable" in error or "Vault" in error:
        return (
            "can't be filled in: it asks for a value that Ansible Vault encrypted, and an inventory is checked without "
            "password: write it in clear"
        )
    return f"can't be filled in: {error}: define what it names, or write the value itself"


def plain(value: Any) -> Any:
    """Ansible's tagged values as the plain ones that pydantic's strict core takes."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
