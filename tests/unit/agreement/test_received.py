"""A CPA that came from outside: taken as it is when it agrees with the inventory, else refused in a sentence."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from typer.testing import CliRunner

from aansluitkit.agreement.differences import remarks_on
from aansluitkit.agreement.remark import Weight
from aansluitkit.cli import app
from aansluitkit.connection import Connection, Profile, examine, load_connection
from aansluitkit.documents import render_cpa, write_documents
from aansluitkit.errors import KitError

from ..bad_cpas import BAD_CPAS, Spoil
from ..conftest import agreed
from ..connection.test_rules import Leaf
from .conftest import Received


def test_cpa_that_agrees_is_written_byte_for_byte(received: Received, tmp_path: Path) -> None:
    """Layout, prefixes and a byte order mark are the sender's."""
    text = received.file.read_text().replace("tns:", "ns3:").replace("xmlns:tns", "xmlns:ns3").replace("\n", "\r\n")
    received.file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = examine(received.folder)
    assert found.connection, "\n".join(map(str, found.problems))
    assert not found.warnings
    write_documents(found.connection, tmp_path / "documents", date(2026, 3, 1))
    assert (tmp_path / "documents/cpa.xml").read_bytes() == received.file.read_bytes()


@pytest.mark.parametrize("name", BAD_CPAS)
def test_check_refuses(received: Received, name: str) -> None:
    spoil, words, _ = BAD_CPAS[name]
    received.spoil(spoil)
    found = examine(received.folder)
    assert found.connection is None
    assert {problem.rule for problem in found.problems} == {"received_cpa_fits"}
    assert any(words in problem.message for problem in found.problems), "\n".join(map(str, found.problems))
    for problem in found.problems:
        assert problem.variable == "connection_cpa.file"
        assert "\n" not in problem.message
        assert str(received.file) in problem.message


@pytest.mark.parametrize("name", BAD_CPAS)
def test_command_tells_what_is_wrong(received: Received, name: str) -> None:
    """Also while the inventory names this very CPA, which check refuses."""
    spoil, words, _ = BAD_CPAS[name]
    received.spoil(spoil)
    result = CliRunner().invoke(app, ["cpa", str(received.folder)])
    told = f"{result.output} {result.exception}"
    assert result.exit_code == 1
    assert words in told


def test_command_for_machines(received: Received, tmp_path: Path) -> None:
    other = tmp_path / "other.xml"
    other.write_bytes(BAD_CPAS["other parties"][0](received.file.read_bytes()))
    assert CliRunner().invoke(app, ["cpa", str(received.folder)]).exit_code == 0
    result = CliRunner().invoke(app, ["cpa", str(received.folder), str(other), "--json", str(tmp_path / "told.json")])
    assert result.exit_code == 1
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["file"] == str(other)
    assert [each["weight"] for each in told["remarks"]] == ["blocks", "warns"]
    assert told["remarks"][0]["expected"].startswith("urn:osb:oin:00000001999991000000")


def test_command_does_not_hide_what_else_is_wrong(received: Received) -> None:
    variables = received.folder / "group_vars/all/connection.yml"
    variables.write_text(variables.read_text().replace("10.90.1.43", "10.90.1.42"))
    result = CliRunner().invoke(app, ["cpa", str(received.folder)])
    assert "connection_outbound_address" in str(result.exception)


def test_file_that_is_not_there(received: Received) -> None:
    received.file.unlink()
    problem = examine(received.folder).problems[0]
    assert problem.variable == "connection_cpa.file"
    assert "can't be read (no such file or directory): put the CPA there" in problem.message


def text(old: str, new: str) -> Spoil:
    def spoil(good: bytes) -> bytes:
        assert old.encode() in good
        return good.replace(old.encode(), new.encode())

    return spoil


def pattern(old: str, new: str) -> Spoil:
    def spoil(good: bytes) -> bytes:
        changed, times = re.subn(old.encode(), new.encode(), good)
        assert times
        return changed

    return spoil


