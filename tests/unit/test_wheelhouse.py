"""The archive of the adapter's packages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aansluitkit import wheelhouse
from aansluitkit.errors import KitError


def test_what_pip_says_is_one_sentence() -> None:
    with pytest.raises(
        KitError, match=r"^the adapter's packages can't be had: .*no-such-package.*; run ./bootstrap"
    ) as told:
        wheelhouse._pip("download", "--no-index", "no-such-package")
    assert "\n" not in str(told.value)


def test_former_archives_go(tmp_path: Path) -> None:
    names = [f"{wheelhouse.PACKAGE}-{number:02}.tar" for number in range(wheelhouse._KEPT + 2)]
    for moment, name in enumerate(names):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (moment, moment))
    (tmp_path / "other.tar").touch()
    wheelhouse._forget_former(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names[2:], "other.tar"]
