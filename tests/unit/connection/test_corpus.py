"""Every broken inventory of the corpus is refused, with an error that names file and variable."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from corpus import (
    CUSTOMER,
    HOSTS,
    LAB,
    MUTATIONS,
    OF_LAB,
    OWN,
    PREPROD,
    PRODUCTION,
    ROOT,
    WHO,
    Mutation,
)  # fmt: skip

from aansluitkit import cli
from aansluitkit.connection import examine
from aansluitkit.errors import Problem

ONES_BY_COMMAND = MUTATIONS[:: len(MUTATIONS) // 6]  # a handful, through a process of its own


@pytest.fixture
def inventories(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "inventories", tmp_path / "inventories", symlinks=True))


def is_file(problem: Problem, mutation: Mutation, folder: Path) -> bool:
    """Whether ``problem`` names the file of ``mutation``, by that name or by the one that a link of it has."""
    wanted = folder / mutation.file
    return Path(problem.file) == wanted or Path(problem.file).resolve() == wanted.resolve()


def test_corpus_is_large_and_its_names_differ() -> None:
    assert len(MUTATIONS) >= 150
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_broken_inventory_is_refused(
    inventories: Path, mutation: Mutation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = inventories / mutation.base
    mutation.apply(folder)
    found = examine(folder)
    assert found.connection is None
    said = [*found.problems, *found.blanks]
    named = [problem for problem in said if problem.variable == mutation.variable and mutation.words in problem.message]
    assert named, "\n".join(map(str, said))
    assert any(is_file(problem, mutation, folder) for problem in named), "\n".join(map(str, named))
    for problem in said:
        length = len(Path(problem.file).read_bytes().splitlines()) if Path(problem.file).is_file() else 0
        assert 0 <= problem.line <= max(length, 1), problem

    monkeypatch.setattr(sys, "argv", ["aansluitkit", "check", str(folder)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == mutation.status
    output = "".join(capsys.readouterr())
    assert mutation.variable in output
    assert Path(named[0].file).name in output
    assert "Traceback" not in output


@pytest.mark.parametrize("mutation", ONES_BY_COMMAND, ids=str)
def test_command_refuses_without_traceback(inventories: Path, mutation: Mutation) -> None:
    mutation.apply(inventories / mutation.base)
    ended = subprocess.run(
        [sys.executable, "-m", "aansluitkit", "check", str(inventories / mutation.base)],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=120,
    )  # fmt: skip
    assert ended.returncode == mutation.status
    assert mutation.variable in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


ANYTHING = (
    None, [], {}, "", 0, -1, 3.5, True, "x" * 5000, {"a": 1}, [1], ["x", ["y"]], "{{ nothing }}", "{{ 1/0 }}", "a b",
    "{{ lookup('file', '/nope') }}", date(2026, 1, 1), "\u202e", 10**30, float("nan"), "10.0.0.0/8", "https://[::1",
    "-x", b"\xff",
)  # fmt: skip
FILES = (
    f"{LAB}/{HOSTS}", f"{LAB}/{OWN}", f"{LAB}/{WHO}", f"{LAB}/{OF_LAB}", f"{PRODUCTION}/{HOSTS}",
    f"{PRODUCTION}/{CUSTOMER}", "shared/all.yml", f"{PREPROD}/{HOSTS}",
)  # fmt: skip


def ways(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to each value within ``value``."""
    if way:
        yield way
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from ways(inner, (*way, key))


@pytest.mark.parametrize("file", FILES)
def test_whatever_stands_there_is_judged(inventories: Path, file: str) -> None:
    """Forty places of a file, each with something else in it: valid, or refused in a sentence with a place."""
    path, chance = inventories / file, random.Random(file)  # noqa: S311 - chance, no secret
    text = path.read_text()
    for way in chance.choices(list(ways(yaml.safe_load(text))), k=40):
        content = inner = yaml.safe_load(text)
        for key in way[:-1]:
            inner = inner[key]
        inner[way[-1]] = chance.choice(ANYTHING)
        path.write_text(yaml.safe_dump(content))
        found = examine(inventories / (PREPROD if file.startswith("shared") else file.partition("/group_vars")[0]))
        for problem in found.problems:
            assert Path(problem.file).is_relative_to(inventories), (way, inner[way[-1]], str(problem))
            assert problem.variable, (way, inner[way[-1]], str(problem))
