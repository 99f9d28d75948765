"""What a partner can do wrong, played by the adapter where the settings say so: for the lab and for drills.

A certificate that has expired, or is another party's, is no scenario: the settings name the files.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from enum import StrEnum

from aansluitkit.ebms.client import Client, Reply
from aansluitkit.ebms.cpa import Channel, Terms
from aansluitkit.ebms.errors import ErrorCode, ErrorListError
from aansluitkit.ebms.handler import Response
from aansluitkit.ebms.message import Message, acknowledgment, build, fault
from aansluitkit.ebms.mime import CONTENT_TYPE, Payload
from aansluitkit.ebms.security import Keys, Security

LATE_SECONDS = 5.0


class Scenario(StrEnum):
    """How the adapter misbehaves."""

    LATE = "late"  # answers after LATE_SECONDS
    SILENT = "silent"  # takes everything with 204, keeps and answers nothing
    DROP = "drop"  # closes the connection instead of answering
    SOAP_FAULT = "soap_fault"
    ERROR_LIST = "error_list"  # refuses each business message
    BROKEN_SIGNATURE = "broken_signature"  # of its acknowledgments
    WRONG_REF_TO_MESSAGE_ID = "wrong_ref_to_message_id"  # in its acknowledgments
    REPEAT = "repeat"  # posts everything twice


class Dropped(Exception):  # noqa: N818 - a wish
    """The connection is to be closed without an answer."""


async def play(scenario: Scenario) -> Response | None:
    """What a request gets in this scenario, or None when it is to be handled as ever.

    Raises:
        Dropped: when there is to be no answer at all.
    """
    if scenario is Scenario.DROP:
        raise Dropped
    if scenario is Scenario.SILENT:
        return Response(204)
    if scenario is Scenario.SOAP_FAULT:
        return Response(500, fault("the scenario soap_fault is played here"))
    if scenario is Scenario.LATE:
        await asyncio.sleep(LATE_SECONDS)
    return None


class LyingSecurity(Security):
    """Acknowledges wrongly, or refuses, as ``scenario`` has it."""

    def __init__(self, scenario: Scenario, keys: Keys) -> None:
        super().__init__(keys)
        self.scenario = scenario

    def open(self, message: Message, envelope: bytes, channel: Channel) -> tuple[Payload, ...]:
        """Refuse, if that is the scenario."""
        if self.scenario is Scenario.ERROR_LIST:
            raise ErrorListError(ErrorCode.UNKNOWN, "//Envelope", "the scenario error_list is played here")
        return super().open(message, envelope, channel)

    def acknowledge(self, message: Message, terms: Terms, domain: str) -> tuple[Message, bytes]:
        """Acknowledge, but not as it should be."""
        if self.scenario is Scenario.WRONG_REF_TO_MESSAGE_ID:
            other = replace(message, header=replace(message.header, message_id=f"no-message@{domain}"))
            answer = acknowledgment(other, domain)
            return answer, build(answer)
        answer, envelope = super().acknowledge(message, terms, domain)
        if self.scenario is Scenario.BROKEN_SIGNATURE:
            envelope = envelope.replace(answer.header.conversation_id.encode(), b"changed-after-signing")
        return answer, envelope


class RepeatingClient(Client):
    """Posts everything twice."""

    async def post(self, endpoint: str, body: bytes, content_type: str = CONTENT_TYPE) -> Reply:
        """Post, and post again; the first answer counts."""
        reply = await super().post(endpoint, body, content_type)
        await super().post(endpoint, body, content_type)
        return reply
