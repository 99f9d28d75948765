"""The lab's own certificate authorities, in the shape of PKIoverheid.

Four layers (root, domain, TSP, leaf), the OIN in Subject.serialNumber, serverAuth and clientAuth on one leaf.
``g4`` signs as the G4 hierarchy does: RSASSA-PSS with SHA-512 and a salt of 64, RSA 4096 for authorities and RSA
3072 for leaves, with the TRIAL policy. ``g1`` signs with RSASSA-PKCS1-v1_5 and SHA-256, as everybody does until
November 2028. Next to it stand a foreign hierarchy, for the tests that must be refused, and the organisation's
internal authority for its own servers.

Every authority of the hierarchies publishes a CRL, which the certificates below it name; on the TSP's stands one
certificate of the partner. The authorities' keys stay, so that a later run can sign new CRLs.

Nothing here leaves the lab: every subject says so, and the policy is TRIAL's, which the rules keep out of production.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from aansluitkit.certificates.internal import wanted_by
from aansluitkit.certificates.issuing import VALIDITY, Authority, Leaf, Maker, Subject, pem, private_pem
from aansluitkit.certificates.pkioverheid import Generation
from aansluitkit.connection import Component, Connection, Host
from aansluitkit.connection.model import APART, INTERNAL, PARTIES

TRIAL_POLICY = "2.16.528.1.1003.1.2.41.15.35.11"  # G4 TRIAL, private TLS, organisation validated server
ENDPOINT = "party-organisation"
PARTNER = "party-partner"
FOREIGN = "refused-foreign-authority"
WRONG_OIN = "refused-wrong-oin"
EXPIRED = "refused-expired"
REVOKED = "refused-revoked"
AUTHORITIES = "authorities"
CRLS = "crl"
NEXT = "next"
CRL_VALIDITY = timedelta(days=7)  # a run after half of it signs new ones

Progress = Callable[[str], None]


class Hierarchy(Maker):
    """Makes the lab's authorities, leaves and CRLs of one generation, all starting at ``now``."""

    def __init__(self, generation: Generation, now: datetime) -> None:
        super().__init__(generation, now, "aansluitkit lab - GEEN PRODUCTIE", TRIAL_POLICY)

    def chain(self, label: str, crls: str) -> list[Authority]:
        """Make root, domain and TSP authority, the last of which issues leaves; URLs of CRLs begin with ``crls``."""
        made: list[Authority] = []
        for layer in ("Root", "Domein", "TSP"):
            issuer = made[-1] if made else None
            made.append(self.authority(f"TRIAL {label} - {layer}", issuer, f"{crls}-{layer.lower()}.crl"))
        return made

    def crl(self, authority: Authority, revoked: list[int], number: int) -> x509.CertificateRevocationList:
        """Sign the CRL ``number`` of ``authority``, with the serial numbers ``revoked``."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.certificate.subject)
            .last_update(self.start)
            .next_update(self.start + CRL_VALIDITY)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), False)
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        for serial in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self.start)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(authority.key, self.generation.hash, rsa_padding=self.generation.padding)


def make_pki(connection: Connection, generation: Generation, folder: Path, say: Progress) -> None:
    """Make everything below ``folder``, once: a folder that is complete for this generation is left as it is.

    ``folder/<host>/`` gets the files that role ``certificates`` installs there, ``folder/party-…/`` the two parties'
    certificates, ``folder/refused-…/`` a certificate of another authority, one of an OIN that no CPA names, one that is
    revoked and one that has expired; the partner's hosts get two of these, to play a partner that shows them.
    ``folder/crl/`` is what the authorities publish, and is made anew when half of its time is over. A run that is
    broken off leaves nothing: the folder appears whole.
    """
    if _is_current(connection, generation, folder):
        renewed = renew_crls(folder)
        say(f"certificates of generation {generation} are there{', their CRLs are new' if renewed else ''}")
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _make(connection, generation, making, say)
        (making / "made-for").write_text(_made_for(connection, generation))
        if folder.exists():
            shutil.rmtree(folder)
        making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _made_for(connection: Connection, generation: Generation) -> str:
    parties = (
        generation,
        connection.organisation.oin,
        connection.host_name,
        connection.partner.oin,
        connection.partner.host_name,
        connection.crl_host_name,
        *connection.hosts,
        *(host.name for party in (ENDPOINT, PARTNER) for host in _hosts_of(connection, party)),
        *(f"{party} {use}" for party in PARTIES for use in connection.certificates.apart(party)),
    )
    return "\n".join(parties) + "\n"


def _is_current(connection: Connection, generation: Generation, folder: Path) -> bool:
    try:
        if (folder / "made-for").read_text() != _made_for(connection, generation):
            return False
        (folder / EXPIRED / "certificate.pem").stat()  # which earlier versions did not make
        leaf = x509.load_pem_x509_certificate((folder / ENDPOINT / "certificate.pem").read_bytes())
    except FileNotFoundError:
        return False
    return leaf.not_valid_after_utc > datetime.now(UTC) + timedelta(days=1)


def _make(connection: Connection, generation: Generation, folder: Path, say: Progress) -> None:
    hierarchy = Hierarchy(generation, datetime.now(UTC))
    say(f"making the lab's authorities of generation {generation}")
    place = f"http://{connection.crl_host_name}"
    trusted = hierarchy.chain(f"aansluitkit lab {generation.upper()}", f"{place}/{generation}")
    foreign = hierarchy.chain("aansluitkit vreemd", f"{place}/vreemd")
    internal = hierarchy.authority("aansluitkit lab - intern")
    partner = _parties(connection)[PARTNER]
    say("making certificates")
    for name in (ENDPOINT, PARTNER):
        _write_party(connection, name, folder / name, hierarchy, trusted[-1])
        _store(folder / name / "trust.pem", pem([trusted[0].root]))
    _write(folder / FOREIGN, hierarchy.leaf(partner, foreign[-1]), foreign[-1], trusted[0].root)
    for authority in (*trusted, *foreign):
        _keep(folder, authority)
    for party in (ENDPOINT, PARTNER):
        for host in _hosts_of(connection, party):
            shutil.copytree(folder / party, folder / host.name, ignore=_not_for(host))
    _make_refused(connection, generation, folder, trusted[-1])
    for one in wanted_by(connection, {name: folder / name for name in connection.hosts}):
        if one.serves:
            subject = Subject(connection.organisation.name, (one.name,), addresses=one.addresses)
            _write_pair(one.folder, hierarchy.leaf(subject, internal), internal, INTERNAL)
        _store(one.folder / f"{INTERNAL}trust.pem", pem([internal.root]))


def _make_refused(connection: Connection, generation: Generation, folder: Path, issuer: Authority) -> None:
    """Make the certificates of ``issuer`` that must be refused; the partner's hosts can show two of them."""
    now = datetime.now(UTC)
    partner = _parties(connection)[PARTNER]
    stranger = Subject("Gemeente Vreemdeling", ("ebms.vreemdeling.test",), "00000099000000009000")
    for name, subject, begins in (
        (WRONG_OIN, stranger, now),
        (REVOKED, partner, now),
        (EXPIRED, partner, now - VALIDITY),
    ):
        shutil.rmtree(folder / name, ignore_errors=True)
        _write_pair(folder / name, Hierarchy(generation, begins).leaf(subject, issuer), issuer)
        _store(folder / name / "trust.pem", (folder / PARTNER / "trust.pem").read_bytes())  # who shows them knows us
    for host in connection.hosts_of(Component.PARTNER):
        for name, source in (("expired", EXPIRED), ("wrong", WRONG_OIN)):
            both = [(folder / source / f"{part}.pem").read_bytes() for part in ("key", "certificate")]
            shown = folder / host.name / f"stand-in-{name}-key.pem"
            shown.unlink(missing_ok=True)
            _store(shown, b"".join(both))
    revoke(folder, folder / REVOKED / "certificate.pem")


