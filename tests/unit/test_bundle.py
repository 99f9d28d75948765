"""A bundle: what is in it, and that it is whole or not there."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from aansluitkit import bundle
from aansluitkit.errors import KitError
from aansluitkit.project import ROOT


def test_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="is there already"):
        bundle.make_bundle(tmp_path, [], [], print)
    assert list(tmp_path.iterdir()) == []


def test_what_can_not_be_had_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(KitError, match="pip download"):
        bundle.make_bundle(tmp_path / "bundle", [], [], lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_python_of_a_release_is_read_from_its_packages(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "trixie.tar", "w") as archive:
        for name in ("python3-apt_3.0.0_amd64.deb", "python3_3.13.5-1_amd64.deb", "python3.13_3.13.5-2_amd64.deb"):
            archive.addfile(tarfile.TarInfo(name))
    assert bundle.python_of(tmp_path / "trixie.tar") == "3.13"


def test_kit_goes_without_what_is_made_again() -> None:
    def entry(name: str) -> tarfile.TarInfo | None:
        return bundle._kept(tarfile.TarInfo(f"aansluitkit/{name}"))

    assert entry("roles/dns/tasks/main.yml")
    assert entry("inventories/gemeente-x/production/group_vars/all/secrets.yml")
    assert not any(map(entry, (".venv/bin/python", ".git/HEAD", ".lab/pki/x.pem", "src/aansluitkit/__pycache__/x.pyc")))


def test_sums_are_those_that_sha256sum_takes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"")
    assert [*bundle._sums(tmp_path)] == ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a/b\n"]


def test_controllers_packages_are_those_of_bootstrap() -> None:
    assert "podman" in bundle.run(ROOT / "bootstrap", "packages").split()
