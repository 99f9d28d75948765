"""The parts of an ebXML CPA 2.0 that a message service handler acts upon.

Sections are those of the OASIS Collaboration-Protocol Profile and Agreement Specification 2.0. What the channels say of
TLS is not read: the Digikoppeling rules decide on that, and real agreements still name SSL 3.0. Stale algorithms are
read as they are; ``signature`` and ``encryption`` put the ones of today in their place.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from lxml import etree

from aansluitkit.ebms.certificates import read_certificate
from aansluitkit.ebms.errors import MalformedError
from aansluitkit.ebms.xml import CPA, MAXIMUM_CPA, NAMESPACES, parse, read_moment, required

if TYPE_CHECKING:
    from aansluitkit.ebms.message import Header

AGREED = "agreed"
SYNC_REPLY = {"none": False, "mshSignalsOnly": True}  # Digikoppeling has no other modes
ALWAYS = {"always": True, "never": False}  # of ackRequested, ackSignatureRequested and duplicateElimination
PERSISTENT = ("persistent", "transient-and-persistent")
DEFAULT_PERSISTENCE = timedelta(days=5)  # Digikoppeling ebMS2 3.3, chapter 5, PersistDuration
MOST_RETRIES = 10_000

Found = TypeVar("Found")

# Some adapters write every part, those that are nothing as well: P0Y0M1DT3H0M0.000S.
_DURATION = re.compile(r"P(?:0+Y)?(?:0+M)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})(?:\.\d+)?S)?)?")
_CERTIFICATES = {
    "client": "tns:TransportSender//tns:ClientCertificateRef",
    "server": "tns:TransportReceiver//tns:ServerCertificateRef",
    "signing": "tns:ebXMLSenderBinding//tns:SigningCertificateRef",
    "encryption": "tns:ebXMLReceiverBinding//tns:EncryptionCertificateRef",
}


@dataclass(frozen=True)
class PartyId:
    """A party's identification; its text is the form that the REST interface uses: ``type:value``."""

    value: str
    type: str = ""

    def __str__(self) -> str:
        return f"{self.type}:{self.value}" if self.type else self.value


@dataclass(frozen=True)
class Service:
    """A service; two of the same name and different type are two services (CPPA 2.0, section 8.4.9)."""

    value: str
    type: str = ""

    def __str__(self) -> str:
        return f"{self.type}:{self.value}" if self.type else self.value


@dataclass(frozen=True)
class Reliability:
    """How long a message is tried (ReliableMessaging and PersistDuration): once, and ``retries`` times more."""

    retries: int
    interval: timedelta
    persist_duration: timedelta


@dataclass(frozen=True)
class SignatureTerms:
    """How the sender signs (SenderNonRepudiation): URIs as the CPA has them, and its certificate in DER."""

    algorithm: str
    digest: str
    certificate: bytes


@dataclass(frozen=True)
class EncryptionTerms:
    """How the receiver has its payloads encrypted (ReceiverDigitalEnvelope); its certificate in DER."""

    algorithm: str
    certificate: bytes


@dataclass(frozen=True)
class Channel:
    """What holds for a message: the receiver's endpoint, and the characteristics that both parties name."""

    endpoint: str
    sync_reply: bool
    ack_requested: bool
    ack_signed: bool
    duplicate_elimination: bool
    reliability: Reliability | None = None
    signature: SignatureTerms | None = None
    encryption: EncryptionTerms | None = None


@dataclass(frozen=True)
class Party:
    """One PartyInfo.

    ``signals`` is its default MSH channel, where its MSH takes signals; the signature in it is the one that the party
    itself makes. ``certificates`` holds what the channels refer to, in DER, by use: client, server, signing,
    encryption.
    """

    name: str
    ids: tuple[PartyId, ...]
    signals: Channel
    certificates: Mapping[str, bytes]

    @property
    def endpoint(self) -> str:
        """Where its MSH listens."""
        return self.signals.endpoint

    @property
    def sync_reply(self) -> bool:
        """Whether its MSH answers in the same HTTP exchange."""
        return self.signals.sync_reply


