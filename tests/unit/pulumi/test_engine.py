"""Which Pulumi engine is taken: each way is tried in turn, and the choice is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from aansluitkit.errors import KitError
from aansluitkit.landscape import engine


def command(folder: Path, version: str) -> None:
    """A command that says it is an engine of ``version``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pulumi"
    path.write_text(f"#!/bin/sh\necho v{version}\n")
    path.chmod(0o755)


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is told, with a cache and a PATH of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return []


def test_the_one_on_path_is_taken(tmp_path: Path, said: list[str]) -> None:
    command(tmp_path / "bin", engine.pinned())
    assert engine.engine(said.append) is None
    assert said == [f"Pulumi engine {engine.pinned()}: the one on PATH ({tmp_path}/bin/pulumi)"]


def test_another_version_on_path_is_not(tmp_path: Path, said: list[str]) -> None:
    command(tmp_path / "bin", "3.0.0")
    home = tmp_path / "cache/aansluitkit/engine" / engine.pinned()
    command(home / "bin", engine.pinned())
    assert engine.engine(said.append) == home
    assert said == [f"Pulumi engine {engine.pinned()}: the one in the cache ({home})"]


def test_every_way_that_failed_is_told(tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its makers' site is made unreachable by a proxy that is not there; Go is not on this PATH."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(KitError, match="no Pulumi engine") as caught:
        engine.engine(said.append)
    assert "Pulumi's own installation: its site can't be reached" in str(caught.value)
    assert "there is no Go on PATH" in str(caught.value)
    assert not list((tmp_path / "cache/aansluitkit/engine").iterdir())
