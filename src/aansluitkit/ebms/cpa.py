"""The parts of an ebXML CPA 2.0 that a message service handler acts upon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from lxml import etree

from aansluitkit.ebms.errors import MalformedError
from aansluitkit.ebms.xml import CPA, NAMESPACES, parse, required

AGREED = "agreed"
NO_SYNC_REPLY = "none"


@dataclass(frozen=True)
class PartyId:
    """A party's identification; its text is the form that the REST interface uses: ``type:value``."""

    value: str
    type: str = ""

    def __str__(self) -> str:
        return f"{self.type}:{self.value}" if self.type else self.value


@dataclass(frozen=True)
class Party:
    """One PartyInfo: who it is, where its MSH listens, and whether that answers in the same HTTP exchange."""

    name: str
    ids: tuple[PartyId, ...]
    endpoint: str
    sync_reply: bool


@dataclass(frozen=True)
class Cpa:
    """An agreement between two parties."""

    id: str
    status: str
    start: datetime
    end: datetime
    parties: tuple[Party, Party]

    def party(self, identification: PartyId) -> Party | None:
        """The party that bears ``identification``, or None."""
        return next((party for party in self.parties if identification in party.ids), None)

    def party_named(self, text: str) -> Party | None:
        """The party one of whose ids reads ``type:value``, or None."""
        return next((party for party in self.parties if text in map(str, party.ids)), None)

    def objection(self, moment: datetime) -> str | None:
        """Why the agreement does not hold at ``moment``, or None when it does."""
        if self.status != AGREED:
            return f"CPA {self.id} has status {self.status}, not {AGREED}"
        if moment < self.start:
            return f"CPA {self.id} starts on {self.start:%Y-%m-%d %H:%M:%S} UTC"
        if moment >= self.end:
            return f"CPA {self.id} expired on {self.end:%Y-%m-%d %H:%M:%S} UTC"
        return None


def read_cpa(document: bytes) -> Cpa:
    """Read the CPA ``document`` (ebXML CPPA 2.0, chapter 9).

    Raises:
        MalformedError: when it is no XML, no CPA, or lacks what a message service handler needs.
    """
    root = parse(document)
    if root.tag != f"{{{CPA}}}CollaborationProtocolAgreement":
        raise MalformedError(f"the root element is {etree.QName(root).localname}, not CollaborationProtocolAgreement")
    parties = [_party(info) for info in root.iterfind("tns:PartyInfo", NAMESPACES)]
    if len(parties) != 2:
        raise MalformedError(f"a CPA names two parties, this one names {len(parties)}")
    if set(parties[0].ids) & set(parties[1].ids):
        raise MalformedError("both parties of the CPA bear the same PartyId")
    status = root.find("tns:Status", NAMESPACES)
    return Cpa(
        id=_attribute(root, "cpaid"),
        status=_attribute(status, "value") if status is not None else AGREED,
        start=_moment(required(root, "tns:Start")),
        end=_moment(required(root, "tns:End")),
        parties=(parties[0], parties[1]),
    )


def _party(info: etree._Element) -> Party:
    ids = tuple(
        PartyId((element.text or "").strip(), element.get(f"{{{CPA}}}type", ""))
        for element in info.iterfind("tns:PartyId", NAMESPACES)
    )
    if not ids or not all(identification.value for identification in ids):
        raise MalformedError("a party of the CPA has no PartyId")
    channel = _referred(info, "DeliveryChannel", "channelId", _attribute(info, "defaultMshChannelId"))
    transport = _referred(info, "Transport", "transportId", _attribute(channel, "transportId"))
    endpoint = transport.find("tns:TransportReceiver/tns:Endpoint", NAMESPACES)
    if endpoint is None:
        raise MalformedError(f"Transport {_attribute(transport, 'transportId')} of the CPA has no Endpoint")
    characteristics = channel.find("tns:MessagingCharacteristics", NAMESPACES)
    mode = characteristics.get(f"{{{CPA}}}syncReplyMode") if characteristics is not None else None
    return Party(
        name=_attribute(info, "partyName"),
        ids=ids,
        endpoint=_attribute(endpoint, "uri"),
        sync_reply=(mode or NO_SYNC_REPLY) != NO_SYNC_REPLY,
    )


def _attribute(element: etree._Element, name: str) -> str:
    found = element.get(f"{{{CPA}}}{name}")
    if not found:
        raise MalformedError(f"{etree.QName(element).localname} of the CPA lacks attribute {name}")
    return found


def _referred(info: etree._Element, element: str, attribute: str, identity: str) -> etree._Element:
    for candidate in info.iterfind(f"tns:{element}", NAMESPACES):
        if candidate.get(f"{{{CPA}}}{attribute}") == identity:
            return candidate
    raise MalformedError(f"the CPA refers to {element} '{identity}', which it does not have")


def _moment(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise MalformedError(f"'{value}' is no date and time") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
