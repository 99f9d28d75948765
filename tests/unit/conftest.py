"""One set of certificates of each generation for all unit tests: keys of 4096 bits take a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from aansluitkit.connection import Connection, load_connection
from aansluitkit.lab.pki import ENDPOINT, PARTNER, Generation, make_pki

LAB = Path(__file__).parents[2] / "inventories/lab"


@pytest.fixture(scope="session")
def lab_connection() -> Connection:
    return load_connection(LAB)


@pytest.fixture(scope="session")
def pki_g4(lab_connection: Connection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki") / "g4"
    make_pki(lab_connection, Generation.G4, folder, lambda _: None)
    return folder


@pytest.fixture(scope="session")
def pki_g1(lab_connection: Connection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki") / "g1"
    make_pki(lab_connection, Generation.G1, folder, lambda _: None)
    return folder


@pytest.fixture(scope="session")
def connection(lab_connection: Connection, pki_g4: Path) -> Connection:
    """The lab's connection, with certificates that are there."""
    files = {"organisation": pki_g4 / ENDPOINT / "certificate.pem", "partner": pki_g4 / PARTNER / "certificate.pem"}
    return lab_connection.model_copy(update={"certificates": lab_connection.certificates.model_copy(update=files)})
