"""What is kept of the customers beside one is never told when it is no longer so."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from aansluitkit.connection import Kind
from aansluitkit.errors import Problem
from aansluitkit.fleet import beside
from aansluitkit.fleet.survey import find, survey

from .conftest import Customer, change

CONNECTION = "group_vars/all/connection.yml"
OWN = "https://ebms.preprod.klant-1.nl/ebms"
OTHER = "https://ebms.preprod.klant-2.nl/ebms"


@pytest.fixture(autouse=True)
def _old_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of these tests are taken for old ones, of which is kept what they say."""
    monkeypatch.setattr(beside, "GRAIN_SECONDS", -3600)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The customers that were read, as they are."""
    found: list[str] = []
    really = beside._read

    def told(inventory: Path) -> beside._Read:
        found.append(inventory.parent.name)
        return really(inventory)

    monkeypatch.setattr(beside, "_read", told)
    return found


@pytest.fixture
def one(root: Path, customer: Customer) -> Path:
    """A customer beside two others, one of which takes its endpoint's name from the shared defaults."""
    inventories = [customer(f"klant-{number}", number, Kind.VENDOR)[0] for number in (1, 2, 3)]
    with (root / "shared/all.yml").open("a") as file:
        file.write("domain: klant-3.nl\n")
    change(inventories[2] / CONNECTION, "ebms.preprod.klant-3.nl", "ebms.preprod.{{ domain }}")
    return inventories[0]


def problems(inventory: Path) -> list[Problem]:
    [entry] = survey([inventory])
    return list(entry.problems)


def test_what_did_not_change_is_not_read_again(one: Path, read: list[str]) -> None:
    assert problems(one) == []
    assert read == ["klant-2", "klant-3"]
    assert problems(one) == []
    assert read == ["klant-2", "klant-3"]


def _sibling(root: Path) -> None:
    change(root / "klant-2/preprod" / CONNECTION, OTHER, OWN)


def _same_size_and_moment(root: Path) -> None:
    file = root / "klant-2/preprod" / CONNECTION
    status = file.stat()
    _sibling(root)
    assert file.stat().st_size == status.st_size
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def _shared(root: Path) -> None:
    change(root / "shared/all.yml", "domain: klant-3.nl", "domain: klant-1.nl")


def _new_file(root: Path) -> None:
    (root / "klant-2/preprod/group_vars/all/later.yml").write_text(f"connection_endpoint: {OWN}\n")


def _new_folder(root: Path) -> None:
    folder = root / "klant-2/preprod/group_vars/all/later"
    folder.mkdir()
    (folder / "more.yml").write_text(f"connection_endpoint: {OWN}\n")


def _file_in_an_empty_folder(root: Path) -> None:
    (root / "klant-3/preprod/group_vars/all/empty/more.yml").write_text(f"connection_endpoint: {OWN}\n")


def _other_link(root: Path) -> None:
    link = root / "klant-2/preprod/group_vars/all/00-shared.yml"
    shutil.copy(root / "shared/all.yml", root / "shared/other.yml")
    (root / "klant-2/preprod" / CONNECTION).write_text(
        (root / "klant-2/preprod" / CONNECTION).read_text().replace(f"connection_endpoint: {OTHER}\n", "")
    )
    with (root / "shared/other.yml").open("a") as file:
        file.write(f"connection_endpoint: {OWN}\n")
    link.unlink()
    link.symlink_to("../../../../shared/other.yml")


def _new_customer(root: Path) -> None:
    shutil.copytree(root / "klant-2", root / "klant-4", symlinks=True)
    file = root / "klant-4/preprod" / CONNECTION
    file.write_text(file.read_text().replace(OTHER, OWN))


