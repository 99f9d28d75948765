"""Taking in what the provider returned for us: what passes examination is put where the playbooks install it from.

What does not pass leaves everything as it is. One key serves all nodes of the endpoint, since they show one
certificate: it lies encrypted on the controller, goes from there to those nodes alone, and never from node to node.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from aansluitkit.certificates import facts
from aansluitkit.certificates.chain import build_chain, leaves_of
from aansluitkit.certificates.demands import Demands, Party
from aansluitkit.certificates.intake import Examined, examine_contents
from aansluitkit.certificates.issuing import pem
from aansluitkit.certificates.reading import Content, Key, Passphrase, public_bytes, read_content, read_file, read_key
from aansluitkit.certificates.request import KEY, REQUEST, Seal
from aansluitkit.certificates.revocation import Fetch
from aansluitkit.certificates.trust import Anchors
from aansluitkit.errors import KitError

CERTIFICATE, TRUST = "certificate.pem", "trust.pem"
NEXT = "next"  # folder of a set that a renewal will use

Read = Callable[[Path], bytes]  # gives the content of a file, decrypted where Ansible Vault encrypted it


@dataclass(frozen=True)
class Means:
    """How files and keys are had: ``read`` decrypts what Ansible Vault encrypted, ``seal`` encrypts a key."""

    fetch: Fetch
    passphrase: Passphrase
    read: Read
    seal: Seal


@dataclass(frozen=True)
class Admitted:
    """What passed: the chain with the leaf first, the key that belongs to it, and the roots of this connection."""

    examined: Examined
    key: PrivateKeyTypes
    roots: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        """Our certificate."""
        return self.examined.chain.leaf

    @property
    def chain_pem(self) -> bytes:
        """The leaf, then each issuer below the root."""
        return pem(self.examined.chain.certificates)

    @property
    def trust_pem(self) -> bytes:
        """Exactly the roots that are configured."""
        return pem(self.roots)

    @property
    def key_pem(self) -> bytes:
        """The key, not encrypted."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def received_files(folder: Path) -> list[Path]:
    """The files that a person put in ``folder``, sorted; none when it is not there."""
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in there if path.is_file() and not path.name.startswith(".")]


def admit(files: Sequence[Path], keys: Sequence[Path], demands: dict[Party, Demands], means: Means) -> Admitted:
    """Examine ``files`` and find the key that belongs to the certificate in them, in them or in ``keys``.

    Raises:
        KitError: with everything that is wrong, a line each.
    """
    contents = _read_all(files, means.passphrase)
    held = [*contents, *(read_content(path, means.read(path), means.passphrase) for path in keys if path.is_file())]
    candidates = {public_bytes(key): (key, content.path) for content in reversed(held) for key in content.keys}
    if not candidates:
        raise KitError(
            f"no private key is in {', '.join(map(str, keys))}: the certificate was ordered with one, put it back there"
        )
    named = [Key(public, f"'{path}'", _ordered(path)) for public, (_, path) in reversed(candidates.items())]
    found = _ours(examine_contents(contents, means.fetch, demands, named), files)
    anchors = demands[Party.ORGANISATION].anchors
    problems = [*found.problems, *(anchors.problems if anchors else ())]
    if anchors is None:
        problems.append("connection_trust is not set: list the roots that this connection trusts (inventories/shared)")
    if problems or anchors is None:
        raise KitError("\n".join(dict.fromkeys(problems)))
    _refuse_to_drop_the_partner(demands[Party.PARTNER].present, anchors)
    return Admitted(found, candidates[facts.public_key(found.chain.leaf)][0], anchors.roots)


def _ordered(key: Path) -> tuple[str, ...]:
    """The names that were ordered with ``key``, where the request still lies beside it."""
    request = key.with_name(REQUEST)
    return read_key(request).ordered if request.is_file() else ()


def _read_all(files: Sequence[Path], passphrase: Passphrase) -> list[Content]:
    contents, problems = [], []
    for file in files:
        try:
            contents.append(read_file(file, passphrase))
        except KitError as error:
            problems.append(str(error))
    if problems:
        raise KitError("\n".join(problems))
    return contents


def _ours(found: Sequence[Examined], files: Sequence[Path]) -> Examined:
    ours = [one for one in found if one.party is Party.ORGANISATION]
    if len(ours) != 1:
        names = ", ".join(facts.subject(one.chain.leaf) for one in ours) or "none"
        raise KitError(
            f"{', '.join(map(str, files))} hold {len(ours)} certificates for us ({names}); exactly one is taken in: "
            "leave that one there"
        )
    return ours[0]


