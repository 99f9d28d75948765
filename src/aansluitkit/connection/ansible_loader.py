"""Loading an inventory with Ansible itself: what isn't plain enough for ``loading``.

A template is a program, and an inventory may come from anybody: it is filled in by a process that is ended when it
takes more than any inventory needs.
"""

from __future__ import annotations

import atexit
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aansluitkit.connection.yamlfile import LARGEST_FILE, is_vaulted
from aansluitkit.errors import InventoryError, KitError, Problem
from aansluitkit.project import tools_environment

COMPUTING_SECONDS = 10  # for one inventory; most take a tenth of one
WAITING_SECONDS = 120  # for lookups elsewhere, such as in a password manager
MEMORY_BYTES = 2 * 1024**3  # of address space; Ansible itself takes a quarter of it
MOST_ENDINGS = 3  # variables of one inventory that are each found to be too much
_HOSTS = "hosts"  # what is being read before there are variables

Hosts = dict[str, dict[str, Any]]
Host = tuple[str, tuple[str, ...], dict[str, Any], dict[str, str]]


@dataclass(frozen=True)
class _Question:
    """``without`` are variables that are too much, ``seconds`` those of computing, the rest is of who asks.

    ``decrypt`` says whether what Ansible Vault encrypted is wanted too.
    """

    hosts_file: Path
    prefix: str
    decrypt: bool
    without: frozenset[str]
    seconds: int
    environment: dict[str, str]
    folder: str


@dataclass(frozen=True)
class _Answer:
    """The hosts; or what is wrong with the inventory; or with Ansible's settings."""

    hosts: tuple[Host, ...] = ()
    problems: tuple[Problem, ...] = ()
    failure: str = ""


@dataclass(frozen=True)
class _Broken:
    """The process ended while it was at the variable ``at``."""

    at: str


def hosts_by_ansible(
    hosts_file: Path, prefix: str, *, decrypt: bool = False
) -> tuple[dict[str, tuple[str, ...]], Hosts, list[Problem]]:
    """Groups and variables of each host, and what Ansible could not fill in.

    Only variables that begin with ``prefix`` are taken, templated as ansible-playbook would; with ``decrypt`` also
    those that Ansible Vault encrypted.

    Raises:
        InventoryError: when Ansible can't read the inventory, or not within the bounds of this module.
        KitError: when Ansible can't read its own settings.
    """
    problems: dict[str, Problem] = {}
    answer = _ask(hosts_file, prefix, problems, decrypt=decrypt)
    groups, hosts = {}, {}
    for name, members, variables, failed in answer.hosts:
        groups[name] = members
        hosts[name] = variables
        for variable, message in failed.items():
            problems.setdefault(variable, Problem(str(hosts_file), variable, message, 0, "template"))
    return groups, hosts, list(problems.values())


def _ask(hosts_file: Path, prefix: str, problems: dict[str, Problem], *, decrypt: bool) -> _Answer:
    """Ask, and again without each variable that proves too much; ``problems`` grows by those."""
    while True:
        here = os.getcwd()  # noqa: PTH109
        without = frozenset(problems)
        question = _Question(hosts_file, prefix, decrypt, without, COMPUTING_SECONDS, tools_environment(), here)
        answer = _process().ask(question)
        if isinstance(answer, _Answer):
            if answer.failure:
                raise KitError(answer.failure)
            if answer.problems:
                raise InventoryError(list(answer.problems))
            return answer
        problems[answer.at] = Problem(str(hosts_file), answer.at, _too_much(), 0, "template")
        if answer.at == _HOSTS or len(problems) > MOST_ENDINGS:
            raise InventoryError(list(problems.values()))


def _too_much() -> str:
    return (
        f"can't be filled in within {COMPUTING_SECONDS} seconds of computing, {WAITING_SECONDS} of waiting and "
        f"{MEMORY_BYTES // 1024**3} GiB of memory, which no inventory needs: write the value itself"
    )


