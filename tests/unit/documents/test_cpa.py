"""The CPA of every profile is valid against the OASIS schema and says what the profile demands."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
from lxml import etree

from aansluitkit.connection import Connection, Profile
from aansluitkit.documents import render_consumerspecificatie, render_cpa, write_documents
from aansluitkit.errors import KitError

from ..conftest import agreed

# The schema of OASIS may not be copied into the project: it is looked for beside the checkout.
BESIDE = Path(__file__).parents[4] / "shared/data/xsd/cpp-cpa-2_0.xsd"
SCHEMA = Path(os.environ.get("CPPA_SCHEMA", BESIDE))
TNS = {"tns": "http://www.oasis-open.org/committees/ebxml-cppa/schema/cpp-cpa-2_0.xsd"}


@pytest.mark.skipif(not SCHEMA.is_file(), reason=f"the schema of OASIS is not at {SCHEMA}; CPPA_SCHEMA may name it")
@pytest.mark.parametrize("profile", list(Profile))
def test_cpa_is_valid_for_every_profile(connection: Connection, profile: Profile) -> None:
    document = etree.fromstring(render_cpa(agreed(connection, profile)).encode())
    etree.XMLSchema(etree.parse(SCHEMA)).assertValid(document)


def with_every_profile(connection: Connection) -> Connection:
    first = connection.cpa.services[0]
    services = tuple(first.model_copy(update={"type": f"urn:cv:{profile}", "profile": profile}) for profile in Profile)
    return agreed(connection, services=services)


@pytest.mark.skipif(not SCHEMA.is_file(), reason=f"the schema of OASIS is not at {SCHEMA}; CPPA_SCHEMA may name it")
def test_cpa_with_several_services_is_valid(connection: Connection) -> None:
    document = etree.fromstring(render_cpa(with_every_profile(connection)).encode())
    etree.XMLSchema(etree.parse(SCHEMA)).assertValid(document)


def test_every_reference_has_its_target(connection: Connection) -> None:
    document = etree.fromstring(render_cpa(with_every_profile(connection)).encode())
    names = ("id", "certId", "securityId", "channelId", "transportId", "docExchangeId")
    declared = {
        element.get(f"{{{TNS['tns']}}}{name}")
        for element in document.iter("{*}*")
        for name in names
        if not element.tag.endswith("Ref") and element.get(f"{{{TNS['tns']}}}{name}")
    }
    used = {element.text for element in document.iterfind(".//tns:ChannelId", TNS)}
    used |= {element.text for element in document.iterfind(".//tns:OtherPartyActionBinding", TNS)}
    used |= {value for element in document.iter("{*}*") if element.tag.endswith("Ref") for value in element.values()}
    assert used - {""} <= declared


def test_two_renderings_are_the_same(connection: Connection) -> None:
    assert render_cpa(connection) == render_cpa(connection)


def test_profile_decides_reliability_and_signature(connection: Connection) -> None:
    reliable = render_cpa(agreed(connection, Profile.RELIABLE))
    assert "<tns:Retries>8</tns:Retries>" in reliable
    assert "<tns:RetryInterval>PT3H</tns:RetryInterval>" in reliable
    assert "NonRepudiation>" not in reliable
    assert "ReliableMessaging>" not in render_cpa(agreed(connection, Profile.BEST_EFFORT))
    assert 'ackSignatureRequested="always"' in render_cpa(agreed(connection, Profile.RELIABLE_SIGNED))


def test_signals_have_the_highest_security(connection: Connection) -> None:
    document = etree.fromstring(render_cpa(with_every_profile(connection)).encode())
    for code in ("SR", "SP"):
        exchange = document.find(f".//tns:DocExchange[@tns:docExchangeId='{code}_signal_exchange']", TNS)
        assert exchange.find(".//tns:SenderNonRepudiation", TNS) is not None
        assert exchange.find(".//tns:SenderDigitalEnvelope", TNS) is not None
        assert exchange.find(".//tns:ReliableMessaging", TNS) is None


def test_roles_have_the_names_of_the_inventory(connection: Connection) -> None:
    roles = connection.cpa.roles.model_copy(update={"provider": "ComplianceVoorziening"})
    document = etree.fromstring(render_cpa(agreed(connection, roles=roles)).encode())
    names = [role.get(f"{{{TNS['tns']}}}name") for role in document.iterfind(".//tns:Role", TNS)]
    assert names == ["SR", "ComplianceVoorziening"]


def test_name_is_escaped(connection: Connection) -> None:
    organisation = connection.organisation.model_copy(update={"name": 'Gemeente "A&B" <Oost>'})
    renamed = connection.model_copy(update={"organisation": organisation})
    document = etree.fromstring(render_cpa(renamed).encode())
    assert document.find("tns:PartyInfo", TNS).get(f"{{{TNS['tns']}}}partyName") == organisation.name


def test_consumerspecificatie_holds_all_six_parameters(connection: Connection) -> None:
    document = etree.fromstring(render_consumerspecificatie(connection).encode())
    names = [element.get("name") for element in document.findall("parameters[@name='SR']/parameter")]
    assert names == ["PartyName", "PartyId", "PartyRef", "EndpointUri", "ClientCert", "ServerCert"]
    assert document.findtext("parameters/parameter[@name='PartyId']") == connection.organisation.oin


def test_missing_certificate_writes_nothing(connection: Connection, tmp_path: Path) -> None:
    files = connection.certificates.model_copy(update={"partner": tmp_path / "none.pem"})
    broken = connection.model_copy(update={"certificates": files})
    with pytest.raises(KitError, match="connection_certificates"):
        write_documents(broken, tmp_path / "documents", date(2026, 3, 1))
    assert not (tmp_path / "documents").exists()