@dataclass(frozen=True)
class Change:
    """Files to write, and the folders of which a set is replaced."""

    contents: dict[Path, bytes]
    sets: tuple[Path, ...]

    @property
    def waits(self) -> bool:
        """Whether a set is to be used by a renewal."""
        return any(folder.name == NEXT for folder in self.sets)

    def write(self) -> None:
        """Write the files beside, then move them: a failure leaves the old ones. The sets that go are kept."""
        making = {path: path.with_name(f".{path.name}") for path in self.contents}
        try:
            for path, content in self.contents.items():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                making[path].unlink(missing_ok=True)
                with os.fdopen(os.open(making[path], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(content)
            for folder in self.sets:
                _keep_before(folder)
            for path, made in making.items():
                made.replace(path)
        finally:
            for made in making.values():
                made.unlink(missing_ok=True)


def changes_for(admitted: Admitted, folders: Sequence[Path], document: Path, means: Means) -> Change:
    """What has to be written for the set of ``admitted`` at each of ``folders``, and its chain at ``document``.

    Where another certificate is in force that still counts, the set goes beside it, to be used by a renewal
    (docs/rotate.md), and ``document`` stays: the CPA names the one in force until then.

    Raises:
        KitError: when a younger certificate is there, or the key can't be encrypted.
    """
    places = {folder: _place(folder, admitted) for folder in folders}
    stale = tuple(place for place in places.values() if not _holds(place, admitted, means.read))
    contents: dict[Path, bytes] = {}
    sealed = means.seal(admitted.key_pem) if stale else b""
    for place in stale:
        contents |= {place / KEY: sealed, place / TRUST: admitted.trust_pem, place / CERTIFICATE: admitted.chain_pem}
    if list(places) == list(places.values()) and _content(document) != admitted.chain_pem:
        contents[document] = admitted.chain_pem
    return Change(contents, stale)


def _place(folder: Path, admitted: Admitted) -> Path:
    """``folder`` itself, or ``next`` in it where another certificate is in force.

    Raises:
        KitError: when that one is younger.
    """
    try:
        present = facts.read_leaf(folder / CERTIFICATE)
    except (OSError, ValueError):
        return folder
    begins = admitted.leaf.not_valid_before_utc
    if present.not_valid_before_utc > begins:
        raise KitError(
            f"{folder / CERTIFICATE} began on {present.not_valid_before_utc:%Y-%m-%d}, later than "
            f"{admitted.examined.file} ({begins:%Y-%m-%d}): take the old file away"
        )
    in_force = present != admitted.leaf and present.not_valid_after_utc > datetime.now(UTC)
    return folder / NEXT if in_force else folder


def trust_changes(folders: Sequence[Path], demands: dict[Party, Demands]) -> Change:
    """What has to be written for the sets in ``folders`` to trust exactly the roots that are configured now.

    Raises:
        KitError: when a root is missing, or the partner's certificate rests on one that is no longer listed.
    """
    anchors = demands[Party.ORGANISATION].anchors
    sets = [folder for folder in folders if (folder / CERTIFICATE).is_file()]
    if anchors is None or not sets:
        return Change({}, ())
    if anchors.problems:
        raise KitError("\n".join(anchors.problems))
    if all(_content(folder / TRUST) == pem(anchors.roots) for folder in sets):
        return Change({}, ())
    _refuse_to_drop_the_partner(demands[Party.PARTNER].present, anchors)
    return Change({folder / TRUST: pem(anchors.roots) for folder in sets}, ())


def _refuse_to_drop_the_partner(path: Path | None, anchors: Anchors) -> None:
    """Trust first, then send: what the partner shows today stays trusted until it shows another."""
    if path is None or not path.is_file():
        return
    delivered = read_file(path).certificates
    for leaf in leaves_of(delivered):
        chain = build_chain(leaf, delivered, anchors.intermediates, (*anchors.roots, *anchors.unlisted))
        if chain.root in anchors.unlisted:
            raise KitError(
                f"{path} ends in root '{facts.subject(chain.root)}', which is none of connection_trust.roots: "
                "keep it there until the partner shows a certificate of another generation"
            )


def exposed_keys(files: Sequence[Path]) -> list[str]:
    """A sentence for each of ``files`` that holds a private key which anybody who can read the file has."""
    sentences = []
    for file in files:
        try:
            keys = read_file(file).keys
        except KitError:
            continue  # it needs a passphrase
        if keys:
            sentences.append(f"{file} holds the private key as it is; it is kept encrypted now: remove this file")
    return sentences


def close_request(folder: Path, admitted: Admitted, means: Means) -> None:
    """Set the request aside that ``admitted`` came from: the next certificate has a key of its own."""
    path = folder / KEY
    if not path.is_file() or facts.public_key(admitted.leaf) not in map(
        public_bytes, read_content(path, means.read(path), means.passphrase).keys
    ):
        return
    day = f"{admitted.leaf.not_valid_before_utc:%Y-%m-%d}"
    folder.rename(folder.with_name(f"issued-{day}-{facts.fingerprint(admitted.leaf)[:8]}"))


def _holds(folder: Path, admitted: Admitted, read: Read) -> bool:
    """Whether the set is there already; an encrypted key differs at each encryption, so its public half is compared."""
    if (_content(folder / CERTIFICATE), _content(folder / TRUST)) != (admitted.chain_pem, admitted.trust_pem):
        return False
    try:
        (key,) = read_content(folder / KEY, read(folder / KEY)).keys
    except (OSError, ValueError, KitError):
        return False
    return public_bytes(key) == facts.public_key(admitted.leaf)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _keep_before(folder: Path) -> None:
    """Keep the set that is about to be replaced: a key that is lost can't be made again."""
    there = [folder / name for name in (CERTIFICATE, KEY, TRUST) if (folder / name).is_file()]
    if not there:
        return
    kept = folder / f"before-{datetime.now(UTC):%Y-%m-%d-%H%M%S}"
    kept.mkdir(mode=0o700)
    for path in there:
        (kept / path.name).write_bytes(path.read_bytes())
        (kept / path.name).chmod(0o600)
