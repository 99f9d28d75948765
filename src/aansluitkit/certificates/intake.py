"""The examination of certificates before anybody relies on them: what they are, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from aansluitkit.certificates import facts, rules
from aansluitkit.certificates.chain import Chain, build_chain, leaves_of
from aansluitkit.certificates.demands import Demands, Party
from aansluitkit.certificates.reading import Content, public_bytes
from aansluitkit.certificates.revocation import Fetch, Revocation, Standing, check_chain
from aansluitkit.certificates.trust import Anchors

ORDER_DAYS = 60  # before its end a certificate is ordered anew


@dataclass(frozen=True)
class Examined:
    """A leaf with its chain, and what was found, in sentences.

    ``problems`` keep it out, ``warnings`` are to be looked at, ``notes`` say what was not checked, and why.
    """

    file: Path
    chain: Chain
    party: Party | None = None
    revocations: tuple[Revocation, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Key:
    """The public half of what the certificate was ordered with, and how a sentence names it."""

    public: bytes
    name: str


@dataclass
class _Findings:
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def examine_contents(
    contents: Sequence[Content],
    fetch: Fetch,
    demands: Mapping[Party, Demands] | None = None,
    keys: Sequence[Key] = (),
) -> list[Examined]:
    """Examine every leaf in ``contents``; the chain of one may lie in another file, or be known already.

    ``demands`` are those of an inventory; without, what depends on one is not judged. ``fetch`` gets CRLs. One of
    ``keys`` has to belong to our leaf; without any, one in the leaf's own file, where there is one.
    """
    delivered = list(dict.fromkeys(one for content in contents for one in content.certificates))
    examined = []
    for leaf in leaves_of(delivered):
        content = next(content for content in contents if leaf in content.certificates)
        wanted = _whose(leaf, demands) if demands else None
        anchors = (wanted.anchors if wanted else None) or Anchors()
        chain = build_chain(leaf, delivered, anchors.intermediates, anchors.roots)
        revocations = tuple(check_chain((*chain.certificates, *((chain.root,) if chain.root else ())), fetch))
        found = _Findings()
        file = f"'{content.path}'"
        _judge_leaf(found, file, leaf, wanted)
        _judge_chain(found, file, chain, wanted, delivered)
        _judge_revocations(found, file, chain, revocations)
        _judge_key(found, file, leaf, wanted, keys or _own_keys(content))
        examined.append(
            Examined(
                content.path,
                chain,
                wanted.party if wanted else None,
                revocations,
                tuple(found.problems),
                tuple(found.warnings),
                tuple(found.notes),
            )
        )
    return examined


def _whose(leaf: x509.Certificate, demands: Mapping[Party, Demands]) -> Demands:
    """The partner's when it bears the partner's number and not ours; else it is to be ours."""
    partner, own = demands[Party.PARTNER], demands[Party.ORGANISATION]
    number = facts.serial_number(leaf)
    is_partner = bool(partner.number and partner.number[0] == number and partner.number != own.number)
    return partner if is_partner else own


def _judge_leaf(found: _Findings, file: str, leaf: x509.Certificate, wanted: Demands | None) -> None:
    """The leaf by itself, and against the inventory."""
    for rule in (rules.is_valid_now, rules.is_no_authority, rules.serves_both_ways, rules.may_sign, rules.is_strong):
        found.problems += rule(file, leaf)
    if not facts.dns_names(leaf):
        found.problems.append(
            f"{file} has no name in subjectAltName; TLS looks at no other place: order one with the endpoint's name"
        )
    found.warnings += (*rules.is_long_enough(file, leaf), *rules.lasts(file, leaf, ORDER_DAYS))
    if wanted is None:
        found.warnings += rules.is_for_real(file, leaf, "production", "use it for tests alone")
        found.problems += rules.is_of_allowed_type(file, leaf) if not facts.sign_of_test(leaf) else ()
        found.notes.append(f"{file} was compared with no inventory: name one with --inventory")
        return
    _judge_by_inventory(found, file, leaf, wanted)


def _judge_by_inventory(found: _Findings, file: str, leaf: x509.Certificate, wanted: Demands) -> None:
    if wanted.number:
        advice = "correct either, or order it again"
        found.problems += [f"{sentence}: {advice}" for sentence in rules.bears_number(file, leaf, *wanted.number)]
    if wanted.name:
        found.problems += rules.covers_name(file, leaf, *wanted.name)
    if wanted.organisation:
        found.warnings += rules.bears_organisation(file, leaf, *wanted.organisation)
    if wanted.takes_test_certificates:
        found.warnings += rules.is_of_allowed_type(file, leaf)
    elif wanted.environment:
        advice = (
            "give the certificate of PKIoverheid, or have connection_test_certificates_allowed say why not (preprod)"
        )
        tests = list(rules.is_for_real(file, leaf, str(wanted.environment), advice))
        found.problems += tests or rules.is_of_allowed_type(file, leaf)
    if wanted.cpa_end and leaf.not_valid_after_utc < wanted.cpa_end:
        found.warnings.append(
            f"{file} ends on {leaf.not_valid_after_utc:%Y-%m-%d}, before connection_cpa.end, {wanted.cpa_end:%Y-%m-%d} "
            "(BP EB009): end the CPA no later"
        )
    if wanted.present and wanted.party is Party.ORGANISATION:
        found.warnings += _renewal(file, leaf, wanted.present)
    found.notes += [
        f"{file} was not compared with the {what}, which the inventory does not say" for what in wanted.unknown
    ]


def _renewal(file: str, leaf: x509.Certificate, present: Path) -> Iterator[str]:
    try:
        yield from rules.renews_key(file, leaf, facts.read_leaf(present), f"'{present}'")
    except (OSError, ValueError):
        return  # there is none yet


def _judge_chain(
    found: _Findings,
    file: str,
    chain: Chain,
    wanted: Demands | None,
    delivered: Sequence[x509.Certificate],
) -> None:
    for issuer in chain.issuers:
        name = f"{file}: issuer '{facts.subject(issuer)}'"
        found.problems += (*rules.is_valid_now(name, issuer), *rules.is_strong(name, issuer))
        if not facts.is_authority(issuer):
            found.problems.append(
                f"{name} is no authority, so it may issue nothing: ask the provider for the right chain"
            )
    if chain.added:
        names = ", ".join(f"'{facts.subject(one)}'" for one in chain.added)
        found.notes.append(f"{file} lacks {names}, which connection_trust.folder has: the chain was completed with it")
    anchors = wanted.anchors if wanted else None
    if anchors is None:
        where = "connection_trust is not set" if wanted else "no inventory says which roots to trust"
        if facts.is_self_signed(chain.leaf):
            found.problems.append(_unfounded(file, chain, delivered))
        top = chain.certificates[-1]
        found.notes.append(
            f"{file} was not followed to a trusted root, because {where}; as given the chain ends in "
            f"'{facts.subject(top)}', issued by '{facts.issuer(top)}'"
        )
        return
    found.warnings += anchors.problems
    if chain.root is None:
        found.problems.append(_unfounded(file, chain, delivered))


def _unfounded(file: str, chain: Chain, delivered: Sequence[x509.Certificate]) -> str:
    """Why the chain ends in no trusted root."""
    last = chain.certificates[-1]
    if facts.is_self_signed(last) and last == chain.leaf:
        return f"{file} is self-signed, so nobody stands behind it (BEV PKI005): order one of PKIoverheid"
    root = next((one for one in delivered if one != last and facts.signed_by(last, one)), None)
    if root:
        return (
            f"{file} ends in root '{facts.subject(root)}' (SHA-256 {facts.fingerprint(root)}), which is none of "
            "connection_trust.roots: order from a PKIoverheid private root that is listed there (BEV PKI005)"
        )
    return (
        f"{file} has an incomplete chain: '{facts.issuer(last)}', which issued '{facts.subject(last)}', was not "
        "delivered and is not in connection_trust: add the provider's intermediate certificates, or, if it is a root "
        "that you trust, list it there"
    )


def _judge_revocations(found: _Findings, file: str, chain: Chain, revocations: Sequence[Revocation]) -> None:
    for one in revocations:
        name = f"{file}: '{facts.subject(one.certificate)}'"
        if one.standing is Standing.REVOKED:
            found.problems.append(f"{name} was revoked {one.reason} (BEV PKI003): order a new one with a new key")
        elif one.standing is Standing.NOT_CHECKED:
            found.notes.append(f"{name} was not checked for revocation, because {one.reason}")
    if not chain.root:
        name = f"{file}: '{facts.subject(chain.certificates[-1])}'"
        found.notes.append(f"{name} was not checked for revocation, because its issuer's certificate is not known")


def _judge_key(
    found: _Findings, file: str, leaf: x509.Certificate, wanted: Demands | None, keys: Sequence[Key]
) -> None:
    if keys:
        mine = facts.public_key(leaf)
        key = next((key for key in keys if key.public == mine), keys[0])
        found.problems += rules.belongs_to_key(file, leaf, key.public, key.name)
    elif not wanted or wanted.party is Party.ORGANISATION:
        found.notes.append(f"{file} was not compared with a key: name the key or the request with --key")


def _own_keys(content: Content) -> list[Key]:
    return [Key(public_bytes(key), f"the key in '{content.path}'") for key in content.keys]
