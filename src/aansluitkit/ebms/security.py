"""What the CPA wants done to a message before it goes out, and seen when it comes in.

Outbound: encrypt the payloads, sign envelope and payloads, pack. Inbound the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass

from aansluitkit.ebms.cpa import Channel, Party
from aansluitkit.ebms.errors import ErrorCode, ErrorListError
from aansluitkit.ebms.message import Message, acknowledgment, build
from aansluitkit.ebms.messages import Kept
from aansluitkit.ebms.mime import Payload, pack


@dataclass(frozen=True)
class Wire:
    """A message as it is posted, and its envelope."""

    envelope: bytes
    content_type: str
    body: bytes


class Security:
    """Signs, verifies, encrypts and decrypts with the keys of this adapter."""

    def seal(self, message: Message, channel: Channel) -> Wire:
        """The bytes of ``message``, made as ``channel`` has it."""
        envelope = build(message)
        content_type, body = pack(envelope, message.payloads)
        return Wire(envelope, content_type, body)

    def open(self, message: Message, envelope: bytes, channel: Channel) -> tuple[Payload, ...]:
        """The payloads of ``message`` as the application is to have them."""
        return message.payloads

    def acknowledge(self, message: Message, party: Party, domain: str) -> tuple[Message, bytes]:
        """The Acknowledgment that ``party`` gives, and its envelope."""
        answer = acknowledgment(message, domain)
        return answer, build(answer)

    def check_acknowledgment(self, message: Message, envelope: bytes, sent: Kept) -> None:
        """See that an Acknowledgment is one of the message that was sent.

        Raises:
            ErrorListError: when it is not.
        """
        told = message.acknowledgment
        if told is None or told.ref_to_message_id != sent.message_id:
            raise ErrorListError(
                ErrorCode.INCONSISTENT, "//Header/Acknowledgment/RefToMessageId", "it is of another message"
            )
