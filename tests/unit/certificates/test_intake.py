"""Everything that can be wrong with a certificate is one sentence, and what is right has none."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs7,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from aansluitkit.certificates import facts
from aansluitkit.certificates.demands import Party, demands_of
from aansluitkit.certificates.intake import Examined, examine_contents
from aansluitkit.certificates.pkioverheid import Generation
from aansluitkit.certificates.reading import Key, no_passphrase, read_content, read_file, read_key
from aansluitkit.certificates.revocation import Standing, fetcher, offline
from aansluitkit.cli import app
from aansluitkit.errors import KitError

from .makers import HOST, NAME, OIN, PARTNER_HOST, PARTNER_OIN, Authority, CrlServer, Made, Wish

SECRET = b"geheim van de leverancier"


def examined(inventory: Path | None, *files: Path, key: Key | None = None) -> Examined:
    """The one leaf in ``files``."""
    demands = demands_of(inventory) if inventory else None
    found = examine_contents(
        [read_file(file, lambda _: SECRET) for file in files], offline, demands, [key] if key else []
    )
    assert len(found) == 1
    return found[0]


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "geleverd.pem"


def test_what_is_right_is_not_refused(authority: Authority, inventory: Path, file: Path) -> None:
    made = authority.leaf()
    written(file, made.pem + authority.intermediates)
    public = made.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    found = examined(inventory, file, key=Key(public, "'key.pem'"))
    assert not found.problems
    assert not found.warnings
    assert found.party is Party.ORGANISATION
    assert [facts.subject(one) for one in (found.chain.leaf, *found.chain.issuers)] == [
        HOST,
        "Voorbeeld G4 TSP",
        "Voorbeeld G4 Domein",
        "Voorbeeld G4 Root",
    ]
    kind = facts.certificate_type(found.chain.leaf)
    assert kind
    assert (kind.generation, kind.server, kind.trial) == (Generation.G4, True, False)
    assert facts.signature_description(found.chain.leaf) == "RSASSA-PSS with SHA-512"


def test_partner_is_known_by_its_number(authority: Authority, inventory: Path, file: Path) -> None:
    wish = Wish(number=PARTNER_OIN, names=(PARTNER_HOST,), organisation="Logius")
    written(file, authority.leaf(wish).pem + authority.intermediates)
    found = examined(inventory, file)
    assert (found.party, found.problems) == (Party.PARTNER, ())
    written(file, authority.leaf(replace(wish, names=("ebms.elders.example",))).pem + authority.intermediates)
    assert "of connection_partner.endpoint" in examined(inventory, file).problems[0]


def test_partner_behind_another_party(authority: Authority, inventory: Path, file: Path) -> None:
    wish = Wish(number="00000004999999009000", names=(PARTNER_HOST,), organisation="Logius")
    written(file, authority.leaf(wish).pem + authority.intermediates)
    assert command(file, "--inventory", inventory)[0] == 1
    status, output = command(file, "--inventory", inventory, "--partner")
    assert (status, "another party ends TLS for it" in output) == (0, True)


def test_trusted_by_itself(authority: Authority, inventory: Path, file: Path) -> None:
    """The Compliancevoorziening may show a self-signed certificate: it is trusted when it is listed as a root."""
    made = authority.self_signed(Wish(number=PARTNER_OIN, names=(PARTNER_HOST,)))
    shared, digest = inventory.parents[1] / "shared", facts.fingerprint(made.certificate)
    written(shared / "pkioverheid/cv.pem", made.pem)
    listed = f'  roots:\n    cv: {{name: CV, sha256: "{digest}"}}\n'
    (shared / "all.yml").write_text((shared / "all.yml").read_text().replace("  roots:\n", listed))
    with (inventory / "group_vars/all/connection.yml").open("a") as own:
        own.write("connection_test_certificates_allowed: {reason: the partner asked for it by letter}\n")
    found = examined(inventory, written(file, made.pem))
    assert (found.problems, found.chain.issuers) == ((), ())


REFUSED = [
    (Wish(begins=-500, ends=-20), "valid from", "it has expired: order a new one"),
    (Wish(begins=20), "valid from", "it is not yet valid: wait until then"),
    (Wish(names=("ebms.elders.example",)), "is for ebms.elders.example, not for", "of connection_endpoint"),
    (Wish(names=("*.preprod.voorbeeldgemeente.example",)), "is for *.preprod", "order anew"),
    (Wish(number="00000001999992000000"), "serialNumber '00000001999992000000', not", "order it again"),
    (Wish(number=None), "serialNumber 'none'", f"not '{OIN}' of connection_organisation.oin"),
    (Wish(bits=1024), "RSA 1024 bits, which is insufficient", "order anew"),
    (Wish(hash=hashes.SHA224()), "RSASSA-PSS with SHA-224", "expected is one of sha256"),
    (Wish(usages=(ExtendedKeyUsageOID.SERVER_AUTH,)), "is not for clientAuth", "order a certificate with both"),
    (Wish(digital_signature=False), "no key usage digitalSignature", "order a certificate for servers"),
    (Wish(policy="2.16.528.1.1003.1.2.41.15.35.11"), "of PKIoverheid TRIAL", "which preprod refuses"),
    (Wish(policy="2.16.528.1.1003.1.2.44.16.25.8"), "Legal Persons Authentication", "order one of these"),
    (Wish(policy=None), "another type (policy none)", "2.16.528.1.1003.1.2.8.6"),
    (Wish(authority=True), "is an authority's certificate", "give the one it issued to you"),
]


@pytest.mark.parametrize(("wish", "found", "advice"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_is_wrong_is_one_sentence(
    authority: Authority, inventory: Path, file: Path, wish: Wish, found: str, advice: str
) -> None:
    written(file, authority.leaf(wish).pem + authority.intermediates)
    (problem,) = examined(inventory, file).problems
    assert problem.startswith(f"'{file}' ")
    assert found in problem
    assert advice in problem


def test_test_certificates_where_the_partner_asked_for_them(authority: Authority, inventory: Path, file: Path) -> None:
    wish = Wish(policy="2.16.528.1.1003.1.2.41.15.35.11")
    written(file, authority.leaf(wish).pem + authority.intermediates)
    with (inventory / "group_vars/all/connection.yml").open("a") as own:
        own.write("connection_test_certificates_allowed: {reason: the partner asked for it by letter}\n")
    assert not examined(inventory, file).problems


def test_key_of_another(authority: Authority, stranger: Authority, inventory: Path, file: Path, tmp_path: Path) -> None:
    written(file, authority.leaf().pem + authority.intermediates)
    other = written(tmp_path / "key.pem", stranger.leaf().key_pem)
    (problem,) = examined(inventory, file, key=read_key(other)).problems
    assert problem.startswith(f"'{file}' does not belong to '{other}'")
    written(file, authority.leaf().pem + authority.intermediates + stranger.leaf().key_pem)
    (problem,) = examined(inventory, file).problems
    assert f"does not belong to the key in '{file}'" in problem


def test_name_that_was_ordered_and_not_delivered(
    authority: Authority, inventory: Path, file: Path, tmp_path: Path
) -> None:
    written(file, authority.leaf().pem + authority.intermediates)
    names = x509.SubjectAlternativeName([x509.DNSName(HOST), x509.DNSName("ebms2.elders.example")])
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(names, critical=False)
    made = builder.sign(authority.key(3072), hashes.SHA256())
    request = read_key(written(tmp_path / "request.csr", made.public_bytes(Encoding.PEM)))
    (problem,) = examined(inventory, file, key=request).problems
    assert f"lacks ebms2.elders.example, which '{tmp_path}/request.csr' asks for" in problem


ALONE = [
    (Wish(number=None), "serialNumber 'none', which is no OIN or HRN"),
    (Wish(number="NL123456789B01"), "serialNumber 'NL123456789B01', which is no OIN or HRN"),
    (Wish(names=("*.voorbeeldgemeente.example",)), "is for *.voorbeeldgemeente.example, a wildcard"),
    (Wish(bits=1024), "RSA 1024 bits, which is insufficient"),
]


@pytest.mark.parametrize(("wish", "words"), ALONE, ids=[row[1] for row in ALONE])
def test_what_is_wrong_without_an_inventory(authority: Authority, file: Path, wish: Wish, words: str) -> None:
    found = examined(None, written(file, authority.leaf(wish).pem + authority.intermediates))
    assert [words in problem for problem in found.problems] == [True]
    assert found.warnings == ()


def test_authority_alone_is_one_sentence(authority: Authority, inventory: Path, file: Path) -> None:
    for made in (authority.root, authority.tsp):
        for where in (inventory, None):
            (problem,) = examined(where, written(file, made.pem)).problems
            assert "is an authority's certificate" in problem


def test_key_that_signs_nothing(inventory: Path, file: Path) -> None:
    """An elliptic curve is strong, and no adapter signs or decrypts with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, OIN)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(300))
    names = x509.SubjectAlternativeName([x509.DNSName(HOST)])
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    found = examined(inventory, written(file, made.public_bytes(Encoding.PEM)))
    assert any("EC secp256r1; adapters sign and decrypt with RSA" in problem for problem in found.problems)


