"""The internal authority of a connection, and the certificates that its hosts show each other.

PostgreSQL, the adapters' REST service and whatever loads a CPA work with ``internal-certificate.pem``,
``internal-key.pem`` and ``internal-trust.pem`` of their host. The kit makes these files on the controller, or the
organisation supplies them from an authority of its own: files without an authority of the kit beside them are the
organisation's, and are judged but never replaced.

Each environment has its own authority. The next authority is trusted two years before the present one ends, and issues
when the present one ends before a new certificate would: every host trusts it by then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from aansluitkit.certificates import facts
from aansluitkit.certificates.admission import Change
from aansluitkit.certificates.issuing import (
    LONGEST_COMMON_NAME,
    VALIDITY,
    Authority,
    Leaf,
    Maker,
    Subject,
    pem,
    private_pem,
)
from aansluitkit.certificates.pkioverheid import Generation
from aansluitkit.certificates.reading import public_bytes
from aansluitkit.certificates.request import Seal, make_folder
from aansluitkit.connection.model import INTERNAL, INTERNAL_FILES, Connection
from aansluitkit.errors import KitError

AUTHORITY = "internal-authority"  # folder beside those of the hosts; each authority has a folder in it
AUTHORITY_CERTIFICATE, AUTHORITY_KEY = "certificate.pem", "key.pem"
CERTIFICATE, KEY, TRUST = INTERNAL_FILES
RENEWAL = timedelta(days=60)  # before the end of a host's certificate
OVERLAP = 2 * VALIDITY  # in which the present and the next authority are both trusted
PLAYBOOK = "playbooks/internal-certificates.yml"
GENERATION = Generation.G1  # RSASSA-PKCS1-v1_5: PostgreSQL 15 can't bind SCRAM to a certificate signed with PSS

Read = Callable[[Path], bytes | None]  # the content of a file, decrypted; None when it can't be decrypted here


@dataclass(frozen=True)
class Wanted:
    """What ``host`` needs in ``folder``: its ``files``, with a certificate for ``name`` and ``addresses``."""

    host: str
    folder: Path
    files: tuple[str, ...]
    name: str
    addresses: tuple[IPv4Address, ...]

    @property
    def serves(self) -> bool:
        """Whether the host shows a certificate; other hosts only trust the authority."""
        return CERTIFICATE in self.files


def wanted_by(connection: Connection, folders: Mapping[str, Path]) -> list[Wanted]:
    """Return what each host of ``connection`` needs; ``folders`` has the folder of each host, by its name."""
    return [
        Wanted(
            host.name, folders[host.name], host.internal_files, connection.name_of(host), (*host.addresses.values(),)
        )
        for host in connection.hosts.values()
        if host.internal_files
    ]


@dataclass(frozen=True)
class _Kept:
    """An authority of the kit as it lies in its folder."""

    folder: Path
    certificate: x509.Certificate

    @property
    def end(self) -> datetime:
        return self.certificate.not_valid_after_utc

    def load(self, read: Read) -> Authority:
        """Return the authority with its key.

        Raises:
            KitError: when the key can't be read or belongs to another certificate.
        """
        path = self.folder / AUTHORITY_KEY
        content = read(path) if _belongs(self.certificate, path, read) else None
        key = load_pem_private_key(content, None) if content else None
        if not isinstance(key, RSAPrivateKey):
            raise KitError(
                f"{path} is not the private key of the internal authority beside it: restore it from a backup, or "
                f"remove {self.folder.parent} and every {INTERNAL}*.pem beside it to start with a new authority"
            )
        return Authority(self.certificate, key, ())


class InternalFiles:
    """The internal files of all hosts of a connection on the controller, and the authority that issues them.

    ``read`` decrypts what Ansible Vault encrypted.

    Raises:
        KitError: when the certificate of an authority can't be read.
    """

    def __init__(
        self, connection: Connection, folders: Mapping[str, Path], read: Read, now: datetime | None = None
    ) -> None:
        self.connection, self.read, self.now = connection, read, now or datetime.now(UTC)
        self.wanted = wanted_by(connection, folders)
        parents = [one.folder.parent for one in self.wanted]
        self.folder = Path(os.path.commonpath(parents) if parents else ".") / AUTHORITY
        self.authorities = _authorities(self.folder)
        self._loaded: dict[Path, Authority] = {}

    @property
    def are_supplied(self) -> bool:
        """Whether the files come from the organisation's own authority."""
        there = (one.folder / name for one in self.wanted for name in one.files)
        return not self.authorities and any(path.exists() for path in there)

    def problems(self) -> list[tuple[Wanted, str]]:
        """Everything that only a person can mend, with the host that it is about."""
        if self.are_supplied:
            return [(one, sentence) for one in self.wanted for sentence in self._supplied(one)]
        return [(one, sentence) for one in self.wanted for sentence in self._foreign(one)]

    def to_make(self) -> list[tuple[Wanted, str]]:
        """What ``make`` is going to make for which host, and why; nothing when a person has to mend it first.

        Raises:
            KitError: when a key can't be decrypted.
        """
        if self.are_supplied or self.problems():
            return []
        return [(one, reason) for one in self.wanted if (reason := self._reason(one))]

    def make(self, seal: Seal) -> None:
        """Make what ``to_make`` lists, and a next authority when the present one ends; ``seal`` encrypts keys.

        All files are made in memory first, so that a failure leaves everything as it was.

        Raises:
            KitError: when a key can't be encrypted, or the authority's own key can't be used.
        """
        to_make = self.to_make()
        new = self._new_authority() if self.needs_authority else None
        contents: dict[Path, bytes] = {}
        for one, _ in to_make:
            if one.serves and self._reason_of_set(one):
                leaf, key = self._issue(one, new)
                contents[one.folder / KEY] = seal(private_pem(key))
                contents[one.folder / CERTIFICATE] = pem([leaf])
            contents[one.folder / TRUST] = self._trust(new)
        if new:
            name = f"{self.now:%Y-%m-%d}-{facts.fingerprint(new.certificate)[:8]}"
            files = {AUTHORITY_KEY: seal(private_pem(new.key)), AUTHORITY_CERTIFICATE: pem([new.certificate])}
            make_folder(self.folder / name, files)
            contents |= {one.folder / TRUST: self._trust(new) for one in self.wanted}
        Change(contents, ()).write()

    @property
    def needs_authority(self) -> bool:
        """Whether a (next) authority has to be made."""
        lasting = any(one.end - self.now > OVERLAP for one in self.authorities)
        return bool(self.wanted) and not self.are_supplied and not lasting

    @cached_property
    def _valid(self) -> list[_Kept]:
        return [one for one in self.authorities if one.end > self.now]

    def _new_authority(self) -> Authority:
        name = f"intern {self.now:%Y-%m-%d} {self.connection.full_name}"[:LONGEST_COMMON_NAME]
        return Maker(GENERATION, self.now, self.connection.organisation.name).authority(name)

    def _issue(self, one: Wanted, new: Authority | None) -> Leaf:
        issuer = self._issuer(new)
        subject = Subject(self.connection.organisation.name, (one.name,), addresses=one.addresses)
        return Maker(GENERATION, self.now, self.connection.organisation.name).leaf(subject, issuer)

    def _issuer(self, new: Authority | None) -> Authority:
        """The oldest authority that ends no earlier than what it issues."""
        kept = next((one for one in self._valid if one.end - self.now >= VALIDITY), None)
        if kept:
            return self._load(kept)
        assert new is not None  # noqa: S101 - for the type checker: needs_authority is true
        return new

    def _load(self, kept: _Kept) -> Authority:
        if kept.folder not in self._loaded:
            self._loaded[kept.folder] = kept.load(self.read)
        return self._loaded[kept.folder]

    def _trust(self, new: Authority | None = None) -> bytes:
        """Authorities that issued what hosts show, that issue now, or that issue next."""
        trusted = [one.certificate for one in self._valid if one.end - self.now > RENEWAL or self._is_shown(one)]
        return pem([*trusted, *([new.certificate] if new else [])])

    def _is_shown(self, kept: _Kept) -> bool:
        leaves = (_leaf(one.folder / CERTIFICATE) for one in self.wanted if one.serves)
        return any(leaf and facts.signed_by(leaf, kept.certificate) for leaf in leaves)

    def _reason(self, one: Wanted) -> str:
        """Why files of ``one`` must be made; empty when they are right."""
        reason = self._reason_of_set(one) if one.serves else ""
        if not reason and (self.needs_authority or _content(one.folder / TRUST) != self._trust()):
            reason = f"{TRUST} does not hold exactly the internal authorities"
        return reason

    def _reason_of_set(self, one: Wanted) -> str:
        certificate, key = one.folder / CERTIFICATE, one.folder / KEY
        missing = [path.name for path in (certificate, key) if not path.is_file()]
        if missing:
            return f"{' and '.join(missing)} is missing"
        leaf = _leaf(certificate)
        if leaf is None:
            return f"{CERTIFICATE} holds no certificate"
        if leaf.not_valid_after_utc - self.now < RENEWAL:
            return f"{CERTIFICATE} ends on {leaf.not_valid_after_utc:%Y-%m-%d}"
        if _names(leaf) != {one.name, *map(str, one.addresses)}:
            return f"{CERTIFICATE} is for {', '.join(sorted(_names(leaf)))}"
        return "" if _belongs(leaf, key, self.read) else f"{KEY} is not the key of {CERTIFICATE}"

    def _foreign(self, one: Wanted) -> Iterator[str]:
        path = one.folder / CERTIFICATE
        leaf = _leaf(path) if one.serves else None
        if leaf and not any(facts.signed_by(leaf, kept.certificate) for kept in self.authorities):
            yield (
                f"{path} was issued by '{facts.issuer(leaf)}', not by the internal authority in {self.folder}: remove "
                f"that folder to use your own authority on every host, or remove this certificate and {KEY} to have "
                f"{PLAYBOOK} make them"
            )

    def _supplied(self, one: Wanted) -> Iterator[str]:
        missing = [name for name in one.files if not (one.folder / name).is_file()]
        if missing:
            yield (
                f"{one.folder} lacks {', '.join(missing)}, and other hosts have files of your own authority: put the "
                f"missing files there, or remove every {INTERNAL}*.pem to have {PLAYBOOK} make all of them"
            )
            return
        if one.serves:
            yield from self._supplied_set(one)

    def _supplied_set(self, one: Wanted) -> Iterator[str]:
        path = one.folder / CERTIFICATE
        chain = _certificates(path)
        if not chain:
            yield f"{path} holds no PEM certificate: put the certificate of {one.name} there, the leaf first"
            return
        leaf, advice = chain[0], f"have your own authority issue a certificate for {one.name}"
        if not leaf.not_valid_before_utc <= self.now < leaf.not_valid_after_utc:
            span = f"{leaf.not_valid_before_utc:%Y-%m-%d} to {leaf.not_valid_after_utc:%Y-%m-%d}"
            yield f"{path} is valid from {span}, not today: {advice}"
        if one.name not in _names(leaf) and f"*.{one.name.partition('.')[2]}" not in _names(leaf):
            yield f"{path} is for {', '.join(sorted(_names(leaf))) or 'no name'}, not for {one.name}: {advice}"
        usages = facts.extended_usages(leaf)
        if usages is not None and "serverAuth" not in usages:
            yield f"{path} is not for serverAuth: {advice}"
        if not _belongs(leaf, one.folder / KEY, self.read):
            yield f"{one.folder / KEY} is not the private key of {CERTIFICATE} beside it: put its key there, as PEM"
        for trust in dict.fromkeys(other.folder / TRUST for other in self.wanted):
            roots = _certificates(trust)
            if trust.is_file() and not any(chain[-1] == root or facts.signed_by(chain[-1], root) for root in roots):
                yield (
                    f"{path} was issued by '{facts.issuer(chain[-1])}', which {trust} does not hold: add the root to "
                    "that file, or the missing intermediates to the certificate"
                )