@dataclass(frozen=True)
class Terms:
    """What CPA ``cpa_id`` says of one action in one direction; the sender obeys ``channel``."""

    cpa_id: str
    service: Service
    action: str
    sender: Party
    sender_role: str
    receiver: Party
    receiver_role: str
    channel: Channel


@dataclass(frozen=True)
class Cpa:
    """An agreement between two parties."""

    id: str
    status: str
    start: datetime
    end: datetime
    parties: tuple[Party, Party]
    terms: tuple[Terms, ...]

    def party(self, identification: PartyId) -> Party | None:
        """The party that bears ``identification``, or None."""
        return next((party for party in self.parties if identification in party.ids), None)

    def party_named(self, text: str) -> Party | None:
        """The party one of whose ids reads ``type:value``, or None."""
        return next((party for party in self.parties if text in map(str, party.ids)), None)

    def sending(self, sender: PartyId | None, role: str | None, service: Service, action: str) -> Terms | None:
        """The terms of an ``action`` that ``sender`` in ``role`` may send; None for one of these two is any."""
        for terms in self.terms:
            same = (terms.service, terms.action) == (service, action)
            if same and sender in (None, *terms.sender.ids) and role in (None, terms.sender_role):
                return terms
        return None

    def terms_of(self, header: Header) -> Terms | None:
        """The terms of a received business message, or None when the CPA does not have it, parties and roles alike."""
        service = Service(header.service, header.service_type)
        terms = self.sending(header.sender, header.sender_role, service, header.action)
        if terms is None or header.receiver not in terms.receiver.ids:
            return None
        return terms if header.receiver_role in (None, terms.receiver_role) else None

    def objection(self, moment: datetime) -> str | None:
        """Why the agreement does not hold at ``moment``, or None when it does."""
        if self.status != AGREED:
            return f"CPA {self.id} has status {self.status}, not {AGREED}"
        if moment < self.start:
            return f"CPA {self.id} starts on {self.start:%Y-%m-%d %H:%M:%S} UTC"
        if moment >= self.end:
            return f"CPA {self.id} expired on {self.end:%Y-%m-%d %H:%M:%S} UTC"
        return None


@lru_cache(maxsize=64)
def read_cpa(document: bytes) -> Cpa:
    """Read the CPA ``document`` (chapter 8).

    Raises:
        MalformedError: when it is no XML, no CPA, lacks what a message service handler needs, or contradicts itself.
    """
    root = parse(document, MAXIMUM_CPA)
    if root.tag != f"{{{CPA}}}CollaborationProtocolAgreement":
        raise MalformedError(f"the root element is {etree.QName(root).localname}, not CollaborationProtocolAgreement")
    infos = root.findall("tns:PartyInfo", NAMESPACES)
    if len(infos) != 2:
        raise MalformedError(f"a CPA names two parties, this one names {len(infos)}")
    one, other = map(_party, infos)
    if set(one.ids) & set(other.ids):
        raise MalformedError("both parties of the CPA bear the same PartyId")
    status = root.find("tns:Status", NAMESPACES)
    start, end = read_moment(required(root, "tns:Start")), read_moment(required(root, "tns:End"))
    if start >= end:
        raise MalformedError(f"the CPA ends on {end:%Y-%m-%d}, before it starts on {start:%Y-%m-%d}")
    return Cpa(
        id=_attribute(root, "cpaid"),
        status=_attribute(status, "value") if status is not None else AGREED,
        start=start,
        end=end,
        parties=(one, other),
        terms=_unambiguous((*_terms(infos[0], one, infos[1], other), *_terms(infos[1], other, infos[0], one))),
    )


