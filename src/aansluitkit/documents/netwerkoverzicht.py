"""The netwerkoverzicht (seed 4.4.2): the picture, and every flow with its systems, addresses, certificates and people.

It needs no adapter and no certificate, because the way through the network is arranged before they are there (seed
4.3.5); a certificate that is not there yet is told as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from ipaddress import IPv4Network
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from aansluitkit.certificates.facts import dns_names, read_leaf, serial_number
from aansluitkit.connection import Component, Connection, Flow, Host
from aansluitkit.connection.flows import (
    AUTHORITIES,
    NAME_SERVERS,
    PACKAGE_SOURCES,
    PARTNER,
    RESOLVERS,
    TIME_SERVERS,
    FlowGroup,
    Purpose,
    flow_groups,
    hosts_at,
)
from aansluitkit.connection.model import Contact
from aansluitkit.documents.dutch import (
    AUTHORITY,
    COMPONENTS,
    ENVIRONMENTS,
    NAME_SERVER,
    PACKAGE_SOURCE,
    RESOLVER,
    TIME_SERVER,
    on,
    purpose_of,
    way_of,
)
from aansluitkit.documents.picture import Picture, render_picture
from aansluitkit.documents.rendering import render
from aansluitkit.errors import KitError

PAGE = (400.0, 272.0)  # mm, of A3 on its side within its margins
OWN, THEIRS, INTERNAL = "C1", "C2", "C3"
# Outside, and neither ours nor the partner's.
OTHERS = {
    AUTHORITIES: AUTHORITY,
    NAME_SERVERS: NAME_SERVER,
    PACKAGE_SOURCES: PACKAGE_SOURCE,
    TIME_SERVERS: TIME_SERVER,
    RESOLVERS: RESOLVER,
}
OF_THE_NETWORK = {Component.FIREWALL, Component.NAME_SERVER, Component.LOAD_BALANCER}
_SHOWN_AS = {NameOID.SERIAL_NUMBER: "serialNumber"}
_CERTIFICATES = {
    Purpose.MESSAGES_IN: f"{THEIRS} (client), {OWN} (server)",
    Purpose.MESSAGES_TO_ADAPTER: f"{THEIRS} (client), {OWN} (server)",
    Purpose.MESSAGES_IN_CLEAR: "geen: TLS is op de loadbalancer geëindigd",
    Purpose.MESSAGES_OUT: f"{OWN} (client), {THEIRS} (server)",
    Purpose.STORE: f"{INTERNAL} (server)",
    Purpose.APPLICATION: f"{INTERNAL} (server)",
}


@dataclass(frozen=True)
class End:
    """One system at an end of a flow."""

    name: str
    component: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A numbered flow, as the table has it."""

    number: int
    purpose: str
    direction: str
    way: str
    sources: tuple[End, ...]
    seen_as: str
    called: str
    destinations: tuple[End, ...]
    port: str
    certificates: str
    operators: tuple[Operator, ...]


@dataclass(frozen=True)
class Operator:
    """Who manages a part of the way: an organisation, its code in the table, and whom to call there."""

    code: str
    organisation: str
    contact: Contact


@dataclass(frozen=True)
class CertificateRow:
    """A certificate of the way; ``facts`` is empty when there is none yet."""

    code: str
    whose: str
    facts: tuple[tuple[str, str], ...]


def render_netwerkoverzicht(connection: Connection, state: date) -> str:
    """Return the netwerkoverzicht of ``connection`` as one XHTML page for A3, without outside references.

    ``state`` is the date of the inventory, which the title bears.

    Raises:
        KitError: when a template yields no XML.
    """
    picture = Picture(connection, state)
    return render(
        "netwerkoverzicht.html.j2",
        connection=connection,
        environment=ENVIRONMENTS[connection.environment],
        on={link.zone: on(connection, link) for link in connection.links},
        state=f"{state:%d-%m-%Y}",
        picture=render_picture(connection, state),
        width=f"{min(PAGE[0], PAGE[1] * picture.width / picture.height):.1f}mm",
        rows=tuple(_rows(connection)),
        systems=tuple(_systems(connection)),
        certificates=tuple(_certificates(connection)),
        operators=_operators(connection, ()),
        zones=connection.zones,
    )


def as_pdf(page: str) -> bytes:
    """``page``, XHTML of ``render_netwerkoverzicht``, as PDF; the same page gives the same bytes.

    Raises:
        KitError: when a library that makes PDF is not there.
    """
    # Imported here: it takes a second, and hosts of the adapter have none of it.
    try:
        from weasyprint import HTML  # noqa: PLC0415
    except OSError as error:
        raise KitError(
            f"no PDF can be made, because a library is not there ({str(error).splitlines()[0]}): run ./bootstrap, "
            "which installs it"
        ) from error
    return bytes(HTML(string=page).write_pdf())


