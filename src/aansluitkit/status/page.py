"""The status page: one file without outside references, for whoever looks at it with a browser."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from aansluitkit.connection import Connection
from aansluitkit.documents.rendering import render, write
from aansluitkit.status.findings import Finding, Verdict, worst


def write_html(findings: Sequence[Finding], connection: Connection, path: Path) -> None:
    """Write the page, what is worst above."""
    ordered = sorted(findings, key=lambda finding: list(Verdict).index(finding.verdict))
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    page = render(
        "status.html.j2",
        connection=connection,
        findings=ordered,
        worst=worst(findings),
        verdicts=list(Verdict),
        made=made,
    )
    write(page, path)
