"""Business messages between two adapters that really run, as applications see them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from ebms_adapter_client.models import (
    DataSource,
    MessageFilter,
    MessageRequest,
    MessageRequestProperties,
)

from aansluitkit.connection.model import Profile

from .conftest import Node, Pair, cpa_of

CHANNELS = ["sync", "async"]
PLAIN = [Profile.BEST_EFFORT, Profile.RELIABLE]
BINARY = bytes(range(256)) * 40


def until(true: Callable[[], Any], what: str) -> Any:
    """Wait for what another thread does; the bound is only for a test that fails."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen")


def load(pair: Pair, identity: str, **changes: Any) -> str:
    for node in (pair.ours, pair.partner):
        node.client.insert_cpa(cpa_of(pair.connection, identity, **changes), overwrite=True)
    return identity


def asked(pair: Pair, cpa: str, *payloads: bytes, sender: str = "ours", **given: Any) -> MessageRequest:
    ours = sender == "ours"
    service = pair.connection.cpa.service
    properties = MessageRequestProperties(
        cpa_id=cpa,
        from_party_id=pair.our_id if ours else pair.their_id,
        from_role="SR" if ours else "SP",
        service=f"{service.type}:{service.name}",
        action="zaakbericht" if ours else "foutbericht",
        **given,
    )
    kinds = ["application/xml", "application/octet-stream"]
    sources = [
        DataSource(content_type=kinds[number % 2], content=payload, name=f"deel-{number}")
        for number, payload in enumerate(payloads)
    ]
    return MessageRequest(properties, sources)


def arrives(node: Node, message_id: str) -> Any:
    wanted = MessageFilter(message_id=message_id)
    until(lambda: node.client.list_unprocessed_message_ids(wanted), f"arrival of {message_id}")
    return node.client.get_message(message_id)


def ends(node: Node, message_id: str) -> list[str]:
    wanted = MessageFilter(message_id=message_id)
    events = until(lambda: node.client.list_unprocessed_message_events(wanted), f"end of {message_id}")
    return [event.type.value for event in events]


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("profile", PLAIN)
@pytest.mark.parametrize("sender", ["ours", "partner"])
def test_message_gets_there(pair: Pair, channel: str, profile: Profile, sender: str) -> None:
    cpa = load(pair, f"{profile}-{channel}", profile=profile, sync_reply=channel == "sync" and profile.reliable)
    node, other = (pair.ours, pair.partner) if sender == "ours" else (pair.partner, pair.ours)
    request = asked(pair, cpa, b"<zaak/>", BINARY, b"", sender=sender, conversation_id="gesprek", message_id="een-twee")
    request.properties.message_id = f"eigen-{cpa}"
    identity = node.client.send_message(request)
    message = arrives(other, identity)
    assert [source.content for source in message.data_sources] == [b"<zaak/>", BINARY, b""]
    assert [source.name for source in message.data_sources] == ["deel-0", "deel-1", "deel-2"]
    properties = message.properties
    assert (properties.conversation_id, properties.message_id) == ("gesprek", identity)
    assert properties.from_party.party_id == request.properties.from_party_id
    assert properties.service == request.properties.service
    assert ends(node, identity) == ["DELIVERED"]
    assert ends(other, identity) == ["RECEIVED"]
    assert node.client.get_message(identity).properties.message_status.value == "DELIVERED"
    assert node.client.get_message_status(identity).status.value == "RECEIVED"
    other.client.process_message(identity)
    other.client.process_message_event(identity)
    assert node.client.get_message_status(identity).status.value == "PROCESSED"
    assert other.client.get_message_status(identity).status.value == "PROCESSED"
    wanted = MessageFilter(message_id=identity)
    assert other.client.list_unprocessed_message_ids(wanted) == []
    assert other.client.list_unprocessed_message_events(wanted) == []
    assert other.client.get_message(identity).data_sources[1].content == BINARY
