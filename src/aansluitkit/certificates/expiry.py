"""What ends when: certificates of both sides with their issuers, CPAs and CRLs, of one inventory or of thousands.

An inventory is asked as far as it is filled in. Nothing is fetched, unless somebody gives a way to fetch CRLs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from enum import StrEnum
from pathlib import Path

from cryptography import x509

from aansluitkit.certificates import facts
from aansluitkit.certificates.chain import build_chain, leaves_of
from aansluitkit.certificates.internal import AUTHORITY, CERTIFICATE, TRUST
from aansluitkit.certificates.reading import read_bytes, read_file
from aansluitkit.certificates.revocation import Fetch
from aansluitkit.certificates.trust import Anchors, certificate_files, read_anchors
from aansluitkit.connection import Connection, examine
from aansluitkit.connection.certificate_rules import files
from aansluitkit.connection.partial import Unknown
from aansluitkit.errors import KitError
from aansluitkit.fleet.parallel import ask
from aansluitkit.revocation.published import read_crl

FOLDER = "certificates"  # with the PEM files of the hosts, and what belongs to them
NOT_IN_USE = re.compile(rf"request|received|(before|issued)-.*|{AUTHORITY}")  # folders in there


class Level(StrEnum):
    """How soon something ends; ordering a certificate takes weeks (seed 3.3.8)."""

    EXPIRED = "expired"
    URGENT = "urgent"  # within 14 days
    SOON = "soon"  # within 30 days
    AHEAD = "ahead"  # within 60 days
    FINE = "fine"


DAYS = {Level.URGENT: 14, Level.SOON: 30, Level.AHEAD: 60}


class Kind(StrEnum):
    """What ends."""

    CERTIFICATE = "certificate"
    ISSUER = "issuer"
    ROOT = "root"
    CPA = "CPA"
    CRL = "CRL"


@dataclass(frozen=True)
class End:
    """What ends at ``moment``; ``whose`` are the connections that rest on it, ``key`` tells it from everything else."""

    kind: Kind
    name: str
    moment: datetime
    whose: tuple[str, ...]
    key: str
    place: str = ""

    def days_left(self, now: datetime) -> int:
        """Whole days until it ends, negative when it has."""
        return (self.moment - now) // timedelta(days=1)

    def level(self, now: datetime) -> Level:
        """How soon that is."""
        if self.moment <= now:
            return Level.EXPIRED
        if self.kind is Kind.CRL:
            return Level.FINE  # it lives for days, and its successor comes in time or not at all
        left = self.days_left(now)
        return next((level for level, days in DAYS.items() if left <= days), Level.FINE)


@dataclass(frozen=True)
class Watched:
    """What ends, soonest first; ``unread`` are inventories that can't be watched at all, ``gaps`` single things."""

    ends: tuple[End, ...]
    unread: tuple[str, ...]
    gaps: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    """Of one inventory; small, for there may be thousands."""

    whose: str = ""
    ends: tuple[End, ...] = ()
    urls: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    unread: str = ""


def watch(inventories: Sequence[Path], fetch: Fetch | None = None, tell: Callable[[], None] = lambda: None) -> Watched:
    """Gather what ends in ``inventories``; ``tell`` is called as each has been read.

    With ``fetch`` the CRLs that the certificates name are fetched, each once. What several connections rest on is
    there once, with all of them.
    """
    found = []
    for one in ask(_look, inventories):
        tell()
        found.append(one)
    gaps = [gap for one in found for gap in one.gaps]
    ends = [end for one in found for end in one.ends]
    if fetch:
        wanted: dict[str, list[str]] = {}
        for one in found:
            for url in one.urls:
                wanted.setdefault(url, []).append(one.whose)
        ends += _fetched(wanted, fetch, gaps)
    ordered = sorted(_merged(ends), key=lambda end: (end.moment, end.kind, end.name))
    return Watched(tuple(ordered), tuple(one.unread for one in found if one.unread), tuple(dict.fromkeys(gaps)))


def _merged(ends: Sequence[End]) -> list[End]:
    """The same thing once, with everybody who rests on it."""
    merged: dict[str, End] = {}
    for end in ends:
        before = merged.get(end.key)
        whose = tuple(dict.fromkeys((*(before.whose if before else ()), *end.whose)))
        merged[end.key] = replace(before or end, whose=whose)
    return list(merged.values())


def _fetched(wanted: dict[str, list[str]], fetch: Fetch, gaps: list[str]) -> Iterator[End]:
    for url, whose in wanted.items():
        try:
            until = fetch(url).next_update_utc
        except KitError as error:
            gaps.append(f"CRL {error}")
            continue
        if until:
            yield End(Kind.CRL, url, until, tuple(whose), url)


def _look(inventory: Path) -> _Found:
    """What ends in one inventory."""
    found = examine(inventory)
    if found.known is None:
        return _Found(unread=f"{inventory} can't be read, so nothing of it is watched: aansluitkit check {inventory}")
    return _Look(inventory, found.known).found()


