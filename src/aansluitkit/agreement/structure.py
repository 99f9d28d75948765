"""The form of a CPA: which element holds which others, in which order, and what they refer to.

The tables say, in the kit's own notation, what the schema of the OASIS Collaboration-Protocol Profile and Agreement
Specification 2.0 demands, which may not be distributed with it. Inside elements of XML Signature nothing is judged; a
reference must mean an element of the right kind in the same PartyInfo, of which the schema says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from aansluitkit.ebms.cpa import Cpa, read_cpa
from aansluitkit.ebms.errors import MalformedError
from aansluitkit.ebms.xml import CPA, DS, MAXIMUM_CPA, NAMESPACES, XLINK, XML, parse

ROOT = "CollaborationProtocolAgreement"
OTHERS = "*"  # any elements of other namespaces
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
_PREFIXES = {CPA: "", DS: "ds:", XLINK: "xlink:", XML: "xml:"}

# Children in their order: ? at most one, + at least one, * any number, {m,n} from m to n, | either, any number of them.
_CHILDREN = {
    ROOT: "Status Start End ConversationConstraints? PartyInfo{2,2} SimplePart+ Packaging+ Signature? Comment*",
    "Signature": "ds:Signature{1,3}",
    "PartyInfo": "PartyId+ PartyRef+ CollaborationRole+ Certificate* SecurityDetails* DeliveryChannel+ Transport+ "
    "DocExchange+ OverrideMshActionBinding*",
    "CollaborationRole": "ProcessSpecification Role ApplicationCertificateRef* ApplicationSecurityDetailsRef? "
    "ServiceBinding",
    "ProcessSpecification": "ds:Reference*",
    "ServiceBinding": "Service CanSend* CanReceive*",
    "CanSend": "ThisPartyActionBinding OtherPartyActionBinding? CanReceive*",
    "CanReceive": "ThisPartyActionBinding OtherPartyActionBinding? CanSend*",
    "ThisPartyActionBinding": f"BusinessTransactionCharacteristics ActionContext? ChannelId+ {OTHERS}",
    "ActionContext": f"CollaborationActivity? {OTHERS}",
    "CollaborationActivity": "CollaborationActivity?",
    "Certificate": "ds:KeyInfo",
    "SecurityDetails": "TrustAnchors? SecurityPolicy?",
    "TrustAnchors": "AnchorCertificateRef+",
    "DeliveryChannel": "MessagingCharacteristics",
    "Transport": "TransportSender? TransportReceiver?",
    "TransportSender": "TransportProtocol AccessAuthentication* TransportClientSecurity?",
    "TransportReceiver": "TransportProtocol AccessAuthentication* Endpoint+ TransportServerSecurity?",
    "TransportClientSecurity": "TransportSecurityProtocol ClientCertificateRef? ServerSecurityDetailsRef? "
    "EncryptionAlgorithm*",
    "TransportServerSecurity": "TransportSecurityProtocol ServerCertificateRef ClientSecurityDetailsRef? "
    "EncryptionAlgorithm*",
    "DocExchange": "ebXMLSenderBinding? ebXMLReceiverBinding?",
    "ebXMLSenderBinding": "ReliableMessaging? PersistDuration? SenderNonRepudiation? SenderDigitalEnvelope? "
    "NamespaceSupported*",
    "ebXMLReceiverBinding": "ReliableMessaging? PersistDuration? ReceiverNonRepudiation? ReceiverDigitalEnvelope? "
    "NamespaceSupported*",
    "ReliableMessaging": "Retries? RetryInterval? MessageOrderSemantics",
    "SenderNonRepudiation": "NonRepudiationProtocol HashFunction SignatureAlgorithm+ SigningCertificateRef",
    "ReceiverNonRepudiation": "NonRepudiationProtocol HashFunction SignatureAlgorithm+ SigningSecurityDetailsRef?",
    "SenderDigitalEnvelope": "DigitalEnvelopeProtocol EncryptionAlgorithm+ EncryptionSecurityDetailsRef?",
    "ReceiverDigitalEnvelope": "DigitalEnvelopeProtocol EncryptionAlgorithm+ EncryptionCertificateRef",
    "SimplePart": "NamespaceSupported*",
    "Packaging": "ProcessingCapabilities CompositeList+",
    "CompositeList": "Encapsulation|Composite",
    "Encapsulation": "Constituent",
    "Composite": "Constituent+",
    "Constituent": "SignatureTransforms? EncryptionTransforms?",
    "SignatureTransforms": "ds:Transform+",
    "EncryptionTransforms": "ds:Transform+",
}
# Attributes: ! must be there.
_ATTRIBUTES = {
    ROOT: "cpaid! version!",
    "Status": "value!",
    "ConversationConstraints": "invocationLimit concurrentConversations",
    "PartyInfo": "partyName! defaultMshChannelId! defaultMshPackageId!",
    "PartyId": "type",
    "PartyRef": "xlink:type xlink:href! type schemaLocation",
    "ProcessSpecification": "name! version! xlink:type xlink:href! uuid",
    "Role": "name! xlink:type xlink:href!",
    "Service": "type",
    "ThisPartyActionBinding": "id! action! packageId! xlink:href xlink:type",
    "BusinessTransactionCharacteristics": "isNonRepudiationRequired isNonRepudiationReceiptRequired isConfidential "
    "isAuthenticated isTamperProof isAuthorizationRequired isIntelligibleCheckRequired timeToAcknowledgeReceipt "
    "timeToAcknowledgeAcceptance timeToPerform retryCount",
    "ActionContext": "binaryCollaboration! businessTransactionActivity! requestOrResponseAction!",
    "CollaborationActivity": "name",
    "OverrideMshActionBinding": "action! channelId!",
    "Certificate": "certId!",
    "SecurityDetails": "securityId!",
    "DeliveryChannel": "channelId! transportId! docExchangeId!",
    "MessagingCharacteristics": "syncReplyMode ackRequested ackSignatureRequested duplicateElimination actor",
    "Transport": "transportId!",
    "Endpoint": "uri! type",
    "DocExchange": "docExchangeId!",
    "ebXMLSenderBinding": "version!",
    "ebXMLReceiverBinding": "version!",
    "NamespaceSupported": "location! version",
    "EncryptionAlgorithm": "minimumStrength oid w3c enumerationType",
    "SignatureAlgorithm": "oid w3c enumerationType",
    "SimplePart": "id! mimetype! mimeparameters xlink:role",
    "Packaging": "id!",
    "ProcessingCapabilities": "parse! generate!",
    "Encapsulation": "id! mimetype! mimeparameters",
    "Composite": "id! mimetype! mimeparameters",
    "Constituent": "idref! excludedFromSignature minOccurs maxOccurs",
    "Comment": "xml:lang",
    **dict.fromkeys(
        ("TransportProtocol", "TransportSecurityProtocol", "NonRepudiationProtocol", "DigitalEnvelopeProtocol"),
        "version",
    ),
    **dict.fromkeys(
        (
            *("ApplicationCertificateRef", "ClientCertificateRef", "ServerCertificateRef", "SigningCertificateRef"),
            *("EncryptionCertificateRef", "AnchorCertificateRef"),
        ),
        "certId!",
    ),
    **dict.fromkeys(
        (
            *("ApplicationSecurityDetailsRef", "ServerSecurityDetailsRef", "ClientSecurityDetailsRef"),
            *("SigningSecurityDetailsRef", "EncryptionSecurityDetailsRef"),
        ),
        "securityId!",
    ),
}
_DURATION = r"-?P(?=.)(\d+Y)?(\d+M)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?"
_DATE_TIME = r"-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"
_BOOLEAN = "true|false|1|0"
_INTEGER = r"[+-]?\d+"
_LEVEL = "none|transient|persistent|transient-and-persistent"
_FREQUENCY = "always|never|perMessage"
_IDENTITY = r"[^\W\d][\w.·-]*"  # an NCName
_ANYTHING = "(?s).*"
_SOMETHING = "(?s).+"
# Texts of elements; elements that are not named here and in _CHILDREN are empty.
_TEXTS = {
    "Start": _DATE_TIME,
    "End": _DATE_TIME,
    "Retries": _INTEGER,
    "RetryInterval": _DURATION,
    "PersistDuration": _DURATION,
    "MessageOrderSemantics": "Guaranteed|NotGuaranteed",
    "AccessAuthentication": "basic|digest",
    "NamespaceSupported": _ANYTHING,
    "ChannelId": _IDENTITY,
    "OtherPartyActionBinding": _IDENTITY,
    **dict.fromkeys(
        (
            *("PartyId", "Service", "TransportProtocol", "Comment"),
            *("TransportSecurityProtocol", "NonRepudiationProtocol", "HashFunction", "SignatureAlgorithm"),
            *("DigitalEnvelopeProtocol", "EncryptionAlgorithm"),
        ),
        _SOMETHING,
    ),
}
# Values of attributes, by element where names mean different things; the others are any text but the empty one.
_VALUES = {
    **dict.fromkeys(("certId", "securityId", "channelId", "transportId", "docExchangeId", "id"), _IDENTITY),
    **dict.fromkeys(("defaultMshChannelId", "packageId", "defaultMshPackageId", "idref"), _IDENTITY),
    "xlink:type": "simple",
    "xlink:href": _ANYTHING,
    "xlink:role": _ANYTHING,
    "xml:lang": _ANYTHING,
    "location": _ANYTHING,
    "schemaLocation": _ANYTHING,
    "uuid": _ANYTHING,
    "uri": _ANYTHING,
    "PartyId type": _ANYTHING,
    "PartyRef type": _ANYTHING,
    "Endpoint type": "login|request|response|error|allPurpose",
    "value": "agreed|signed|proposed",
    "syncReplyMode": "mshSignalsOnly|responseOnly|signalsAndResponse|signalsOnly|none",
    "ackRequested": _FREQUENCY,
    "ackSignatureRequested": _FREQUENCY,
    "duplicateElimination": _FREQUENCY,
    "actor": "urn:oasis:names:tc:ebxml-msg:actor:(nextMSH|toPartyMSH)",
    "isConfidential": _LEVEL,
    "isAuthenticated": _LEVEL,
    "isTamperProof": _LEVEL,
    **dict.fromkeys(("timeToAcknowledgeReceipt", "timeToAcknowledgeAcceptance", "timeToPerform"), _DURATION),
    **dict.fromkeys(("retryCount", "minimumStrength", "invocationLimit", "concurrentConversations"), _INTEGER),
    **dict.fromkeys(("minOccurs", "maxOccurs"), r"\+?\d+|-0+"),
    **dict.fromkeys(
        (
            *("isNonRepudiationRequired", "isNonRepudiationReceiptRequired", "isAuthorizationRequired"),
            *("isIntelligibleCheckRequired", "parse", "generate", "excludedFromSignature"),
        ),
        _BOOLEAN,
    ),
}
# What an id stands in, and what refers to it: within a PartyInfo, or from one to the other.
_IDS = {
    "ThisPartyActionBinding": "id",
    "Certificate": "certId",
    "SecurityDetails": "securityId",
    "DeliveryChannel": "channelId",
    "Transport": "transportId",
    "DocExchange": "docExchangeId",
    "SimplePart": "id",
    "Packaging": "id",
    "Encapsulation": "id",
    "Composite": "id",
}
_SAME_PARTY = {
    **dict.fromkeys(("Certificate", "SecurityDetails", "DeliveryChannel", "Transport", "DocExchange"), True),
    "ThisPartyActionBinding": False,
}
_REFERENCES = {
    "certId": ("Certificate",),
    "securityId": ("SecurityDetails",),
    "channelId": ("DeliveryChannel",),
    "defaultMshChannelId": ("DeliveryChannel",),
    "transportId": ("Transport",),
    "docExchangeId": ("DocExchange",),
    "packageId": ("Packaging",),
    "defaultMshPackageId": ("Packaging",),
    "idref": ("SimplePart", "Encapsulation", "Composite"),
}
_PARTICLE = re.compile(r"([\w:|*]+?)(?:([?+*])|\{(\d),(\d)\})?")
_TIMES = {"": (1, 1), "?": (0, 1), "+": (1, None), "*": (0, None)}


@dataclass(frozen=True)
class _Particle:
    """Part of what an element holds: from ``least`` to ``most`` (any number when None) elements of ``names``."""

    names: tuple[str, ...]
    least: int
    most: int | None


def _particles(model: str) -> tuple[_Particle, ...]:
    return tuple(_particle(word) for word in model.split())


def _particle(word: str) -> _Particle:
    if word == OTHERS:
        return _Particle((OTHERS,), 0, None)
    matched = _PARTICLE.fullmatch(word)
    assert matched is not None  # noqa: S101 - of the tables above
    names, times, least, most = matched.groups()
    if least:
        return _Particle((names,), int(least), int(most))
    return _Particle(tuple(names.split("|")), *(_TIMES["+"] if "|" in names else _TIMES[times or ""]))


_MODELS = {name: _particles(model) for name, model in _CHILDREN.items()}
_NAMED = {name: {word.rstrip("!"): word.endswith("!") for word in words.split()} for name, words in _ATTRIBUTES.items()}
_PATTERNS = {name: re.compile(pattern) for name, pattern in (*_TEXTS.items(), *_VALUES.items())}


@dataclass(frozen=True)
class Agreement:
    """A CPA that a handler can work with: its XML, and what that means."""

    root: etree._Element
    cpa: Cpa

    def all(self, path: str) -> Iterator[etree._Element]:
        """The elements at ``path`` below either PartyInfo."""
        yield from self.root.iterfind(f"tns:PartyInfo//{path}", NAMESPACES)


def read_agreement(document: bytes) -> Agreement:
    """Read the CPA ``document``.

    Raises:
        MalformedError: when it is no XML, no CPA, has not the form of one, or is nothing that a handler can work with.
    """
    if b"<!DOCTYPE" in document:  # a bomb in it would be told as a fault of the parser
        raise MalformedError("it has a document type declaration, which no CPA has")
    root = parse(document, MAXIMUM_CPA)
    found = list(faults(root))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise MalformedError(f"{found[0]}{more}")
    return Agreement(root, read_cpa(document))


def faults(root: etree._Element) -> Iterator[str]:
    """What is wrong with the form of the CPA ``root``, each as half a sentence that begins with its line."""
    if name_of(root) != ROOT:
        yield f"line {root.sourceline}: the root element is {etree.QName(root).localname}, not {ROOT}"
        return
    form = list(_element(root))
    yield from form or _references(root)


def name_of(element: etree._Element) -> str:
    """The element's name in the tables."""
    return _short(element.tag)