def test_pkcs7_of_other_tools(authority: Authority, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Certificates in the order in which they were given, which DER does not allow; and nothing is muttered."""
    leaf = written(tmp_path / "leaf.pem", authority.leaf().pem)
    others = written(tmp_path / "others.pem", authority.root.pem + authority.intermediates)
    for form in ("PEM", "DER"):
        store = tmp_path / f"chain.{form}"
        words = [
            "openssl",
            "crl2pkcs7",
            "-nocrl",
            "-certfile",
            others,
            "-certfile",
            leaf,
            "-outform",
            form,
            "-out",
            store,
        ]
        subprocess.run(words, check=True)
        assert len(read_file(store).certificates) == 4
    assert not recwarn.list


def test_self_signed(authority: Authority, inventory: Path, file: Path) -> None:
    written(file, authority.self_signed().pem)
    for where in (inventory, None):
        problems = examined(where, file).problems
        assert [problem for problem in problems if "is self-signed, so nobody stands behind it" in problem]


def test_chain_is_completed_or_told_to_be_incomplete(authority: Authority, inventory: Path, file: Path) -> None:
    written(file, authority.leaf().pem)
    found = examined(inventory, file)
    assert not found.problems
    assert "lacks 'Voorbeeld G4 TSP', 'Voorbeeld G4 Domein'" in found.notes[0]
    (inventory.parents[1] / "shared/pkioverheid/intermediates.pem").unlink()
    (problem,) = examined(inventory, file).problems
    assert "has an incomplete chain: 'Voorbeeld G4 TSP', which issued" in problem


def test_root_that_is_not_listed(stranger: Authority, inventory: Path, file: Path) -> None:
    written(file, stranger.leaf().pem + stranger.intermediates + stranger.root.pem)
    (problem,) = examined(inventory, file).problems
    words = f"ends in root 'Vreemd G4 Root' (SHA-256 {facts.fingerprint(stranger.root.certificate)})"
    assert words in problem
    written(file, stranger.leaf().pem + stranger.intermediates)
    (problem,) = examined(inventory, file).problems
    assert "'Vreemd G4 Root', which issued 'Vreemd G4 Domein', was not delivered" in problem
    assert "roots ('Voorbeeld G4 Root') none issued it" in problem
    written(inventory.parents[1] / "shared/pkioverheid/old.pem", stranger.root.pem)  # it lies there, and is not listed
    (problem,) = examined(inventory, file).problems
    assert words in problem


def test_root_that_is_another_than_configured(
    authority: Authority, stranger: Authority, inventory: Path, file: Path
) -> None:
    root = inventory.parents[1] / "shared/pkioverheid/root.pem"
    written(file, authority.leaf().pem + authority.intermediates)
    written(root, Authority("Voorbeeld G4").root.pem)
    found = examined(inventory, file)
    assert "has an incomplete chain" in found.problems[0]
    assert "trust neither until they agree" in found.warnings[0]
    written(root, stranger.root.pem)
    assert (
        "does not hold root 'Voorbeeld G4 Root' of connection_trust.roots.g4" in examined(inventory, file).warnings[0]
    )


def test_two_generations_side_by_side(authority: Authority, stranger: Authority, inventory: Path, file: Path) -> None:
    shared = inventory.parents[1] / "shared"
    written(shared / "pkioverheid/g1.crt", stranger.root.der)
    text, digest = (shared / "all.yml").read_text(), facts.fingerprint(stranger.root.certificate)
    spaced = ":".join(digest[place : place + 2] for place in range(0, 64, 2)).upper()
    (shared / "all.yml").write_text(
        text.replace("  roots:\n", f'  roots:\n    g1: {{name: Vreemd G4 Root, sha256: "{spaced}"}}\n')
    )
    for issuer in (authority, stranger):
        written(file, issuer.leaf().pem + issuer.intermediates)
        assert not examined(inventory, file).problems


def test_renewal_with_the_old_key(authority: Authority, inventory: Path, file: Path) -> None:
    folder = inventory.parent / "files/preprod/certificates"
    folder.mkdir(parents=True)
    written(folder / "organisation.pem", authority.leaf(Wish(ends=900)).pem)
    written(file, authority.leaf().pem + authority.intermediates)
    assert "a renewal has a key of its own" in examined(inventory, file).warnings[0]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish(bits=2048), "below 3072 is being phased out"),
        (
            Wish(organisation="Gemeente Elders"),
            f"names organisation 'Gemeente Elders', connection_organisation.name '{NAME}'",
        ),
        (Wish(ends=30), "ends in 29 days"),
    ],
)
def test_what_is_to_be_looked_at(authority: Authority, inventory: Path, file: Path, wish: Wish, words: str) -> None:
    written(file, authority.leaf(wish).pem + authority.intermediates)
    found = examined(inventory, file)
    assert not found.problems
    assert any(words in warning for warning in found.warnings), found.warnings


def p12(made: Made, authority: Authority, secret: bytes | None) -> bytes:
    chain = [authority.domain.certificate, authority.tsp.certificate]
    encryption = BestAvailableEncryption(secret) if secret else None
    return pkcs12.serialize_key_and_certificates(b"x", made.key, made.certificate, chain, encryption or NoEncryption())


FORMS: dict[str, Callable[[Made, Authority], bytes]] = {
    "pem": lambda made, authority: made.pem + authority.intermediates,
    "pem-root-first": lambda made, authority: authority.root.pem + authority.domain.pem + authority.tsp.pem + made.pem,
    "pem-windows": lambda made, authority: (
        (made.pem + authority.intermediates).decode().replace("\n", "\r\n").encode("utf-16")
    ),
    "pem-with-text": lambda made, authority: (
        b"Bag Attributes\n    friendlyName: x\n" + made.pem + b"\nsubject=\n" + authority.intermediates
    ),
    "pem-twice": lambda made, authority: made.pem * 2 + authority.intermediates,
    "der": lambda made, authority: made.der,
    "base64-without-lines": lambda made, authority: base64.encodebytes(made.der),
    "pkcs7-der": lambda made, authority: p7(made, authority, Encoding.DER),
    "pkcs7-pem": lambda made, authority: p7(made, authority, Encoding.PEM),
    "pkcs12": lambda made, authority: p12(made, authority, SECRET),
    "pkcs12-without-passphrase": lambda made, authority: p12(made, authority, None),
}


def p7(made: Made, authority: Authority, encoding: Encoding) -> bytes:
    chain = [authority.domain.certificate, made.certificate, authority.tsp.certificate]
    return pkcs7.serialize_certificates(chain, encoding)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(authority: Authority, inventory: Path, file: Path, form: str) -> None:
    made = authority.leaf()
    found = examined(inventory, written(file, FORMS[form](made, authority)))
    assert not found.problems
    assert found.chain.leaf == made.certificate
    assert len(found.chain.issuers) == 3


@pytest.mark.parametrize(
    "algorithms",
    [
        ("-certpbe", "PBE-SHA1-RC2-40", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1", "-legacy"),
        ("-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1"),
    ],
    ids=["rc2-40", "3des"],
)
def test_pkcs12_of_old_tools(
    authority: Authority, inventory: Path, tmp_path: Path, algorithms: tuple[str, ...]
) -> None:
    made = authority.leaf()
    source = written(tmp_path / "source.pem", made.pem + made.key_pem)
    file = tmp_path / "oud.pfx"
    secret = ("-passout", f"pass:{SECRET.decode()}")
    command = ("openssl", "pkcs12", "-export", *algorithms, *secret, "-in", source, "-out", file)
    subprocess.run(command, check=True, capture_output=True)
    assert not examined(inventory, file).problems


def test_chain_over_several_files(authority: Authority, inventory: Path, tmp_path: Path) -> None:
    files = [
        written(tmp_path / "1.cer", authority.domain.der),
        written(tmp_path / "2.cer", authority.tsp.der),
        written(tmp_path / "3.cer", authority.leaf().der),
    ]
    found = examined(inventory, *files)
    assert (found.file, found.problems, found.chain.added) == (files[2], (), ())


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "empty": (b"\n", "is empty"),
    "text": (b"Geachte heer, bijgaand uw certificaat", "holds no certificate, key or request that can be read"),
    "binary": (b"\x30\x82\x01\x00" + bytes(256), "holds no certificate, key or request that can be read"),
    "cut": (
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "holds a CERTIFICATE that can't be read",
    ),
    "not base64": (
        b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        "holds a CERTIFICATE that can't be",
    ),
    "no end": (b"-----BEGIN CERTIFICATE-----\nMIIB\n", "breaks off: a BEGIN line in it has no END line"),
    "half": (b"\x30\x82\x05\xd8" + bytes(100), "breaks off: it has 104 of 1500 bytes"),
    "vault": (b"$ANSIBLE_VAULT;1.1;AES256\n6162\n", "encrypted with Ansible Vault"),
    "ssh": (
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n",
        "holds a key of SSH: give the one of the request",
    ),
    "java": (b"\xfe\xed\xfe\xed\x00\x00\x00\x02", "is a Java keystore: convert it with keytool"),
    "large": (bytes(1024 * 1024 + 1), "has more than"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_file(file: Path, name: str) -> None:
    content, words = UNREADABLE[name]
    with pytest.raises(KitError) as refused:
        read_file(written(file, content))
    assert str(refused.value).startswith(f"{file} ")
    assert words in str(refused.value)


WRITTEN = [name for name in FORMS if "12" not in name] + ["key", "text"]
PLACES = st.integers(0, 1 << 16)


@given(
    form=st.sampled_from(WRITTEN),
    bent=st.lists(st.tuples(PLACES, st.integers(0, 255)), max_size=4),
    end=st.none() | PLACES,
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_a_file_is_a_sentence(
    authority: Authority, form: str, bent: list[tuple[int, int]], end: int | None
) -> None:
    """What was bent or cut on its way is read, or refused with its name."""
    made = authority.leaf()
    others = {"key": made.key_pem, "text": b"0" * 40}
    content = bytearray(others[form] if form in others else FORMS[form](made, authority))
    for place, value in bent:
        content[place % len(content)] = value
    cut = len(content) if end is None else end % len(content) + 1
    try:
        found = read_content(Path("x.pem"), bytes(content[:cut]), no_passphrase)
        examine_contents([found], offline)
    except KitError as error:
        assert str(error).startswith("x.pem ")


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="can't be read: No such file or directory"):
        read_file(tmp_path / "weg.pem")


def test_passphrases(authority: Authority, tmp_path: Path) -> None:
    made = authority.leaf()
    store = written(tmp_path / "x.p12", p12(made, authority, SECRET))
    with pytest.raises(KitError, match=r"x\.p12 does not open with the passphrase given, or is damaged"):
        read_file(store, lambda _: b"fout")
    with pytest.raises(KitError, match=r"x\.p12 needs a passphrase, and none was given"):
        read_file(store, no_passphrase)
    encrypted = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET))
    key = written(tmp_path / "key.pem", encrypted)
    with pytest.raises(KitError, match=r"key\.pem does not open with the passphrase given"):
        read_key(key, lambda _: b"fout")
    with pytest.raises(KitError, match="holds a key with a passphrase, and none was given"):
        read_key(key, no_passphrase)
    assert read_key(key, lambda _: SECRET).public == facts.public_key(made.certificate)
    with pytest.raises(KitError, match="holds no key"):
        read_key(written(tmp_path / "certificate.pem", made.pem))


def examined_online(inventory: Path, file: Path) -> Examined:
    (found,) = examine_contents([read_file(file)], fetcher(), demands_of(inventory))
    return found


def test_revoked(authority: Authority, inventory: Path, file: Path, crl_server: CrlServer) -> None:
    made = authority.leaf(Wish(crl=f"{crl_server.url}/tsp.crl"))
    written(file, made.pem + authority.intermediates)
    crl_server.files["/tsp.crl"] = authority.crl()
    good = examined_online(inventory, file)
    assert (good.problems, good.revocations[0].standing) == ((), Standing.GOOD)
    crl_server.files["/tsp.crl"] = authority.crl(made)
    (problem,) = examined_online(inventory, file).problems
    assert f"'{HOST}' was revoked on " in problem
    assert "order a new one with a new key" in problem


UNUSABLE = {
    "404": (None, "can't be fetched from here"),
    "no crl": (b"<html>", "gives no CRL"),
    "expired": (-1, "was valid until"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_crl_that_tells_nothing(
    authority: Authority, inventory: Path, file: Path, crl_server: CrlServer, name: str
) -> None:
    content, words = UNUSABLE[name]
    served = authority.crl(ends=content) if isinstance(content, int) else content
    if served is not None:
        crl_server.files["/tsp.crl"] = served
    written(file, authority.leaf(Wish(crl=f"{crl_server.url}/tsp.crl")).pem + authority.intermediates)
    found = examined_online(inventory, file)
    assert not found.problems
    assert found.revocations[0].standing is Standing.NOT_CHECKED
    assert "was not checked for revocation, because" in found.notes[0] + found.notes[1]
    assert words in found.revocations[0].reason


def test_crl_of_another_authority(
    authority: Authority, stranger: Authority, inventory: Path, file: Path, crl_server: CrlServer
) -> None:
    made = authority.leaf(Wish(crl=f"{crl_server.url}/tsp.crl"))
    written(file, made.pem + authority.intermediates)
    crl_server.files["/tsp.crl"] = stranger.crl(made)
    found = examined_online(inventory, file)
    assert not found.problems
    assert "gives the CRL of 'Vreemd G4 TSP', not of 'Voorbeeld G4 TSP'" in found.revocations[0].reason


def test_nothing_but_http_is_fetched(authority: Authority, inventory: Path, file: Path) -> None:
    written(file, authority.leaf(Wish(crl="file:///etc/passwd")).pem + authority.intermediates)
    assert "is not fetched: only http is" in examined_online(inventory, file).revocations[0].reason


def command(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["certificate", *map(str, arguments), "--offline"], env={"COLUMNS": "200"})
    return done.exit_code, done.stdout


def test_command_tells_everything(authority: Authority, inventory: Path, file: Path, tmp_path: Path) -> None:
    made = authority.leaf()
    written(file, made.pem + authority.intermediates)
    key = written(tmp_path / "key.pem", made.key_pem)
    status, output = command(file, "--inventory", inventory, "--key", key)
    assert (status, "nothing is wrong" in output) == (0, True)
    unlisted = command(file, "--key", key)[1]
    assert "nothing wrong was found; whether its root is trusted was not checked" in unlisted
    for words in (
        f"{OIN} (OIN or HRN, RSIN)",
        HOST,
        "days left",
        facts.fingerprint(made.certificate),
        "(trusted root)",
    ):
        assert words in output
    written(file, authority.leaf(Wish(begins=-500, ends=-20)).pem)
    status, output = command(file, tmp_path / "weg.pem", "--inventory", inventory, "--json", "-")
    told = json.loads(output)
    assert status == 1
    assert "it has expired" in told["certificates"][0]["problems"][0]
    assert told["certificates"][0]["days_left"] < 0
    assert "weg.pem can't be read" in told["unreadable"][0]


def test_passphrase_comes_from_a_file(authority: Authority, tmp_path: Path) -> None:
    store = written(tmp_path / "x.p12", p12(authority.leaf(), authority, SECRET))
    status, output = command(store)
    assert status == 1
    assert "needs a passphrase, and none was given" in output
    secret = written(tmp_path / "secret", SECRET + b"\n")
    status, output = command(store, "--passphrase-file", secret)
    assert status == 0
    assert SECRET.decode() not in output


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_passphrase_in_any_encoding(authority: Authority, tmp_path: Path, encoding: str) -> None:
    """Of a PKCS#12 of today, and of one of OpenSSL before 1.1, which took each byte of UTF-8 for a character."""
    for passphrase in ("gehéim", "gehéim".encode().decode("latin-1")):
        store = written(tmp_path / "x.p12", p12(authority.leaf(), authority, passphrase.encode()))
        secret = written(tmp_path / "secret", "gehéim\r\n".encode(encoding))
        status, output = command(store, "--passphrase-file", secret)
        assert status == 0, output


def test_request_is_no_certificate(authority: Authority, tmp_path: Path) -> None:
    name = x509.Name([])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(authority.key(3072), hashes.SHA256())
    request = written(tmp_path / "request.csr", made.public_bytes(Encoding.PEM))
    status, output = command(request)
    assert status == 1
    assert "holds a request and no certificate: name it with --key" in output
    assert read_key(request).public == facts.public_key(authority.leaf().certificate)
