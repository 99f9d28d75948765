"""The generations of PKIoverheid's private hierarchy: how each signs, and which types Digikoppeling takes.

Roots are no part of it: they are configured, with their fingerprints, in ``connection_trust``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from aansluitkit.errors import KitError

PRODUCTION_ARC = "2.16.528.1.1003.1.2.44"  # G4
TRIAL_ARC = "2.16.528.1.1003.1.2.41"  # G4 TRIAL: the same types, for tests alone


class Generation(StrEnum):
    """A hierarchy of PKIoverheid. G1 ends in November 2028, G4 takes over from it."""

    G1 = "g1"
    G4 = "g4"

    @property
    def hash(self) -> hashes.SHA256 | hashes.SHA512:
        """Hash of the signatures on certificates and requests."""
        return hashes.SHA512() if self is Generation.G4 else hashes.SHA256()

    @property
    def padding(self) -> padding.PSS | padding.PKCS1v15:
        """Padding of the signatures on certificates and requests."""
        if self is Generation.G4:
            return padding.PSS(mgf=padding.MGF1(hashes.SHA512()), salt_length=64)
        return padding.PKCS1v15()


@dataclass(frozen=True)
class CertificateType:
    """A type of certificate, by its policy; ``server`` says whether Digikoppeling takes it for two-way TLS."""

    policy: str
    generation: Generation
    name: str
    server: bool = False
    trial: bool = False


def _g4(arc: str) -> tuple[CertificateType, ...]:
    trial = arc == TRIAL_ARC
    prefix = "TRIAL G4" if trial else "G4"
    server = f"{prefix} Private TLS Generic Devices Organization Validated Server"
    person = f"{prefix} Private Other Generic Legal Persons Authentication"
    return (
        CertificateType(f"{arc}.15.35.11", Generation.G4, server, server=True, trial=trial),
        CertificateType(f"{arc}.16.25.8", Generation.G4, person, trial=trial),
    )


# Digikoppeling Beveiligingsstandaarden 3.0.1, section 3.5; the types of G4 that are for one purpose: its profiles.
TYPES: tuple[CertificateType, ...] = (
    CertificateType("2.16.528.1.1003.1.2.8.6", Generation.G1, "G1 Private Services Server", server=True),
    *_g4(PRODUCTION_ARC),
    *_g4(TRIAL_ARC),
)


def server_type(generation: Generation, *, trial: bool) -> CertificateType:
    """The type to order for two-way TLS, or for tests that of TRIAL.

    Raises:
        KitError: when the generation has no TRIAL.
    """
    for kind in TYPES:
        if kind.generation is generation and kind.server and kind.trial is trial:
            return kind
    raise KitError(f"PKIoverheid has no TRIAL of {generation}: take {Generation.G4} for certificates of tests")
