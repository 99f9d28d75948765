"""The archive of the adapter's packages."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from aansluitkit import wheelhouse
from aansluitkit.errors import KitError


def test_what_pip_says_is_one_sentence() -> None:
    with pytest.raises(
        KitError, match=r"^the adapter's packages for Python 3.13 can't be had: .*no-such-package.*; run ./bootstrap"
    ) as told:
        wheelhouse._pip("3.13", "download", "--no-index", "no-such-package")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_archive_is_for_the_python_of_the_host(python: str) -> None:
    archive = wheelhouse.wheelhouse(python)
    tag = "cp" + python.replace(".", "")
    assert archive.name.startswith(f"aansluitkit-{tag}-")
    with tarfile.open(archive) as file:
        wheels = [name.removeprefix("wheels/") for name in file.getnames()]
    bound = {
        wheel.split("-")[0]: wheel.split("-")[2]
        for wheel in wheels
        if "-abi3-" not in wheel and "-none-any" not in wheel
    }
    assert bound["aiohttp"] == tag
    assert set(bound.values()) == {tag}
    assert any(wheel.startswith("aansluitkit-") for wheel in wheels)


def test_python_that_the_kit_does_not_run_on_is_refused() -> None:
    with pytest.raises(
        KitError, match=r"^the kit needs Python >=3.11 on its hosts, and this one has Python 3.9: upgrade"
    ):
        wheelhouse.wheelhouse("3.9")


def test_python_without_wheels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(KitError, match=r"^the adapter's packages for Python 3.99 can't be had: "):
        wheelhouse.wheelhouse("3.99")
    assert [*tmp_path.rglob("*.tar")] == []


def test_dependencies_are_those_of_the_hosts_python(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {"kit": ["backport; python_version < '3.13'", "everywhere"]}
    monkeypatch.setattr(wheelhouse.importlib.metadata, "requires", needed.get)
    assert wheelhouse._closure("kit", frozenset(), "3.11") == {"backport", "everywhere"}
    assert wheelhouse._closure("kit", frozenset(), "3.13") == {"everywhere"}


def test_former_archives_go(tmp_path: Path) -> None:
    names = [f"{wheelhouse.PACKAGE}-cp311-{number:02}.tar" for number in range(wheelhouse._KEPT + 2)]
    for moment, name in enumerate(names):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (moment, moment))
    other = f"{wheelhouse.PACKAGE}-cp313-00.tar"
    (tmp_path / other).touch()
    os.utime(tmp_path / other, (0, 0))
    wheelhouse._forget_former(tmp_path, "3.11")
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names[2:], other]
