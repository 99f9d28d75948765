"""A CPA says what a handler does; one that contradicts itself, or asks for what is not there, is refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from aansluitkit.connection import Connection, Profile
from aansluitkit.documents import render_cpa
from aansluitkit.ebms.cpa import Cpa, PartyId, Reliability, Service, read_cpa
from aansluitkit.ebms.errors import MalformedError, SecurityFailure
from aansluitkit.ebms.message import compose
from aansluitkit.ebms.security import check_algorithms

from ..conftest import agreed

Render = Callable[..., str]


@pytest.fixture(scope="session")
def render(connection: Connection) -> Render:
    """The CPA document of a profile."""

    def rendered(profile: Profile = Profile.RELIABLE_ENCRYPTED, **changes: Any) -> str:
        return render_cpa(agreed(connection, profile, **changes))

    return rendered


@pytest.fixture(scope="session")
def cpa(render: Render) -> Cpa:
    return read_cpa(render().encode())


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("profile", Profile)
def test_each_profile_is_taken_from_the_cpa(
    profile: Profile, sync: bool, render: Render, connection: Connection
) -> None:
    retries = connection.cpa.retries
    for terms in read_cpa(render(profile, sync_reply=sync).encode()).terms:
        channel = terms.channel
        assert channel.endpoint == terms.receiver.endpoint
        assert channel.sync_reply is terms.receiver.sync_reply is sync
        assert channel.ack_requested is channel.duplicate_elimination is profile.reliable
        assert channel.ack_signed is (profile.reliable and profile.signed)
        assert channel.reliability == (
            Reliability(retries.count, retries.interval, retries.persist_duration) if profile.reliable else None
        )
        assert (channel.signature is not None) is profile.signed
        assert (channel.encryption is not None) is profile.encrypted


def test_certificates_are_those_that_the_references_mean(cpa: Cpa, connection: Connection) -> None:
    files = connection.certificates.organisation, connection.certificates.partner
    ours, theirs = (x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER) for path in files)
    assert cpa.parties[0].certificates == dict.fromkeys(("client", "server", "signing", "encryption"), ours)
    assert cpa.parties[1].certificates == dict.fromkeys(("client", "server", "signing", "encryption"), theirs)
    for terms in cpa.terms:
        assert terms.channel.signature is not None
        assert terms.channel.encryption is not None
        assert terms.channel.signature.certificate == terms.sender.certificates["signing"]
        assert terms.channel.encryption.certificate == terms.receiver.certificates["encryption"]


def test_terms_are_found_by_type_and_value(cpa: Cpa) -> None:
    terms = cpa.terms[0]
    assert cpa.sending(terms.sender.ids[0], terms.sender_role, terms.service, terms.action) is terms
    assert cpa.sending(None, None, terms.service, terms.action) is terms
    assert cpa.sending(terms.receiver.ids[0], None, terms.service, terms.action) is None
    assert cpa.sending(None, "other", terms.service, terms.action) is None
    assert cpa.sending(None, None, replace(terms.service, type=""), terms.action) is None
    assert cpa.sending(None, None, terms.service, "other") is None


def test_the_terms_of_a_message_are_found_by_all_of_its_header(cpa: Cpa) -> None:
    terms = cpa.terms[0]
    header = compose(terms, (), "test").header
    assert cpa.terms_of(header) is terms
    assert cpa.terms_of(replace(header, sender_role=None, receiver_role=None)) is terms
    for change in (
        {"sender": header.receiver, "receiver": header.sender},
        {"receiver": PartyId("00000099000000003000", "urn:osb:oin")},
        {"receiver": PartyId(header.receiver.value)},
        {"sender_role": "other"},
        {"receiver_role": "other"},
        {"service": "other"},
        {"service_type": ""},
        {"action": "other"},
    ):
        assert cpa.terms_of(replace(header, **change)) is None, change  # type: ignore[arg-type]


def test_six_services_of_one_name_are_told_apart_by_type(connection: Connection) -> None:
    """As in the Compliancevoorziening's CPA: a service of the same name for each profile."""
    first = connection.cpa.services[0]
    services = tuple(first.model_copy(update={"type": f"urn:cv:{profile}", "profile": profile}) for profile in Profile)
    cpa = read_cpa(render_cpa(agreed(connection, services=services)).encode())
    for profile in Profile:
        terms = cpa.sending(None, None, Service(first.name, f"urn:cv:{profile}"), first.actions[0].name)
        assert terms is not None
        assert terms.channel.ack_requested is profile.reliable
        assert (terms.channel.signature is not None, terms.channel.encryption is not None) == (
            profile.signed,
            profile.encrypted,
        )
    assert cpa.sending(None, None, Service(first.name), first.actions[0].name) is None
    assert cpa.parties[0].signals.signature is not None


