"""An adapter as a compliance run sees it: over its REST interface, on its own host."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urlencode

from aansluitkit.connection import Connection, Host
from aansluitkit.connection.views import CERTIFICATES, PASSWORD_FILE
from aansluitkit.ebms.scenarios import Scenario
from aansluitkit.errors import KitError
from aansluitkit.verification.site import Site

BASE = "/service/rest/v19"
_SECONDS = 75  # an adapter waits for connection, answer and Pong


@dataclass(frozen=True)
class Call:
    """One request; ``path`` is below the interface's base."""

    method: str
    path: str
    body: str = ""
    content_type: str = "application/json"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: str


class Rest(Protocol):
    """Where requests go."""

    def calls(self, requests: Sequence[Call]) -> list[Answer]:
        """The answers to ``requests``, in their order.

        Raises:
            KitError: when the interface does not answer.
        """


class HostRest:
    """The interface of the adapter on ``host``, asked from there: the password does not leave it."""

    def __init__(self, site: Site, connection: Connection, host: Host) -> None:
        self._site = site
        self._host = host
        self._common = {
            "user": "ebms",
            "password_file": PASSWORD_FILE,
            "address": str(host.address),
            "port": connection.ports.rest,
            "name": connection.name_of(host),
            "trust": f"{CERTIFICATES}/internal-trust.pem",
            "timeout": _SECONDS,
        }

    def calls(self, requests: Sequence[Call]) -> list[Answer]:
        """As ``Rest``."""
        asked = [{**vars(request), "path": BASE + request.path} for request in requests]
        answers = self._site.probe(self._host, "rests", requests=asked, **self._common)["answers"]
        for answer in answers:
            if answer["layer"] != "http":
                raise KitError(
                    f"the adapter on {self._host.name} does not answer at its REST interface: {answer['error']}; "
                    f"{self._site.redeploy(self._host.name)}"
                )
        return [Answer(answer["status"], answer["body"]) for answer in answers]


@dataclass(frozen=True)
class Wish:
    """A message that is to be sent."""

    service: str
    action: str
    payloads: tuple[tuple[str, bytes], ...]  # content type and content


@dataclass(frozen=True)
class Message:
    """A message that was received or sent."""

    message_id: str
    conversation_id: str
    payloads: tuple[bytes, ...]


