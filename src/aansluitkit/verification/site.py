"""The live hosts of an inventory, as the checks see them."""

from __future__ import annotations

import base64
import json
import tempfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from shlex import quote
from typing import Any, NoReturn

import testinfra
import testinfra.host

from aansluitkit import sudo
from aansluitkit.connection import Connection, Host, flows_of
from aansluitkit.connection.ansible_loader import host_variables
from aansluitkit.connection.flows import SSH_PORT
from aansluitkit.connection.model import Contact
from aansluitkit.errors import KitError
from aansluitkit.verification.commands import SSH_OPTIONS, Commands, TimeIsUp
from aansluitkit.verification.ssh import Ssh, SudoError

PROBE = Path(__file__).with_name("probe.py")
CONTROL_PERSIST = 10  # seconds
_RUN = "import base64,sys,zlib;exec(zlib.decompress(base64.b64decode(sys.argv[1])))"


class Unproved(AssertionError):  # noqa: N818 - a verdict, not an error
    """What was found, what to do, and whom to call."""


class Unreachable(KitError):  # noqa: N818 - a verdict, not an error
    """``host`` can't be reached."""

    def __init__(self, host: str, message: str) -> None:
        self.host = host
        super().__init__(message)


class Answer:
    """What a host answered, or why it did not: that is raised where the answer is needed."""

    def __init__(self, ask: Callable[[Host], Any], host: Host) -> None:
        self.failed: KitError | None = None
        try:
            self._value = ask(host)
        except KitError as error:
            self.failed = error

    def __call__(self) -> Any:
        """The answer.

        Raises:
            KitError: when the host can't be reached or the probe does not run there.
        """
        if self.failed:
            raise self.failed
        return self._value