def _party(info: etree._Element) -> Party:
    ids = tuple(
        PartyId((element.text or "").strip(), element.get(f"{{{CPA}}}type", ""))
        for element in info.iterfind("tns:PartyId", NAMESPACES)
    )
    if not ids or not all(identification.value for identification in ids):
        raise MalformedError("a party of the CPA has no PartyId")
    if info.find("tns:OverrideMshActionBinding", NAMESPACES) is not None:
        raise MalformedError("the CPA sends some signals over other channels (OverrideMshActionBinding): not supported")
    default = _referred(info, "DeliveryChannel", "channelId", _attribute(info, "defaultMshChannelId"))
    channels = [default, *info.iterfind("tns:DeliveryChannel", NAMESPACES)]
    signing = next((found for channel in channels if (found := _signing(info, channel)) is not None), None)
    return Party(
        name=_attribute(info, "partyName"),
        ids=ids,
        signals=Channel(
            endpoint=_endpoint(info, default),
            sync_reply=_sync_reply(default),
            ack_requested=False,
            ack_signed=False,
            duplicate_elimination=False,
            signature=signing,
        ),
        certificates=_certificates(info, channels),
    )


def _terms(info: etree._Element, sender: Party, other: etree._Element, receiver: Party) -> Iterator[Terms]:
    """The terms of every action that the party of ``info`` may send to the ``other``."""
    cpa_id = str(info.xpath("string(../@tns:cpaid)", namespaces=NAMESPACES))
    for service, role, binding in _bindings(info, "CanSend"):
        action, counterpart = _attribute(binding, "action"), (binding.getparent())
        assert counterpart is not None  # noqa: S101 - a CanSend
        identity = counterpart.findtext("tns:OtherPartyActionBinding", namespaces=NAMESPACES)
        for their_service, their_role, theirs in _bindings(other, "CanReceive"):
            same = (their_service, _attribute(theirs, "action")) == (service, action)
            if same and identity in (None, _attribute(theirs, "id")):
                channel = _channel(info, binding, other, theirs)
                yield Terms(cpa_id, service, action, sender, role, receiver, their_role, channel)
                break
        else:
            raise MalformedError(
                f"the CPA has {sender.name} send action {action} of service {service}, which {receiver.name} does not "
                f"receive as '{identity}'"
            )


def _bindings(info: etree._Element, direction: str) -> Iterator[tuple[Service, str, etree._Element]]:
    """Service, role and ThisPartyActionBinding of each action in ``direction`` (sections 8.4.4 to 8.4.13)."""
    for collaboration in info.iterfind("tns:CollaborationRole", NAMESPACES):
        role = collaboration.find("tns:Role", NAMESPACES)
        named = collaboration.find("tns:ServiceBinding/tns:Service", NAMESPACES)
        if role is None or named is None:
            raise MalformedError("a CollaborationRole of the CPA lacks its Role or its Service")
        service = Service((named.text or "").strip(), named.get(f"{{{CPA}}}type", ""))
        for binding in collaboration.iterfind(f".//tns:{direction}/tns:ThisPartyActionBinding", NAMESPACES):
            yield service, _attribute(role, "name"), binding


def _channel(info: etree._Element, binding: etree._Element, other: etree._Element, theirs: etree._Element) -> Channel:
    """What both channels of an action say; the endpoint and the key to encrypt for are the receiver's."""
    our_channel, their_channel = _channel_of(info, binding), _channel_of(other, theirs)
    sync_reply = _sync_reply(their_channel)
    if sync_reply is not _sync_reply(our_channel):
        raise MalformedError(
            f"the parties of the CPA differ on syncReplyMode of action {_attribute(binding, 'action')}"
        )
    signed, encrypted = _security(binding, theirs)
    acknowledged = _agreed(our_channel, their_channel, "ackRequested")
    signing = _needed(_signing(info, our_channel), our_channel, "SenderNonRepudiation") if signed else None
    envelope = (
        _needed(_encryption(other, their_channel), their_channel, "ReceiverDigitalEnvelope") if encrypted else None
    )
    return Channel(
        endpoint=_endpoint(other, their_channel),
        sync_reply=sync_reply,
        ack_requested=acknowledged,
        ack_signed=acknowledged and _agreed(our_channel, their_channel, "ackSignatureRequested"),
        duplicate_elimination=_agreed(our_channel, their_channel, "duplicateElimination"),
        reliability=_reliability(info, our_channel) if acknowledged else None,
        signature=signing,
        encryption=envelope,
    )


