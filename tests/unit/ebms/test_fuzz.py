"""What fuzzing once found stays found: every input of its corpus, and the messages that it starts from."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from aansluitkit.project import ROOT

FUZZ = ROOT / "tests/fuzz"


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_read", FUZZ / "read.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(path.name for path in (FUZZ / "corpus").iterdir()))
def test_corpus(name: str, fuzz: ModuleType) -> None:
    fuzz.try_one((FUZZ / "corpus" / name).read_bytes())


def test_seeds_are_messages_that_are_read_and_verified(fuzz: ModuleType, tmp_path: Path) -> None:
    fuzz.seeds(tmp_path)
    certificate = fuzz._party()[1]
    for name in ("ping", "status", "error", "acknowledgment", "business"):
        for suffix in ("plain", "signed"):
            content = (tmp_path / f"{name}-{suffix}").read_bytes()
            fuzz.try_one(content)
            envelope, payloads = fuzz.mime.unpack(fuzz.KINDS[content[0]], content[1:])
            if suffix == "signed":
                fuzz.signature.verify(envelope, payloads, fuzz._signed(certificate))
