"""The folder with every document of a connection."""

from __future__ import annotations

from pathlib import Path

from aansluitkit.connection import Connection
from aansluitkit.documents.cpa import render_consumerspecificatie, render_cpa
from aansluitkit.documents.rendering import write
from aansluitkit.documents.topology import render_topology


def write_documents(connection: Connection, folder: Path) -> list[Path]:
    """Write every document of ``connection`` into ``folder`` and return the files.

    Raises:
        KitError: when a certificate can't be read or a template yields no XML; nothing is written then.
    """
    documents = {
        "cpa.xml": render_cpa(connection),
        "consumerspecificatie.xml": render_consumerspecificatie(connection),
        "topology.svg": render_topology(connection),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents.items():
        write(text, folder / name)
    return [folder / name for name in documents]
