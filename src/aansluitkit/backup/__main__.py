"""What the playbooks backup and restore have done on the controller.

``python -m aansluitkit.backup pack|seal|check|compare|unpack …``. ``seal`` and ``compare`` read what the hosts told, as
JSON, on standard input; ``pack``, ``check`` and ``unpack`` have the passphrase in AANSLUITKIT_BACKUP_PASSPHRASE.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from aansluitkit.backup.manifest import NAME, Manifest, check, compare, read_state, seal
from aansluitkit.backup.moment import recovery_time
from aansluitkit.backup.vaulted import opened, pack, unpack
from aansluitkit.connection import load_connection
from aansluitkit.errors import KitError

CONFIGURATION = "configuration.vault"
PASSPHRASE = "AANSLUITKIT_BACKUP_PASSPHRASE"  # noqa: S105 - the name of a variable


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(prog="python -m aansluitkit.backup")
    actions = parser.add_subparsers(required=True)
    for name, act, words in (
        ("pack", _pack, ("path+",)),
        ("seal", _seal, ()),
        ("check", _check, ("inventory", "postgresql_version")),
        ("compare", _compare, ()),
        ("unpack", _unpack, ("target",)),
    ):
        action = actions.add_parser(name)
        action.add_argument("folder", type=Path, help="of the backup")
        if name == "check":
            action.add_argument("--restore-to", default="", help="a moment (ISO 8601) instead of that of the backup")
            action.add_argument("--repository-elsewhere", action="store_true", help="it goes on after the backup")
        for word in words:
            action.add_argument(word.rstrip("+"), nargs="+" if word.endswith("+") else None)
        action.set_defaults(act=act)
    given = parser.parse_args()
    try:
        given.act(given)
    except KitError as error:
        sys.exit(f"aansluitkit: {error}")


def _pack(given: argparse.Namespace) -> None:
    pack([Path(path) for path in given.path], _passphrase(), given.folder / CONFIGURATION)


def _seal(given: argparse.Namespace) -> None:
    manifest = seal(given.folder, **json.load(sys.stdin))
    print(f"{given.folder.with_suffix('')}: {_told(manifest)}")


def _check(given: argparse.Namespace) -> None:
    manifest = check(given.folder, load_connection(Path(given.inventory)), given.postgresql_version)
    opened(given.folder / CONFIGURATION, _passphrase())  # as all of the backup is
    if given.restore_to:
        moment = recovery_time(given.restore_to, manifest, later=given.repository_elsewhere)
        target = {"type": "time", "target": moment}
    else:
        target = {"type": "name", "target": manifest.restore_point}
    print(json.dumps(target))


def _compare(given: argparse.Namespace) -> None:
    manifest = Manifest.model_validate_json((given.folder / NAME).read_bytes())
    compare(manifest, read_state(sys.stdin.read())[0])
    print(f"equal: {_told(manifest)}")


def _unpack(given: argparse.Namespace) -> None:
    for path in unpack(given.folder / CONFIGURATION, _passphrase(), Path(given.target)):
        print(path)


def _told(manifest: Manifest) -> str:
    messages = ", ".join(f"{number} {kind}" for kind, number in manifest.state.messages.items()) or "no messages"
    return f"{messages}, {len(manifest.state.cpas)} CPAs"


def _passphrase() -> str:
    try:
        return os.environ[PASSPHRASE]
    except KeyError as error:
        raise KitError(f"{PASSPHRASE} is not set: it is secret_backup_passphrase of the inventory") from error


if __name__ == "__main__":
    main()
