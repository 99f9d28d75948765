"""A backup is restored whole, into its own environment, by a kit that knows its tables; or it is refused."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aansluitkit.backup import __main__ as command
from aansluitkit.backup.manifest import NAME, Manifest, check, compare, read_state, seal
from aansluitkit.backup.moment import recovery_time
from aansluitkit.backup.vaulted import pack, unpack
from aansluitkit.connection import Connection
from aansluitkit.errors import KitError
from aansluitkit.project import ROOT

STATE: dict[str, Any] = {
    "adapter": "embedded",
    "schema_version": "0001",
    "messages": {"received PROCESSED": 2, "sent signal": 1},
    "business_messages": 2,
    "cpas": {"b": base64.encodebytes(b"<b/>" * 40).decode(), "a": base64.encodebytes(b"<a/>").decode()},
}
KNOWN = {"environment": "lab.lab", "taken_at": "now", "restore_point": "now", "postgresql_version": "15"}


def make(folder: Path, **changes: Any) -> Path:
    partial = folder / "now.partial"
    partial.mkdir()
    (partial / "database.tar").write_bytes(b"database")
    state = {**STATE, **{name: value for name, value in changes.items() if name in STATE}}
    known = {**KNOWN, **{name: value for name, value in changes.items() if name in KNOWN}}
    seal(partial, json.dumps(state), **known)
    return folder / "now"


def test_sealed_backup_is_whole(tmp_path: Path, lab_connection: Connection) -> None:
    folder = make(tmp_path)
    manifest = check(folder, lab_connection, "15")
    assert set(manifest.parts) == {"database.tar", "cpa-1.xml", "cpa-2.xml"}
    assert (folder / "cpa-1.xml").read_bytes() == b"<a/>"
    assert sorted(manifest.state.cpas.values()) == sorted(manifest.parts[name] for name in ("cpa-1.xml", "cpa-2.xml"))
    compare(manifest, read_state(json.dumps(STATE))[0])
    assert [path.name for path in tmp_path.iterdir()] == ["now"]


def cut(folder: Path) -> None:
    (folder / "database.tar").unlink()


def damage(folder: Path) -> None:
    (folder / "database.tar").write_bytes(b"databasf")


def forget(folder: Path) -> None:
    (folder / NAME).unlink()


def garble(folder: Path) -> None:
    (folder / NAME).write_text("{}")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (cut, "database.tar is missing; choose another backup"),
        (damage, "database.tar is damaged"),
        (forget, "a backup that was broken off has none"),
        (garble, "manifest.json: environment: Field required"),
    ],
)
def test_incomplete_one_is_refused(
    tmp_path: Path, lab_connection: Connection, harm: Callable[[Path], None], words: str
) -> None:
    folder = make(tmp_path)
    harm(folder)
    with pytest.raises(KitError, match=words):
        check(folder, lab_connection, "15")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"environment": "gemeente-x.preprod"}, "a backup of gemeente-x.preprod, and this is lab.lab"),
        ({"schema_version": "9999"}, "tables of version 9999, and this kit knows them up to"),
        ({"postgresql_version": "17"}, "of PostgreSQL 17, and the hosts have 15"),
    ],
)
def test_one_of_elsewhere_is_refused(
    tmp_path: Path, lab_connection: Connection, changes: dict[str, str], words: str
) -> None:
    with pytest.raises(KitError, match=words):
        check(make(tmp_path, **changes), lab_connection, "15")


def test_ebms_admin_numbers_its_tables_otherwise(tmp_path: Path, lab_connection: Connection) -> None:
    assert check(make(tmp_path, adapter="ebms_admin", schema_version="2.19.0"), lab_connection, "15")


def test_difference_is_named() -> None:
    state = read_state(json.dumps(STATE))[0]
    manifest = Manifest(**KNOWN, kit_version="1", state=state, parts={})
    other = read_state(json.dumps({**STATE, "cpas": {}}))[0]
    with pytest.raises(KitError, match=r"cpas is \{\}, and was"):
        compare(manifest, other)


def test_sealing_twice_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(KitError, match="is there already"):
        make(tmp_path)


def test_keys_come_back_as_they_were(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "key.pem").write_bytes(b"secret")
    (keys / "key.pem").chmod(0o600)
    (tmp_path / "link").symlink_to(keys)
    target = tmp_path / "configuration.vault"
    pack([tmp_path / "link"], "passphrase", target)
    assert b"secret" not in target.read_bytes()
    assert target.stat().st_mode & 0o777 == 0o600
    [found] = unpack(target, "passphrase", tmp_path / "there")
    assert found == tmp_path / "there" / str(keys / "key.pem").lstrip("/")
    assert (found.read_bytes(), found.stat().st_mode & 0o777) == (b"secret", 0o600)
    with pytest.raises(KitError, match="is there already"):
        unpack(target, "passphrase", tmp_path / "there")
    with pytest.raises(KitError, match="secret_backup_passphrase"):
        unpack(target, "another", tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


TAKEN = {"taken_at": "2026-11-25T040000Z", "restorable_from": "2026-11-24T04:01:00+00:00"}


def manifest_of(**known: str) -> Manifest:
    state = read_state(json.dumps(STATE))[0]
    return Manifest(**{**KNOWN, **TAKEN, **known}, kit_version="1", state=state, parts={})


@pytest.mark.parametrize(
    "given",
    ["2026-11-25T03:59:00+00:00", "2026-11-25T03:59:00Z", "2026-11-25T04:59:00+01:00", "2026-11-25 03:59:00+00"],
)
def test_moment_is_told_as_pgbackrest_takes_it(given: str) -> None:
    assert recovery_time(given, manifest_of(), later=False) == "2026-11-25 03:59:00.000000+00"
    assert recovery_time(given, manifest_of(restorable_from=""), later=False)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("2026-11-25", "'2026-11-25', which is not a date and time with a time zone: write it as -e restore_to=2026"),
        ("2026-11-25T03:59:00", "not a date and time with a time zone"),
        ("noon", "'noon', which is not a date and time"),
        ("2999-11-25T03:59:00Z", "lies in the future"),
        ("2026-11-24T04:00:00Z", "goes back to 2026-11-24T04:01:00"),
        ("2026-11-25T04:00:01Z", "choose a backup that was made after it"),
    ],
)
def test_moment_that_a_backup_does_not_hold_is_refused(given: str, words: str) -> None:
    with pytest.raises(KitError, match=words):
        recovery_time(given, manifest_of(), later=False, now=datetime(2026, 12, 1, tzinfo=UTC))


def test_repository_elsewhere_goes_on_after_the_backup() -> None:
    assert recovery_time("2026-11-25T04:00:01Z", manifest_of(), later=True, now=datetime(2026, 12, 1, tzinfo=UTC))


def test_command_says_it_in_one_line(tmp_path: Path) -> None:
    words = [sys.executable, "-m", command.__package__, "unpack", str(tmp_path), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={"PATH": ""})
    assert done.returncode == 1
    assert done.stderr.startswith("aansluitkit: AANSLUITKIT_BACKUP_PASSPHRASE is not set")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("passphrase", "refused"), [("of that time", False), ("another", True)])
def test_passphrase_that_opens_nothing_is_refused_before_a_restore(
    tmp_path: Path, passphrase: str, refused: bool
) -> None:
    folder = make(tmp_path)
    pack([folder / NAME], "of that time", folder / command.CONFIGURATION)
    words = [sys.executable, "-m", command.__package__, "check", str(folder), str(ROOT / "inventories/lab"), "15"]
    environment = {**os.environ, command.PASSPHRASE: passphrase}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert ("secret_backup_passphrase the one of that time?" in done.stderr) is refused
    assert done.returncode == refused, done.stderr
