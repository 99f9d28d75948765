"""Rules on a CPA that came from the Creatievoorziening or the partner: it agrees with the inventory.

Files of an example that are not there are left out, and so is everything while a certificate can't be read: the
certificates' own rules say so.
"""

from __future__ import annotations

from collections.abc import Iterator

from aansluitkit.connection.model import Connection
from aansluitkit.connection.rules import Finding, Rule
from aansluitkit.errors import KitError


def received_cpa_fits(connection: Connection) -> Iterator[Finding]:
    """A CPA of other parties, with other certificates or endpoints, or outside its dates breaks the connection."""
    yield from _told(connection, blocks=True)


def received_cpa_is_as_declared(connection: Connection) -> Iterator[Finding]:
    """Messages survive the other differences, and people had better know them."""
    yield from _told(connection, blocks=False)


def _told(connection: Connection, *, blocks: bool) -> Iterator[Finding]:
    from aansluitkit.agreement.differences import remarks_on  # noqa: PLC0415 - needs this package
    from aansluitkit.documents.cpa import read_received  # noqa: PLC0415
    from aansluitkit.ebms.errors import MalformedError  # noqa: PLC0415

    path = connection.cpa.file
    if path is None or (connection.example and not path.exists()):
        return
    try:
        document = read_received(path)
    except KitError as error:
        if blocks:
            yield "cpa.file", str(error)
        return
    try:
        remarks = remarks_on(document, connection)
    except MalformedError as error:
        if blocks:
            yield (
                "cpa.file",
                f"'{path}' is no CPA that an adapter takes: {error}; put the file there as it was received",
            )
    except KitError:
        return
    else:
        yield from (("cpa.file", f"'{path}': {remark}") for remark in remarks if (remark.weight == "blocks") is blocks)


RULES: tuple[Rule, ...] = (received_cpa_fits,)
WARNINGS: tuple[Rule, ...] = (received_cpa_is_as_declared,)