def _rows(connection: Connection) -> Iterator[Row]:
    for group in flow_groups(connection):
        first = group.first
        yield Row(
            number=group.number,
            purpose=purpose_of(group),
            direction=group.direction.value,
            way=way_of(connection, group),
            sources=_ends(connection, ((flow.source, flow.source_networks) for flow in group.flows)),
            seen_as=str(first.outbound_address or ""),
            called=_called(connection, first),
            destinations=_ends(connection, ((flow.destination, flow.destination_networks) for flow in group.flows)),
            port=group.service,
            certificates=_CERTIFICATES.get(first.purpose, "geen"),
            operators=_operators(connection, _names_of(group)),
        )


def _called(connection: Connection, flow: Flow) -> str:
    if not flow.published_address:
        return ""
    name = f"{connection.host_name}, " if flow.purpose is Purpose.MESSAGES_IN else ""
    return f"{name}{flow.published_address}"


def _names_of(group: FlowGroup) -> Iterator[str]:
    for flow in group.flows:
        yield flow.source
        yield flow.destination


def _ends(connection: Connection, found: Iterable[tuple[str, tuple[IPv4Network, ...]]]) -> tuple[End, ...]:
    ends: dict[str, dict[str, None]] = {}  # a host may take part with several addresses, and each is told once
    for name, networks in found:
        ends.setdefault(name, {}).update({str(network).removesuffix("/32"): None for network in networks})
    return tuple(
        End(_shown(connection, name), _component(connection, name), tuple(addresses))
        for name, addresses in ends.items()
    )


def _shown(connection: Connection, name: str) -> str:
    if name == PARTNER:
        return connection.partner.name
    hosts = ", ".join(host.name for host in hosts_at(connection, name))
    return name if name in OTHERS else hosts or f"zone {name}"


def _component(connection: Connection, name: str) -> str:
    if name == PARTNER:
        return COMPONENTS[Component.PARTNER]
    if name in OTHERS:
        return OTHERS[name]
    hosts = hosts_at(connection, name)
    return _components(hosts[0]) if hosts else "elke host"


def _components(host: Host) -> str:
    return ", ".join(COMPONENTS[component] for component in host.components)


def _operators(connection: Connection, names: Iterable[str]) -> tuple[Operator, ...]:
    """Who manages the systems ``names``, and the firewall in between; without names, all who manage anything."""
    wanted = set(names)
    own, partner = connection.organisation.name, Operator("B3", connection.partner.name, connection.partner.contact)
    network = Operator("B1", f"{own}, netwerk", connection.contacts.network_operator)
    platform = Operator("B2", f"{own}, platform", connection.contacts.platform_operator)
    if not wanted:
        return (network, platform, partner)
    found = {network}  # the firewall's
    for name in wanted:
        components = {component for host in hosts_at(connection, name) for component in host.components}
        if name == PARTNER or Component.PARTNER in components:
            found.add(partner)
        elif (name not in OTHERS and not components) or components - OF_THE_NETWORK:
            found.add(platform)
    return tuple(operator for operator in (network, platform, partner) if operator in found)


def _systems(connection: Connection) -> Iterator[tuple[Host, str, str]]:
    for host in connection.hosts.values():
        addresses = ", ".join(
            f"{zone} {address}"
            + (f" (gedeeld: {shared})" if (shared := connection.virtual_address(host, zone)) else "")
            for zone, address in host.addresses.items()
        )
        yield host, _components(host), addresses


def _certificates(connection: Connection) -> Iterator[CertificateRow]:
    for code, whose, path in (
        (OWN, connection.organisation.name, connection.certificates.organisation),
        (THEIRS, connection.partner.name, connection.certificates.partner),
    ):
        yield CertificateRow(code, whose, _facts(path))


def _facts(path: Path) -> tuple[tuple[str, str], ...]:
    try:
        leaf = read_leaf(path)
    except (OSError, ValueError):
        return ()
    fingerprint = leaf.fingerprint(SHA256()).hex(":").upper()
    return (
        ("Houder", leaf.subject.rfc4514_string(_SHOWN_AS)),
        ("OIN of HRN", serial_number(leaf)),
        ("Namen", ", ".join(dns_names(leaf))),
        ("Uitgever", leaf.issuer.rfc4514_string(_SHOWN_AS)),
        ("Serienummer", f"{leaf.serial_number:X}"),
        ("Geldig", f"{leaf.not_valid_before_utc:%d-%m-%Y} tot en met {leaf.not_valid_after_utc:%d-%m-%Y}"),
        ("SHA-256", fingerprint),
    )
