"""A host's PEM files are checked before they are installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from aansluitkit.certificates.hostfiles import problems

from .makers import Authority, Made, Wish


@pytest.fixture
def made(authority: Authority) -> Made:
    return authority.leaf()


@pytest.fixture
def folder(authority: Authority, made: Made, tmp_path: Path) -> Path:
    (tmp_path / "certificate.pem").write_bytes(made.pem + authority.intermediates)
    (tmp_path / "key.pem").write_bytes(made.key_pem)
    (tmp_path / "trust.pem").write_bytes(authority.root.pem)
    return tmp_path


def test_what_is_right(folder: Path) -> None:
    assert problems(folder) == []


def test_missing_files_are_named_rightly(folder: Path) -> None:
    internal = ["internal-certificate.pem", "internal-key.pem", "internal-trust.pem"]
    (problem,) = problems(folder, required=["certificate.pem", *internal])
    words = (
        f"{folder} lacks {', '.join(internal)}: make the internal certificates (playbooks/internal-certificates.yml)"
    )
    assert problem == words
    (folder / "trust.pem").unlink()
    (problem,) = problems(folder, required=["certificate.pem", "key.pem", "trust.pem"])
    assert problem.startswith(f"{folder} lacks trust.pem: take in the endpoint's certificate")


def test_certificates_apart_have_the_same_roots(folder: Path, authority: Authority, stranger: Authority) -> None:
    for use in ("signing", "encryption"):
        own = authority.leaf()
        (folder / f"{use}-certificate.pem").write_bytes(own.pem + authority.intermediates)
        (folder / f"{use}-key.pem").write_bytes(own.key_pem)
    assert problems(folder) == []
    (folder / "signing-certificate.pem").write_bytes(stranger.leaf().pem)
    told = problems(folder)
    assert all(problem.startswith(f"{folder}/signing-certificate.pem") for problem in told)
    assert any("which no root beside it signed" in problem for problem in told)
    (folder / "signing-key.pem").unlink()
    assert "signing-key.pem can't be read: No such file or directory" in problems(folder)[0]


def test_what_is_wrong_is_a_sentence(folder: Path, authority: Authority, stranger: Authority, made: Made) -> None:
    secret = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    cases = [
        ("certificate.pem", authority.leaf(Wish(begins=-9, ends=-2)).pem + authority.intermediates, "it has expired"),
        ("certificate.pem", made.pem + authority.domain.pem + authority.tsp.pem, "is not in order"),
        ("certificate.pem", made.pem, "which no root beside it signed"),
        ("certificate.pem", b"x", "holds no PEM certificate"),
        ("key.pem", stranger.leaf().key_pem, "does not belong to"),
        ("key.pem", secret, "holds no private key without passphrase"),
        ("trust.pem", stranger.root.pem, "which no root beside it signed"),
    ]
    for name, content, words in cases:
        right = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        (problem,) = problems(folder)
        assert problem.startswith(str(folder))
        assert words in problem
        (folder / name).write_bytes(right)
    (folder / "trust.pem").unlink()
    assert "trust.pem can't be read: No such file or directory" in problems(folder)[0]
