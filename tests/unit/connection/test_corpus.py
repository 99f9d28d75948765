"""Every broken inventory of the corpus is refused, with an error that names file and variable."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from corpus import MUTATIONS, ROOT, Mutation

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
