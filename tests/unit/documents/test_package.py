"""The package for the Servicecentrum is complete, or there is none."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from aansluitkit.cli import app
from aansluitkit.connection import load_connection
from aansluitkit.documents import package, render_cpa, write_documents
from aansluitkit.documents.package import write_package
from aansluitkit.ebms.cpa import read_cpa
from aansluitkit.errors import KitError
from aansluitkit.project import ROOT

from ..connection.test_rules import Leaf, change, inventories, preprod, renewing

__all__ = ["inventories", "preprod"]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_mail_tells_what_the_servicecentrum_asks(preprod: Path, tmp_path: Path) -> None:
    connection = load_connection(preprod)
    written = write_package(preprod, tmp_path / "pakket")
    found = files(tmp_path / "pakket")
    assert {str(path.relative_to(tmp_path / "pakket")) for path in written} == set(found)
    mail = found["mail.txt"].decode()
    for told in (
        f"OIN           {connection.organisation.oin}",
        connection.partner.contact.email,
        str(connection.sender_id),
        connection.cpa.id,
        connection.cpa.services[0].name,
        f"{connection.cpa.end:%d-%m-%Y %H:%M} UTC",
        connection.endpoint,
        f"(inkomend)    {connection.inbound_address}, poort 443",
        f"(uitgaand) {connection.outbound_address}",
        *(f"{contact.name}, {contact.email}, {contact.phone}" for _, contact in connection.contacts),
    ):
        assert str(told) in mail
    attached = {name.removeprefix("bijlagen/"): content for name, content in found.items() if "bijlagen/" in name}
    sums = attached.pop("SHA256SUMS").decode()
    assert set(attached) == {f"{connection.cpa.id}.xml", "consumerspecificatie.xml", "certificaat.pem"}
    for name, content in attached.items():
        digest = hashlib.sha256(content).hexdigest()
        assert f"{digest}  {name}\n" in sums
        assert digest in mail
    assert read_cpa(attached[f"{connection.cpa.id}.xml"]).id == connection.cpa.id


def test_package_of_a_renewal_is_about_what_comes_next(preprod: Path, tmp_path: Path) -> None:
    path = renewing(preprod)
    Leaf().write(path)
    write_package(preprod, tmp_path / "pakket")
    found = files(tmp_path / "pakket")
    assert read_cpa(found["bijlagen/NEXT_0002.xml"]).id == "NEXT_0002"
    assert found["bijlagen/certificaat.pem"] == path.read_bytes()
    write_documents(load_connection(preprod), tmp_path / "documents", date(2026, 3, 1))
    former, following = (
        read_cpa((tmp_path / "documents" / f"{name}.xml").read_bytes()) for name in ("cpa", "cpa-next")
    )
    assert (former.id, following.id) == (load_connection(preprod).cpa.id, "NEXT_0002")
    assert former.parties[0].certificates != following.parties[0].certificates
    assert former.parties[1].certificates == following.parties[1].certificates


def test_same_inventory_same_package(preprod: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_package(preprod, tmp_path / name)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_cpa_that_came_is_attached_as_it_is(preprod: Path, tmp_path: Path) -> None:
    connection = load_connection(preprod)
    received = render_cpa(connection).replace("\n", "\r\n").encode()
    file = preprod.parent / "files/preprod/cpa/received.xml"
    file.parent.mkdir(parents=True)
    file.write_bytes(received)
    told = 'connection_cpa:\n  file: "{{ files_folder }}/cpa/received.xml"\n'
    change(preprod / "group_vars/all/connection.yml", "connection_cpa:\n", told)
    write_package(preprod, tmp_path / "pakket")
    assert (tmp_path / f"pakket/bijlagen/{connection.cpa.id}.xml").read_bytes() == received


def test_keys_are_never_attached(preprod: Path, tmp_path: Path) -> None:
    certificate = preprod.parent / "files/preprod/certificates/organisation.pem"
    key = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n"
    certificate.write_bytes(certificate.read_bytes() + key)
    write_package(preprod, tmp_path / "pakket")
    for name, content in files(tmp_path / "pakket").items():
        assert b"PRIVATE" not in content, name
    assert x509.load_pem_x509_certificates((tmp_path / "pakket/bijlagen/certificaat.pem").read_bytes())


def test_everything_that_is_missing_is_told_at_once(preprod: Path, tmp_path: Path) -> None:
    variables = preprod / "group_vars/all/connection.yml"
    change(variables, "connection_inbound_address: 10.90.1.42", "connection_inbound_address: TODO")
    change(variables, "connection_sender_id: AFZ-VOORBEELD-0101", "connection_sender_id: TODO what Logius sends")
    change(variables, "name: MIJNOVERHEID.ebMS.LZ.PREPROD.1.0", "name: TODO the Service-ID")
    change(variables, "connection_zones:", "connection_example: true\nconnection_zones:")
    (preprod.parent / "files/preprod/certificates/organisation.pem").unlink()
    result = CliRunner().invoke(app, ["package", str(preprod), "--output", str(tmp_path / "pakket")])
    told = str(result.exception)
    for variable in ("inbound_address", "sender_id", "cpa.services.0.name", "example", "certificates.partner"):
        assert (f"connection_{variable}" in told) is (variable != "certificates.partner"), told
    assert not (tmp_path / "pakket").exists()


@pytest.mark.parametrize(
    ("inventory", "words"),
    [
        ("lab", "connection_environment: 'lab' has no Servicecentrum"),
        ("voorbeeldgemeente/preprod", "connection_example: is true"),
    ],
)
def test_no_package_of_what_is_not_real(inventory: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(KitError, match=words):
        write_package(ROOT / "inventories" / inventory, tmp_path / "pakket")


def test_what_was_sent_is_not_overwritten(preprod: Path, tmp_path: Path) -> None:
    write_package(preprod, tmp_path / "pakket")
    before = files(tmp_path / "pakket")
    with pytest.raises(KitError, match="is there already, and tells what was sent: name another folder"):
        write_package(preprod, tmp_path / "pakket")
    assert files(tmp_path / "pakket") == before


def test_package_is_written_whole_or_not_at_all(preprod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            write_package(preprod, tmp_path / "pakket")
    assert not [path for path in tmp_path.iterdir() if "pakket" in path.name]
    assert package.MAIL
