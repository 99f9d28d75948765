"""The compliance run: every profile both ways as the Compliancevoorziening plays it, and a partner that misbehaves.

The first cases are those of the Compliancevoorziening: Ping, and for each profile a message to it and one from it, with
attachments. The others need a partner that misbehaves on demand, which the lab's stand-in does and nobody else: towards
a real Compliancevoorziening they are not played.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from aansluitkit.compliance.adapter import Adapter, Message, Wish
from aansluitkit.compliance.report import Case, Outcome, Result
from aansluitkit.connection import Profile
from aansluitkit.connection.model import Service
from aansluitkit.ebms.echo import REQUEST, RESPONSE
from aansluitkit.ebms.scenarios import Scenario

DELIVERED, FAILED, EXPIRED = "DELIVERED", "FAILED", "EXPIRED"
CERTIFICATES = (Scenario.EXPIRED_CERTIFICATE, Scenario.WRONG_CERTIFICATE)
_PAUSE = 0.25  # seconds
_TOLD = {
    Scenario.SILENT: ("does not acknowledge", "bevestigt niet"),
    Scenario.DROP: ("breaks off the connection", "verbreekt de verbinding"),
    Scenario.SOAP_FAULT: ("answers with a SOAP Fault", "antwoordt met een SOAP Fault"),
    Scenario.BROKEN_SIGNATURE: ("signs its acknowledgment wrongly", "ondertekent de ontvangstbevestiging onjuist"),
    Scenario.WRONG_REF_TO_MESSAGE_ID: ("acknowledges another message", "bevestigt een ander bericht"),
    Scenario.EXPIRED_CERTIFICATE: ("shows an expired certificate", "toont een verlopen certificaat"),
    Scenario.WRONG_CERTIFICATE: ("shows another party's certificate", "toont het certificaat van een ander"),
}
DISTURBED = {
    scenario: Case(
        f"partner.{scenario}",
        f"a partner that {english} is not believed, and gets the message again until it behaves",
        f"een partner die {dutch}, wordt niet geloofd en krijgt het bericht opnieuw, tot het goed gaat",
    )
    for scenario, (english, dutch) in _TOLD.items()
}
NOT_LET_IN = {
    scenario: Case(
        f"partner.{scenario}_in",
        f"a partner that connects and {_TOLD[scenario][0]} is not let in",
        f"een partner die zelf verbindt en {_TOLD[scenario][1]}, wordt niet toegelaten",
    )
    for scenario in CERTIFICATES
}
PING_OUT = Case("ping.out", "we ping, and the Pong answers it", "Ping naar de Compliancevoorziening, met Pong terug")
PING_IN = Case("ping.in", "we answer the Ping of the partner", "Ping van de Compliancevoorziening, met onze Pong terug")
LATE = Case("partner.late", "an answer that comes late counts", "een antwoord dat laat komt, telt")
REFUSED = Case("partner.error_list", "an ErrorList ends the message", "een ErrorList beëindigt het bericht als mislukt")
GIVEN_UP = Case(
    "partner.never",
    "a message that is never acknowledged is tried until its time is up, and told of",
    "een bericht dat nooit bevestigd wordt, wordt herhaald tot zijn tijd om is, en gemeld",
)
DOUBLED = Case("partner.repeat", "what comes twice is taken once", "wat dubbel komt, wordt één keer aangenomen")
TAMPERED = Case(
    "partner.tampered",
    "a message whose signature does not hold is refused",
    "een bericht waarvan de handtekening niet klopt, wordt geweigerd",
)


@dataclass(frozen=True)
class Sides:
    """Who plays: our adapter, and the partner's where it is ours to ask (the stand-in of the lab)."""

    ours: Adapter
    partner: Adapter | None


class NotProved(Exception):  # noqa: N818 - a verdict
    """What was found instead."""