OUTDATED: list[tuple[Profile, Spoil, str]] = [
    (Profile.RELIABLE, text('version="1.2">TLS', 'version="3.0">SSL'), "TransportSecurityProtocol (line"),
    (Profile.RELIABLE_SIGNED, text("2001/04/xmlenc#sha256", "2000/09/xmldsig#sha1"), "HashFunction (line"),
    (
        Profile.RELIABLE_SIGNED,
        text("2001/04/xmldsig-more#rsa-sha256", "2000/09/xmldsig#rsa-sha1"),
        "SignatureAlgorithm",
    ),
    (Profile.RELIABLE_ENCRYPTED, text("2009/xmlenc11#aes256-gcm", "2001/04/xmlenc#aes256-cbc"), "EncryptionAlgorithm"),
    (
        Profile.RELIABLE_SIGNED,
        text('ackSignatureRequested="always"', 'ackSignatureRequested="never"'),
        "ackSignatureRequested (zaakbericht of urn:osb:services:",
    ),
    (Profile.RELIABLE, text('duplicateElimination="always"', 'duplicateElimination="never"'), "lost silently"),
    (Profile.RELIABLE, text("actor:toPartyMSH", "actor:nextMSH"), "nextMSH, expected is toPartyMSH"),
    (Profile.RELIABLE, text("<tns:PersistDuration>P1DT3H", "<tns:PersistDuration>P1D"), "at least 1 day, 3:00:00"),
    (Profile.RELIABLE, text("<tns:Retries>8", "<tns:Retries>5"), "retrying (zaakbericht"),
    (Profile.RELIABLE, text('syncReplyMode="none"', 'syncReplyMode="mshSignalsOnly"'), "syncReplyMode (zaakbericht"),
    (Profile.RELIABLE, text('partyName="Gemeente', 'partyName="De gemeente'), "it is told to people alone"),
    (Profile.RELIABLE, text('tns:name="SP"', 'tns:name="DIGIPOORT"'), "role (zaakbericht"),
    (Profile.RELIABLE, text('action="foutbericht"', 'action="storing"'), "the action (foutbericht"),
    (
        Profile.RELIABLE,
        pattern("<tns:End>.*</tns:End>", "<tns:End>2099-01-01T00:00:00Z</tns:End>"),
        "the CPA outlives it",
    ),
    (
        Profile.RELIABLE,
        pattern(
            "(?s)<tns:Start>.*</tns:End>",
            "<tns:Start>2090-01-01T00:00:00Z</tns:Start><tns:End>2099-01-01T00:00:00Z</tns:End>",
        ),
        "the CPA before it stays loaded",
    ),
    (
        Profile.RELIABLE_SIGNED,
        pattern("(?s)<tns:ReceiverNonRepudiation>.*?</tns:ReceiverNonRepudiation>", ""),
        "whose signature nobody checked",
    ),
]


@pytest.mark.parametrize(("profile", "spoil", "words"), OUTDATED, ids=[words for _, _, words in OUTDATED])
def test_what_messages_survive_is_a_warning(connection: Connection, profile: Profile, spoil: Spoil, words: str) -> None:
    now = agreed(connection, profile)
    found = remarks_on(spoil(render_cpa(now).encode()), now)
    assert any(words in str(remark) for remark in found), "\n".join(map(str, found))
    assert {remark.weight for remark in found} == {Weight.WARNS}


BREAKING: list[tuple[Spoil, str]] = [
    (text("https://ebms.voorbeeldstad.test/ebms", "https://ebms.elders.test/ebms"), "the endpoint of Gemeente"),
    (text("https://ebms.mijnoverheid.test/ebms", "https://ebms.mijnoverheid.test/msh"), "the endpoint of MijnOverheid"),
    (text("https://ebms.mijnoverheid.test", "http://ebms.mijnoverheid.test"), "messages would travel unprotected"),
    (lambda good: good.decode().replace('"UTF-8"', '"UTF-16"').encode("utf-16"), "ask for the CPA in UTF-8"),
    (text('Status tns:value="agreed"', 'Status tns:value="proposed"'), "no adapter loads it"),
    (text(">SR_S_1_1</tns:Other", ">SR_R_1_1</tns:Other"), "the counterpart of SP_R_1_1"),
]