def test_stale_values_of_real_agreements_are_read(render: Render) -> None:
    document = render()
    for old, new in (
        ('version="1.2">TLS', 'version="3.0">SSL'),
        ("2001/04/xmlenc#sha256", "2000/09/xmldsig#sha1"),
        ("2001/04/xmldsig-more#rsa-sha256", "2000/09/xmldsig#rsa-sha1"),
        ("2009/xmlenc11#aes256-gcm", "2001/04/xmlenc#aes256-cbc"),
        ('tns:version="2_0b"', 'tns:version="1.0"'),
    ):
        assert old in document
        document = document.replace(old, new)
    channel = read_cpa(document.encode()).terms[0].channel
    assert channel.signature is not None
    assert channel.encryption is not None
    assert channel.signature.algorithm == "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
    assert channel.encryption.algorithm == "http://www.w3.org/2001/04/xmlenc#aes256-cbc"


def test_messages_persist_five_days_when_nothing_is_said(render: Render) -> None:
    document = re.sub(r"<tns:PersistDuration>[^<]*</tns:PersistDuration>", "", render())
    reliability = read_cpa(document.encode()).terms[0].channel.reliability
    assert reliability is not None
    assert reliability.persist_duration == timedelta(days=5)


@pytest.mark.parametrize(
    ("written", "interval"),
    [
        ("PT3H", timedelta(hours=3)),
        ("P1D", timedelta(days=1)),
        ("P1DT2H3M4.5S", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("PT90M", timedelta(minutes=90)),
    ],
)
def test_durations(written: str, interval: timedelta, render: Render) -> None:
    document = re.sub(r"RetryInterval>[^<]*<", f"RetryInterval>{written}<", render())
    reliability = read_cpa(document.encode()).terms[0].channel.reliability
    assert reliability is not None
    assert reliability.interval == interval


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (r"End>[^<]*<", "End>2001-01-01T00:00:00Z<", "before it starts"),
        (r"RetryInterval>[^<]*<", "RetryInterval>P1M<", "no duration"),
        (r"RetryInterval>[^<]*<", "RetryInterval>PT<", "no duration"),
        (r"RetryInterval>[^<]*<", "RetryInterval>PT9999999H<", "no duration"),
        (r"RetryInterval>[^<]*<", "RetryInterval><", "lacks tns:RetryInterval"),
        (r"Retries>[^<]*<", "Retries>-1<", "Retries"),
        (r"Retries>[^<]*<", "Retries>10001<", "Retries"),
        (r"Retries>[^<]*<", "Retries>99999999999<", "Retries"),
        (r">NotGuaranteed<", ">Guaranteed<", "order of messages"),
        (r"(?s)<tns:ReliableMessaging>.*?</tns:ReliableMessaging>", "", "without ReliableMessaging"),
        (r"(?s)<tns:SenderNonRepudiation>.*?</tns:SenderNonRepudiation>", "", "lacks SenderNonRepudiation"),
        (r"(?s)<tns:ReceiverDigitalEnvelope>.*?</tns:ReceiverDigitalEnvelope>", "", "lacks ReceiverDigitalEnvelope"),
        (r'isNonRepudiationRequired="true"', 'isNonRepudiationRequired="0"', "encrypted but not signed"),
        (r'ackRequested="always"', 'ackRequested="perMessage"', "always or never"),
        (r'duplicateElimination="always"', 'duplicateElimination="sometimes"', "always or never"),
        (r' tns:ackSignatureRequested="always"', "", "always or never"),
        (r'"mshSignalsOnly"|"none"', '"signalsAndResponse"', "syncReplyMode signalsAndResponse"),
        (r'tns:uri="https', 'tns:uri="mailto', "no http"),
        (r'tns:type="allPurpose"', 'tns:type="error"', "no Endpoint"),
        (r'SigningCertificateRef tns:certId="', 'SigningCertificateRef tns:certId="x', "Certificate 'xSR"),
        (r"<ds:X509Certificate>", "<ds:X509Certificate>AAAA", "no X.509"),
        (r"<ds:X509Certificate>", "<ds:X509Certificate>*", "no X.509"),
        (r"<tns:OtherPartyActionBinding>S", "<tns:OtherPartyActionBinding>X", "does not receive"),
        (r"SR_osb-rm-e_channel<", "SP_osb-rm-e_channel<", "DeliveryChannel 'SP_osb-rm-e_channel'"),
        (r"<tns:MessagingCharacteristics[^>]*>", "", "lacks MessagingCharacteristics"),
        (r"<tns:BusinessTransactionCharacteristics[^>]*>", "", "lacks BusinessTransactionCharacteristics"),
        (r"<tns:Role [^>]*>", "", "lacks its Role"),
        (r"</tns:PartyInfo>", "<tns:OverrideMshActionBinding/></tns:PartyInfo>", "OverrideMshActionBinding"),
        (r"(?s)(<tns:CollaborationRole>.*?</tns:CollaborationRole>)", r"\1\1", "in two ways"),
        (r"(?s)<tns:PartyInfo.*?</tns:PartyInfo>", "", "names 0"),
        (r"<tns:PartyId [^>]*>[^<]*", "<tns:PartyId>", "no PartyId"),
        (r"<tns:PartyId ", "<tns:PartyId><x/></tns:PartyId><tns:PartyId ", "no PartyId"),
    ],
)
def test_what_can_not_be_kept_is_refused(old: str, new: str, words: str, render: Render) -> None:
    document, times = re.subn(old, new, render())
    assert times
    with pytest.raises(MalformedError, match=words):
        read_cpa(document.encode())


