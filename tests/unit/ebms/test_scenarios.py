"""A partner that misbehaves: what our sender and our receiver make of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ebms_adapter_client.models import MessageFilter, URLMapping

from aansluitkit.connection.model import Profile
from aansluitkit.ebms.scenarios import Scenario

from .conftest import Loop, Node, Pair, cpa_of, introduce, settings, start
from .test_delivery import LONG, SOON
from .test_messages import asked, ends, until

pytestmark = pytest.mark.parametrize("pair", ["g4"], indirect=True)


@contextmanager
def playing(pair: Pair, loop: Loop, folder: Path, scenario: Scenario, sync: bool = True) -> Iterator[Node]:
    database = f"sqlite:///{folder}/scenario.db"
    given = settings(folder, pair.pki, "party-partner", "mijnoverheid", database, scenario=scenario)
    node = start(loop, given, pair.connection.partner)
    retries = LONG if scenario is Scenario.LATE else SOON
    document = cpa_of(pair.connection, "played", profile=Profile.RELIABLE_SIGNED, retries=retries, sync_reply=sync)
    for client in (pair.ours.client, node.client):
        client.insert_cpa(document, overwrite=True)
    pair.ours.client.create_url_mapping(URLMapping(source=node.endpoint, destination=node.address))
    node.client.create_url_mapping(URLMapping(source=pair.ours.endpoint, destination=pair.ours.address))
    try:
        yield node
    finally:
        introduce(pair.ours, pair.partner)
        loop.run(node.server.stop())


@pytest.mark.parametrize(
    ("scenario", "end"),
    [
        (Scenario.LATE, "DELIVERED"),
        (Scenario.SILENT, "EXPIRED"),
        (Scenario.DROP, "EXPIRED"),
        (Scenario.SOAP_FAULT, "EXPIRED"),
        (Scenario.ERROR_LIST, "FAILED"),
        (Scenario.BROKEN_SIGNATURE, "EXPIRED"),
        (Scenario.WRONG_REF_TO_MESSAGE_ID, "EXPIRED"),
        (Scenario.REPEAT, "DELIVERED"),
    ],
)
def test_sender_is_not_misled(pair: Pair, loop: Loop, tmp_path: Path, scenario: Scenario, end: str) -> None:
    with playing(pair, loop, tmp_path, scenario):
        identity = pair.ours.client.send_message(asked(pair, "played", b"<zaak/>"))
        assert ends(pair.ours, identity) == [end]


def test_repeated_messages_are_taken_once(pair: Pair, loop: Loop, tmp_path: Path) -> None:
    with playing(pair, loop, tmp_path, Scenario.REPEAT, sync=False) as node:
        sent = [node.client.send_message(asked(pair, "played", sender="partner")) for _ in range(5)]
        ids = MessageFilter(cpa_id="played")
        for identity in sent:
            assert ends(node, identity) == ["DELIVERED"]
        until(lambda: len(pair.ours.client.list_unprocessed_message_ids(ids)) >= len(sent), "arrival")
        assert sorted(pair.ours.client.list_unprocessed_message_ids(ids)) == sorted(sent)
        received = [event.message_id for event in pair.ours.client.list_unprocessed_message_events(ids)]
        assert sorted(identity for identity in received if identity in sent) == sorted(sent)
