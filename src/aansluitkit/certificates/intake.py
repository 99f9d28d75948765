"""The examination of certificates before anybody relies on them: what they are, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from aansluitkit.certificates import facts, rules
from aansluitkit.certificates.chain import Chain, build_chain, leaves_of
from aansluitkit.certificates.demands import Demands, Party
from aansluitkit.certificates.reading import Content, Key, public_bytes
from aansluitkit.certificates.revocation import Fetch, Revocation, Standing, check_chain
from aansluitkit.certificates.trust import Anchors

ORDER_DAYS = 60  # before its end a certificate is ordered anew
TEST_ADVICE = "give the certificate of PKIoverheid, or in preprod declare connection_test_certificates_allowed"


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
        revocations = check_chain((leaf, *chain.issuers), fetch)
        examined.append(_Case(content, chain, wanted, tuple(revocations), delivered, keys).examined())
    return examined


def _whose(leaf: x509.Certificate, demands: Mapping[Party, Demands]) -> Demands:
    """The partner's when it bears the partner's number and not ours; else it is to be ours."""
    partner, own = demands[Party.PARTNER], demands[Party.ORGANISATION]
    number = facts.serial_number(leaf)
    is_partner = bool(partner.number and partner.number[0] == number and partner.number != own.number)
    return partner if is_partner else own


class _Case:
    """One leaf being judged."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that is known of it
        self,
        content: Content,
        chain: Chain,
        wanted: Demands | None,
        revocations: tuple[Revocation, ...],
        delivered: Sequence[x509.Certificate],
        keys: Sequence[Key],
    ) -> None:
        self.content, self.chain, self.leaf = content, chain, chain.leaf
        self.wanted, self.revocations, self.delivered = wanted, revocations, delivered
        self.keys = keys or [Key(public_bytes(key), f"the key in '{content.path}'") for key in content.keys]
        self.file = f"'{content.path}'"
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.notes: list[str] = []

    def examined(self) -> Examined:
        """What was found."""
        if facts.is_authority(self.leaf) and not facts.dns_names(self.leaf):
            self.problems += rules.is_no_authority(self.file, self.leaf)  # nothing else was meant with it
        else:
            self._judge()
        party = self.wanted.party if self.wanted else None
        found = (tuple(self.problems), tuple(self.warnings), tuple(self.notes))
        return Examined(self.content.path, self.chain, party, self.revocations, *found)

    def _judge(self) -> None:
        self._judge_leaf()
        if self.wanted:
            self._judge_by_inventory(self.wanted)
        else:
            self._judge_without_inventory()
        self._judge_issuers()
        self._judge_trust(self.wanted.anchors if self.wanted else None)
        self._judge_revocations()
        self._judge_key()

    def _judge_leaf(self) -> None:
        file, leaf = self.file, self.leaf
        for rule in (rules.is_valid_now, rules.serves_both_ways, rules.may_sign, rules.is_strong):
            self.problems += rule(file, leaf)
        if not facts.is_self_signed(leaf):
            self.problems += rules.is_no_authority(file, leaf)
        others = self.wanted and self.wanted.party is Party.PARTNER  # who may end TLS elsewhere
        (self.warnings if others else self.problems).extend(rules.has_rsa_key(file, leaf))
        self.warnings += (*rules.is_long_enough(file, leaf), *rules.lasts(file, leaf, ORDER_DAYS))

    def _judge_without_inventory(self) -> None:
        tests = list(rules.is_for_real(self.file, self.leaf, "production", "use it for tests alone"))
        self.warnings += tests
        self.problems += () if tests else rules.is_of_allowed_type(self.file, self.leaf)
        self.problems += (*rules.has_a_number(self.file, self.leaf), *rules.has_a_name(self.file, self.leaf))
        self.notes.append(f"{self.file} was compared with no inventory: name one with --inventory")

    def _judge_by_inventory(self, wanted: Demands) -> None:
        file, leaf = self.file, self.leaf
        self._judge_number(wanted)
        if wanted.name:
            self.problems += rules.covers_name(file, leaf, *wanted.name)
        else:
            self.problems += rules.has_a_name(file, leaf)
        if wanted.organisation:
            self.warnings += rules.bears_organisation(file, leaf, *wanted.organisation)
        if wanted.takes_test_certificates:
            self.warnings += rules.is_of_allowed_type(file, leaf)
        elif wanted.environment:
            tests = list(rules.is_for_real(file, leaf, str(wanted.environment), TEST_ADVICE))
            self.problems += tests or rules.is_of_allowed_type(file, leaf)
        if wanted.cpa_end:
            self.warnings += rules.outlives(file, leaf, wanted.cpa_end, "connection_cpa.end")
        if wanted.present and wanted.party is Party.ORGANISATION:
            self.warnings += _renewal(file, leaf, wanted.present)
        unsaid = "which the inventory does not say"
        self.notes += [f"{file} was not compared with the {what}, {unsaid}" for what in wanted.unknown]

    def _judge_number(self, wanted: Demands) -> None:
        """The partner's may differ: where another party ends TLS for it (BP EB005)."""
        if wanted.number is None:
            return
        sentences = rules.bears_number(self.file, self.leaf, *wanted.number)
        if wanted.party is Party.ORGANISATION:
            self.problems += [f"{sentence}: correct either, or order it again" for sentence in sentences]
        else:
            advice = "ask the partner whether another party ends TLS for it (BP EB005)"
            self.warnings += [f"{sentence}: {advice}" for sentence in sentences]

    def _judge_issuers(self) -> None:
        for issuer in self.chain.issuers:
            name = f"{self.file}: issuer '{facts.subject(issuer)}'"
            self.problems += (*rules.is_valid_now(name, issuer), *rules.may_issue(name, issuer))
            if issuer != self.chain.root:  # nobody rests on a root's own signature
                self.problems += rules.is_strong(name, issuer)
        if self.chain.added:
            names = ", ".join(f"'{facts.subject(one)}'" for one in self.chain.added)
            self.notes.append(f"{self.file} lacks {names}, with which connection_trust.folder completed the chain")

    def _judge_trust(self, anchors: Anchors | None) -> None:
        alone = facts.is_self_signed(self.leaf) and self.chain.root is None  # or it is listed as a root itself
        if alone:
            self.problems.append(
                f"{self.file} is self-signed, so nobody stands behind it (BEV PKI005): order one of PKIoverheid"
            )
        if anchors is None:
            where = "connection_trust is not set" if self.wanted else "no inventory says which roots to trust"
            top = self.chain.certificates[-1]
            self.notes.append(
                f"{self.file} was not followed to a trusted root, because {where}; as given the chain ends in "
                f"'{facts.subject(top)}', issued by '{facts.issuer(top)}'"
            )
            return
        self.warnings += anchors.problems
        if self.chain.root is None and not alone:
            self.problems.append(self._unfounded(anchors))

    def _unfounded(self, anchors: Anchors) -> str:
        """Why the chain ends in none of the roots of ``anchors``."""
        last = self.chain.certificates[-1]
        others = (*self.delivered, *anchors.unlisted)
        root = next((one for one in others if one != last and facts.signed_by(last, one)), None)
        if root:
            return (
                f"{self.file} ends in root '{facts.subject(root)}' (SHA-256 {facts.fingerprint(root)}), which is none "
                "of connection_trust.roots: order from a PKIoverheid private root that is listed there (BEV PKI005)"
            )
        trusted = ", ".join(f"'{facts.subject(one)}'" for one in anchors.roots) or "none"
        return (
            f"{self.file} has an incomplete chain: '{facts.issuer(last)}', which issued '{facts.subject(last)}', was "
            f"not delivered and is not in connection_trust, of whose roots ({trusted}) none issued it: add it when it "
            "is an intermediate of the provider's; when it is a root, order from one that is listed there (BEV PKI005)"
        )

    def _judge_revocations(self) -> None:
        for one in self.revocations:
            name = f"{self.file}: '{facts.subject(one.certificate)}'"
            if one.standing is Standing.REVOKED:
                self.problems.append(f"{name} was revoked {one.reason} (BEV PKI003): order a new one with a new key")
            elif one.standing is Standing.NOT_CHECKED:
                self.notes.append(f"{name} was not checked for revocation, because {one.reason}")
        if not self.chain.root:
            name = f"{self.file}: '{facts.subject(self.chain.certificates[-1])}'"
            self.notes.append(f"{name} was not checked for revocation, because its issuer's certificate is not known")

    def _judge_key(self) -> None:
        if self.keys:
            mine = facts.public_key(self.leaf)
            key = next((key for key in self.keys if key.public == mine), self.keys[0])
            self.problems += rules.belongs_to_key(self.file, self.leaf, key.public, key.name)
            self.problems += rules.has_what_was_ordered(self.file, self.leaf, key.ordered, key.name)
        elif not self.wanted or self.wanted.party is Party.ORGANISATION:
            self.notes.append(f"{self.file} was not compared with a key: name the key or the request with --key")


def _renewal(file: str, leaf: x509.Certificate, present: Path) -> Iterator[str]:
    try:
        yield from rules.renews_key(file, leaf, facts.read_leaf(present), f"'{present}'")
    except (OSError, ValueError):
        return  # there is none yet
