"""What the CPA wants done to a message before it goes out, and seen when it comes in.

Outbound: sign envelope and payloads, encrypt the payloads, pack; first sign, then encrypt (ebMS 2.0, section 4.1.4.5).
Inbound the other way round.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from aansluitkit.certificates import facts
from aansluitkit.certificates.chain import build_chain
from aansluitkit.ebms.certificates import read_certificate
from aansluitkit.ebms.cpa import Channel, Cpa, EncryptionTerms, SignatureTerms, Terms
from aansluitkit.ebms.encryption import accepted, decrypt, encrypt
from aansluitkit.ebms.errors import ErrorCode, ErrorListError, SecurityFailure
from aansluitkit.ebms.message import Message, acknowledgment, build
from aansluitkit.ebms.mime import Payload, pack
from aansluitkit.ebms.signature import Signer, acknowledges, to_make, verify
from aansluitkit.revocation import RevocationLists


def check_algorithms(cpa: Cpa) -> None:
    """See that messages of ``cpa`` can be signed and encrypted as it says.

    Raises:
        SecurityFailure: when it names an algorithm that is not known.
    """
    for terms in cpa.terms:
        for signature in (terms.channel.signature, _of_acknowledgment(terms)):
            if signature:
                to_make(signature)
        if terms.channel.encryption:
            accepted(terms.channel.encryption)


@dataclass(frozen=True)
class Wire:
    """A message as it is posted, and its envelope."""

    envelope: bytes
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Keys:
    """What a party signs, decrypts and judges with.

    ``others`` are there as well while a certificate is being renewed: to decrypt with, and to sign under a CPA that
    names one of them. Signatures count that are of a certificate in the CPA, or of one of the same OIN below ``trust``;
    with ``crls`` of none that is revoked there, nor any of its ``issuers``.
    """

    signer: Signer
    key: rsa.RSAPrivateKey
    trust: tuple[x509.Certificate, ...] = ()
    crls: RevocationLists | None = None
    others: tuple[Signer, ...] = ()
    issuers: tuple[x509.Certificate, ...] = ()

    def objection(self, certificate: bytes) -> str | None:
        """Why ``certificate`` (DER) does not count, or None: it was revoked, or an issuer of its chain was."""
        return self.crls.objection(_chain(certificate, self.issuers)) if self.crls else None

    def sign(self, envelope: bytes, payloads: Sequence[Payload], terms: SignatureTerms) -> bytes:
        """``envelope`` signed with the certificate that the CPA names, or with the one in force where that is gone."""
        named = (signer for signer in (self.signer, *self.others) if signer.certificate == terms.certificate)
        return next(named, self.signer).sign(envelope, payloads, terms)


class Security:
    """Works with ``keys``, which may be replaced at any time."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def seal(self, message: Message, channel: Channel) -> Wire:
        """The bytes of ``message``, made as ``channel`` has it.

        Raises:
            ErrorListError: when that can't be done.
        """
        envelope, payloads = build(message), message.payloads
        if channel.signature:
            envelope = self.keys.sign(envelope, payloads, channel.signature)
        if channel.encryption:
            payloads = encrypt(payloads, channel.encryption)
        content_type, body = pack(envelope, payloads)
        return Wire(envelope, content_type, body)

    def open(self, message: Message, envelope: bytes, channel: Channel) -> tuple[Payload, ...]:
        """The payloads of ``message`` as the application is to have them.

        Raises:
            SecurityFailure: when the signature does not hold, or a payload can't be decrypted.
        """
        payloads = message.payloads
        if channel.encryption:
            payloads = self._decrypt(payloads, channel.encryption)
        if channel.signature:
            self._verify(envelope, payloads, channel.signature)
        return payloads

    def acknowledge(self, message: Message, terms: Terms, domain: str) -> tuple[Message, bytes]:
        """The receiver's Acknowledgment of a message of ``terms``, and its envelope."""
        answer = acknowledgment(message, domain)
        envelope = build(answer)
        signature = _of_acknowledgment(terms)
        return answer, self.keys.sign(envelope, (), signature) if signature else envelope

    def check_acknowledgment(
        self, message: Message, envelope: bytes, terms: Terms, sent: Callable[[], bytes | None]
    ) -> None:
        """See that an Acknowledgment is one of our message of ``terms``, whose envelope ``sent`` gives.

        Raises:
            ErrorListError: when it is not.
        """
        told = message.acknowledgment
        if told is None or told.ref_to_message_id != message.header.ref_to_message_id:
            place = "//Header/Acknowledgment/RefToMessageId"
            raise ErrorListError(ErrorCode.INCONSISTENT, place, "it is not of the message that the header refers to")
        signature = _of_acknowledgment(terms)
        if signature is None:
            return
        self._verify(envelope, (), signature)
        original = sent()
        if original is None or not acknowledges(told.references, original):
            raise SecurityFailure("//Header/Acknowledgment/Reference", "it acknowledges other content than we sent")

    def _decrypt(self, payloads: tuple[Payload, ...], terms: EncryptionTerms) -> tuple[Payload, ...]:
        for other in self.keys.others:
            with contextlib.suppress(SecurityFailure):
                return decrypt(payloads, other.key, terms)
        return decrypt(payloads, self.keys.key, terms)

    def _verify(self, envelope: bytes, payloads: Sequence[Payload], terms: SignatureTerms) -> None:
        signer = verify(envelope, payloads, terms, self.keys.trust)
        objection = self.keys.objection(signer)
        if objection:
            raise SecurityFailure("//Header/Signature", f"the signer's certificate does not count: {objection}")


@lru_cache(maxsize=256)  # the same few certificates sign everything
def _chain(certificate: bytes, issuers: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...]:
    roots = [issuer for issuer in issuers if facts.is_self_signed(issuer)]
    chain = build_chain(read_certificate(certificate), (), issuers, roots)
    return chain.leaf, *chain.issuers


def _of_acknowledgment(terms: Terms) -> SignatureTerms | None:
    """How the receiver signs its Acknowledgment: as its signals, or where the CPA is silent as messages are signed."""
    if not terms.channel.ack_signed:
        return None
    own, agreed = terms.receiver.signals.signature, terms.channel.signature
    certificate = terms.receiver.certificates.get("signing")
    if own is None and agreed is not None and certificate is not None:
        return replace(agreed, certificate=certificate)
    return own