class Run:
    """Plays all cases of ``services`` and tells each outcome; an answer has ``patience`` seconds to come."""

    def __init__(
        self, sides: Sides, services: Sequence[Service], tell: Callable[[Outcome], None], patience: float
    ) -> None:
        self._ours, self._partner = sides.ours, sides.partner
        self._services = services
        self._tell = tell
        self._patience = patience

    def play(self) -> None:
        """Play everything."""
        self._pings()
        self._echoes()
        if self._partner is None:
            self._leave_out()
            return
        try:
            for scenario in DISTURBED:
                self._disturb(self._partner, scenario)
            self._late(self._partner)
            self._refused(self._partner)
            self._doubled(self._partner)
            self._given_up(self._partner)
        finally:
            self._partner.play(None)

    def _pings(self) -> None:
        self._case(PING_OUT, (), lambda: _none(self._ours.ping(), "no Pong"))
        if self._partner:
            partner = self._partner
            self._case(PING_IN, (), lambda: _none(partner.ping(), "no Pong of ours"))
        else:
            self._not_played(PING_IN, "only the Compliancevoorziening itself can start it")

    def _echoes(self) -> None:
        """A message to the partner and its answer, for each service; all at once."""
        sent = self._send(self._services)
        ends = self._ends(self._ours, sent)
        answers = self._answers(sent)
        for service, own in zip(self._services, self._ours.messages(sent), strict=True):
            identity, got = own.message_id, answers[own.message_id]
            self._case(_out(service), [identity], partial(_end, ends[identity], DELIVERED))
            self._case(_in(service), [message.message_id for message in got], partial(_one_answer, got, own))

    def _disturb(self, partner: Adapter, scenario: Scenario) -> None:
        """Reliable messages to a partner that misbehaves, then behaves: nothing is believed, lost or doubled."""
        signed = scenario is Scenario.BROKEN_SIGNATURE
        services = [each for each in self._reliable() if each.profile.signed or not signed]
        if not services:
            return
        partner.play(scenario)
        sent = self._send(services)
        unasked = partner.send([_answer(services[0])]) if scenario in CERTIFICATES else []
        self._wait_until_met(partner, scenario, len(sent))
        if signed:
            self._tampered(partner, sent)  # sent again once it behaves, they would be as they should
        early, arrived = self._ours.states(sent), self._ours.states(unasked)
        partner.play(None)
        ends = self._ends(self._ours, sent)
        answers = {} if signed else self._answers(sent)  # those that were signed wrongly are refused
        self._case(DISTURBED[scenario], sent, lambda: self._recovered(sent, early, ends, answers))
        if unasked:
            self._let_in_later(partner, scenario, unasked, arrived)

    def _recovered(
        self, sent: list[str], early: list[str], ends: dict[str, str], answers: dict[str, list[Message]]
    ) -> None:
        for identity, state in zip(sent, early, strict=True):
            if state != "CREATED":
                raise NotProved(
                    f"{identity} was {state or 'unknown'} while the partner misbehaved; it was to be tried on"
                )
            _end(ends[identity], DELIVERED)
        for own in self._ours.messages(list(answers)):
            _one_answer(answers[own.message_id], own)

    def _tampered(self, partner: Adapter, sent: list[str]) -> None:
        """The echoes that the partner signed wrongly."""
        ends: dict[str, str] = {}

        def look() -> bool:
            ends.update(partner.ends_of_answers_to(sent))
            return len(ends) >= len(sent)

        self._until(look)

        def judge() -> None:
            if len(ends) != len(sent):
                raise NotProved(f"{len(ends)} answers of the partner to {len(sent)} messages have ended")
            _all_end(ends, FAILED)
            if any(self._ours.states(list(ends))):
                raise NotProved("a message with a broken signature was taken")

        self._case(TAMPERED, list(ends), judge)

    def _let_in_later(self, partner: Adapter, scenario: Scenario, unasked: list[str], arrived: list[str]) -> None:
        """A message that the partner sent with the wrong certificate, and then with its own."""
        ends = self._ends(partner, unasked)

        def judge() -> None:
            if any(arrived):
                raise NotProved("its message was taken while it showed the wrong certificate")
            for identity in unasked:
                _end(ends[identity], DELIVERED)

        self._case(NOT_LET_IN[scenario], unasked, judge)

    def _late(self, partner: Adapter) -> None:
        partner.play(Scenario.LATE)
        sent = self._send(self._services)
        ends = self._ends(self._ours, sent)
        partner.play(None)
        self._case(LATE, sent, lambda: _all_end(ends, DELIVERED))
        self._answers(sent)

    def _refused(self, partner: Adapter) -> None:
        partner.play(Scenario.ERROR_LIST)
        sent = self._send(self._reliable())
        ends = self._ends(self._ours, sent)
        partner.play(None)
        self._case(REFUSED, sent, lambda: _all_end(ends, FAILED))

    def _doubled(self, partner: Adapter) -> None:
        partner.play(Scenario.REPEAT)
        sent = self._send(self._services)
        answers = self._answers(sent)
        partner.play(None)

        def judge() -> None:
            for own in self._ours.messages(sent):
                _one_answer(answers[own.message_id], own)

        self._case(DOUBLED, sent, judge)

    def _given_up(self, partner: Adapter) -> None:
        partner.play(Scenario.SILENT)
        sent = self._send(self._reliable())
        ends = self._ends(self._ours, sent)
        tried = partner.met()
        partner.play(None)

        def judge() -> None:
            _all_end(ends, EXPIRED)
            if tried <= len(sent):
                raise NotProved(f"{len(sent)} messages were tried {tried} times together: nothing was repeated")

        self._case(GIVEN_UP, sent, judge)

    def _leave_out(self) -> None:
        why = "it needs a partner that misbehaves, which the lab's alone does"
        for case in (*DISTURBED.values(), *NOT_LET_IN.values(), TAMPERED, LATE, REFUSED, DOUBLED, GIVEN_UP):
            self._not_played(case, why)

    def _send(self, services: Sequence[Service]) -> list[str]:
        return self._ours.send([_request(service) for service in services])

    def _reliable(self) -> list[Service]:
        return [service for service in self._services if service.profile.reliable]

    def _wait_until_met(self, partner: Adapter, scenario: Scenario, number: int) -> None:
        """Wait until the misbehaviour was met ``number`` times; who is refused by TLS makes no request."""
        if scenario in CERTIFICATES:
            time.sleep(1.5)  # longer than a retry
            return
        self._until(lambda: partner.met() >= number)

    def _ends(self, adapter: Adapter, identities: Sequence[str]) -> dict[str, str]:
        """How messages ended, by id; empty when it did not come in time."""
        found: dict[str, str] = {}

        def look() -> bool:
            events = adapter.events()
            found.update({identity: kind for identity in identities for kind in events.get(identity, [])})
            return all(identity in found for identity in identities)

        self._until(look)
        return {identity: found.get(identity, "") for identity in identities}

    def _answers(self, identities: Sequence[str]) -> dict[str, list[Message]]:
        """What was received in answer to each message."""
        found: list[list[str]] = []

        def look() -> bool:
            found[:] = self._ours.answers_to(identities)
            return all(found)

        self._until(look)
        messages = {
            message.message_id: message for message in self._ours.messages([one for each in found for one in each])
        }
        return {identity: [messages[one] for one in each] for identity, each in zip(identities, found, strict=True)}

    def _until(self, true: Callable[[], bool]) -> None:
        """Wait for what other hosts do; who asks judges what there is when time is up."""
        until = time.monotonic() + self._patience
        while not true() and time.monotonic() < until:
            time.sleep(_PAUSE)

    def _case(self, case: Case, message_ids: Sequence[str], judge: Callable[[], None]) -> None:
        result, found = Result.PASSED, ""
        try:
            judge()
        except NotProved as verdict:
            result, found = Result.FAILED, str(verdict)
        self._tell(Outcome(case, result, found, tuple(message_ids)))

    def _not_played(self, case: Case, why: str) -> None:
        self._tell(Outcome(case, Result.NOT_PLAYED, why))