def revoke(folder: Path, certificate: Path) -> None:
    """Put the leaf in file ``certificate`` on its authority's CRL, and sign all CRLs of ``folder`` anew."""
    leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
    for place in (folder / AUTHORITIES).iterdir():
        if load_authority(folder, place.name).certificate.subject == leaf.issuer:
            with (place / "revoked").open("a") as file:
                file.write(f"{leaf.serial_number:x}\n")
    _sign_crls(folder)


def renew_crls(folder: Path) -> bool:
    """Sign new CRLs where half of their time is over; whether that was so."""
    soon = datetime.now(UTC) + CRL_VALIDITY / 2
    crls = [x509.load_der_x509_crl(path.read_bytes()) for path in (folder / CRLS).glob("*.crl")]
    if all(crl.next_update_utc and crl.next_update_utc > soon for crl in crls):
        return False
    _sign_crls(folder)
    return True


def _sign_crls(folder: Path) -> None:
    now = datetime.now(UTC)
    (folder / CRLS).mkdir(exist_ok=True)
    for place in (folder / AUTHORITIES).iterdir():
        authority = load_authority(folder, place.name)
        revoked = [int(serial, 16) for serial in (place / "revoked").read_text().split()]
        number = int(now.timestamp())  # never goes back
        crl = Hierarchy(authority.generation, now).crl(authority, revoked, number)
        making = folder / CRLS / f".{place.name}"
        making.write_bytes(crl.public_bytes(serialization.Encoding.DER))
        making.rename(folder / CRLS / f"{place.name}.crl")