@pytest.mark.parametrize(
    "happens",
    [
        _sibling,
        _same_size_and_moment,
        _shared,
        _new_file,
        _new_folder,
        _file_in_an_empty_folder,
        _other_link,
        _new_customer,
    ],
)
def test_what_changed_is_read_again(root: Path, one: Path, own_cache: Path, happens: Callable[[Path], None]) -> None:
    (root / "klant-3/preprod/group_vars/all/empty").mkdir()
    assert problems(one) == []
    happens(root)
    told = problems(one)
    (own_cache / beside.FILE).unlink()
    assert told == problems(one)
    assert [problem.variable for problem in told] == ["connection_endpoint"]
    whole = next(entry for entry in survey(find([root])) if entry.inventory == one)
    assert list(whole.problems) == told


def test_a_customer_that_went_holds_nothing(root: Path, one: Path, own_cache: Path, read: list[str]) -> None:
    _sibling(root)
    assert [problem.variable for problem in problems(one)] == ["connection_endpoint"]
    shutil.rmtree(root / "klant-2")
    read.clear()
    assert problems(one) == []
    assert read == []
    shutil.rmtree(root / "klant-3/preprod")
    shutil.copytree(one, root / "klant-3/preprod", symlinks=True)
    problems(one)
    with sqlite3.connect(own_cache / beside.FILE) as database:
        assert [Path(os.fsdecode(path)).parent.name for (path,) in database.execute("SELECT path FROM inventory")] == [
            "klant-3"
        ]


def test_what_depends_on_more_than_its_files_is_not_kept(
    root: Path, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(root / "klant-2/preprod" / CONNECTION, "preprod.klant-2", "preprod.{{ lookup('env', 'CUSTOMER') }}")
    monkeypatch.setenv("CUSTOMER", "klant-2")
    assert problems(one) == []
    monkeypatch.setenv("CUSTOMER", "klant-1")
    assert [problem.variable for problem in problems(one)] == ["connection_endpoint"]


def test_what_changed_a_moment_ago_is_not_kept(one: Path, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "GRAIN_SECONDS", 3600)
    problems(one)
    problems(one)
    assert read == ["klant-2", "klant-3"] * 2


def test_another_kit_reads_for_itself(one: Path, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    problems(one)
    monkeypatch.setattr(beside, "_kit", lambda: "another")
    problems(one)
    assert read == ["klant-2", "klant-3"] * 2


def _as_text(file: Path) -> None:
    file.write_bytes(b"no database at all, but long enough to be taken for the header of one" * 100)


def _as_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:9000])


def _as_zeros(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:4096] + bytes(len(content) - 4096))


def _of_others(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE inventory (path, places, state)")
        database.execute("INSERT INTO inventory VALUES (1, 2, 3)")
    file.chmod(0o600)


def _writable_for_all(file: Path) -> None:
    file.chmod(0o666)


def _as_link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def _as_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _nowhere(file: Path) -> None:
    shutil.rmtree(file.parent)
    file.parent.touch()


@pytest.mark.parametrize(
    "spoil", [_as_text, _as_half, _as_zeros, _of_others, _writable_for_all, _as_link, _as_folder, _nowhere]
)
def test_what_is_spoilt_is_not_believed(
    root: Path, one: Path, own_cache: Path, read: list[str], spoil: Callable[[Path], None]
) -> None:
    _sibling(root)
    told = problems(one)
    assert told
    read.clear()
    spoil(own_cache / beside.FILE)
    assert problems(one) == told
    assert read == ["klant-2", "klant-3"]
    assert not own_cache.is_dir() or [path for path in own_cache.iterdir() if path.name.startswith(".")] == []


def test_what_is_spoilt_is_replaced(one: Path, own_cache: Path, read: list[str]) -> None:
    problems(one)
    _as_text(own_cache / beside.FILE)
    problems(one)
    read.clear()
    problems(one)
    assert read == []


def test_nobody_else_reads_it_and_no_secret_is_in_it(root: Path, one: Path, own_cache: Path) -> None:
    problems(one)
    file = own_cache / beside.FILE
    assert file.stat().st_mode & 0o777 == 0o600
    content = file.read_bytes()
    assert b"ebms.preprod.klant-2.nl" in content
    for secret in (b"ANSIBLE_VAULT", b"secret_database_password"):
        assert secret not in content
