"""What a change at the partner touches, and what has to be done by when.

A change is asked of one connection at a time, so that thousands can be asked side by side. Nothing is looked up
outside the inventories and the certificate files that they name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from aansluitkit.certificates.facts import dns_names, read_leaf, serial_number
from aansluitkit.connection import Component, Connection, Flow, Host, flows_of
from aansluitkit.errors import KitError

PARTNER = "partner"  # as flows name the other side


@dataclass(frozen=True)
class Step:
    """One thing to do: ``by`` is the last moment, or None where nobody has said when the change comes."""

    by: datetime | None
    what: str


@dataclass(frozen=True)
class Touched:
    """What a change asks of one connection; ``variables`` are dotted paths below ``connection_``."""

    steps: tuple[Step, ...]
    variables: tuple[str, ...] = ()
    cpa: bool = False
    flows: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class NewCertificate:
    """The partner shows ``file`` from moment ``on``, or at the latest when its present certificate ends."""

    file: Path
    oin: str
    names: tuple[str, ...]
    issuer: str
    begins: datetime
    ends: datetime
    on: datetime | None = None

    @classmethod
    def read(cls, file: Path, on: datetime | None = None) -> NewCertificate:
        """Read the leaf certificate of the PEM ``file``.

        Raises:
            KitError: when there is none, or it bears no OIN (Beveiligingsstandaarden PKI001).
        """
        leaf = _leaf(file)
        if not leaf.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER):
            raise KitError(f"{file} bears no OIN in its subject's serialNumber (PKI001): ask for the right certificate")
        return cls(
            file=file,
            oin=serial_number(leaf),
            names=tuple(dns_names(leaf)),
            issuer=leaf.issuer.rfc4514_string(),
            begins=leaf.not_valid_before_utc,
            ends=leaf.not_valid_after_utc,
            on=on,
        )

    def touch(self, connection: Connection) -> Touched | None:
        """Every connection to an endpoint that the certificate names."""
        if connection.partner.host_name not in self.names:
            return None
        return Touched(
            tuple(self._steps(connection)),
            tuple(self._variables(connection)),
            cpa=True,
            hosts=_names(connection.judges),
        )

    def _variables(self, connection: Connection) -> Iterator[str]:
        yield "certificates.partner"
        if connection.cpa.end > self.ends:
            yield "cpa.end"

    def _steps(self, connection: Connection) -> Iterator[Step]:
        present = _present(connection)
        by = self.on or (present.not_valid_after_utc if present else None)
        if present is None or present.issuer.rfc4514_string() != self.issuer:
            yield Step(by, f"have the adapters trust its issuer '{self.issuer}': deploy --limit adapter")
        if connection.cpa.end > self.ends:
            yield Step(by, f"end the CPA no later than the certificate, {self.ends:%Y-%m-%d} (BP EB009)")
        yield Step(by, f"put {self.file.name} in the place of connection_certificates.partner")
        yield from _renew_cpa(by)


@dataclass(frozen=True)
class CertificateEnds:
    """The partner's present certificate ends at ``end``, and nobody has the next one yet."""

    end: datetime

    def touch(self, connection: Connection) -> Touched | None:
        """Every connection: after that moment no handshake succeeds (Beveiligingsstandaarden PKI002)."""
        beyond = connection.cpa.end > self.end
        return Touched(
            tuple(self._steps(beyond)),
            ("certificates.partner", *(["cpa.end"] if beyond else [])),
            cpa=True,
            hosts=_names(connection.judges),
        )

    def _steps(self, beyond: bool) -> Iterator[Step]:
        yield Step(self.end, "ask the partner for its next certificate, then ask again with --certificate")
        if beyond:
            yield Step(
                self.end, f"the CPA outlives the certificate: end it no later than {self.end:%Y-%m-%d} (BP EB009)"
            )
        yield from _renew_cpa(self.end)


