"""The rules of Digikoppeling for a CPA, beyond its form: one function each.

What a handler could not work with ``read_cpa`` refuses already; here is what would break later, or is out of date.
Dates are not judged: they depend on today (``differences``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from cryptography import x509
from lxml import etree

from aansluitkit.agreement.remark import Remark, Weight, gathered
from aansluitkit.agreement.structure import Agreement, name_of, read_agreement
from aansluitkit.certificates.facts import dns_names, serial_number
from aansluitkit.digikoppeling import oin_in
from aansluitkit.ebms.certificates import read_certificate
from aansluitkit.ebms.cpa import AGREED, Party, Reliability, Terms
from aansluitkit.ebms.errors import MalformedError
from aansluitkit.ebms.xml import CPA, NAMESPACES
from aansluitkit.errors import KitError

TO_PARTY = "urn:oasis:names:tc:ebxml-msg:actor:toPartyMSH"
TLS_VERSIONS = ("1.2", "1.3")
HASHES = {  # Beveiligingsstandaarden SIGN002
    "http://www.w3.org/2001/04/xmlenc#sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512",
}
SIGNATURES = ("-sha256", "-sha384", "-sha512")  # SIGN001, SIGN004: how their URIs end
ACTION = "the action"
CIPHERS = {"http://www.w3.org/2009/xmlenc11#aes128-gcm", "http://www.w3.org/2009/xmlenc11#aes256-gcm"}  # ENC001


Rule = Callable[[Agreement], Iterator[Remark]]


def judge(agreement: Agreement) -> list[Remark]:
    """What the rules say of ``agreement``."""
    return _judged(agreement, RULES)


def _judged(agreement: Agreement, rules: Iterable[Rule]) -> list[Remark]:
    return gathered(remark for rule in rules for remark in rule(agreement))


def check(document: bytes, what: str) -> None:
    """See that a CPA of our own making keeps every rule; what is a warning on another's is an error here.

    But for the certificates' serialNumber, which the inventory's own rules weigh.

    Raises:
        KitError: with everything that is wrong with ``what``.
    """
    try:
        remarks = _judged(
            read_agreement(document), (rule for rule in RULES if rule is not certificates_carry_the_party)
        )
    except MalformedError as error:
        raise KitError(f"{what} can't be used: {error}; correct what the inventory says of it") from error
    if remarks:
        told = "\n".join(f"  {remark}" for remark in remarks)
        raise KitError(f"{what} does not keep the rules of Digikoppeling; correct the inventory:\n{told}")


def text_is_utf_8(agreement: Agreement) -> Iterator[Remark]:
    """REST interfaces take a CPA as text in UTF-8, whatever its XML declaration says."""
    encoding = str(agreement.root.getroottree().docinfo.encoding or "UTF-8")
    if encoding.upper() not in ("UTF-8", "US-ASCII"):
        yield Remark(Weight.BLOCKS, "the encoding", encoding, "UTF-8", "adapters misread it; ask for the CPA in UTF-8")


def status_is_agreed(agreement: Agreement) -> Iterator[Remark]:
    """Adapters take an agreed CPA alone (CPP/CPA 2.0 section 9.3)."""
    status = agreement.cpa.status
    if status != AGREED:
        yield Remark(
            Weight.BLOCKS, "Status", f"'{status}'", f"'{AGREED}'", "no adapter loads it; ask for the final CPA"
        )


def receivers_have_their_senders(agreement: Agreement) -> Iterator[Remark]:
    """What one party can receive the other can send, each naming the other's binding (CPP/CPA 2.0 section 8.4.14)."""
    bindings = {str(each.get(_name("id"))): each for each in agreement.all("tns:ThisPartyActionBinding")}
    for binding in bindings.values():
        direction = binding.getparent()
        other = direction.findtext("tns:OtherPartyActionBinding", None, NAMESPACES) if direction is not None else None
        named = bindings.get((other or "").strip())
        back = named.getparent() if named is not None else None
        if direction is None or back is None or named is None:
            continue
        wanted = {"CanSend": "CanReceive", "CanReceive": "CanSend"}[name_of(direction)]
        if (name_of(back), named.get(_name("action"))) != (wanted, binding.get(_name("action"))):
            yield Remark(
                Weight.BLOCKS,
                f"the counterpart of {binding.get(_name('id'))}",
                f"{name_of(back)} of action {named.get(_name('action'))}",
                f"{wanted} of action {binding.get(_name('action'))}",
                "the parties do not agree on the action; have the CPA made anew",
                _line(binding),
            )


def endpoints_are_https(agreement: Agreement) -> Iterator[Remark]:
    """Every message travels over two-way TLS (Beveiligingsstandaarden TLS001)."""
    for party in agreement.cpa.parties:
        for endpoint in _endpoints(agreement, party):
            if urlsplit(endpoint).scheme != "https":
                told = "messages would travel unprotected; have the CPA made anew"
                yield Remark(Weight.BLOCKS, f"the endpoint of {party.name}", f"'{endpoint}'", "https://…", told)