class _Look:
    """One inventory being looked at."""

    def __init__(self, inventory: Path, connection: Connection) -> None:
        self.inventory, self.connection = inventory, connection
        folder = inventory.resolve()
        self.whose = f"{self._known('name', folder.parent.name)}.{self._known('environment', folder.name)}"
        trust = connection.__dict__.get("trust")
        self.anchors = read_anchors(trust) if trust else Anchors()
        self.example = bool(connection.__dict__.get("example"))  # its files are not there, and need not be
        self.ends: list[End] = []
        self.gaps = [] if self.example else list(self.anchors.problems)
        self.urls: dict[str, None] = {}

    def found(self) -> _Found:
        """Everything."""
        for part in (self._of_parties, self._of_roots, self._of_hosts, self._of_cpa):
            try:
                part()
            except Unknown as field:
                self.gaps.append(f"{self.inventory}: connection_{field} is wrong or blank, so it is not watched")
        return _Found(self.whose, tuple(self.ends), tuple(self.urls), tuple(self.gaps))

    def _known(self, field: str, otherwise: str) -> str:
        return str(self.connection.__dict__.get(field, otherwise))

    def _add(self, kind: Kind, name: str, moment: datetime, key: str, place: str = "") -> None:
        if not any(end.key == key for end in self.ends):
            self.ends.append(End(kind, name, moment, (self.whose,), key, place))

    def _of_parties(self) -> None:
        for prefix, connection in self._in_force_and_next():
            for name, path in files(connection):
                try:
                    self._of_file(path, f"of the {name.replace('_', ', ')}")
                except KitError as error:
                    if not self.example:
                        self.gaps.append(f"{self.inventory}: {prefix}certificates.{name}: {error}")

    def _in_force_and_next(self) -> Iterator[tuple[str, Connection]]:
        """The connection, and what it is after a renewal that is under way, by how their variables begin."""
        yield "connection_", self.connection
        if self.connection.following:
            yield "connection_renewal.", self.connection.following

    def _of_file(self, path: Path, what: str) -> None:
        delivered = read_file(path).certificates
        trust = path.with_name(TRUST)
        internal = read_file(trust).certificates if path.name == CERTIFICATE and trust.is_file() else ()
        for leaf in leaves_of(delivered):
            chain = build_chain(leaf, delivered, self.anchors.intermediates, (*self.anchors.roots, *internal))
            self._of_certificate(Kind.CERTIFICATE, leaf, path, f" ({what})")
            if chain.root in internal:
                self._of_certificate(Kind.ROOT, chain.root, trust)
            for issuer in chain.certificates[1:]:
                self._of_certificate(Kind.ISSUER, issuer, path)
            self.urls |= dict.fromkeys(url for one in chain.certificates for url in facts.crl_urls(one))

    def _of_certificate(self, kind: Kind, certificate: x509.Certificate, path: Path, note: str = "") -> None:
        name = f"{facts.subject(certificate)}{note}"
        self._add(kind, name, certificate.not_valid_after_utc, facts.fingerprint(certificate), str(path))

    def _of_roots(self) -> None:
        trust = self.connection.trust
        there = {facts.fingerprint(root): root for root in self.anchors.roots}
        for name, root in (trust.roots if trust else {}).items():
            place = f"connection_trust.roots.{name}"
            if root.sha256 in there:
                self._add(Kind.ROOT, root.name, there[root.sha256].not_valid_after_utc, root.sha256, place)
            elif root.ends:
                self._add(Kind.ROOT, root.name, datetime.combine(root.ends, time_of_day(), UTC), root.sha256, place)

    def _of_hosts(self) -> None:
        """The sets of the hosts, and CRLs: in files_folder of the shared defaults, or where they lay before it."""
        folder = self.inventory.resolve()
        environment = self._known("environment", folder.name)
        for place in (folder.parent / "files" / environment, folder):
            self._of_folder(place / FOLDER)

    def _of_folder(self, folder: Path) -> None:
        for path in certificate_files(folder):
            if any(NOT_IN_USE.fullmatch(part) for part in path.relative_to(folder).parts[:-1]):
                continue
            if path.name == TRUST:
                continue  # the authority that a certificate beside it rests on is watched with that
            try:
                self._of_file(path, str(path.relative_to(folder)))
            except KitError as error:
                self.gaps.append(str(error))
        for path in sorted(folder.rglob("*.crl")):
            try:
                crl = read_crl(read_bytes(path), str(path))
            except KitError as error:
                self.gaps.append(str(error))
                continue
            if crl.next_update_utc:
                name = str(path.relative_to(folder))
                self._add(Kind.CRL, name, crl.next_update_utc, str(path.resolve()), str(path))

    def _of_cpa(self) -> None:
        for prefix, connection in self._in_force_and_next():
            self._add(Kind.CPA, connection.cpa.id, connection.cpa.end, f"CPA {connection.cpa.id}", f"{prefix}cpa.end")
