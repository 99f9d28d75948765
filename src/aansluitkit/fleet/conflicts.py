"""What one customer alone may hold, and who holds it as well.

The environments of one customer are held against each other by the rules of the connection; here customers meet.
A lab stands on a machine of its own, so it takes part in nothing of this.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aansluitkit.connection import Component, Connection, Environment, Kind
from aansluitkit.connection.partial import Unknown, as_known

SHARED = {Component.MANAGEMENT, Component.PARTNER}  # hosts that the kit does not configure for one customer alone
NAMED = 3  # other holders that a message names


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that belongs to one customer: ``path`` is the dotted path below ``connection_`` that claims it."""

    kind: str
    value: str
    path: str


@dataclass(frozen=True, slots=True)
class Holder:
    """A claim with the inventory and the customer that make it; ``folder`` is the customer's, by its one true name."""

    claim: Claim
    inventory: Path
    customer: str
    folder: Path


# Kind of claim to the reason why it can't be shared, and what to do.
REASONS = {
    "name": "Pulumi's stack and every document are named so: give each customer its own name",
    "address": "Ansible reaches a host, and the partner a connection, by address: give each customer its own",
    "endpoint": "a name leads to one load balancer: give each customer its own endpoint",
    "CPA": "an adapter finds a message's agreement by its id: give each CPA its own",
    "OIN": "the partner finds a connection by its OIN, of which a customer has one: correct the wrong one",
}


def claims(connection: Connection) -> tuple[Claim, ...]:
    """What ``connection`` holds for itself, as far as it is valid: what is refused holds its addresses all the same.

    A vendor has one HRN for the connections of all its customers, so an HRN is not claimed (seed 3.3.8).
    """
    try:
        if connection.environment is Environment.LAB:
            return ()
    except Unknown:
        return ()
    parts = (_name, _endpoint, _cpa, _oin, _own_addresses, _hosts, _virtual_addresses)
    return tuple(as_known(connection, *parts))


def _name(connection: Connection) -> Iterator[Claim]:
    yield Claim("name", connection.full_name, "name")


def _endpoint(connection: Connection) -> Iterator[Claim]:
    yield Claim("endpoint", connection.host_name, "endpoint")


def _cpa(connection: Connection) -> Iterator[Claim]:
    yield Claim("CPA", connection.cpa.id, "cpa.id")


def _oin(connection: Connection) -> Iterator[Claim]:
    if connection.kind is Kind.GOVERNMENT:
        yield Claim("OIN", connection.organisation.oin, "organisation.oin")


def _own_addresses(connection: Connection) -> Iterator[Claim]:
    for path, address in connection.own_addresses:
        yield Claim("address", str(address), path)


def _hosts(connection: Connection) -> Iterator[Claim]:
    for host in connection.hosts.values():
        if not SHARED & set(host.components):
            for zone, address in host.addresses.items():
                yield Claim("address", str(address), f"hosts.{host.name}.addresses.{zone}")


def _virtual_addresses(connection: Connection) -> Iterator[Claim]:
    for component, shared in connection.virtual_addresses.items():
        for zone, address in shared.items():
            yield Claim("address", str(address), f"virtual_addresses.{component}.{zone}")


def conflicts(holders: Iterable[Holder]) -> dict[Path, list[tuple[str, str]]]:
    """Each inventory that holds what another customer holds too, with the paths and what is wrong with them."""
    same: dict[tuple[str, str], list[Holder]] = defaultdict(list)
    for holder in holders:
        same[holder.claim.kind, holder.claim.value].append(holder)
    found: dict[Path, list[tuple[str, str]]] = defaultdict(list)
    for group in same.values():
        for holder in group:
            others = [other for other in group if _collide(holder, other)]
            if others:
                found[holder.inventory].append((holder.claim.path, _message(holder.claim, others)))
    return found


def _collide(one: Holder, other: Holder) -> bool:
    """Environments of one customer stand side by side under one name; their own rules compare them."""
    return (one.folder, one.customer) != (other.folder, other.customer)


def _message(claim: Claim, others: list[Holder]) -> str:
    names = list(dict.fromkeys(str(other.inventory) for other in others))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"'{claim.value}' is taken by {', '.join(names[:NAMED])}{more} as well; {REASONS[claim.kind]}"
