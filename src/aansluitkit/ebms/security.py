"""What the CPA wants done to a message before it goes out, and seen when it comes in.

Outbound: sign envelope and payloads, encrypt the payloads, pack; first sign, then encrypt (ebMS 2.0, section 4.1.4.5).
Inbound the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from aansluitkit.ebms.certificates import read_certificate
from aansluitkit.ebms.cpa import Channel, SignatureTerms, Terms
from aansluitkit.ebms.encryption import decrypt, encrypt
from aansluitkit.ebms.errors import ErrorCode, ErrorListError, SecurityFailure
from aansluitkit.ebms.message import Message, acknowledgment, build
from aansluitkit.ebms.mime import Payload, pack
from aansluitkit.ebms.signature import Signer, acknowledges, verify
from aansluitkit.revocation import RevocationLists


@dataclass(frozen=True)
class Wire:
    """A message as it is posted, and its envelope."""

    envelope: bytes
    content_type: str
    body: bytes


class Security:
    """Signs as ``signer``, decrypts with ``key``.

    Accepts signatures of certificates in the CPA, or of the same OIN below ``trust``; with ``crls`` of none that is
    revoked there.
    """

    def __init__(
        self,
        signer: Signer,
        key: rsa.RSAPrivateKey,
        trust: tuple[x509.Certificate, ...],
        crls: RevocationLists | None = None,
    ) -> None:
        self.renew(signer, key, trust, crls)

    def renew(
        self,
        signer: Signer,
        key: rsa.RSAPrivateKey,
        trust: tuple[x509.Certificate, ...],
        crls: RevocationLists | None,
    ) -> None:
        """Work with these from now on."""
        self._signer = signer
        self._key = key
        self._trust = trust
        self._crls = crls

    def seal(self, message: Message, channel: Channel) -> Wire:
        """The bytes of ``message``, made as ``channel`` has it.

        Raises:
            ErrorListError: when that can't be done.
        """
        envelope, payloads = build(message), message.payloads
        if channel.signature:
            envelope = self._signer.sign(envelope, payloads, channel.signature)
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
            payloads = decrypt(payloads, self._key, channel.encryption)
        if channel.signature:
            self._verify(envelope, payloads, channel.signature)
        return payloads

    def acknowledge(self, message: Message, terms: Terms, domain: str) -> tuple[Message, bytes]:
        """The receiver's Acknowledgment of a message of ``terms``, and its envelope."""
        answer = acknowledgment(message, domain)
        envelope = build(answer)
        signature = _of_acknowledgment(terms)
        return answer, self._signer.sign(envelope, (), signature) if signature else envelope

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

    def _verify(self, envelope: bytes, payloads: Sequence[Payload], terms: SignatureTerms) -> None:
        signer = verify(envelope, payloads, terms, self._trust)
        objection = self._crls.objection([read_certificate(signer)]) if self._crls else None
        if objection:
            raise SecurityFailure("//Header/Signature", f"the signer's certificate does not count: {objection}")


def _of_acknowledgment(terms: Terms) -> SignatureTerms | None:
    """How the receiver signs its Acknowledgment: as its signals, or where the CPA is silent as messages are signed."""
    if not terms.channel.ack_signed:
        return None
    own, agreed = terms.receiver.signals.signature, terms.channel.signature
    certificate = terms.receiver.certificates.get("signing")
    if own is None and agreed is not None and certificate is not None:
        return replace(agreed, certificate=certificate)
    return own