@pytest.mark.parametrize("element", ["SignatureAlgorithm", "HashFunction", "EncryptionAlgorithm"])
def test_unknown_algorithms_are_refused(element: str, render: Render) -> None:
    document = render()
    check_algorithms(read_cpa(document.encode()))
    changed = re.sub(rf"(<tns:{element}[^>]*>)[^<]*", r"\1urn:unknown", document)
    assert changed != document
    with pytest.raises(SecurityFailure, match="urn:unknown"):
        check_algorithms(read_cpa(changed.encode()))


@pytest.mark.parametrize(
    ("name", "value"),
    [("ackRequested", "never"), ("ackSignatureRequested", "never"), ("duplicateElimination", "never"),
     ("syncReplyMode", "mshSignalsOnly"), ("isNonRepudiationRequired", "false"), ("isConfidential", "transient")],
)  # fmt: skip
def test_parties_that_differ_are_refused(name: str, value: str, render: Render) -> None:
    first, party, rest = render().partition("</tns:PartyInfo>")
    changed = re.sub(rf'{name}="[^"]*"', f'{name}="{value}"', first)
    assert changed != first
    with pytest.raises(MalformedError, match=name):
        read_cpa((changed + party + rest).encode())


def test_agreements_of_the_reference_adapter_are_read(recorded: Any) -> None:
    files = sorted((recorded.folder / "cpa").glob("*.xml"))
    assert files
    for file in files:
        cpa = read_cpa(file.read_bytes())
        name = file.stem
        assert len(cpa.terms) == 4
        for terms in cpa.terms:
            channel = terms.channel
            assert str(terms.service).startswith("urn:osb:services:osb:a")
            assert channel.sync_reply is name.endswith("sync")
            assert channel.ack_requested is (".be." not in name)
            assert channel.ack_signed is name.endswith("ackSigned")
            if "signed" in name:
                assert (channel.signature is not None) is (".signed" in name)
