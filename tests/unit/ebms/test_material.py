"""Certificates with one purpose each: for TLS, for signing, for encryption."""

from __future__ import annotations

import base64
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from aansluitkit.certificates.facts import read_leaf
from aansluitkit.certificates.pkioverheid import Generation
from aansluitkit.connection import Connection, Profile
from aansluitkit.documents import render_cpa
from aansluitkit.ebms.cpa import Terms, read_cpa
from aansluitkit.ebms.material import load_material
from aansluitkit.ebms.message import compose, read_message
from aansluitkit.ebms.mime import Payload
from aansluitkit.ebms.security import Security
from aansluitkit.ebms.settings import Settings
from aansluitkit.ebms.xml import parse, required
from aansluitkit.errors import KitError
from aansluitkit.lab.pki import ENDPOINT, PARTNER, make_pki

from ..conftest import agreed
from .conftest import settings

USES = ("signing", "encryption")
PAYLOADS = [Payload("deel", "text/xml", b"<zaak/>")]


@pytest.fixture(scope="module")
def apart(lab_connection: Connection, tmp_path_factory: pytest.TempPathFactory) -> Connection:
    """The lab's connection with three certificates on either side, in the profile that uses them all."""
    folder = tmp_path_factory.mktemp("apart") / "pki"
    files = {
        f"{party.removeprefix('party-')}{suffix}": folder / party / f"{prefix}certificate.pem"
        for party in (ENDPOINT, PARTNER)
        for suffix, prefix in (("", ""), *((f"_{use}", f"{use}-") for use in USES))
    }
    connection = agreed(lab_connection, Profile.RELIABLE_ENCRYPTED)
    connection = connection.model_copy(update={"certificates": connection.certificates.model_copy(update=files)})
    make_pki(connection, Generation.G1, folder, lambda _: None)
    return connection


def of_party(connection: Connection, folder: Path, party: str, host: str) -> Settings:
    pki = connection.certificates.partner.parents[1]
    found = settings(folder, pki, party, host, "sqlite://")
    pairs = {
        use: {"certificate_file": pki / party / f"{use}-certificate.pem", "key_file": pki / party / f"{use}-key.pem"}
        for use in USES
    }
    return Settings.model_validate({**found.model_dump(), "ebms": {**found.ebms.model_dump(), **pairs}})


def of(cpa: bytes) -> Terms:
    return read_cpa(cpa).terms[0]


def test_each_is_used_for_its_purpose(apart: Connection, tmp_path: Path) -> None:
    """A message is signed with ours for signing, read with theirs for encryption, and TLS shows neither."""
    terms = of(render_cpa(apart).encode())
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
    own = load_material(of_party(apart, tmp_path / "own", ENDPOINT, "adapter-1"))
    other = load_material(of_party(apart, tmp_path / "other", PARTNER, "mijnoverheid"))
    assert own.keys.signer.certificate == read_leaf(apart.certificates.of("organisation", "signing")).public_bytes(
        Encoding.DER
    )
    assert other.keys.key.public_key() == read_leaf(apart.certificates.of("partner", "encryption")).public_key()
    wire = Security(own.keys).seal(compose(terms, PAYLOADS, "test"), terms.channel)
    (payload,) = Security(other.keys).open(read_message(wire.content_type, wire.body), wire.envelope, terms.channel)
    assert payload.content == PAYLOADS[0].content
    assert len(own.certificates) == 3


def test_other_key_is_told(apart: Connection, tmp_path: Path) -> None:
    given = of_party(apart, tmp_path, ENDPOINT, "adapter-1")
    for use in USES:
        pair = getattr(given.ebms, use).model_copy(update={"key_file": given.ebms.key_file})
        wrong = given.model_copy(update={"ebms": given.ebms.model_copy(update={use: pair})})
        with pytest.raises(KitError, match=f"is not the RSA key of .*{use}-certificate.pem"):
            load_material(wrong)


def test_cpa_says_which_certificate_signs(apart: Connection, tmp_path: Path) -> None:
    """During a renewal two CPAs count: under each what it names signs; what it names no more, by the one in force."""
    terms = of(render_cpa(apart).encode())
    given = of_party(apart, tmp_path, ENDPOINT, "adapter-1")
    beside = tmp_path / "next"
    beside.mkdir()
    for part in ("certificate", "key"):
        shutil.copy(given.ebms.certificate_file.with_name(f"{part}.pem"), beside / f"{part}.pem")
    pair = {"certificate_file": beside / "certificate.pem", "key_file": beside / "key.pem"}
    renewing = Settings.model_validate({**given.model_dump(), "ebms": {**given.ebms.model_dump(), "others": [pair]}})
    keys = load_material(renewing).keys
    assert terms.channel.signature
    for named, signer in (
        (keys.signer.certificate, keys.signer.certificate),
        (keys.others[0].certificate, keys.others[0].certificate),
        (b"of another time", keys.signer.certificate),
    ):
        channel = replace(terms.channel, signature=replace(terms.channel.signature, certificate=named))
        envelope = Security(keys).seal(compose(terms, PAYLOADS, "test"), channel).envelope
        assert _signed_by(envelope) == signer
    (beside / "key.pem").unlink()
    assert load_material(renewing).keys.others == ()


def _signed_by(envelope: bytes) -> bytes:
    """The first certificate that is sent along."""
    return base64.b64decode(required(parse(envelope), ".//ds:X509Certificate"))


def test_first_of_ours_to_expire_is_told(apart: Connection, tmp_path: Path) -> None:
    given = of_party(apart, tmp_path, ENDPOINT, "adapter-1")
    material = load_material(given)
    file, certificate = material.first_to_expire
    assert file in material.certificates
    assert (
        certificate.not_valid_after_utc
        == min(each.not_valid_after_utc for each in material.certificates.values())
        > datetime.now(UTC)
    )