def order_renewals(
    connection: Connection, generation: Generation, folder: Path, parties: Collection[str] = PARTIES
) -> None:
    """Make the next certificates of ``parties``, with keys of their own, of ``generation``; what is in force stays.

    They lie in ``next/`` of the party's folder and of its hosts', with the roots that both sides have to trust then. An
    order that was not adopted is replaced.
    """
    hierarchy = Hierarchy(generation, datetime.now(UTC))
    if not (folder / AUTHORITIES / f"{generation}-tsp").exists():
        place = f"http://{connection.crl_host_name}/{generation}"
        for authority in hierarchy.chain(f"aansluitkit lab {generation.upper()}", place):
            _keep(folder, authority)
        _sign_crls(folder)
    issuer = load_authority(folder, f"{generation}-tsp")
    present = x509.load_pem_x509_certificates((folder / ENDPOINT / "trust.pem").read_bytes())
    roots = [issuer.root, *(root for root in present if set(parties) != set(PARTIES) and root != issuer.root)]
    for name in _parties(connection):
        shutil.rmtree(folder / name / NEXT, ignore_errors=True)
        _store(folder / name / NEXT / "trust.pem", pem(roots))
        if name.removeprefix("party-") in parties:
            _write_party(connection, name, folder / name / NEXT, hierarchy, issuer)
        for host in _hosts_of(connection, name):
            shutil.rmtree(folder / host.name / NEXT, ignore_errors=True)
            shutil.copytree(folder / name / NEXT, folder / host.name / NEXT, ignore=_not_for(host))


def adopt_renewals(connection: Connection, generation: Generation, folder: Path) -> None:
    """Put the next certificates of ``generation`` in the place of those in force, and renew those to refuse."""
    for name in _parties(connection):
        for place in (name, *(host.name for host in _hosts_of(connection, name))):
            for file in (folder / place / NEXT).iterdir():
                file.rename(folder / place / file.name)
            (folder / place / NEXT).rmdir()
    _make_refused(connection, generation, folder, load_authority(folder, f"{generation}-tsp"))
    (folder / "made-for").write_text(_made_for(connection, generation))


def _parties(connection: Connection) -> dict[str, Subject]:
    own, other = connection.organisation, connection.partner
    return {
        ENDPOINT: Subject(own.name, (connection.host_name,), own.oin),
        PARTNER: Subject(other.name, (other.host_name,), other.oin),
    }


def _hosts_of(connection: Connection, party: str) -> list[Host]:
    """Those that show the party's certificate; load balancers only while they end TLS, but they may begin to."""
    shows = {Component.PARTNER} if party == PARTNER else {Component.ADAPTER, Component.LOAD_BALANCER}
    return [host for host in connection.hosts.values() if shows & {*host.components}]


def _not_for(host: Host) -> Callable[[str, list[str]], set[str]]:
    """What of a party's folder is not copied for ``host``: adapters alone sign and decrypt."""
    adapts = {Component.ADAPTER, Component.PARTNER} & {*host.components}
    apart = [] if adapts else [f"{use}-*" for use in APART]
    return shutil.ignore_patterns(*apart)


def load_authority(folder: Path, name: str) -> Authority:
    """The authority ``name`` of ``folder``, such as g4-tsp, with its key."""
    place = folder / AUTHORITIES / name
    own, *above = x509.load_pem_x509_certificates((place / "certificate.pem").read_bytes())
    key = serialization.load_pem_private_key((place / "key.pem").read_bytes(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101 - for the type checker
    return Authority(own, key, tuple(above), (place / "crl-url").read_text())


def _keep(folder: Path, authority: Authority) -> None:
    url = authority.crl_url or ""
    place = folder / AUTHORITIES / url.rpartition("/")[2].removesuffix(".crl")
    _store(place / "key.pem", private_pem(authority.key))
    _store(place / "certificate.pem", pem([authority.certificate, *authority.above]))
    _store(place / "crl-url", url.encode())
    _store(place / "revoked", b"")


def _write_party(connection: Connection, name: str, folder: Path, hierarchy: Hierarchy, issuer: Authority) -> None:
    """Make the certificates of party ``name``: the one for TLS, and those that it has apart."""
    subject = _parties(connection)[name]
    _write_pair(folder, hierarchy.leaf(subject, issuer), issuer)
    for use in connection.certificates.apart(name.removeprefix("party-")):
        _write_pair(folder, hierarchy.leaf(replace(subject, use=use), issuer), issuer, f"{use}-")


def _write(folder: Path, leaf: Leaf, issuer: Authority, trust: x509.Certificate) -> None:
    _write_pair(folder, leaf, issuer)
    _store(folder / "trust.pem", pem([trust]))


def _write_pair(folder: Path, leaf: Leaf, issuer: Authority, prefix: str = "") -> None:
    certificate, key = leaf
    _store(folder / f"{prefix}key.pem", private_pem(key))
    _store(folder / f"{prefix}certificate.pem", pem([certificate, *issuer.intermediates]))


def _store(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
