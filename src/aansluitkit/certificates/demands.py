"""What an inventory demands of a certificate, as far as the inventory is filled in already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from aansluitkit.certificates.trust import Anchors, read_anchors
from aansluitkit.connection import Connection, Environment, examine
from aansluitkit.connection.certificate_rules import endpoint_of, takes_test_certificates
from aansluitkit.connection.model import Trust
from aansluitkit.connection.partial import Unknown
from aansluitkit.digikoppeling import OIN_TYPE
from aansluitkit.errors import InventoryError

Value = TypeVar("Value")
Demand = tuple[str, str]  # a value, and the variable that says so


class Party(StrEnum):
    """Whose certificate it is."""

    ORGANISATION = "organisation"
    PARTNER = "partner"


@dataclass(frozen=True)
class Demands:
    """What the certificate of one party must be; None where the inventory does not say so yet."""

    party: Party
    number: Demand | None
    name: Demand | None
    organisation: Demand | None
    environment: Environment | None
    takes_test_certificates: bool
    cpa_end: datetime | None
    present: Path | None
    anchors: Anchors | None

    @property
    def unknown(self) -> list[str]:
        """What a certificate can't be compared with yet."""
        values = {"OIN or HRN": self.number, "endpoint": self.name, "environment": self.environment}
        return [name for name, value in values.items() if value is None]


def demands_of(inventory: Path) -> dict[Party, Demands]:
    """The demands that the inventory folder ``inventory`` makes of both parties.

    It may have blanks, and the certificate need not be there yet.

    Raises:
        InventoryError: when it can't be read at all.
    """
    found = examine(inventory)
    if found.known is None:
        raise InventoryError(list(found.problems))
    connection = found.known
    trust = _known(lambda: connection.trust)
    anchors = read_anchors(trust) if isinstance(trust, Trust) else None
    return {party: _of(connection, party, anchors) for party in Party}


def _of(connection: Connection, party: Party, anchors: Anchors | None) -> Demands:
    ours = party is Party.ORGANISATION
    own = (lambda: connection.organisation) if ours else (lambda: connection.partner)
    variable = f"connection_{party}"
    return Demands(
        party=party,
        number=_known(lambda: (own().oin, f"{variable}.oin") if ours or _has_oin(connection) else None),
        name=_known(lambda: endpoint_of(connection, party)),
        organisation=_known(lambda: (own().name, f"{variable}.name") if ours else None),
        environment=_known(lambda: connection.environment),
        takes_test_certificates=bool(_known(lambda: takes_test_certificates(connection))),
        cpa_end=_known(lambda: connection.cpa.end),
        present=_known(lambda: Path(getattr(connection.certificates, party))),
        anchors=anchors,
    )


def _has_oin(connection: Connection) -> bool:
    """Whether the partner is known by an OIN: the Compliancevoorziening has a number of its own."""
    return connection.partner.party_id_type == OIN_TYPE


def _known(ask: Callable[[], Value]) -> Value | None:
    try:
        return ask()
    except Unknown:
        return None