def certificates_are_for_their_endpoints(agreement: Agreement) -> Iterator[Remark]:
    """The server's certificate names the endpoint's host (Best Practices ebMS2 chapter 3, Endpoint)."""
    for party in agreement.cpa.parties:
        certificate = _certificate(party, "server")
        if certificate is None:
            continue
        names = dns_names(certificate)
        for host in dict.fromkeys(str(urlsplit(endpoint).hostname) for endpoint in _endpoints(agreement, party)):
            if host not in names and f"*.{host.partition('.')[2]}" not in names:
                yield Remark(
                    Weight.BLOCKS,
                    f"the server certificate of {party.name}",
                    f"for {', '.join(names) or 'no name'}",
                    f"'{host}', the host of its endpoint",
                    "the other party refuses the connection; have the CPA made with the certificate of that host",
                )


def certificates_carry_the_party(agreement: Agreement) -> Iterator[Remark]:
    """A party that ends TLS itself has its OIN in the certificate (Koppelvlakstandaard ebMS2 chapter 5, PartyId)."""
    for party in agreement.cpa.parties:
        numbers = list(filter(None, (oin_in(identity.type, identity.value) for identity in party.ids)))
        for use in party.certificates if numbers else ():
            certificate = _certificate(party, use)
            if certificate is not None and serial_number(certificate) not in numbers:
                yield Remark(
                    Weight.WARNS,
                    f"serialNumber in the certificate of {party.name}",
                    f"'{serial_number(certificate)}'",
                    f"its OIN {numbers[0]}",
                    "adapters that compare them refuse it, unless another party ends TLS for it (BP EB005)",
                    (use,),
                )


def best_effort_has_no_retries(agreement: Agreement) -> Iterator[Remark]:
    """ReliableMessaging belongs to channels that ask for acknowledgments (Koppelvlakstandaard ebMS2 chapter 5)."""
    for channel in agreement.all("tns:DeliveryChannel"):
        said = channel.find("tns:MessagingCharacteristics", NAMESPACES)
        exchange = str(channel.get(_name("docExchangeId")))
        party = channel.getparent()
        binding = f"tns:DocExchange[@tns:docExchangeId='{exchange}']/tns:ebXMLSenderBinding/tns:ReliableMessaging"
        retried = party is not None and bool(party.xpath(binding, namespaces=NAMESPACES))
        if said is not None and retried and said.get(_name("ackRequested")) == "never":
            told = "adapters differ on whether they repeat a message that nobody acknowledges"
            found = "without acknowledgments, yet with retries"
            yield Remark(Weight.WARNS, "DeliveryChannel", found, "one or the other", told, _line(channel))


def reliable_messages_arrive_once(agreement: Agreement) -> Iterator[Remark]:
    """Acknowledgments and elimination of duplicates go together (Koppelvlakstandaard ebMS2 chapter 5)."""
    for terms, place in _actions(agreement):
        channel = terms.channel
        if channel.ack_requested is not channel.duplicate_elimination:
            told = "messages are lost silently, or delivered twice"
            found = "acknowledged" if channel.ack_requested else "not acknowledged"
            also = "with" if channel.duplicate_elimination else "without"
            yield Remark(Weight.WARNS, ACTION, f"{found} {also} duplicateElimination", "both or neither", told, place)


def signed_messages_have_signed_acknowledgments(agreement: Agreement) -> Iterator[Remark]:
    """In a signed reliable profile acknowledgments are signed too (Koppelvlakstandaard ebMS2 chapter 5)."""
    for terms, place in _actions(agreement):
        channel = terms.channel
        if channel.ack_requested and channel.signature and not channel.ack_signed:
            told = "the receiver can't be held to its acknowledgments; adapters work with it"
            yield Remark(Weight.WARNS, "ackSignatureRequested", "'never'", "'always'", told, place)


def acknowledgments_can_be_signed(agreement: Agreement) -> Iterator[Remark]:
    """The default channel supports the highest security of the CPA (Best Practices chapter 3)."""
    for terms, place in _actions(agreement):
        if terms.channel.ack_signed and terms.receiver.signals.signature is None:
            told = "its adapter can't sign them, and the message expires"
            found = f"acknowledged by {terms.receiver.name}, whose channels name no certificate to sign with"
            yield Remark(Weight.BLOCKS, ACTION, found, "SenderNonRepudiation at its channels", told, place)


def actor_is_the_receiver(agreement: Agreement) -> Iterator[Remark]:
    """Nothing stands between the two parties (Koppelvlakstandaard ebMS2 chapters 3 and 5, SOAP Actor)."""
    for said in agreement.all("tns:MessagingCharacteristics"):
        actor = said.get(_name("actor"))
        if actor not in (None, TO_PARTY):
            told = "nobody stands between the parties and acknowledges; it is taken for toPartyMSH"
            yield Remark(Weight.WARNS, "actor", "nextMSH", "toPartyMSH", told, _line(said))