def _request(service: Service) -> Wish:
    """An echo of an XML payload and a binary attachment, which nobody has seen before."""
    attachment = bytes(range(256)) + os.urandom(256)
    payloads = (
        ("application/xml", f"<echo profiel='{service.profile}'/>".encode()),
        ("application/octet-stream", attachment),
    )
    return Wish(f"{service.type}:{service.name}", REQUEST, payloads)


def _answer(service: Service) -> Wish:
    return Wish(f"{service.type}:{service.name}", RESPONSE, (("application/xml", b"<echo/>"),))


def _out(service: Service) -> Case:
    told = f"{service.profile}: {REQUEST} with attachment is taken"
    return Case(
        f"out.{service.profile}",
        told,
        f"{_profile(service.profile)}: bericht met bijlage naar de Compliancevoorziening",
    )


def _in(service: Service) -> Case:
    told = f"{service.profile}: {RESPONSE} comes once, with the same payloads, and answers it"
    return Case(
        f"in.{service.profile}", told, f"{_profile(service.profile)}: bericht met bijlage van de Compliancevoorziening"
    )


def _profile(profile: Profile) -> str:
    kind = "Reliable Messaging" if profile.reliable else "Best Effort"
    security = ", ondertekend en versleuteld" if profile.encrypted else ", ondertekend" if profile.signed else ""
    return f"{kind}{security} ({profile})"


def _none(problem: str, what: str) -> None:
    if problem:
        raise NotProved(f"{what}: {problem}")


def _end(found: str, wanted: str) -> None:
    if found != wanted:
        raise NotProved(f"the message is {found or 'still under way'}, {wanted} was expected")


def _all_end(ends: dict[str, str], wanted: str) -> None:
    for found in ends.values():
        _end(found, wanted)


def _one_answer(got: list[Message], own: Message) -> None:
    if len(got) != 1:
        raise NotProved(f"{len(got)} answers came to {own.message_id}, one was expected")
    if got[0].payloads != own.payloads:
        raise NotProved(f"the answer {got[0].message_id} holds other payloads than were sent")
    if got[0].conversation_id != own.conversation_id:
        raise NotProved(f"the answer {got[0].message_id} is of another conversation than the message")
