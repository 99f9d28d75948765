"""From a leaf to a root: built whatever the order of what was delivered, and completed with what is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509

from aansluitkit.certificates import facts

DEEPEST = 8  # certificates of one chain; PKIoverheid has four layers


@dataclass(frozen=True)
class Chain:
    """``certificates`` from the leaf upwards, without the root; ``root`` is the trusted one that it ends in, if any.

    ``added`` are those of ``certificates`` that were not delivered but known already.
    """

    certificates: tuple[x509.Certificate, ...]
    root: x509.Certificate | None
    added: tuple[x509.Certificate, ...] = ()

    @property
    def leaf(self) -> x509.Certificate:
        """The first."""
        return self.certificates[0]

    @property
    def issuers(self) -> tuple[x509.Certificate, ...]:
        """What stands behind the leaf, the root included; nothing where the leaf itself is trusted."""
        above = self.root if self.root != self.leaf else None
        return (*self.certificates[1:], *((above,) if above else ()))


def build_chain(
    leaf: x509.Certificate,
    delivered: Sequence[x509.Certificate],
    known: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
) -> Chain:
    """The chain of ``leaf`` to one of ``roots`` where there is one, else as far as it can be followed.

    Of several issuers with one name and key, as after a cross-signing, the way to a trusted root is taken.
    """
    best = _longest(leaf, (*delivered, *known), roots, ())
    added = tuple(one for one in best.certificates if one not in delivered and one != leaf)
    return Chain(best.certificates, best.root, added)


def _longest(
    certificate: x509.Certificate,
    pool: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    below: tuple[x509.Certificate, ...],
) -> Chain:
    if certificate in roots:
        return Chain(below or (certificate,), certificate)
    path = (*below, certificate)
    root = next((root for root in roots if facts.signed_by(certificate, root)), None)
    if root or len(path) >= DEEPEST:
        return Chain(path, root)
    best = Chain(path, None)
    for issuer in pool:
        if issuer in path or facts.is_self_signed(issuer) or not facts.signed_by(certificate, issuer):
            continue
        found = _longest(issuer, pool, roots, path)
        if found.root:
            return found
        best = max(best, found, key=lambda chain: len(chain.certificates))
    return best


def leaves_of(certificates: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    """Those that issued none of the others, authorities last; all that were delivered when each issued another."""
    pool = list(certificates)
    ends = [one for one in pool if not any(other != one and facts.signed_by(other, one) for other in pool)]
    servers = [one for one in ends if not facts.is_authority(one)]
    return servers or ends[:1] or pool[:1]
