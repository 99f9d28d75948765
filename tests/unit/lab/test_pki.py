"""The lab's certificates have PKIoverheid's shape, as OpenSSL judges them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aansluitkit.certificates.pkioverheid import Generation
from aansluitkit.connection import load_connection
from aansluitkit.lab.pki import (
    ENDPOINT,
    EXPIRED,
    FOREIGN,
    PARTNER,
    TRIAL_POLICY,
    WRONG_OIN,
    adopt_renewals,
    make_pki,
    order_renewals,
)

LAB = Path(__file__).parents[3] / "inventories/lab"


@pytest.fixture(params=list(Generation))
def pki(request: pytest.FixtureRequest) -> tuple[Generation, Path]:
    return request.param, request.getfixturevalue(f"pki_{request.param}")


def openssl_verify(chain: Path, trust: Path) -> subprocess.CompletedProcess[str]:
    command = ["openssl", "verify", "-purpose", "sslclient", "-CAfile", trust, "-untrusted", chain, chain]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_chain_has_four_layers_of_the_generation(pki: tuple[Generation, Path]) -> None:
    generation, folder = pki
    delivered = x509.load_pem_x509_certificates((folder / ENDPOINT / "certificate.pem").read_bytes())
    roots = x509.load_pem_x509_certificates((folder / ENDPOINT / "trust.pem").read_bytes())
    assert len(delivered) + len(roots) == 4
    expected = padding.PSS if generation is Generation.G4 else padding.PKCS1v15
    for certificate in (*delivered, *roots):
        assert isinstance(certificate.signature_algorithm_parameters, expected)
    sizes = [key.key_size for key in (each.public_key() for each in delivered) if isinstance(key, rsa.RSAPublicKey)]
    assert sizes == [3072, 4096, 4096]


def test_leaf_names_party_and_purposes(pki: tuple[Generation, Path]) -> None:
    leaf = x509.load_pem_x509_certificate((pki[1] / PARTNER / "certificate.pem").read_bytes())
    assert leaf.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)[0].value == "00000099000000002000"
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    policies = leaf.extensions.get_extension_for_class(x509.CertificatePolicies).value
    assert [policy.policy_identifier.dotted_string for policy in policies] == [TRIAL_POLICY]


@pytest.mark.parametrize(
    ("party", "accepted"), [(ENDPOINT, True), (PARTNER, True), (WRONG_OIN, True), (FOREIGN, False), (EXPIRED, False)]
)
def test_openssl_accepts_own_authority_alone(pki: tuple[Generation, Path], party: str, accepted: bool) -> None:
    result = openssl_verify(pki[1] / party / "certificate.pem", pki[1] / ENDPOINT / "trust.pem")
    assert (result.returncode == 0) is accepted, result.stderr


def test_second_run_keeps_and_generation_change_remakes(tmp_path: Path) -> None:
    connection, folder = load_connection(LAB), tmp_path / "pki"
    make_pki(connection, Generation.G1, folder, lambda _: None)
    first = (folder / ENDPOINT / "key.pem").read_bytes()
    make_pki(connection, Generation.G1, folder, lambda _: None)
    assert (folder / ENDPOINT / "key.pem").read_bytes() == first
    make_pki(connection, Generation.G4, folder, lambda _: None)
    assert (folder / ENDPOINT / "key.pem").read_bytes() != first
    assert [path.name for path in tmp_path.iterdir()] == ["pki"]


def test_keys_are_private(pki: tuple[Generation, Path]) -> None:
    assert {path.stat().st_mode & 0o077 for path in pki[1].rglob("*.pem")} == {0}


def test_renewal_changes_the_generation_and_back(tmp_path: Path) -> None:
    """What must be refused is of the generation in force too, so that it is refused for its own reason."""
    connection, folder = load_connection(LAB), tmp_path / "pki"
    make_pki(connection, Generation.G4, folder, lambda _: None)
    for generation in (Generation.G1, Generation.G4):
        order_renewals(connection, generation, folder)
        adopt_renewals(connection, generation, folder)
        for name in (ENDPOINT, PARTNER, WRONG_OIN, EXPIRED):
            leaf = x509.load_pem_x509_certificate((folder / name / "certificate.pem").read_bytes())
            pss = isinstance(leaf.signature_algorithm_parameters, padding.PSS)
            assert pss is (generation is Generation.G4)