def _authorities(folder: Path) -> list[_Kept]:
    """The authorities in ``folder``, the oldest first."""
    found = []
    for path in sorted(folder.glob(f"*/{AUTHORITY_CERTIFICATE}")):
        certificate = None if path.parent.name.startswith(".") else _leaf(path)
        if certificate:
            found.append(_Kept(path.parent, certificate))
        elif not path.parent.name.startswith("."):
            raise KitError(f"{path} holds no certificate of an internal authority: restore it from a backup")
    return sorted(found, key=lambda one: one.certificate.not_valid_before_utc)


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return []


def _leaf(path: Path) -> x509.Certificate | None:
    return next(iter(_certificates(path)), None)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _names(leaf: x509.Certificate) -> set[str]:
    """The host names and addresses that ``leaf`` is for."""
    names = facts.extension(leaf, x509.SubjectAlternativeName)
    return {*facts.dns_names(leaf), *map(str, names.get_values_for_type(x509.IPAddress) if names else ())}


def _belongs(certificate: x509.Certificate, path: Path, read: Read) -> bool:
    """Whether ``path`` holds the key of ``certificate``; a key that can't be decrypted here is taken for it."""
    if not path.is_file():
        return False
    content = read(path)
    try:
        return content is None or public_bytes(load_pem_private_key(content, None)) == facts.public_key(certificate)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