def _short(tag: str | bytes) -> str:
    name = etree.QName(tag)
    return f"{_PREFIXES.get(name.namespace or '', '*:')}{name.localname}"


def _element(element: etree._Element) -> Iterator[str]:
    name = name_of(element)
    yield from _attributes(element, name)
    yield from _text(element, name)
    children = [child for child in element if isinstance(child.tag, str)]
    problem = _misplaced([name_of(child) for child in children], _MODELS.get(name, ()))
    if problem:
        yield f"line {element.sourceline}: {name} {problem}"
    else:
        for child in children:
            if etree.QName(child).namespace == CPA:
                yield from _element(child)


def _misplaced(names: list[str], model: tuple[_Particle, ...]) -> str | None:
    """What is wrong with children of these ``names``, or None: models are deterministic, so nothing is tried twice."""
    place = 0
    for particle in model:
        begin = place
        while place < len(names) and _fits(names[place], particle) and place - begin != particle.most:
            place += 1
        if place - begin < particle.least:
            wanted = " or ".join(particle.names)
            return f"has {names[place]} where {wanted} is expected" if place < len(names) else f"lacks {wanted}"
    return f"has {names[place]} where it has no place" if place < len(names) else None


def _fits(name: str, particle: _Particle) -> bool:
    return name in particle.names or (particle.names == (OTHERS,) and ":" in name)


