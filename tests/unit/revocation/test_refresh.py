"""CRLs are fetched over real HTTP, judged, and replaced or kept; each cause has its sentence."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from aansluitkit.errors import KitError
from aansluitkit.lab.pki import CRL_VALIDITY, Authority, Generation, Hierarchy, Leaf, Subject
from aansluitkit.revocation import read_crls
from aansluitkit.revocation.refresh import refresh

NOW = datetime.now(UTC)


@dataclass
class Place:
    """What the distribution points serve."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = served.files.get(self.path.lstrip("/"))
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its protocol's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Place(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Pki:
    """Root, domain and TSP, a leaf of the last, and another root of the same name as the first."""

    chain: list[Authority]
    leaf: Leaf
    forger: Authority


@pytest.fixture(scope="session", params=list(Generation))
def pki(request: pytest.FixtureRequest, place: Place) -> Pki:
    hierarchy = Hierarchy(request.param, NOW)
    chain = hierarchy.chain("proef", f"{place.url}/{request.param}")
    leaf = hierarchy.leaf(Subject("Proef", ("proef.test",), "00000099000000001000"), chain[-1])
    return Pki(chain, leaf, hierarchy.authority("TRIAL proef - TSP"))


@dataclass
class Host:
    """A host with the certificates, and distribution points with fresh CRLs."""

    place: Place
    pki: Pki
    generation: Generation
    folder: Path

    @property
    def crls(self) -> Path:
        return self.folder / "crls.pem"

    def publish(self, layer: int, content: bytes | None) -> None:
        name = (self.pki.chain[layer].crl_url or "").rpartition("/")[2]
        self.place.files.pop(name, None)
        if content is not None:
            self.place.files[name] = content

    def crl(self, layer: int, number: int = 5, age: timedelta = timedelta(0), *revoked: int) -> bytes:
        hierarchy = Hierarchy(self.generation, NOW - age)
        return hierarchy.crl(self.pki.chain[layer], list(revoked), number).public_bytes(Encoding.DER)

    def refresh(self) -> list[str]:
        return refresh([self.folder / "certificate.pem", self.folder / "trust.pem"], self.crls)


@pytest.fixture
def host(place: Place, pki: Pki, tmp_path: Path) -> Host:
    generation = Generation((pki.chain[0].crl_url or "").rpartition("/")[2][:2])
    made = Host(place, pki, generation, tmp_path)
    chain = [pki.leaf[0], *pki.chain[-1].intermediates]
    (tmp_path / "certificate.pem").write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in chain))
    (tmp_path / "trust.pem").write_bytes(pki.chain[0].certificate.public_bytes(Encoding.PEM))
    for layer in range(3):
        made.publish(layer, made.crl(layer))
    return made