class _Process:
    """Ansible in a process of its own, for one question after the other; started by the first, and after an end."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._own: subprocess.Popen[bytes] | None = None
        self._pipe: Any = None

    def ask(self, question: _Question) -> _Answer | _Broken:
        """The answer to ``question``, or where it broke."""
        with self._guard:
            at = _HOSTS
            try:
                if self._own is None or self._own.poll() is not None:
                    self._start()
                self._pipe.send(question)
                while self._pipe.poll(WAITING_SECONDS):
                    told = self._pipe.recv()
                    if isinstance(told, _Answer):
                        return told
                    at = told
            except (EOFError, ConnectionError):
                pass
            self._end()
            return _Broken(at)

    def _start(self) -> None:
        # A fork would take the locks of this process's threads along, and multiprocessing its main program.
        near, far = socket.socketpair()
        with far:
            command = f"from {__name__} import serve; serve({far.fileno()})"
            self._own = subprocess.Popen([sys.executable, "-c", command], pass_fds=[far.fileno()])
        self._pipe = Connection(near.detach())
        atexit.register(self._own.kill)

    def _end(self) -> None:
        if self._own is not None:
            self._own.kill()
            self._own.wait()
            atexit.unregister(self._own.kill)
            self._own = None
        self._pipe.close()


@lru_cache(maxsize=1)
def _process_of(_owner: int) -> _Process:
    return _Process()


def _process() -> _Process:
    return _process_of(os.getpid())  # a process that is forked has its own


def serve(handle: int) -> None:
    """Answer the questions that come through the socket ``handle``, telling each variable that is begun, in bounds."""
    pipe: Any = Connection(handle)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that asks ends this one
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    while True:
        try:
            question: _Question = pipe.recv()
        except (EOFError, ConnectionError):
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + question.seconds)
        os.environ.clear()
        os.environ.update(question.environment)
        os.chdir(question.folder)
        try:
            pipe.send(_answer(question, pipe.send))
        except (MemoryError, ConnectionError):
            os._exit(1)  # without a word: there is no memory to say one, or nobody to hear it


def _limit(kind: int, most: int) -> None:
    """Set the soft limit of ``kind`` to ``most``, or to the hard one where that is lower."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _answer(question: _Question, tell: Callable[[str], None]) -> _Answer:
    try:
        return _Answer(hosts=tuple(_hosts(question, tell)))
    except InventoryError as error:
        return _Answer(problems=tuple(error.problems))
    except KitError as error:
        return _Answer(failure=str(error))


def host_variables(inventory: Path, prefix: str, *, decrypt: bool = False) -> Hosts:
    """The variables of each host that begin with ``prefix``, templated as ansible-playbook would.

    With ``decrypt`` also those that Ansible Vault encrypted, by the vault password that Ansible is told of.

    Raises:
        InventoryError: when Ansible can't read the inventory or fill in a variable.
    """
    _, hosts, problems = hosts_by_ansible(inventory / "hosts.yml", prefix, decrypt=decrypt)
    if problems:
        raise InventoryError(problems)
    return hosts


