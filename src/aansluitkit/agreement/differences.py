"""How a CPA that came from the Creatievoorziening or the partner differs from what the inventory says.

The inventory's own CPA is rendered and read, and the two are compared as a handler understands them: ids, layout and
names of channels make no difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

from aansluitkit.agreement.remark import Remark, Weight, gathered
from aansluitkit.agreement.rules import judge
from aansluitkit.agreement.structure import read_agreement
from aansluitkit.connection.model import Connection, Profile
from aansluitkit.documents.cpa import render_cpa
from aansluitkit.ebms.certificates import read_certificate
from aansluitkit.ebms.cpa import Channel, Cpa, Party, Reliability, Terms, read_cpa

ENDPOINTS = ("connection_endpoint", "connection_partner.endpoint")
ANEW = "correct the inventory, or have the CPA made anew"


def remarks_on(document: bytes, connection: Connection) -> list[Remark]:
    """Everything about the CPA ``document`` that matters to ``connection``, what blocks first.

    Raises:
        MalformedError: when it is no CPA that a handler can work with.
        KitError: when a certificate of the inventory can't be read.
    """
    agreement = read_agreement(document)
    expected = read_cpa(render_cpa(connection).encode())
    return gathered((*differences(agreement.cpa, expected), *judge(agreement)))


def differences(cpa: Cpa, expected: Cpa) -> Iterator[Remark]:
    """How ``cpa`` differs from the ``expected`` one."""
    if cpa.id != expected.id:
        told = f"the partner knows messages by the CPA's id; {ANEW}"
        yield Remark(Weight.BLOCKS, "cpaid", f"'{cpa.id}'", f"'{expected.id}' (connection_cpa.id)", told)
    yield from _dates(cpa, expected)
    missing = _missing(cpa, expected)
    yield from missing
    for own, other, variable in zip(expected.parties, reversed(expected.parties), ENDPOINTS, strict=True):
        party = cpa.party(own.ids[0])
        if party is not None:
            yield from _party(party, own, other.name, variable)
    if not missing:
        yield from _actions(cpa, expected)


def _dates(cpa: Cpa, expected: Cpa) -> Iterator[Remark]:
    now = datetime.now(UTC)
    span = f"from {cpa.start:%Y-%m-%d} to {cpa.end:%Y-%m-%d}"
    if now >= cpa.end:
        told = "both adapters refuse every message; have the CPA made anew"
        yield Remark(Weight.BLOCKS, "the CPA", f"valid {span}", "valid today", told)
    elif now < cpa.start:
        told = "until then both adapters refuse messages; the CPA before it stays loaded"
        yield Remark(Weight.WARNS, "the CPA", f"valid {span}", "valid today", told)
    for name, found, declared in (("Start", cpa.start, expected.start), ("End", cpa.end, expected.end)):
        if found != declared:
            told = f"messages follow the CPA, plans and warnings the inventory; {ANEW}"
            said = f"{declared:%Y-%m-%d %H:%M} UTC (connection_cpa.{name.lower()})"
            yield Remark(Weight.WARNS, name, f"{found:%Y-%m-%d %H:%M} UTC", said, told)
    for party in cpa.parties:
        for use, der in party.certificates.items():
            end = read_certificate(der).not_valid_after_utc
            if end < cpa.end:
                told = "the CPA outlives it: plan a new one for that day (BP EB009)"
                said = f"at least until the CPA's End, {cpa.end:%Y-%m-%d}"
                valid = f"valid until {end:%Y-%m-%d}"
                yield Remark(Weight.WARNS, f"the certificate of {party.name}", valid, said, told, (use,))


def _missing(cpa: Cpa, expected: Cpa) -> list[Remark]:
    """A remark for each party of the inventory that ``cpa`` is not between."""
    there = " and ".join(str(party.ids[0]) for party in cpa.parties)
    names = ("connection_organisation.oin", "connection_partner.oin")
    return [
        Remark(
            Weight.BLOCKS,
            "the CPA",
            f"between {there}",
            f"{own.ids[0]} ({name}) as one of the two",
            "it is other parties' CPA, and every message is refused; ask for the right one",
        )
        for name, own in zip(names, expected.parties, strict=True)
        if cpa.party(own.ids[0]) is None
    ]


def _party(party: Party, own: Party, sender: str, variable: str) -> Iterator[Remark]:
    """How ``party`` differs from ``own``; ``sender`` sends to it."""
    if party.endpoint != own.endpoint:
        told = f"{sender} sends to it, and nobody is known to listen there; {ANEW}"
        said = f"'{own.endpoint}' ({variable})"
        yield Remark(Weight.BLOCKS, f"the endpoint of {own.name}", f"'{party.endpoint}'", said, told)
    for use, der in own.certificates.items():
        found = party.certificates.get(use)
        if found is not None and found != der:
            told = f"connections and signatures of {own.name} are held against the CPA and refused; {ANEW}"
            said = f"{_shown(der)} (connection_certificates)"
            yield Remark(Weight.BLOCKS, f"the certificate of {own.name}", _shown(found), said, told, (use,))
    if party.name != own.name:
        told = "it is told to people alone"
        yield Remark(Weight.WARNS, "partyName", f"'{party.name}'", f"'{own.name}'", told)


def _shown(certificate: bytes) -> str:
    read = read_certificate(certificate)
    print_ = hashlib.sha256(certificate).hexdigest()[:16]
    return f"SHA-256 {print_}… until {read.not_valid_after_utc:%Y-%m-%d}"


def _actions(cpa: Cpa, expected: Cpa) -> Iterator[Remark]:
    found, declared = ({_key(terms): terms for terms in each.terms} for each in (cpa, expected))
    for key, terms in declared.items():
        if key not in found:
            told = f"such messages can't be sent; {ANEW}"
            yield Remark(
                Weight.WARNS, "the action", "not in the CPA", "in it (connection_cpa.services)", told, _place(terms)
            )
        else:
            yield from _action(found[key], terms)
    for key, terms in found.items():
        if key not in declared:
            told = "adapters take such messages all the same, and nobody here expects them"
            yield Remark(Weight.WARNS, "the action", "in the CPA", "in connection_cpa.services", told, _place(terms))


def _key(terms: Terms) -> tuple[object, ...]:
    return terms.sender.ids[0], terms.service, terms.action


def _place(terms: Terms) -> tuple[str]:
    return (f"{terms.action} of {terms.service}, sent by {terms.sender.name}",)


def _action(found: Terms, declared: Terms) -> Iterator[Remark]:
    """How the terms of one action differ."""
    ours, theirs = declared.channel, found.channel
    follows = "adapters do as the CPA says"
    for subject, is_, should_be, told in (
        ("the profile", profile_of(theirs), profile_of(ours), f"{follows}; the partner may refuse it"),
        ("syncReplyMode", _mode(theirs), _mode(ours), f"{follows}: it decides over which connection signals come"),
        ("the sender's role", found.sender_role, declared.sender_role, "applications that name the other are refused"),
        ("the receiver's role", found.receiver_role, declared.receiver_role, "as the sender's"),
    ):
        if is_ != should_be:
            said = f"'{should_be}' in the inventory"
            yield Remark(Weight.WARNS, subject, f"'{is_}'", said, f"{told}; {ANEW}", _place(declared))
    if theirs.reliability and ours.reliability and theirs.reliability != ours.reliability:
        told = f"{follows}: it decides how long an outage messages survive"
        is_, should_be = _retrying(theirs.reliability), _retrying(ours.reliability)
        yield Remark(Weight.WARNS, "retrying", is_, f"{should_be} (connection_cpa.retries)", told, _place(declared))
    if theirs.endpoint not in (found.receiver.endpoint, ours.endpoint):
        told = f"{declared.sender.name} sends to it, and nobody is known to listen there; {ANEW}"
        yield Remark(
            Weight.BLOCKS, "the endpoint", f"'{theirs.endpoint}'", f"'{ours.endpoint}'", told, _place(declared)
        )


def profile_of(channel: Channel) -> Profile:
    """The Digikoppeling profile that ``channel`` is of."""
    kept = "rm" if channel.ack_requested else "be"
    secured = "-e" if channel.encryption else "-s" if channel.signature else ""
    return Profile(f"osb-{kept}{secured}")


def _mode(channel: Channel) -> str:
    return "mshSignalsOnly" if channel.sync_reply else "none"


def _retrying(reliability: Reliability) -> str:
    return f"{reliability.retries} x {reliability.interval}, kept {reliability.persist_duration}"
