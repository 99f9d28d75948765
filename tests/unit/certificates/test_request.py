"""A key that is made once, a request that is right for its generation, and a form that says what to order."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aansluitkit.certificates.pkioverheid import Generation
from aansluitkit.certificates.request import FORM, KEY, REQUEST, Order, make_request, order_of
from aansluitkit.errors import InventoryError, KitError

from .makers import NAME, OIN, Authority

HOST = "ebms.preprod.voorbeeldgemeente.internal"
EXTRA = "ebms2.voorbeeldgemeente.internal"


def plain(key: bytes) -> bytes:
    return key


def made(order: Order, folder: Path, key: rsa.RSAPrivateKey | None = None) -> x509.CertificateSigningRequest:
    assert make_request(order, folder, plain, key)
    return x509.load_pem_x509_csr((folder / REQUEST).read_bytes())


@pytest.mark.parametrize("generation", Generation)
def test_request_is_signed_as_its_generation_signs(own_inventory: Path, tmp_path: Path, generation: Generation) -> None:
    folder = tmp_path / "request"
    request = made(order_of(own_inventory, generation, 3072, (EXTRA, HOST)), folder)
    assert request.is_signature_valid
    parameters = request.signature_algorithm_parameters
    if generation is Generation.G4:
        assert isinstance(parameters, padding.PSS)
        shown = subprocess.run(
            ["openssl", "req", "-in", folder / REQUEST, "-noout", "-verify", "-text"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for words in ("rsassaPss", "Hash Algorithm: sha512", "mgf1 with sha512", "Salt Length: 0x40"):
            assert words in shown
    else:
        assert isinstance(parameters, padding.PKCS1v15)
    assert request.signature_hash_algorithm
    assert request.signature_hash_algorithm.name == ("sha512" if generation is Generation.G4 else "sha256")


def test_request_says_who_and_what_for(own_inventory: Path, tmp_path: Path) -> None:
    request = made(order_of(own_inventory, Generation.G4, 3072, (EXTRA,)), tmp_path / "request")
    subject = {attribute.oid: attribute.value for attribute in request.subject}
    assert subject == {
        NameOID.COUNTRY_NAME: "NL",
        NameOID.ORGANIZATION_NAME: NAME,
        NameOID.SERIAL_NUMBER: OIN,
        NameOID.COMMON_NAME: HOST,
    }
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [HOST, EXTRA]
    usage = request.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.digital_signature, usage.value.key_encipherment, usage.value.key_cert_sign) == (
        True,
        True,
        False,
    )
    purposes = set(request.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert purposes == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_key_is_made_once_and_private(own_inventory: Path, tmp_path: Path) -> None:
    order, folder = order_of(own_inventory, Generation.G1, 4096), tmp_path / "request"
    request = made(order, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    key = load_pem_private_key(before[KEY], None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert (key.key_size, key.public_key()) == (4096, request.public_key())
    assert make_request(order, folder, plain) is False
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert {path.stat().st_mode & 0o077 for path in (folder, folder / KEY)} == {0}
    (folder / FORM).unlink()
    assert make_request(order, folder, plain) is True
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_request_of_other_names_is_not_touched(own_inventory: Path, tmp_path: Path) -> None:
    folder = tmp_path / "request"
    made(order_of(own_inventory, Generation.G1, 3072), folder)
    with pytest.raises(KitError, match="names can't change once they are ordered"):
        make_request(order_of(own_inventory, Generation.G1, 3072, (EXTRA,)), folder, plain)
    (folder / KEY).unlink()
    with pytest.raises(KitError, match=r"has no request\.csr with key\.pem that can be read"):
        make_request(order_of(own_inventory, Generation.G1, 3072), folder, plain)


def test_nothing_is_left_when_the_key_cannot_be_encrypted(own_inventory: Path, tmp_path: Path) -> None:
    def refuse(_key: bytes) -> bytes:
        raise KitError("no vault password")

    place = tmp_path / "certificates"
    with pytest.raises(KitError, match="no vault password"):
        make_request(order_of(own_inventory, Generation.G1, 3072), place / "request", refuse)
    assert not place.exists()


def test_own_key(own_inventory: Path, tmp_path: Path, authority: Authority) -> None:
    order, key = order_of(own_inventory, Generation.G4, 3072), authority.key(3072)
    assert made(order, tmp_path / "request", key).public_key() == key.public_key()
    with pytest.raises(KitError, match="your own key has 2048 bits"):
        make_request(order, tmp_path / "short", plain, authority.key(2048))


def test_form_says_what_to_order(own_inventory: Path, tmp_path: Path) -> None:
    made(order_of(own_inventory, Generation.G4, 3072, (EXTRA,)), tmp_path / "request")
    form = (tmp_path / "request" / FORM).read_text()
    for words in (
        "De domeinnamen kunnen na uitgifte niet meer worden gewijzigd.",
        "G4 Private TLS Generic Devices Organization Validated Server",
        "2.16.528.1.1003.1.2.44.15.35.11",
        f"het OIN <strong>{OIN}</strong>",
        HOST,
        EXTRA,
        "RSASSA-PSS met SHA-512",
        "serverAuth én clientAuth",
        "BEGIN CERTIFICATE REQUEST",
        "T. Tekenbevoegd",
    ):
        assert words in form
    made(order_of(own_inventory, Generation.G1, 3072), tmp_path / "g1")
    assert "2.16.528.1.1003.1.2.8.6" in (tmp_path / "g1" / FORM).read_text()


def test_form_of_a_vendor_speaks_of_an_hrn(own_inventory: Path, tmp_path: Path) -> None:
    vendor = own_inventory.parents[1] / "voorbeeldleverancier/preprod"
    made(order_of(vendor, Generation.G4, 3072), tmp_path / "request")
    form = (tmp_path / "request" / FORM).read_text()
    assert "het HRN <strong>00000003999999990000</strong>" in form
    assert "NTRNL-99999999" in form


def test_what_is_asked_for_must_be_filled_in(inventory: Path, own_inventory: Path) -> None:
    with pytest.raises(KitError, match="3072 is expected"):
        order_of(own_inventory, Generation.G4, 2048)
    with pytest.raises(KitError, match=r"an extra name is refused: '10\.1\.2\.3' is an address"):
        order_of(own_inventory, Generation.G4, 3072, ("10.1.2.3",))
    own = own_inventory / "group_vars/all/connection.yml"
    own.write_text(own.read_text().replace(f"connection_endpoint: https://{HOST}/ebms", "connection_endpoint: TODO"))
    with pytest.raises(InventoryError, match="connection_endpoint: is still to be filled in"):
        order_of(own_inventory, Generation.G4, 3072)


def test_blanks_elsewhere_do_not_matter(own_inventory: Path, tmp_path: Path) -> None:
    own = own_inventory / "group_vars/all/connection.yml"
    own.write_text(own.read_text().replace("connection_cpa:", "connection_cpa: TODO\nnot_cpa:"))
    assert order_of(own_inventory, Generation.G4, 3072).names == (HOST,)


def test_example_orders_nothing(inventory: Path) -> None:
    with pytest.raises(KitError, match="is an example"):
        order_of(inventory, Generation.G4, 3072)
