"""A preprod inventory that is valid, and the CPA that came for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from aansluitkit.connection import Connection, load_connection
from aansluitkit.documents import render_cpa

from ..connection.test_rules import inventories, preprod

__all__ = ["inventories", "preprod"]


@dataclass(frozen=True)
class Received:
    """An inventory whose CPA came from outside."""

    folder: Path
    file: Path
    connection: Connection

    def spoil(self, spoil: Callable[[bytes], bytes]) -> None:
        self.file.write_bytes(spoil(self.file.read_bytes()))


@pytest.fixture
def received(preprod: Path) -> Received:
    """The CPA that came is the one that the inventory describes."""
    connection = load_connection(preprod)
    file = preprod / "../files/preprod/cpa/received.xml"
    file.parent.mkdir(parents=True)
    file.write_text(render_cpa(connection))
    variables = preprod / "group_vars/all/connection.yml"
    told = 'connection_cpa:\n  file: "{{ files_folder }}/cpa/received.xml"\n'
    variables.write_text(variables.read_text().replace("connection_cpa:\n", told))
    return Received(preprod, file, load_connection(preprod))
