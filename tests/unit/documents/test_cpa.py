"""The CPA of every profile is valid against the OASIS schema and says what the profile demands."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from aansluitkit.agreement.rules import check
from aansluitkit.connection import Connection, Profile
from aansluitkit.documents import render_consumerspecificatie, render_cpa, write_documents
from aansluitkit.ebms.cpa import read_cpa
from aansluitkit.ebms.xml import DS
from aansluitkit.errors import KitError
from aansluitkit.project import ROOT

from ..conftest import CPPA_SCHEMA, agreed, needs_schema

PROFILE = Profile.RELIABLE_ENCRYPTED
TNS = {"tns": "http://www.oasis-open.org/committees/ebxml-cppa/schema/cpp-cpa-2_0.xsd"}


@needs_schema
@pytest.mark.parametrize("profile", list(Profile))
def test_cpa_is_valid_for_every_profile(connection: Connection, profile: Profile) -> None:
    document = etree.fromstring(render_cpa(agreed(connection, profile)).encode())
    etree.XMLSchema(etree.parse(CPPA_SCHEMA)).assertValid(document)


def with_every_profile(connection: Connection) -> Connection:
    first = connection.cpa.services[0]
    services = tuple(first.model_copy(update={"type": f"urn:cv:{profile}", "profile": profile}) for profile in Profile)
    return agreed(connection, services=services)


@needs_schema
def test_cpa_with_several_services_is_valid(connection: Connection) -> None:
    document = etree.fromstring(render_cpa(with_every_profile(connection)).encode())
    etree.XMLSchema(etree.parse(CPPA_SCHEMA)).assertValid(document)


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


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("profile", list(Profile))
def test_cpa_keeps_every_rule(connection: Connection, profile: Profile, sync: bool) -> None:
    check(render_cpa(agreed(connection, profile, sync_reply=sync)).encode(), "the CPA")


def test_cpa_with_several_services_keeps_every_rule(connection: Connection) -> None:
    check(render_cpa(with_every_profile(connection)).encode(), "the CPA")


def test_cpa_that_breaks_a_rule_is_not_written(connection: Connection, tmp_path: Path) -> None:
    elsewhere = connection.model_copy(update={"endpoint": "https://ebms.elders.test/ebms"})
    with pytest.raises(
        KitError, match=r"does not keep the rules .* correct the inventory:\n  the server certificate of"
    ):
        write_documents(elsewhere, tmp_path / "documents", date(2026, 3, 1))
    assert not (tmp_path / "documents").exists()


def test_action_of_any_name_is_valid(connection: Connection) -> None:
    first = connection.cpa.services[0]
    names = ("http://naam/van:actie?", "2e$actie", "http://naam/van;actie?")
    actions = tuple(first.actions[0].model_copy(update={"name": name}) for name in names)
    check(render_cpa(agreed(connection, services=(first.model_copy(update={"actions": actions}),))).encode(), "the CPA")


RENDER = """
import sys
from pathlib import Path
from aansluitkit.connection import load_connection
from aansluitkit.documents.cpa import render_consumerspecificatie, render_cpa
connection = load_connection(Path(sys.argv[1]))
files = dict(zip(("organisation", "partner"), map(Path, sys.argv[2:])))
connection = connection.model_copy(update={"certificates": connection.certificates.model_copy(update=files)})
sys.stdout.buffer.write((render_cpa(connection) + render_consumerspecificatie(connection)).encode())
"""


def test_bytes_depend_on_the_inventory_alone(connection: Connection, tmp_path: Path) -> None:
    """Not on time zone, locale, order in memory, working folder, order of keys, or where files lie."""
    inventory = Path(shutil.copytree(ROOT / "inventories/lab", tmp_path / "elders/lab"))
    variables = inventory / "group_vars/all/connection.yml"
    text = variables.read_text()
    given = yaml.safe_load(text[text.index("connection_cpa:") : text.index("connection_extra_flows:")])
    turned = yaml.safe_dump({"connection_cpa": dict(reversed(given["connection_cpa"].items()))}, sort_keys=False)
    start, end = text.index("connection_cpa:"), text.index("connection_extra_flows:")
    variables.write_text(text[:start] + turned.replace("T00:00:00Z", "T01:00:00+01:00") + text[end:])
    files = []
    for name in ("organisation", "partner"):
        files.append(tmp_path / f"{name}.crt")
        files[-1].write_text("# uit de kluis\n" + getattr(connection.certificates, name).read_text())
    expected = (render_cpa(connection) + render_consumerspecificatie(connection)).encode()
    for number, zone in enumerate(("UTC", "Pacific/Kiritimati")):
        changed = {"TZ": zone, "LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": str(number), "PYTHONUTF8": "1"}
        command = [sys.executable, "-c", RENDER, str(inventory), *map(str, files)]
        rendered = subprocess.run(command, env={**os.environ, **changed}, cwd="/", check=True, capture_output=True)
        assert rendered.stdout == expected


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


def test_one_purpose_certificates_stand_where_they_are_used(connection: Connection, pki_g4: Path) -> None:
    other = pki_g4 / "adapter-1/internal-certificate.pem"
    files = connection.certificates.model_copy(update={"organisation_signing": other, "partner_encryption": other})
    cpa = read_cpa(render_cpa(agreed(connection.model_copy(update={"certificates": files}), PROFILE)).encode())
    leaf, ours, theirs = (
        x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
        for path in (other, files.organisation, files.partner)
    )
    found = [party.certificates for party in cpa.parties]
    assert found[0] == {"client": ours, "server": ours, "signing": leaf, "encryption": ours}
    assert found[1] == {"client": theirs, "server": theirs, "signing": theirs, "encryption": leaf}


def test_consumerspecificatie_has_the_form_that_the_creatievoorziening_takes(connection: Connection) -> None:
    """All six parameters within one element, each certificate as ds:KeyInfo with base64 of DER, without PEM lines."""
    text = render_consumerspecificatie(connection)
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>')
    root = etree.fromstring(text.encode())
    assert (root.tag, [child.tag for child in root], dict(root[0].attrib)) == (
        "osb-ebms-service-specificatie",
        ["parameters"],
        {"name": "SR"},
    )
    parameters = {str(element.get("name")): element for element in root[0]}
    assert {element.tag for element in root[0]} == {"parameter"}
    assert list(parameters) == ["PartyName", "PartyId", "PartyRef", "EndpointUri", "ClientCert", "ServerCert"]
    organisation = connection.organisation
    texts = [parameters[name].text for name in list(parameters)[:4]]
    assert texts == [organisation.name, organisation.oin, None, connection.endpoint]
    der = x509.load_pem_x509_certificate(connection.certificates.organisation.read_bytes()).public_bytes(Encoding.DER)
    for name in ("ClientCert", "ServerCert"):
        (info,) = parameters[name]
        assert info.tag == f"{{{DS}}}KeyInfo"
        (certificate,) = info.iter(f"{{{DS}}}X509Certificate")
        assert base64.b64decode(str(certificate.text), validate=True) == der


def test_ping_document_names_both_parties(connection: Connection, tmp_path: Path) -> None:
    write_documents(connection, tmp_path, date(2026, 3, 1))
    root = etree.parse(tmp_path / "ping.xml").getroot()
    assert (root.tag, dict(root.attrib)) == (
        "MessageMetadataDocument",
        {"documentId": "PingMMD", "protocol": "ebXML", "protocolVersion": "2.0"},
    )
    assert {element.get("name"): element.text for element in root} == {
        "From": connection.organisation.oin,
        "To": connection.partner.oin,
        "Service": "urn:oasis:names:tc:ebxml-msg:service",
        "Action": "Ping",
        "CPAId": connection.cpa.id,
    }


def test_missing_certificate_writes_nothing(connection: Connection, tmp_path: Path) -> None:
    files = connection.certificates.model_copy(update={"partner": tmp_path / "none.pem"})
    broken = connection.model_copy(update={"certificates": files})
    with pytest.raises(KitError, match="connection_certificates"):
        write_documents(broken, tmp_path / "documents", date(2026, 3, 1))
    assert not (tmp_path / "documents").exists()