@pytest.mark.parametrize(("spoil", "words"), BREAKING, ids=[words for _, words in BREAKING])
def test_what_breaks_the_connection_blocks(connection: Connection, spoil: Spoil, words: str) -> None:
    found = remarks_on(spoil(render_cpa(connection).encode()), connection)
    assert any(words in str(remark) for remark in found if remark.weight is Weight.BLOCKS), "\n".join(map(str, found))


def test_acknowledgment_that_cannot_be_signed_blocks(connection: Connection) -> None:
    now = agreed(connection, Profile.RELIABLE_SIGNED)
    document = re.sub(r"(?s)<tns:SenderNonRepudiation>.*?</tns:SenderNonRepudiation>", "", render_cpa(now), count=0)
    with pytest.raises(KitError, match="lacks SenderNonRepudiation"):
        remarks_on(document.encode(), now)


def test_another_profile_is_told_by_name(connection: Connection) -> None:
    document = render_cpa(agreed(connection, Profile.BEST_EFFORT)).encode()
    told = [str(remark) for remark in remarks_on(document, connection)]
    assert any("the profile (zaakbericht of" in each and "'osb-be', expected is 'osb-rm'" in each for each in told)


@pytest.mark.parametrize(
    "identity",
    [
        "ATG-1-0_00000001003214436001-00000001234567890000_0001",
        "DGL-VERWERKEN-1-0$1-0_00000004003214345001-00000001234567890000_928792FC79F211E8B020005056810F3E",
        "een.punt.erin_1",
    ],
)
def test_ids_as_the_register_makes_them_are_taken(received: Received, identity: str) -> None:
    old = received.connection.cpa.id
    received.spoil(text(old, identity))
    variables = received.folder / "group_vars/all/connection.yml"
    variables.write_text(variables.read_text().replace(old, identity))
    assert load_connection(received.folder).cpa.id == identity


def test_retired_cpa_is_not_the_one_in_use(received: Received) -> None:
    variables = received.folder / "group_vars/all/connection.yml"
    told = f"connection_cpa:\n  retired: [OLD_1, '{received.connection.cpa.id}']\n"
    variables.write_text(variables.read_text().replace("connection_cpa:\n", told))
    problem = examine(received.folder).problems[0]
    assert (problem.rule, problem.variable) == ("cpa_is_not_retired", "connection_cpa.retired.1")


def test_certificate_with_one_purpose_is_judged_too(received: Received) -> None:
    """For its dates and number; it needs no host name, as nobody connects to it."""
    signing, other = (
        received.folder / "../files/preprod/certificates/signing.pem",
        "sign.voorbeeldgemeente.internal",
    )
    variables = received.folder / "group_vars/all/connection.yml"
    text = variables.read_text().replace('  file: "{{ files_folder }}/cpa/received.xml"\n', "")
    told = 'connection_certificates:\n  organisation_signing: "{{ files_folder }}/certificates/signing.pem"\n'
    variables.write_text(text.replace("connection_certificates:\n", told))
    assert "is not there" in examine(received.folder).problems[0].message
    Leaf(host=other, usages=(ExtendedKeyUsageOID.EMAIL_PROTECTION,)).write(signing)
    assert load_connection(received.folder).certificates.of("organisation", "signing") == signing
    Leaf(host=other, oin="00000001999992000000").write(signing)
    problem = examine(received.folder).problems[0]
    assert (problem.rule, problem.variable) == (
        "serial_number_is_the_oin",
        "connection_certificates.organisation_signing",
    )