def _attributes(element: etree._Element, name: str) -> Iterator[str]:
    named = _NAMED.get(name, {})
    given = {_short(key): str(value) for key, value in element.attrib.items() if not str(key).startswith(_XSI)}
    given |= {f"{key}, without prefix,": "" for key in map(str, element.attrib) if not key.startswith("{")}
    for missing in (key for key, needed in named.items() if needed and key not in given):
        yield f"line {element.sourceline}: {name} lacks attribute {missing}"
    for key, value in given.items():
        pattern = _PATTERNS.get(f"{name} {key}") or _PATTERNS.get(key)
        if key not in named:
            yield f"line {element.sourceline}: {name} has attribute {key} that it does not know"
        elif (pattern and not pattern.fullmatch(value.strip())) or (pattern is None and not value):
            yield f"line {element.sourceline}: {key} of {name} is '{value[:60]}', which is no value for it"


def _text(element: etree._Element, name: str) -> Iterator[str]:
    text = (element.text or "") + "".join(child.tail or "" for child in element)
    pattern = _PATTERNS.get(name)
    if pattern is None and text.strip():
        yield f"line {element.sourceline}: {name} holds text, '{text.strip()[:60]}'"
    elif pattern is not None and not pattern.fullmatch(text if pattern.pattern == _SOMETHING else text.strip()):
        yield f"line {element.sourceline}: {name} is '{text.strip()[:60]}', which is no value for it"


