"""The manifest of a backup: what it is of, and the SHA-256 of each part.

It is written last, and only then the folder gets its name: a folder without one is no backup.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from aansluitkit.checksum import sha256_of
from aansluitkit.connection import Connection
from aansluitkit.ebms.tables import VERSION
from aansluitkit.errors import KitError

NAME = "manifest.json"
EMBEDDED = "embedded"


class State(BaseModel):
    """What a database holds, as role backup counts it; of each CPA the SHA-256 of its document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    adapter: str
    schema_version: str
    messages: dict[str, int]
    business_messages: int
    cpas: dict[str, str]


class Manifest(BaseModel):
    """Everything about a backup.

    ``restore_point`` is where its database has exactly ``state``; ``restorable_from`` is the first moment that it can
    be put back to, empty in backups of earlier kits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: str
    taken_at: str
    kit_version: str
    postgresql_version: str
    restore_point: str
    restorable_from: str = ""
    state: State
    parts: dict[str, str]


def read_state(text: str) -> tuple[State, list[bytes]]:
    """The state that ``text`` tells, in which CPAs are whole (base64), and their documents by id."""
    told = json.loads(text)
    documents = {identity: base64.b64decode(document) for identity, document in sorted(told["cpas"].items())}
    digests = {identity: hashlib.sha256(document).hexdigest() for identity, document in documents.items()}
    return State.model_validate({**told, "cpas": digests}), list(documents.values())


def seal(folder: Path, state: str, **known: object) -> Manifest:
    """Write CPAs and manifest beside the parts in ``folder``, whose name ends in .partial, and drop that from its name.

    Raises:
        KitError: when it is there already, or what is known is not what a manifest holds.
    """
    target = folder.with_suffix("")
    if target.exists():
        raise KitError(f"{target} is there already: move it away, or begin again")
    counted, documents = read_state(state)
    for number, document in enumerate(documents, start=1):
        (folder / f"cpa-{number}.xml").write_bytes(document)
    known["state"] = counted
    parts = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    manifest = _parsed(folder, {**known, "kit_version": importlib.metadata.version("aansluitkit"), "parts": parts})
    (folder / NAME).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    folder.rename(target)
    return manifest


def check(folder: Path, connection: Connection, postgresql_version: str) -> Manifest:
    """The manifest of the backup in ``folder``, when it is whole and can be restored into ``connection``.

    Raises:
        KitError: when a part is missing or damaged, or it is of another environment, or newer than this kit.
    """
    path = folder / NAME
    try:
        manifest = _parsed(folder, path.read_bytes())
    except OSError as error:
        raise KitError(
            f"{path} can't be read ({error.strerror}): a backup that was broken off has none; choose a whole one"
        ) from error
    for name, digest in manifest.parts.items():
        part = folder / name
        if not part.is_file():
            raise KitError(f"{folder} is not whole: {name} is missing; choose another backup")
        if sha256_of(part) != digest:
            raise KitError(f"{part} is damaged: its SHA-256 is not that of {NAME}; choose another backup")
    _refuse_others(folder, manifest, connection, postgresql_version)
    return manifest


def _refuse_others(folder: Path, manifest: Manifest, connection: Connection, postgresql_version: str) -> None:
    if manifest.environment != connection.full_name:
        raise KitError(
            f"{folder} is a backup of {manifest.environment}, and this is {connection.full_name}: choose one of this "
            "environment"
        )
    state = manifest.state
    if state.adapter == EMBEDDED and state.schema_version > VERSION:
        raise KitError(
            f"{folder} has tables of version {state.schema_version}, and this kit knows them up to {VERSION}: "
            f"restore it with kit {manifest.kit_version} or later"
        )
    if manifest.postgresql_version != postgresql_version:
        raise KitError(
            f"{folder} is of PostgreSQL {manifest.postgresql_version}, and the hosts have {postgresql_version}: "
            f"restore it on hosts with {manifest.postgresql_version} (database_version)"
        )


def compare(manifest: Manifest, state: State) -> None:
    """See that a restored database holds what was backed up.

    Raises:
        KitError: when it does not; the first difference is named.
    """
    for name in State.model_fields:
        expected, found = getattr(manifest.state, name), getattr(state, name)
        if expected != found:
            raise KitError(f"what was restored is not what was backed up: {name} is {found}, and was {expected}")


def _parsed(folder: Path, content: object) -> Manifest:
    try:
        if isinstance(content, bytes):
            return Manifest.model_validate_json(content)
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise KitError(f"{folder / NAME}: {place}: {first['msg']}; choose another backup") from error