def messages_are_kept_while_repeated(agreement: Agreement) -> Iterator[Remark]:
    """PersistDuration is at least (1 + Retries) x RetryInterval (Koppelvlakstandaard ebMS2 chapter 5)."""
    for terms, place in _actions(agreement):
        kept = terms.channel.reliability
        if kept and kept.persist_duration < window(kept):
            told = "a late repetition is delivered for a second time"
            expected = f"at least {window(kept)}, (1 + {kept.retries}) x {kept.interval}"
            yield Remark(Weight.WARNS, "PersistDuration", str(kept.persist_duration), expected, told, place)


def window(reliability: Reliability) -> timedelta:
    """How long a message is tried."""
    return (1 + reliability.retries) * reliability.interval


def transport_is_tls_of_today(agreement: Agreement) -> Iterator[Remark]:
    """TLS 1.2 or 1.3 (Beveiligingsstandaarden TLS003, TLS004); adapters do not take it from the CPA."""
    for element in agreement.all("tns:TransportSecurityProtocol"):
        found = f"{(element.text or '').strip()} {element.get(_name('version'), '')}".strip()
        if found not in ("TLS", *(f"TLS {version}" for version in TLS_VERSIONS)):
            told = "it is out of date, and adapters negotiate what their own settings say"
            subject = "TransportSecurityProtocol"
            yield Remark(Weight.WARNS, subject, f"'{found}'", "TLS 1.2 or 1.3", told, _line(element))


def algorithms_are_of_today(agreement: Agreement) -> Iterator[Remark]:
    """SHA-2 to sign, AES-GCM to encrypt (Beveiligingsstandaarden SIGN001 to SIGN004, ENC001)."""
    for element in agreement.all("*"):
        name, found = name_of(element), (element.text or "").strip()
        parent = element.getparent()
        transport = parent is not None and name_of(parent).startswith("Transport")
        expected = {
            "HashFunction": "SHA-256, SHA-384 or SHA-512" if found not in HASHES else "",
            "SignatureAlgorithm": "SHA-256, SHA-384 or SHA-512" if not found.endswith(SIGNATURES) else "",
            "EncryptionAlgorithm": "AES-GCM of XML Encryption 1.1" if found not in CIPHERS and not transport else "",
        }.get(name)
        if expected:
            told = "it is forbidden by now (SIGN001, ENC001); a strict partner refuses such messages"
            yield Remark(Weight.WARNS, name, f"'{found}'", expected, told, _line(element))


def receivers_check_signatures(agreement: Agreement) -> Iterator[Remark]:
    """What is signed by one party is checked by the other (CPP/CPA 2.0 section 8.4.55)."""
    named = {str(exchange.get(_name("docExchangeId"))): exchange for exchange in agreement.all("tns:DocExchange")}
    used = {str(channel.get(_name("channelId"))): channel for channel in agreement.all("tns:DeliveryChannel")}
    for binding in agreement.all("tns:CanReceive/tns:ThisPartyActionBinding"):
        said = binding.find("tns:BusinessTransactionCharacteristics", NAMESPACES)
        channel = used[(binding.findtext("tns:ChannelId", "", NAMESPACES)).strip()]
        receiver = named[str(channel.get(_name("docExchangeId")))].find("tns:ebXMLReceiverBinding", NAMESPACES)
        checked = receiver is not None and receiver.find("tns:ReceiverNonRepudiation", NAMESPACES) is not None
        if said is not None and said.get(_name("isNonRepudiationRequired")) in ("true", "1") and not checked:
            told = "its adapter may take messages whose signature nobody checked"
            expected = "ReceiverNonRepudiation at the receiver's channel too"
            yield Remark(Weight.WARNS, ACTION, "signed", expected, told, _line(binding))


RULES: tuple[Rule, ...] = (
    text_is_utf_8,
    status_is_agreed,
    receivers_have_their_senders,
    endpoints_are_https,
    certificates_are_for_their_endpoints,
    acknowledgments_can_be_signed,
    certificates_carry_the_party,
    best_effort_has_no_retries,
    reliable_messages_arrive_once,
    signed_messages_have_signed_acknowledgments,
    receivers_check_signatures,
    actor_is_the_receiver,
    messages_are_kept_while_repeated,
    transport_is_tls_of_today,
    algorithms_are_of_today,
)


def _actions(agreement: Agreement) -> Iterator[tuple[Terms, tuple[str]]]:
    """The terms of every action, and what to call it."""
    for terms in agreement.cpa.terms:
        yield terms, (f"{terms.action} of {terms.service}",)


def _endpoints(agreement: Agreement, party: Party) -> list[str]:
    """The endpoints of ``party`` that something is sent to, each once."""
    received = [terms.channel.endpoint for terms in agreement.cpa.terms if terms.receiver is party]
    return list(dict.fromkeys((party.endpoint, *received)))


def _certificate(party: Party, use: str) -> x509.Certificate | None:
    found = party.certificates.get(use)
    return read_certificate(found) if found else None


def _line(element: etree._Element) -> tuple[str]:
    return (f"line {element.sourceline}",)


def _name(attribute: str) -> str:
    return f"{{{CPA}}}{attribute}"
