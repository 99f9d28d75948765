"""The JSON that the REST interface takes and gives, named as the reference adapter names it.

Parties and services are ``type:value``; moments are in UTC, ISO 8601.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from aansluitkit.ebms.messages import Filter, Kept
from aansluitkit.ebms.mime import Payload
from aansluitkit.ebms.scenarios import LATE_SECONDS, Scenario
from aansluitkit.ebms.sending import Wish


def _decoded(value: object) -> bytes:
    """Base64 in which every character counts, but for blanks and line ends."""
    if not isinstance(value, str | bytes):
        raise ValueError("base64 is expected")  # noqa: TRY004 - what pydantic reports
    with contextlib.suppress(ValueError):  # as it is, without a copy of megabytes, when there are none
        return binascii.a2b_base64(value, strict_mode=True)
    text = value.encode("ascii", "replace") if isinstance(value, str) else value
    return base64.b64decode(b"".join(text.split()), validate=True)


_Base64 = Annotated[bytes, BeforeValidator(_decoded), WithJsonSchema({"type": "string", "contentEncoding": "base64"})]
# What may stand in a header of the message, and nothing that could end it.
_Line = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
_MediaType = Annotated[
    str, Field(max_length=255, pattern=r'^[\w.+-]+/[\w.+-]+( *; *[\w-]+=("[\w.: +/-]*"|[\w.:+/-]+))*$')
]
EventType = Literal["RECEIVED", "DELIVERED", "FAILED", "EXPIRED"]


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class MessageRequestProperties(_Body):
    """What a message that is to be sent says of itself; what is left out follows from the CPA, or is made."""

    cpa_id: _Line
    from_party_id: _Line
    from_role: _Line | None = None
    to_party_id: _Line | None = None
    to_role: _Line | None = None
    service: _Line
    action: _Line
    conversation_id: _Line | None = None
    message_id: _Line | None = Field(None, description="Gets @ and the domain of this adapter behind it.")
    ref_to_message_id: _Line | None = None

    def wish(self) -> Wish:
        """As the sender takes it."""
        return Wish(**_inside(self))


def _inside(given: MessageRequestProperties | MessageFilter) -> dict[str, Any]:
    """What the REST interface says of a message, by the names that it has inside."""
    return {
        "cpa_id": given.cpa_id,
        "sender": given.from_party_id,
        "sender_role": given.from_role,
        "receiver": given.to_party_id,
        "receiver_role": given.to_role,
        "service": given.service,
        "action": given.action,
        "conversation_id": given.conversation_id,
        "message_id": given.message_id,
        "ref_to_message_id": given.ref_to_message_id,
    }


class DataSource(_Body):
    """A payload; ``content`` is base64."""

    name: _Line | None = None
    content_id: _Line | None = None
    content_type: _MediaType
    content: _Base64

    def payload(self) -> Payload:
        """As it goes into a message, with a Content-ID of its own: one that is given may not be unique."""
        return Payload(str(uuid.uuid4()), self.content_type, self.content, self.name)


class MessageRequest(_Body):
    """A message that is to be sent."""

    properties: MessageRequestProperties
    data_sources: list[DataSource] = []


class Party(_Body):
    """A party of a message, in its role."""

    party_id: str
    role: str | None = None


class MessageProperties(_Body):
    """What a message says of itself, and what became of it."""

    cpa_id: str
    from_party: Party
    to_party: Party
    service: str
    action: str
    timestamp: datetime | None
    conversation_id: str
    message_id: str
    ref_to_message_id: str | None = None
    message_status: str


class GivenDataSource(_Body):
    """A payload; ``content`` is base64."""

    name: str | None = None
    content_id: str | None = None
    content_type: str
    content: str


class Message(_Body):
    """A message that was received or sent."""

    properties: MessageProperties
    data_sources: list[GivenDataSource]


class MessageStatus(_Body):
    """What became of a message."""

    timestamp: datetime | None
    status: str


class MessageEvent(_Body):
    """What happened to a message."""

    message_id: str
    type: EventType


class MessageFilter(_Body):
    """Which messages are meant; ``maxNr`` 0 is all of them."""

    cpa_id: str | None = None
    from_party_id: str | None = None
    from_role: str | None = None
    to_party_id: str | None = None
    to_role: str | None = None
    service: str | None = None
    action: str | None = None
    conversation_id: str | None = None
    message_id: str | None = None
    ref_to_message_id: str | None = None
    max_nr: Annotated[int, Field(ge=0)] = 0

    def filter(self) -> Filter:
        """As the store takes it."""
        return Filter(**_inside(self))


class EventFilter(MessageFilter):
    """Which events are meant."""

    event_types: list[EventType] = []


class Overwrite(_Body):
    """Whether a CPA with the same id may be replaced."""

    overwrite: bool = False


class Process(_Body):
    """Whether the message is taken by reading it."""

    process: bool = False


class Play(_Body):
    """How a stand-in is to misbehave from now on; without scenario not at all."""

    scenario: Scenario | None = None
    late_seconds: Annotated[float, Field(gt=0, le=600)] = LATE_SECONDS


class Played(Play):
    """How a stand-in misbehaves, and how many requests came in since it began to."""

    requests: int


class OfCpa(_Body):
    """Of which CPA a certificate mapping is; of every CPA when it is left out."""

    cpa_id: str | None = None


class UrlMapping(_Body):
    """Where messages for endpoint ``source`` go instead."""

    source: str
    destination: str


class CertificateMapping(_Body):
    """Certificate ``destination`` stands for ``source`` of a CPA, or of every CPA; both are base64 of DER."""

    source: _Base64
    destination: _Base64
    cpa_id: _Line | None = None


def message_of(kept: Kept, payloads: Sequence[Payload]) -> Message:
    """A business message with its payloads."""
    sources = [
        GivenDataSource(
            name=payload.name,
            content_id=payload.content_id,
            content_type=payload.content_type,
            content=base64.b64encode(payload.content).decode("ascii"),
        )
        for payload in payloads
    ]
    return Message(properties=properties_of(kept), data_sources=sources)


def written(body: BaseModel) -> str:
    """What REST gives, as JSON."""
    return body.model_dump_json(by_alias=True, exclude_none=True)


def properties_of(kept: Kept) -> MessageProperties:
    """What REST says of a business message."""
    return MessageProperties(
        cpa_id=kept.cpa_id,
        from_party=Party(party_id=kept.sender or "", role=kept.sender_role),
        to_party=Party(party_id=kept.receiver or "", role=kept.receiver_role),
        service=kept.service or "",
        action=kept.action,
        timestamp=kept.timestamp,
        conversation_id=kept.conversation_id or "",
        message_id=kept.message_id,
        ref_to_message_id=kept.ref_to_message_id,
        message_status=kept.status or "",
    )
