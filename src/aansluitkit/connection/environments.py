"""Rules between the environments of one customer: what preprod and production may not share (seed 4.1, 4.4.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aansluitkit.certificates.facts import public_key, read_leaf
from aansluitkit.connection.certificate_rules import parties
from aansluitkit.connection.inventory_rules import is_blank
from aansluitkit.connection.loading import SECRET_PREFIX, Inventory
from aansluitkit.connection.model import Connection, Environment
from aansluitkit.connection.partial import as_known
from aansluitkit.connection.yamlfile import Vaulted

TOGETHER = {Environment.COMPLIANCE, Environment.PREPROD}  # one acceptance environment, first tested, then connected


@dataclass(frozen=True)
class Neighbour:
    """One environment of a customer: its inventory, and its connection as far as it is valid."""

    inventory: Inventory
    connection: Connection


def shared_things(own: Neighbour, other: Neighbour) -> Iterator[tuple[str, str]]:
    """What ``own`` shares with ``other`` and may not: path and sentence."""
    if not _are_compared(own.connection, other.connection):
        return
    where = f"{other.inventory.folder} ({other.connection.environment})"
    taken = {(kind, value): path for kind, path, value, _ in _things(other)}
    for kind, path, value, shown in _things(own):
        if (kind, value) in taken:
            yield (
                path,
                f"{shown} is the {kind} of {where} as well, {taken[kind, value]}; environments share no {kind} "
                "(seed 4.1, 4.4.4): give each its own",
            )


def same_environment(own: Neighbour, other: Neighbour) -> Iterator[tuple[str, str]]:
    """A customer has one inventory per environment, or each would undo what the other did."""
    environment = own.connection.environment
    if own.connection.name == other.connection.name and environment is other.connection.environment:
        yield (
            "environment",
            f"'{environment}' is declared by {other.inventory.folder} as well, for the same connection_name "
            f"'{own.connection.name}': correct either",
        )


def _are_compared(own: Connection, other: Connection) -> bool:
    same = own.name == other.name or own.organisation.oin == other.organisation.oin
    pair = {own.environment, other.environment}
    return same and Environment.LAB not in pair and pair != TOGETHER


def _things(place: Neighbour) -> Iterator[tuple[str, str, object, str]]:
    """Kind, path, value, and the value as it may be shown, of everything that belongs to one environment alone."""
    yield from as_known(place, _names, _addresses, _certificates, _secrets)


def _names(place: Neighbour) -> Iterator[tuple[str, str, object, str]]:
    connection = place.connection
    yield "endpoint", "endpoint", connection.host_name, f"'{connection.host_name}'"
    yield "CPA", "cpa.id", connection.cpa.id, f"'{connection.cpa.id}'"
    for host in connection.hosts.values():
        name = connection.name_of(host)
        yield "host", f"hosts.{host.name}", name, f"'{name}'"


def _addresses(place: Neighbour) -> Iterator[tuple[str, str, object, str]]:
    connection = place.connection
    for path, address in connection.own_addresses:
        yield "address", path, address, str(address)
    for host in connection.hosts.values():
        for zone, address in host.addresses.items():
            yield "address", f"hosts.{host.name}.addresses.{zone}", address, str(address)
    for component, shared in connection.virtual_addresses.items():
        for zone, address in shared.items():
            yield "address", f"virtual_addresses.{component}.{zone}", address, str(address)


def _certificates(place: Neighbour) -> Iterator[tuple[str, str, object, str]]:
    for party, path in parties(place.connection):
        if party != "organisation":
            continue  # the partner may show one certificate to both
        yield "certificate", "certificates.organisation", path.resolve(), f"'{path}'"
        try:
            yield "key", "certificates.organisation", public_key(read_leaf(path)), f"the key of '{path}'"
        except (OSError, ValueError):
            continue  # the certificate's own rules say so


def _secrets(place: Neighbour) -> Iterator[tuple[str, str, object, str]]:
    for _, name, value in place.inventory.raw(SECRET_PREFIX):
        held = value.ciphertext if isinstance(value, Vaulted) else value
        if isinstance(held, str | int) and not is_blank(held):
            yield "secret", name, str(held), "its value"
    for path in place.inventory.encrypted_files():
        content = place.inventory.contents[path]
        yield "secret", str(path.relative_to(place.inventory.folder)), content.ciphertext, "the encrypted file"