class Adapter:
    """One side of the run: under CPA ``cpa_id`` it sends as ``own``, in ``role``, to ``other``."""

    def __init__(self, rest: Rest, cpa_id: str, own: tuple[str, str], other: str) -> None:
        self._rest = rest
        self._cpa = cpa_id
        self._own, self._role = own
        self._other = other

    def load(self, document: str) -> None:
        """Load the CPA ``document``."""
        self._done(Call("POST", "/cpas?overwrite=true", document, "text/plain"))

    def unload(self) -> None:
        """Remove the CPA, if it is there."""
        self._rest.calls([Call("DELETE", f"/cpas/{quote(self._cpa)}")])

    def has_cpa(self) -> bool:
        """Whether it has the CPA."""
        return self._rest.calls([Call("GET", f"/cpas/{quote(self._cpa)}", content_type="text/plain")])[0].status == 200

    def ping(self) -> str:
        """Ping the other side; why there is no Pong, or nothing."""
        path = f"/ebms/ping/{quote(self._cpa)}/from/{quote(self._own)}/to/{quote(self._other)}"
        answer = self._rest.calls([Call("POST", path)])[0]
        return "" if answer.status == 204 else answer.body or f"HTTP status {answer.status}"

    def send(self, wishes: Sequence[Wish]) -> list[str]:
        """Have messages sent, and return their ids."""
        return self._all([Call("POST", "/ebms/messages", self._request(wish)) for wish in wishes])

    def _request(self, wish: Wish) -> str:
        properties = {
            "cpaId": self._cpa,
            "fromPartyId": self._own,
            "fromRole": self._role,
            "toPartyId": self._other,
            "service": wish.service,
            "action": wish.action,
        }
        sources = [
            {"name": f"deel-{number}", "contentType": kind, "content": base64.b64encode(content).decode()}
            for number, (kind, content) in enumerate(wish.payloads, 1)
        ]
        return json.dumps({"properties": properties, "dataSources": sources})

    def events(self) -> dict[str, list[str]]:
        """The events that nobody has taken, by message id."""
        found: dict[str, list[str]] = {}
        for event in json.loads(self._done(Call("GET", f"/ebms/events/unprocessed?{urlencode({'cpaId': self._cpa})}"))):
            found.setdefault(event["messageId"], []).append(event["type"])
        return found

    def states(self, identities: Sequence[str]) -> list[str]:
        """What became of messages, as their sender or receiver has it; empty when it does not know them."""
        answers = self._rest.calls([Call("GET", f"/ebms/messages/{quote(identity)}") for identity in identities])
        known = [json.loads(answer.body) if answer.status == 200 else {} for answer in answers]
        return [message["properties"]["messageStatus"] if message else "" for message in known]

    def answers_to(self, identities: Sequence[str]) -> list[list[str]]:
        """Ids of the messages that were received in answer to each of ``identities``."""
        wanted = [urlencode({"cpaId": self._cpa, "refToMessageId": identity}) for identity in identities]
        return [
            json.loads(body)
            for body in self._all([Call("GET", f"/ebms/messages/unprocessed?{each}") for each in wanted])
        ]

    def ends_of_answers_to(self, identities: Sequence[str]) -> dict[str, str]:
        """How the messages ended that it sent in answer to ``identities``, by their ids."""
        wanted = [urlencode({"cpaId": self._cpa, "refToMessageId": identity}) for identity in identities]
        bodies = self._all([Call("GET", f"/ebms/events/unprocessed?{each}") for each in wanted])
        return {event["messageId"]: event["type"] for body in bodies for event in json.loads(body)}

    def messages(self, identities: Sequence[str]) -> list[Message]:
        """Messages that were received or sent."""
        bodies = self._all([Call("GET", f"/ebms/messages/{quote(identity)}") for identity in identities])
        return [_message(json.loads(body)) for body in bodies]

    def waiting(self) -> list[str]:
        """Ids of the messages under the CPA that nobody has taken, or whose events nobody has."""
        found = json.loads(self._done(Call("GET", f"/ebms/messages/unprocessed?{urlencode({'cpaId': self._cpa})}")))
        return list(dict.fromkeys([*found, *self.events()]))

    def take(self, identities: Sequence[str]) -> None:
        """Take messages and their events: no application is to find them."""
        paths = [f"/ebms/{kind}/{quote(identity)}" for identity in identities for kind in ("messages", "events")]
        self._all([Call("PATCH", path) for path in paths])

    def play(self, scenario: Scenario | None) -> None:
        """Misbehave as ``scenario`` has it."""
        self._done(Call("PUT", "/scenario", json.dumps({"scenario": scenario, "lateSeconds": 1})))

    def met(self) -> int:
        """How many requests came in since the scenario began."""
        return int(json.loads(self._done(Call("GET", "/scenario")))["requests"])

    def _done(self, call: Call) -> str:
        return self._all([call])[0]

    def _all(self, calls: Sequence[Call]) -> list[str]:
        answers = self._rest.calls(calls) if calls else []
        for call, answer in zip(calls, answers, strict=True):
            if not 200 <= answer.status < 300:
                raise KitError(
                    f"{call.method} {BASE}{call.path} of the adapter of {self._own} gives HTTP status {answer.status}: "
                    f"{' '.join(answer.body.split())[:300]}"
                )
        return [answer.body for answer in answers]


def _message(given: dict[str, dict[str, str] | list[dict[str, str]]]) -> Message:
    properties, sources = given["properties"], given["dataSources"]
    assert isinstance(properties, dict)  # noqa: S101 - for the type checker
    assert isinstance(sources, list)  # noqa: S101
    return Message(
        message_id=properties["messageId"],
        conversation_id=properties["conversationId"],
        payloads=tuple(base64.b64decode(source["content"]) for source in sources),
    )