def _hosts(question: _Question, tell: Callable[[str], None]) -> Iterator[Host]:
    """Name, groups, variables of each host, and the variables that can't be filled in, each with why."""
    from ansible.errors import AnsibleError  # noqa: PLC0415 - the adapter's hosts have no Ansible

    try:
        from ansible.inventory.manager import InventoryManager  # noqa: PLC0415
        from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
        from ansible.parsing.vault import VaultSecretsContext  # noqa: PLC0415
        from ansible.plugins.loader import init_plugin_loader  # noqa: PLC0415
        from ansible.plugins.vars import host_group_vars  # noqa: PLC0415
        from ansible.template import Templar  # noqa: PLC0415
        from ansible.utils.collection_loader import AnsibleCollectionConfig  # noqa: PLC0415
        from ansible.vars.manager import VariableManager  # noqa: PLC0415
    except AnsibleError as error:  # Ansible reads its settings when it is imported
        raise KitError(
            f"ANSIBLE_CONFIG {os.environ.get('ANSIBLE_CONFIG')}: {_one_line(error)}: mend it or unset it"
        ) from error

    class _Loader(DataLoader):  # type: ignore[misc]
        """Passes over the files that Vault encrypted whole: no password is needed to judge an inventory."""

        def load_from_file(self, file_name: str, *args: Any, **options: Any) -> Any:
            return {} if is_vaulted(Path(file_name)) else super().load_from_file(file_name, *args, **options)

    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader()  # without which a lookup by its whole name, ansible.builtin.…, is not found
    for remembered in (host_group_vars.FOUND, host_group_vars.NAK):
        remembered.clear()  # which files there were when the question before was asked
    loader = _Loader()
    tell(_HOSTS)
    try:
        secrets = _vault_secrets(loader) if question.decrypt else []
        VaultSecretsContext._current = VaultSecretsContext(secrets) if secrets else None  # its own way is for one run
        if secrets:
            loader = DataLoader()
            loader.set_vault_secrets(secrets)
        manager = InventoryManager(loader=loader, sources=[str(question.hosts_file)])
        variables = VariableManager(loader=loader, inventory=manager)
        for host in manager.get_hosts():
            raw = variables.get_vars(host=host, include_hostvars=False)
            templar = Templar(loader=loader, variables=raw)
            filled: dict[str, Any] = {}
            failed: dict[str, str] = {}
            for name in [name for name in raw if name.startswith(question.prefix) and name not in question.without]:
                tell(str(name))
                try:
                    filled[str(name)] = _bounded(plain(templar.template(raw[name])))
                except Exception as error:  # a filter or lookup may raise anything
                    failed[str(name)] = _why_not(error, decrypt=question.decrypt)
            yield str(host.name), tuple(str(group.name) for group in host.groups if group.name != "all"), filled, failed
    except AnsibleError as error:
        problem = Problem(
            str(question.hosts_file), "inventory", f"Ansible can't read it: {_one_line(error)}", 0, "ansible"
        )
        raise InventoryError([problem]) from error


def _bounded(value: Any) -> Any:
    """Return ``value``.

    Raises:
        MemoryError: when it is larger than a file of an inventory may be.
    """
    if len(pickle.dumps(value)) > LARGEST_FILE:
        raise MemoryError
    return value


def _vault_secrets(loader: Any) -> list[tuple[str, Any]]:
    """The vault passwords that Ansible's settings name; those that are asked for are not among them."""
    from ansible.constants import config  # noqa: PLC0415
    from ansible.parsing.vault import get_file_vault_secret  # noqa: PLC0415

    file = config.get_config_value("DEFAULT_VAULT_PASSWORD_FILE")
    named = [*config.get_config_value("DEFAULT_VAULT_IDENTITY_LIST"), *([f"default@{file}"] if file else [])]
    secrets = []
    for label, _, source in (name.rpartition("@") for name in named):
        if not source.startswith("prompt"):
            path = str(Path(source).expanduser().absolute())
            secret = get_file_vault_secret(filename=path, vault_id=label or "default", loader=loader)
            secret.load()
            secrets.append((label or "default", secret))
    return secrets


def _why_not(error: BaseException, *, decrypt: bool) -> str:
    if _is_too_much(error):
        return _too_much()
    told = _one_line(error)
    if ("undecryptable" in told or "Vault" in told) and decrypt:
        return (
            "can't be filled in: it asks for a value that Ansible Vault encrypted, and the vault password is not known "
            "or another one: set ANSIBLE_VAULT_PASSWORD_FILE to the file that holds it"
        )
    if "undecryptable" in told or "Vault" in told:
        return (
            "can't be filled in: it asks for a value that Ansible Vault encrypted, and an inventory is checked without "
            "password: write it in clear"
        )
    return f"can't be filled in: {told}: define what it names, or write the value itself"


def _is_too_much(error: BaseException | None) -> bool:
    """Whether memory ran out somewhere below ``error``."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def plain(value: Any) -> Any:
    """Ansible's tagged values as the plain ones that pydantic's strict core takes."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, date):
        return (datetime if isinstance(value, datetime) else date).fromisoformat(value.isoformat())
    return value


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