@dataclass(frozen=True)
class NewAddress:
    """The partner leaves address or network ``old`` for ``new`` at moment ``on``."""

    old: IPv4Network
    new: IPv4Network
    on: datetime | None = None

    def touch(self, connection: Connection) -> Touched | None:
        """Every connection that declares the old one: its firewall, and nothing of its CPA, which names a host."""
        sides = {
            f"{link.path}partner.{name}": getattr(link.partner, name)
            for link in connection.links
            for name in ("inbound_addresses", "outbound_addresses")
        }
        variables = tuple(path for path, ranges in sides.items() if self._matters(ranges))
        if not variables:
            return None
        names = " and ".join(f"connection_{variable}" for variable in variables)
        return Touched(
            (
                Step(self.on, f"have {_plain(self.new)} in {names} beside the old, then deploy --limit firewall"),
                Step(None, f"when the partner has moved, take {_plain(self.old)} out, then deploy --limit firewall"),
            ),
            variables,
            flows=tuple(flow.id for flow in flows_of(connection) if _holds(flow, self.old)),
            hosts=tuple(host.name for host in connection.hosts_of(Component.FIREWALL)),
        )

    def _matters(self, ranges: Iterable[IPv4Network]) -> bool:
        """Whether the old one is declared, and not in one network with the new one, which then stays as it is."""
        return any(one.overlaps(self.old) and not self.new.subnet_of(one) for one in ranges)


@dataclass(frozen=True)
class NewEndpoint:
    """The partner receives at ``url`` from moment ``on``."""

    url: str
    on: datetime | None = None

    @property
    def host(self) -> str:
        """Host name of the new endpoint."""
        return str(urlsplit(self.url).hostname)

    def touch(self, connection: Connection) -> Touched | None:
        """Every connection to another endpoint than the new one."""
        if connection.partner.endpoint == self.url:
            return None
        adapters = connection.hosts_of(Component.ADAPTER)
        return Touched(tuple(self._steps(connection)), ("partner.endpoint",), cpa=True, hosts=_names(adapters))

    def _steps(self, connection: Connection) -> Iterator[Step]:
        present = _present(connection)
        if present is not None and self.host not in dns_names(present):
            yield Step(self.on, f"the partner's present certificate does not name {self.host}: ask for the new one")
        yield Step(self.on, f"ask whether {self.host} has other addresses; if so, ask again with --address OLD=NEW")
        yield Step(self.on, f"write {self.url} into connection_partner.endpoint")
        yield from _renew_cpa(self.on)


Change = NewCertificate | CertificateEnds | NewAddress | NewEndpoint


def _renew_cpa(by: datetime | None) -> Iterator[Step]:
    yield Step(by, "make the CPA anew (aansluitkit documents), agree on it with the partner (seed 4.4.4)")
    yield Step(by, "load it on the day of the change (playbooks/cpa.yml), then prove it (aansluitkit verify)")


def _names(hosts: Iterable[Host]) -> tuple[str, ...]:
    return tuple(host.name for host in hosts)


def _holds(flow: Flow, old: IPv4Network) -> bool:
    sides = {flow.source: flow.source_networks, flow.destination: flow.destination_networks}
    return _overlap(sides.get(PARTNER, ()), old)


def _plain(network: IPv4Network) -> str:
    """A network of one address as that address."""
    return str(network.network_address if network.num_addresses == 1 else network)


def _overlap(ranges: Iterable[IPv4Network], network: IPv4Network) -> bool:
    return any(network.overlaps(one) for one in ranges)


def _present(connection: Connection) -> x509.Certificate | None:
    """The partner's certificate as the inventory has it now, where its file can be read."""
    try:
        return _leaf(connection.certificates.partner)
    except KitError:
        return None


def _leaf(file: Path) -> x509.Certificate:
    try:
        return read_leaf(file)
    except OSError as error:
        raise KitError(f"{file} can't be read: {error.strerror}; name the partner's certificate") from error
    except ValueError as error:
        raise KitError(f"{file} holds no PEM certificate: give the leaf certificate first, as PEM") from error
