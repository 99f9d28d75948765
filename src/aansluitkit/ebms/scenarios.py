"""What a partner can do wrong, played by the adapter where the settings make it a stand-in: for the lab and for drills.

A node that is no stand-in has none of these classes: its own are those that they derive from.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from enum import StrEnum

from aansluitkit.ebms.client import Client, Reply
from aansluitkit.ebms.cpa import Channel
from aansluitkit.ebms.errors import ErrorCode, ErrorListError
from aansluitkit.ebms.handler import Response
from aansluitkit.ebms.message import MSH_SERVICE, Message, fault
from aansluitkit.ebms.mime import CONTENT_TYPE, Payload
from aansluitkit.ebms.security import Keys, Security
from aansluitkit.ebms.tls import Renewable

LATE_SECONDS = 5.0
_CONVERSATION = re.compile(rb"(ConversationId>)[^<]+")
_REFERENCE = re.compile(rb"(RefToMessageId>)[^<]+")
_SIGNAL = MSH_SERVICE.encode()


class Scenario(StrEnum):
    """How the adapter misbehaves."""

    LATE = "late"  # answers after a number of seconds
    SILENT = "silent"  # takes everything with 204, keeps and answers nothing
    DROP = "drop"  # closes the connection instead of answering
    SOAP_FAULT = "soap_fault"
    ERROR_LIST = "error_list"  # refuses each business message
    BROKEN_SIGNATURE = "broken_signature"  # of its messages and acknowledgments
    WRONG_REF_TO_MESSAGE_ID = "wrong_ref_to_message_id"  # in its acknowledgments, Pongs and StatusResponses
    REPEAT = "repeat"  # posts everything twice
    EXPIRED_CERTIFICATE = "expired_certificate"  # shows it when it calls, and when it is called
    WRONG_CERTIFICATE = "wrong_certificate"  # likewise: of another party, whom the CPA does not name


class Stage:
    """What is played now: ``scenario`` is None when the adapter behaves; ``requests`` came in since it began."""

    def __init__(self, scenario: Scenario | None, late_seconds: float = LATE_SECONDS) -> None:
        self.set(scenario, late_seconds)

    def set(self, scenario: Scenario | None, late_seconds: float) -> None:
        """Play ``scenario`` from now on; messages are answered late by ``late_seconds``, if that is the scenario."""
        self.scenario = scenario
        self.late_seconds = late_seconds
        self.requests = 0

    async def play(self) -> Response | None:
        """What a request gets in this scenario, or None when it is to be handled as ever.

        Raises:
            Dropped: when there is to be no answer at all.
        """
        self.requests += 1
        if self.scenario is Scenario.DROP:
            raise Dropped
        if self.scenario is Scenario.SILENT:
            return Response(204)
        if self.scenario is Scenario.SOAP_FAULT:
            return Response(500, fault("the scenario soap_fault is played here"))
        if self.scenario is Scenario.LATE:
            await asyncio.sleep(self.late_seconds)
        return None

    def bend(self, body: bytes) -> bytes:
        """What goes out instead of ``body``: a lie on the way, so that a node that behaves again tells the truth."""
        if self.scenario is Scenario.BROKEN_SIGNATURE and b"SignatureValue" in body:
            return _CONVERSATION.sub(rb"\1changed-after-signing", body)
        if self.scenario is Scenario.WRONG_REF_TO_MESSAGE_ID and _SIGNAL in body:
            return _REFERENCE.sub(rb"\1no-message", body)
        return body


class Dropped(Exception):  # noqa: N818 - a wish
    """The connection is to be closed without an answer."""


class LyingSecurity(Security):
    """Refuses as ``stage`` has it."""

    def __init__(self, stage: Stage, keys: Keys) -> None:
        super().__init__(keys)
        self._stage = stage

    def open(self, message: Message, envelope: bytes, channel: Channel) -> tuple[Payload, ...]:
        """Refuse, if that is the scenario."""
        if self._stage.scenario is Scenario.ERROR_LIST:
            raise ErrorListError(ErrorCode.UNKNOWN, "//Envelope", "the scenario error_list is played here")
        return super().open(message, envelope, channel)


class LyingClient(Client):
    """Posts lies, or everything twice, as ``stage`` has it."""

    def __init__(self, stage: Stage, context: ssl.SSLContext) -> None:
        super().__init__(context)
        self._stage = stage

    async def post(
        self, endpoint: str, body: bytes, content_type: str = CONTENT_TYPE, *, repeatable: bool = True
    ) -> Reply:
        """Post, and perhaps post again; the first answer counts."""
        scenario, told = self._stage.scenario, self._stage.bend(body)
        reply = await super().post(endpoint, told, content_type, repeatable=repeatable)
        if scenario is Scenario.REPEAT:
            await super().post(endpoint, told, content_type)
        return reply


class Disguised(Renewable):
    """Begins connections with the certificate that the scenario of the moment wants: one of ``others``, or our own."""

    stage: Stage
    others: Mapping[Scenario, ssl.SSLContext]

    @property
    def next(self) -> ssl.SSLContext:
        """What a connection begins with now."""
        scenario = self.stage.scenario
        return self.others.get(scenario, self.current) if scenario else self.current


def disguise(context: Renewable, stage: Stage, others: Mapping[Scenario, ssl.SSLContext]) -> Disguised:
    """``context`` with the disguises of ``stage``."""
    disguised = Disguised(context.protocol)
    disguised.current, disguised.stage, disguised.others = context.current, stage, others
    return disguised
