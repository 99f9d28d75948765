"""What people read of a report: a line for each check, and a page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from aansluitkit.connection import Connection
from aansluitkit.documents.picture import render_picture
from aansluitkit.documents.rendering import render, write
from aansluitkit.documents.state import date_of
from aansluitkit.verification.checks import Check, Report, Result

_STYLE = {Result.PASSED: "green", Result.FAILED: "bold red", Result.SKIPPED: "yellow", Result.UNCHECKED: "yellow"}


def show(console: Console, check: Check) -> None:
    """Print ``check`` as one line: result, hop, what."""
    style = _STYLE[check.result]
    console.print(
        f"  [{style}]{check.result:<9}[/] {check.hop:<13} {escape(check.id)}: {escape(check.message)}", soft_wrap=True
    )


def write_html(report: Report, connection: Connection, path: Path) -> None:
    """Write ``report`` with the picture of ``connection`` as one page without outside references."""
    text = render(
        "report.html.j2",
        report=report,
        results=list(Result),
        connection=connection,
        picture=render_picture(connection, date_of(Path(report.inventory))),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    write(text, path)