def openssl(host: Host) -> str:
    """What OpenSSL says of the leaf with the CRLs of the host."""
    chain, trust = (host.folder / name for name in ("certificate.pem", "trust.pem"))
    command = ["openssl", "verify", "-crl_check_all", "-CRLfile", host.crls, "-CAfile", trust, "-untrusted", chain]
    done = subprocess.run([*command, chain], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_all_levels_are_fetched(host: Host) -> None:
    assert host.refresh() == []
    assert openssl(host).endswith("certificate.pem: OK\n")
    assert [crl.issuer for crl in read_crls(host.crls).crls] == [
        authority.certificate.subject for authority in reversed(host.pki.chain)
    ]
    assert host.crls.stat().st_mode & 0o777 == 0o644
    assert {path.name for path in host.folder.iterdir()} == {"certificate.pem", "trust.pem", "crls.pem"}


def test_same_crls_leave_the_file_alone(host: Host) -> None:
    host.refresh()
    before = host.crls.stat()
    assert host.refresh() == []
    assert (host.crls.stat().st_ino, host.crls.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("layer", [2, 1], ids=["leaf", "tsp"])
def test_revocation_is_known_at_every_level(host: Host, layer: int) -> None:
    host.refresh()
    authorities = [authority.certificate for authority in reversed(host.pki.chain)]
    chain = [host.pki.leaf[0], *authorities] if layer == 2 else authorities
    victim = chain[0]
    assert read_crls(host.crls).objection(chain) is None
    host.publish(layer, host.crl(layer, 6, timedelta(0), victim.serial_number))
    assert host.refresh() == []
    assert "certificate revoked" in openssl(host)
    assert "has revoked the certificate of" in (read_crls(host.crls).objection(chain) or "")


BAD = {
    "unreachable": (
        lambda _host: None,
        r"-tsp\.crl can't be fetched from here: Not Found; see connection_crl_addr",
    ),
    "page": (lambda _host: b"<html>log in</html>", "gives no CRL"),
    "expired": (lambda host: host.crl(2, 6, CRL_VALIDITY * 2), "was valid until .* publishes no new one"),
    "not yet": (lambda host: host.crl(2, 6, -timedelta(days=1)), "see the clock of this host"),
    "older": (lambda host: host.crl(2, 4), "gives CRL 4 of .* older than 5 of"),
    "other": (lambda host: host.crl(1, 6), "gives the CRL of 'TRIAL proef - Domein', not of 'TRIAL proef - TSP'"),
    "forged": (
        lambda host: Hierarchy(host.generation, NOW).crl(host.pki.forger, [], 6).public_bytes(Encoding.DER),
        "that 'TRIAL proef - TSP' did not sign",
    ),
    "damaged": (lambda host: host.crl(2, 6)[:-3] + b"xyz", "that 'TRIAL proef - TSP' did not sign"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_crl_leaves_the_old_one(host: Host, name: str) -> None:
    """The others are renewed all the same."""
    host.refresh()
    make, sentence = BAD[name]
    host.publish(2, make(host))
    host.publish(1, host.crl(1, 7))
    problems = host.refresh()
    assert len(problems) == 1
    assert re.search(sentence, problems[0]), problems[0]
    assert openssl(host).endswith("certificate.pem: OK\n")
    numbers = [
        crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for crl in read_crls(host.crls).crls
    ]
    assert sorted(numbers) == [5, 5, 7]


@pytest.mark.parametrize("extension", [x509.DeltaCRLIndicator(1), "indirect"])
def test_partial_crl_is_refused(host: Host, extension: x509.ExtensionType | str) -> None:
    authority = host.pki.chain[2]
    value = (
        x509.IssuingDistributionPoint(None, None, False, False, None, True, False)
        if isinstance(extension, str)
        else extension
    )
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.certificate.subject)
    builder = builder.last_update(NOW - timedelta(hours=1)).next_update(NOW + timedelta(hours=1))
    hierarchy = Hierarchy(host.generation, NOW)
    crl = builder.add_extension(value, critical=True).sign(
        authority.key, hierarchy.generation.hash, rsa_padding=hierarchy.generation.padding
    )
    host.publish(2, crl.public_bytes(Encoding.DER))
    problems = host.refresh()
    assert "which is not for this use" in problems[0]


def test_expired_crl_is_told_as_just_that(host: Host) -> None:
    old = [host.crl(layer, 4, CRL_VALIDITY * 2) for layer in range(3)]
    host.crls.write_bytes(b"".join(x509.load_der_x509_crl(crl).public_bytes(Encoding.PEM) for crl in old))
    host.publish(2, None)
    problems = host.refresh()
    assert len(problems) == 2
    assert "can't be fetched" in problems[0]
    assert problems[1].startswith("the CRL of 'TRIAL proef - TSP' has expired on ")
    assert "CRL has expired" in openssl(host)
    assert "has expired on" in (read_crls(host.crls).objection([host.pki.leaf[0]]) or "")


def test_pem_is_taken_as_well(host: Host) -> None:
    for layer in range(3):
        host.publish(layer, x509.load_der_x509_crl(host.crl(layer)).public_bytes(Encoding.PEM))
    assert host.refresh() == []
    assert openssl(host).endswith("certificate.pem: OK\n")


def test_certificate_without_place_is_told(host: Host) -> None:
    hierarchy = Hierarchy(host.generation, NOW)
    silent = Authority(host.pki.chain[2].certificate, host.pki.chain[2].key, host.pki.chain[2].above)
    leaf, _ = hierarchy.leaf(Subject("Stil", ("stil.test",)), silent)
    (host.folder / "certificate.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    assert "names no CRL by HTTP" in host.refresh()[0]


def test_missing_chain_is_told(host: Host) -> None:
    (host.folder / "certificate.pem").write_bytes(host.pki.leaf[0].public_bytes(Encoding.PEM))
    (problem,) = host.refresh()
    assert "because its certificate is not here: add the chain" in problem
    assert read_crls(host.crls).objection([host.pki.leaf[0]]) == (
        "there is no CRL of 'TRIAL proef - TSP': its chain belongs in the file of the partner's certificate"
    )


def test_rubbish_is_refused_and_kept(host: Host) -> None:
    rubbish = b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"
    host.crls.write_bytes(rubbish)
    with pytest.raises(KitError, match="holds no readable CRLs"):
        host.refresh()
    assert host.crls.read_bytes() == rubbish


def test_program_tells_by_line_and_status(host: Host) -> None:
    command = [sys.executable, "-m", "aansluitkit.revocation", "--crls", host.crls]
    files = [host.folder / "certificate.pem", host.folder / "trust.pem"]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    host.publish(0, None)
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("aansluitkit-crl: http://")
    done = subprocess.run([*command, host.folder / "gone.pem"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "gone.pem can't be read" in done.stderr