def _security(ours: etree._Element, theirs: etree._Element) -> tuple[bool, bool]:
    """Whether an action is signed, and whether it is encrypted (section 8.4.14)."""
    action = _attribute(ours, "action")
    said = {
        (_true(binding, "isNonRepudiationRequired"), _characteristic(binding, "isConfidential") in PERSISTENT)
        for binding in (ours, theirs)
    }
    if len(said) > 1:
        raise MalformedError(
            f"the parties of the CPA differ on isNonRepudiationRequired or isConfidential of action {action}"
        )
    signed, encrypted = said.pop()
    if encrypted and not signed:
        raise MalformedError(f"the CPA has action {action} encrypted but not signed, which no Digikoppeling profile is")
    return signed, encrypted


def _agreed(ours: etree._Element, theirs: etree._Element, name: str) -> bool:
    """A characteristic that both channels give the same fixed value (section 8.4.22)."""
    values = {_messaging(channel).get(f"{{{CPA}}}{name}", "perMessage") for channel in (ours, theirs)}
    value = values.pop()
    if values or value not in ALWAYS:
        channels = " and ".join(_attribute(channel, "channelId") for channel in (ours, theirs))
        raise MalformedError(f"{name} of channels {channels} must be the same at both parties, always or never")
    return ALWAYS[value]


def _sync_reply(channel: etree._Element) -> bool:
    mode = _messaging(channel).get(f"{{{CPA}}}syncReplyMode", "none")
    if mode not in SYNC_REPLY:
        raise MalformedError(
            f"channel {_attribute(channel, 'channelId')} has syncReplyMode {mode}, "
            f"{' or '.join(SYNC_REPLY)} is expected"
        )
    return SYNC_REPLY[mode]


def _messaging(channel: etree._Element) -> etree._Element:
    found = channel.find("tns:MessagingCharacteristics", NAMESPACES)
    if found is None:
        raise MalformedError(f"channel {_attribute(channel, 'channelId')} of the CPA lacks MessagingCharacteristics")
    return found


def _endpoint(info: etree._Element, channel: etree._Element) -> str:
    transport = _referred(info, "Transport", "transportId", _attribute(channel, "transportId"))
    for endpoint in transport.iterfind("tns:TransportReceiver/tns:Endpoint", NAMESPACES):
        if endpoint.get(f"{{{CPA}}}type", "allPurpose") in ("allPurpose", "request"):
            uri = _attribute(endpoint, "uri")
            if not uri.startswith(("https://", "http://")):
                raise MalformedError(f"endpoint '{uri}' of the CPA is no http(s) URL")
            return uri
    raise MalformedError(f"Transport {_attribute(transport, 'transportId')} of the CPA has no Endpoint")


def _reliability(info: etree._Element, channel: etree._Element) -> Reliability:
    """ReliableMessaging (section 8.4.42) of what the party of ``info`` sends."""
    binding = _exchange(info, channel).find("tns:ebXMLSenderBinding", NAMESPACES)
    messaging = binding.find("tns:ReliableMessaging", NAMESPACES) if binding is not None else None
    if binding is None or messaging is None:
        raise MalformedError(
            f"channel {_attribute(channel, 'channelId')} of the CPA asks for acknowledgments, without ReliableMessaging"
        )
    if required(messaging, "tns:MessageOrderSemantics") != "NotGuaranteed":
        raise MalformedError("the CPA guarantees the order of messages, which is not supported: NotGuaranteed is")
    retries = required(messaging, "tns:Retries")
    if not (retries.isascii() and retries.isdecimal()) or int(retries[:9]) > MOST_RETRIES:
        raise MalformedError(f"Retries of the CPA is '{retries}', not a number up to {MOST_RETRIES}")
    persist = binding.findtext("tns:PersistDuration", namespaces=NAMESPACES)
    return Reliability(
        retries=int(retries),
        interval=_duration(required(messaging, "tns:RetryInterval")),
        persist_duration=_duration(persist.strip()) if persist else DEFAULT_PERSISTENCE,
    )


