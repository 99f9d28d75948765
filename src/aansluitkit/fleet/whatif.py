"""The question of the bad day, asked of many inventories: which are touched by a change at the partner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from aansluitkit.connection import Environment, examine
from aansluitkit.connection.loading import load_inventory
from aansluitkit.connection.places import Places
from aansluitkit.errors import KitError, Problem
from aansluitkit.fleet.changes import Change, NewCertificate, NewEndpoint, Touched
from aansluitkit.fleet.parallel import ask


@dataclass(frozen=True)
class Place:
    """Where a variable is set; shared defaults are one file for many customers."""

    file: str
    line: int
    variable: str


@dataclass(frozen=True)
class Impact:
    """What a change asks of one inventory; ``touched`` is None where it asks nothing."""

    inventory: Path
    customer: str
    environment: Environment
    partner_name: str
    partner_oin: str
    partner_endpoint: str
    cpa: str
    cpa_start: datetime
    cpa_end: datetime
    touched: Touched | None
    places: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Unasked:
    """An inventory that could not be asked: the first of its ``problems`` problems and blanks says why."""

    inventory: Path
    reason: Problem
    problems: int


@dataclass(frozen=True)
class Answer:
    """The touched connections, how many others were asked, and the inventories that could not be asked."""

    impacts: tuple[Impact, ...]
    untouched: int
    unasked: tuple[Unasked, ...]


def what_if(
    inventories: Sequence[Path],
    partner: str,
    change: Change,
    environment: Environment | None = None,
    tell: Callable[[], None] = lambda: None,
) -> Answer:
    """Ask every inventory whose partner has the name or OIN ``partner`` what ``change`` means for it.

    An inventory that is refused or has blanks can't be asked; the answer names it.

    Raises:
        KitError: when no connection has that partner, or the change can't be this partner's.
    """
    found: list[Impact] = []
    unasked: list[Unasked] = []
    for answer in ask(partial(_impact, partner, change), inventories):
        tell()
        if isinstance(answer, Unasked):
            unasked.append(answer)
        elif environment in (None, answer.environment):
            found.append(answer)
    concerned = [impact for impact in found if _is(partner, impact.partner_name, impact.partner_oin)]
    _check_partner(partner, found, concerned)
    _check_change(change, concerned)
    touched = tuple(impact for impact in concerned if impact.touched)
    return Answer(touched, len(found) - len(touched), tuple(unasked))


def _is(partner: str, name: str, oin: str) -> bool:
    return partner == oin or partner.casefold() == name.casefold()


def _impact(partner: str, change: Change, inventory: Path) -> Impact | Unasked:
    examined = examine(inventory)
    connection = examined.connection
    if connection is None:
        reasons = (*examined.problems, *examined.blanks)
        return Unasked(inventory, reasons[0], len(reasons))
    other = connection.partner
    touched = change.touch(connection) if _is(partner, other.name, other.oin) else None
    return Impact(
        inventory=inventory,
        customer=connection.name,
        environment=connection.environment,
        partner_name=other.name,
        partner_oin=other.oin,
        partner_endpoint=other.endpoint,
        cpa=connection.cpa.id,
        cpa_start=connection.cpa.start,
        cpa_end=connection.cpa.end,
        touched=touched,
        places=_places(inventory, touched),
    )


def _check_partner(partner: str, found: list[Impact], concerned: list[Impact]) -> None:
    if concerned:
        return
    known = sorted({f"{impact.partner_name} ({impact.partner_oin})" for impact in found})
    hint = f"known are {', '.join(known)}: name one" if known else "no inventory could be asked: see aansluitkit check"
    raise KitError(f"no connection has partner '{partner}'; {hint}")


def _check_change(change: Change, concerned: list[Impact]) -> None:
    """Refuse what would be answered for the wrong party or the wrong environment."""
    endpoints = sorted({impact.partner_endpoint for impact in concerned})
    if isinstance(change, NewEndpoint) and len(endpoints) > 1:
        raise KitError(
            f"the partner has endpoints {', '.join(endpoints)}: say with --environment which {change.url} replaces"
        )
    if not isinstance(change, NewCertificate):
        return
    oins = sorted({impact.partner_oin for impact in concerned})
    if oins != [change.oin]:
        raise KitError(
            f"{change.file} is of OIN {change.oin}, the partner's is {', '.join(oins)}: give the partner's certificate"
        )
    if not any(impact.touched for impact in concerned):
        raise KitError(
            f"{change.file} names {', '.join(change.names) or 'no host'}, the partner's endpoints are "
            f"{', '.join(endpoints)}: give the certificate of one of them"
        )


def _places(inventory: Path, touched: Touched | None) -> tuple[Place, ...]:
    if touched is None:
        return ()
    places = Places(load_inventory(inventory))
    found = (places.problem(variable, "", "") for variable in touched.variables)
    return tuple(Place(str(Path(one.file).resolve()), one.line, one.variable) for one in found)
