"""The folder with every document of a connection."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from aansluitkit.connection import Connection
from aansluitkit.documents.cpa import cpa_document, render_consumerspecificatie
from aansluitkit.documents.netwerkoverzicht import as_pdf, render_netwerkoverzicht
from aansluitkit.documents.picture import render_picture
from aansluitkit.documents.rendering import render, write
from aansluitkit.ebms.message import MSH_SERVICE


def write_documents(connection: Connection, folder: Path, state: date) -> list[Path]:
    """Write every document of ``connection`` into ``folder`` and return the files; ``state`` dates the inventory.

    While certificates are being renewed there are two CPAs.

    Raises:
        KitError: when a file can't be read, the CPA does not keep a rule, or no PDF can be made; nothing is written
            then.
    """
    agreement: dict[str, str | bytes] = {
        "cpa.xml": cpa_document(connection),
        "consumerspecificatie.xml": render_consumerspecificatie(connection),
        "ping.xml": render("ping.xml.j2", connection=connection, service=MSH_SERVICE),
    }
    following = connection.following
    if following:
        agreement["cpa-next.xml"] = cpa_document(following)
        agreement["consumerspecificatie-next.xml"] = render_consumerspecificatie(following)
    return _write({**agreement, **_netwerkoverzicht(connection, state)}, folder)


def write_netwerkoverzicht(connection: Connection, folder: Path, state: date) -> list[Path]:
    """Write the netwerkoverzicht alone, which needs no certificate yet (seed 4.3.5).

    Raises:
        KitError: as ``write_documents``.
    """
    return _write(_netwerkoverzicht(connection, state), folder)


def _netwerkoverzicht(connection: Connection, state: date) -> dict[str, str | bytes]:
    page = render_netwerkoverzicht(connection, state)
    return {
        "netwerkoverzicht.svg": render_picture(connection, state),
        "netwerkoverzicht.html": page,
        "netwerkoverzicht.pdf": as_pdf(page),
    }


def _write(documents: dict[str, str | bytes], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in documents.items():
        write(content, folder / name)
    return [folder / name for name in documents]