def _signing(info: etree._Element, channel: etree._Element) -> SignatureTerms | None:
    """How the party of ``info`` signs (section 8.4.45), or None when the channel has nothing to sign with."""
    terms = _exchange(info, channel).find("tns:ebXMLSenderBinding/tns:SenderNonRepudiation", NAMESPACES)
    if terms is None:
        return None
    return SignatureTerms(
        algorithm=required(terms, "tns:SignatureAlgorithm"),
        digest=required(terms, "tns:HashFunction"),
        certificate=_certificate(info, terms, "tns:SigningCertificateRef"),
    )


def _encryption(info: etree._Element, channel: etree._Element) -> EncryptionTerms | None:
    """How the party of ``info`` wants its payloads (section 8.4.53), or None when the channel does not say."""
    terms = _exchange(info, channel).find("tns:ebXMLReceiverBinding/tns:ReceiverDigitalEnvelope", NAMESPACES)
    if terms is None:
        return None
    return EncryptionTerms(
        algorithm=required(terms, "tns:EncryptionAlgorithm"),
        certificate=_certificate(info, terms, "tns:EncryptionCertificateRef"),
    )


def _needed(terms: Found | None, channel: etree._Element, element: str) -> Found:
    if terms is None:
        raise MalformedError(
            f"the DocExchange of channel {_attribute(channel, 'channelId')} of the CPA lacks {element}"
        )
    return terms


def _certificates(info: etree._Element, channels: list[etree._Element]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for channel in channels:
        transport = _referred(info, "Transport", "transportId", _attribute(channel, "transportId"))
        for use, path in _CERTIFICATES.items():
            for place in (transport, _exchange(info, channel)):
                if use not in found and place.find(path, NAMESPACES) is not None:
                    found[use] = _certificate(info, place, path)
    return found


def _certificate(info: etree._Element, place: etree._Element, path: str) -> bytes:
    """The certificate, in DER, that the reference at ``path`` means."""
    reference = place.find(path, NAMESPACES)
    if reference is None:
        raise MalformedError(f"{etree.QName(place).localname} of the CPA lacks {path.removeprefix('tns:')}")
    identity = _attribute(reference, "certId")
    text = required(_referred(info, "Certificate", "certId", identity), "ds:KeyInfo/ds:X509Data/ds:X509Certificate")
    try:
        certificate = base64.b64decode("".join(text.split()), validate=True)
        read_certificate(certificate)
    except ValueError as error:
        raise MalformedError(f"certificate {identity} of the CPA is no X.509 certificate: {error}") from error
    return certificate


def _channel_of(info: etree._Element, binding: etree._Element) -> etree._Element:
    """The channel that a party prefers for an action: the first that its binding names (section 8.4.14)."""
    return _referred(info, "DeliveryChannel", "channelId", required(binding, "tns:ChannelId"))


def _exchange(info: etree._Element, channel: etree._Element) -> etree._Element:
    return _referred(info, "DocExchange", "docExchangeId", _attribute(channel, "docExchangeId"))


def _characteristic(binding: etree._Element, name: str) -> str:
    found = binding.find("tns:BusinessTransactionCharacteristics", NAMESPACES)
    if found is None:
        raise MalformedError(f"{_attribute(binding, 'id')} of the CPA lacks BusinessTransactionCharacteristics")
    return found.get(f"{{{CPA}}}{name}", "")


def _true(binding: etree._Element, name: str) -> bool:
    return _characteristic(binding, name) in ("true", "1")


def _unambiguous(terms: tuple[Terms, ...]) -> tuple[Terms, ...]:
    seen = set()
    for found in terms:
        key = (found.sender.ids, found.sender_role, found.service, found.action)
        if key in seen:
            raise MalformedError(f"the CPA has {found.sender.name} send {found.action} of {found.service} in two ways")
        seen.add(key)
    return terms


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


def _duration(value: str) -> timedelta:
    """An xsd:duration in days, hours, minutes and seconds: months and years have no fixed length."""
    matched = _DURATION.fullmatch(value)
    if not matched or not any(matched.groups()):
        raise MalformedError(f"'{value}' is no duration in days, hours, minutes and seconds, such as PT3H or P1D")
    days, hours, minutes, seconds = (int(number or 0) for number in matched.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
