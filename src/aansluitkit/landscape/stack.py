"""The Pulumi stack of an inventory: one per environment, named ``<name>.<environment>``, in the state of its place."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pulumi import automation

from aansluitkit.connection import Connection
from aansluitkit.connection.place import OpenStack
from aansluitkit.errors import KitError
from aansluitkit.landscape.engine import engine
from aansluitkit.project import PULUMI_HOME, ROOT

PROJECT = "aansluitkit"
PASSPHRASE = "passphrase"  # noqa: S105 - the name of a secrets provider
_PASSPHRASES = ("PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_CONFIG_PASSPHRASE")

WORKSPACE = ROOT / "pulumi"  # 'pulumi up' by hand works on the same stacks

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """Where the state of a stack lies, how its secrets are encrypted, and the folders that Pulumi writes in.

    ``workspace`` holds Pulumi's settings of the stack, ``home`` its plugins and what it knows of the user.
    """

    backend: str
    workspace: Path
    home: Path
    secrets_provider: str = PASSPHRASE
    passphrase_file: Path | None = None


def settings_of(place: OpenStack) -> Settings:
    """The settings that an inventory and the environment of the command give.

    Raises:
        KitError: when there is no state or no passphrase; nothing falls back on a state of the kit's own choosing.
    """
    backend = os.environ.get("PULUMI_BACKEND_URL") or place.state
    if not backend:
        raise KitError(
            "there is no place for Pulumi's state: set 'state' of connection_openstack, or the environment variable "
            "PULUMI_BACKEND_URL, to a URL such as file:///srv/aansluitkit, s3://bucket or postgres://host/database"
        )
    if place.secrets_provider == PASSPHRASE and not place.passphrase_file:
        if not any(os.environ.get(name) for name in _PASSPHRASES):
            raise KitError(
                "there is no passphrase for the secrets in Pulumi's state: set 'passphrase_file' of "
                "connection_openstack, or the environment variable PULUMI_CONFIG_PASSPHRASE_FILE, to a file with mode "
                "0600, or set 'secrets_provider' to a key such as awskms://alias/name"
            )
    elif place.passphrase_file and not place.passphrase_file.is_file():
        raise KitError(f"{place.passphrase_file} ('passphrase_file' of connection_openstack) is not there: make it")
    return Settings(backend, WORKSPACE, PULUMI_HOME, place.secrets_provider, place.passphrase_file)


def open_stack(inventory: Path, connection: Connection, settings: Settings, say: Say) -> automation.Stack:
    """Return the stack of ``connection``, made where it is not there; its program declares ``inventory``.

    Raises:
        KitError: when the engine can't be had, or the state can't be read.
    """
    from aansluitkit_landscape import landscape  # noqa: PLC0415

    home = engine(say)
    settings.workspace.mkdir(parents=True, exist_ok=True)
    settings.home.mkdir(parents=True, exist_ok=True)
    with told("the state can't be opened"):
        return automation.create_or_select_stack(
            stack_name=connection.full_name,
            project_name=PROJECT,
            program=lambda: landscape(inventory),
            opts=automation.LocalWorkspaceOptions(
                work_dir=str(settings.workspace),
                pulumi_command=automation.PulumiCommand(root=str(home) if home else None),
                pulumi_home=str(settings.home),
                secrets_provider=settings.secrets_provider,
                env_vars=_environment(settings),
            ),
        )


def _environment(settings: Settings) -> Mapping[str, str]:
    interpreter = Path(sys.executable)
    passphrase = {_PASSPHRASES[0]: str(settings.passphrase_file)} if settings.passphrase_file else {}
    return {
        "PULUMI_BACKEND_URL": settings.backend,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_PYTHON_CMD": str(interpreter),
        "PATH": f"{interpreter.parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'pulumi'}",
        **passphrase,
    }


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn the engine's failure into a sentence that begins with ``what``.

    Raises:
        KitError: instead of the engine's own exceptions.
    """
    try:
        yield
    except automation.ConcurrentUpdateError as error:
        raise KitError(
            f"{what}: another run works on this stack, or one was broken off: wait for it, or end its lock with "
            "'pulumi cancel'"
        ) from error
    except automation.CommandError as error:
        raise KitError(f"{what}: {_reason(error)}") from error


def _reason(error: automation.CommandError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip().startswith("error:")]
    return "; ".join(dict.fromkeys(lines))[:800] or " ".join(str(error).split())[-800:]