class Site:
    """Runs probes on the hosts, over SSH as Ansible's connection variables say.

    It ends ``limit`` seconds after it was made, where there is one. With ``gives_up``, a host that can't be reached
    is not tried again.
    """

    def __init__(
        self, connection: Connection, inventory: str, limit: float | None = None, *, gives_up: bool = False
    ) -> None:
        self.connection = connection
        self.inventory = inventory
        self._probe = _packed(PROBE.read_bytes())
        self._variables = host_variables(Path(inventory), "ansible_", decrypt=True)
        self._sudo_password = sudo.handed_on()
        self._commands = Commands(limit)
        self._gives_up = gives_up
        self._silent: dict[str, str] = {}
        self._sockets = tempfile.TemporaryDirectory(prefix="aansluitkit-")

    def close(self) -> None:
        """End the connections that are kept open, and whatever still runs, and remove what was made for them."""
        self._commands.end()
        for socket in Path(self._sockets.name).iterdir():
            with suppress(TimeIsUp):
                self._commands.run(f"ssh -O exit -S {quote(str(socket))} {socket.name}")
        self._sockets.cleanup()

    def end(self) -> None:
        """End what runs; the cleanup that follows gets only seconds."""
        self._commands.end()

    def need_time(self) -> None:
        """Go on only before the limit.

        Raises:
            TimeIsUp: after it.
        """
        self._commands.need_time()

    @cache  # noqa: B019 - as long as the run
    def host(self, name: str) -> Any:
        """Testinfra's view of host ``name``."""
        variables = self._variables[name]
        if variables.get("ansible_connection") == "local":
            found = testinfra.get_host("local://")
            found.backend.run_local = partial(self._run_local, found.backend)
            return found
        user = f"{variables['ansible_user']}@" if variables.get("ansible_user") else ""
        backend = Ssh(
            f"{user}{variables.get('ansible_host', name)}:{variables.get('ansible_port', 22)}",
            ssh_identity_file=variables.get("ansible_ssh_private_key_file"),
            ssh_extra_args=f"{variables.get('ansible_ssh_common_args') or ''} {SSH_OPTIONS}".strip(),  # the first wins
            controlpath=f"{self._sockets.name}/{name}",
            controlpersist=CONTROL_PERSIST,
            sudo=bool(variables.get("ansible_become", True)),  # as the playbooks say
            sudo_password=_sudo_password(variables) or self._sudo_password,
            runs=self._commands.run,
        )
        return testinfra.host.Host(backend)

    def _run_local(self, backend: Any, command: str, *arguments: str) -> Any:
        words = backend.quote(command, *arguments)
        done = self._commands.run(words)
        return backend.result(done.returncode, words.encode(), done.stdout, done.stderr)

    def run(self, host: Host, command: str, *arguments: str) -> Any:
        """Run ``command`` on ``host``; ``%s`` in it are the arguments, quoted.

        Raises:
            KitError: when sudo refuses.
            Unreachable: when the host can't be reached.
            TimeIsUp: when the limit passes first.
        """
        if self._gives_up and host.name in self._silent:
            raise Unreachable(host.name, self._silent[host.name])  # anew: a traceback grows with each raise
        try:
            return self.host(host.name).run(command, *arguments)
        except SudoError as error:
            raise KitError(
                f"{host.name}: sudo refuses the user that logs in ({error}): write its password as "
                "ansible_become_password in the vault, or give it with --ask-become-pass"
            ) from error
        except RuntimeError as error:
            told = getattr(error.args[0], "stderr", "") if error.args else ""
            self._silent[host.name] = (
                f"{host.name} can't be reached by SSH: {' '.join(told.split())[-300:]}; see that it runs, that its "
                f"flow {self._management(host)} passes, and the ansible_ variables of the inventory"
            )
            raise Unreachable(host.name, self._silent[host.name]) from error

    def _management(self, host: Host) -> str:
        flows = [flow for flow in flows_of(self.connection) if flow.port == SSH_PORT and flow.destination == host.name]
        return ", ".join(flow.id for flow in flows)

    def probe(self, host: Host, do: str, **request: Any) -> dict[str, Any]:
        """Run one function of the probe on ``host`` and return its answer.

        Raises:
            KitError: when the host can't be reached or the probe does not run there.
        """
        asked = _packed(json.dumps({"do": do, **request}, default=str).encode())
        result = self.run(host, "python3 -c %s %s %s", _RUN, self._probe, asked)
        if result.rc != 0:
            raise KitError(f"the probe did not run on {host.name} (exit {result.rc}): {result.stderr.strip()[-400:]}")
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    def ask_all(self, hosts: Sequence[Host], ask: Callable[[Host], Any]) -> dict[str, Answer]:
        """What ``ask`` says of each host, by name; all at once."""
        with ThreadPoolExecutor(len(hosts)) as pool:
            answers = pool.map(lambda host: Answer(ask, host), hosts)
            try:
                return dict(zip((host.name for host in hosts), answers, strict=True))
            except BaseException:  # Ctrl-C: nobody waits for answers any more
                self._commands.end()
                raise

    def connect(self, source: Host, address: object, port: int) -> str:
        """How a TCP connection from ``source`` ends: open, refused, filtered or unreachable."""
        return str(self.probe(source, "connect", targets=[[str(address), port]])["outcomes"][0])

    def redeploy(self, host: str) -> str:
        """What to do when ``host`` is not as declared."""
        return f"run ansible-playbook -i {self.inventory} playbooks/site.yml --limit {host}"


def _packed(content: bytes) -> str:
    """``content`` as one word of a command; a word has 128 KiB at most (execve(2))."""
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _sudo_password(variables: dict[str, Any]) -> str | None:
    """The one of the inventory, by either of the names that Ansible's plugin sudo knows first."""
    found = variables.get("ansible_become_password", variables.get("ansible_become_pass"))
    return None if found is None else str(found)


def unproved(found: str, advice: str, contact: Contact) -> NoReturn:
    """Fail the check: what was found, what to do, whom to call."""
    raise Unproved(f"{found}; {advice}; call {contact.name} ({contact.phone}, {contact.email})")