def _references(root: etree._Element) -> Iterator[str]:
    seen: dict[str, etree._Element] = {}
    for element in root.iter(f"{{{CPA}}}*"):
        attribute = _IDS.get(name_of(element))
        identity = element.get(f"{{{CPA}}}{attribute}", "") if attribute else ""
        if identity in seen:
            yield f"line {element.sourceline}: id '{identity}' stands on line {seen[identity].sourceline} as well"
        if attribute:
            seen.setdefault(identity, element)
    for element in root.iter(f"{{{CPA}}}*"):
        for identity, kinds in _referred(element):
            target = seen.get(identity)
            if target is None or name_of(target) not in kinds:
                what = f"{name_of(element)} refers to {kinds[0]} '{identity}'"
                yield f"line {element.sourceline}: {what}, which is not there"
            elif kinds[0] in _SAME_PARTY and (_party(target) is _party(element)) is not _SAME_PARTY[kinds[0]]:
                whose = "the other party's" if _SAME_PARTY[kinds[0]] else "the party's own"
                yield f"line {element.sourceline}: {name_of(element)} refers to '{identity}', which is {whose}"


def _referred(element: etree._Element) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The ids that ``element`` refers to, and the kinds of element that each may be of."""
    name = name_of(element)
    if name == "ChannelId":
        yield (element.text or "").strip(), ("DeliveryChannel",)
    elif name == "OtherPartyActionBinding":
        yield (element.text or "").strip(), ("ThisPartyActionBinding",)
    for key, value in element.attrib.items():
        attribute = _short(key)
        if attribute in _REFERENCES and _IDS.get(name) != attribute:
            yield str(value).strip(), _REFERENCES[attribute]


def _party(element: etree._Element) -> etree._Element | None:
    """The PartyInfo that ``element`` stands in; None for what belongs to both."""
    tag = f"{{{CPA}}}PartyInfo"
    return element if element.tag == tag else next(element.iterancestors(tag), None)
