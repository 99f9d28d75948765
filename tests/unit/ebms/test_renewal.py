"""Revocation as both sides of an adapter see it, and certificates and CRLs that change while it runs."""

from __future__ import annotations

import http.client
import json
import logging
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from ebms_adapter_client.exceptions import EbmsServerError
from ebms_adapter_client.models import URLMapping

from aansluitkit.connection import Profile
from aansluitkit.ebms import server
from aansluitkit.ebms.cpa import read_cpa
from aansluitkit.ebms.encryption import load_key
from aansluitkit.ebms.errors import SecurityFailure
from aansluitkit.ebms.message import build, read_envelope
from aansluitkit.ebms.security import Security
from aansluitkit.ebms.signature import Signer
from aansluitkit.lab.pki import CRL_VALIDITY, ENDPOINT, PARTNER, REVOKED, Generation, Hierarchy, load_authority
from aansluitkit.revocation import read_crls

from .conftest import HEADERS, LOOPBACK, Loop, Node, Pair, cpa_of, settings, start
from .test_adapter import message
from .test_messages import until

PARTS = ("certificate", "key", "trust")
HANDSHAKE = (ssl.SSLError, ConnectionResetError)


@pytest.fixture(params=["g4", "g1"])
def generation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pki(generation: str, request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(f"pki_{generation}")
    return found


@pytest.fixture
def files(tmp_path: Path, pki: Path) -> Path:
    """A folder with the node's own PEM files, to be changed."""
    folder = tmp_path / "own"
    shutil.copytree(pki / ENDPOINT, folder)
    return folder


@pytest.fixture
def node(loop: Loop, tmp_path: Path, files: Path, pki: Path, connection: Any, monkeypatch: Any) -> Iterator[Node]:
    """Our adapter, which looks at its files all the time."""
    monkeypatch.setattr(server, "_WATCH_SECONDS", 0.05)
    given = settings(tmp_path, pki, ENDPOINT, "adapter-1", f"sqlite:///{tmp_path}/node.db")
    own = {f"{part}_file": files / f"{part}.pem" for part in PARTS}
    made = start(loop, given.model_copy(update={"ebms": given.ebms.model_copy(update=own)}), connection)
    made.client.insert_cpa(cpa_of(connection, "sync", sync_reply=True))
    yield made
    loop.run(made.server.stop())


def pair_of(node: Node, pki: Path, connection: Any) -> Pair:
    return Pair(node, node, pki, connection)


def connect(node: Node, pki: Path, name: str, party: str = PARTNER) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(pki / PARTNER / "trust.pem"))
    context.load_cert_chain(pki / party / "certificate.pem", pki / party / "key.pem")
    return http.client.HTTPSConnection(name, node.server.ports["ebms"], context=context, timeout=10)


def post(connection: http.client.HTTPSConnection, body: bytes) -> tuple[int, bytes]:
    connection.request("POST", "/ebms", body, HEADERS)
    response = connection.getresponse()
    return response.status, response.read()


def ready(node: Node) -> dict[str, str]:
    address = f"http://{LOOPBACK}:{node.server.ports['health']}/health/ready"
    try:
        with urllib.request.urlopen(address) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        return dict(json.load(error))


def metrics(node: Node) -> str:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{node.server.ports['health']}/metrics") as answer:
        return bytes(answer.read()).decode()


def put_crls(tmp_path: Path, pki: Path, generation: str, age: int = 0, revoked: Path | None = None) -> None:
    """Lay CRLs of ``age`` validities ago on the node, with the certificate in ``revoked`` on them."""
    made = Hierarchy(Generation(generation), datetime.now(UTC) - age * CRL_VALIDITY)
    serials = [x509.load_pem_x509_certificate(revoked.read_bytes()).serial_number] if revoked else []
    authorities = [load_authority(pki, f"{generation}-{layer}") for layer in ("root", "domein", "tsp")]
    crls = [made.crl(authority, serials, 1) for authority in authorities]
    (tmp_path / "crls.new").write_bytes(b"".join(crl.public_bytes(Encoding.PEM) for crl in crls))
    (tmp_path / "crls.new").rename(tmp_path / "crls.pem")


def test_revoked_client_is_refused_by_tls(
    node: Node, pki: Path, connection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    body = build(message(pair_of(node, pki, connection)))
    assert post(connect(node, pki, connection.host_name), body)[0] == 200
    with pytest.raises(HANDSHAKE):
        post(connect(node, pki, connection.host_name, REVOKED), body)
    assert "refused TLS with 127.0.0.1: certificate revoked" in caplog.text


def test_open_connection_ends_with_the_revocation(
    node: Node, pki: Path, connection: Any, tmp_path: Path, generation: str
) -> None:
    """The client that came in before it is refused, and the others keep their connections."""
    body = build(message(pair_of(node, pki, connection)))
    theirs = connect(node, pki, connection.host_name)
    assert post(theirs, body)[0] == 200
    put_crls(tmp_path, pki, generation, revoked=pki / PARTNER / "certificate.pem")
    until(lambda: post(theirs, body) == (403, b""), "refusal on the open connection")
    with pytest.raises(HANDSHAKE):
        post(connect(node, pki, connection.host_name), body)
    put_crls(tmp_path, pki, generation)
    until(lambda: post(theirs, body)[0] == 200, "acceptance, still on the same connection")


def test_expired_crl_is_told(
    node: Node, pki: Path, connection: Any, tmp_path: Path, generation: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert ready(node) == {"status": "UP"}
    put_crls(tmp_path, pki, generation, age=2)
    until(lambda: ready(node)["status"] == "DOWN", "the end of readiness")
    assert ready(node)["problem"].startswith(f"the CRL of 'TRIAL aansluitkit lab {generation.upper()} - Root' has exp")
    with pytest.raises(HANDSHAKE):
        post(connect(node, pki, connection.host_name), b"")
    assert "refused TLS with 127.0.0.1: CRL has expired" in caplog.text


def test_adapter_begins_without_crls(
    loop: Loop, tmp_path: Path, pki: Path, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts nobody until they come, and then needs no restart."""
    monkeypatch.setattr(server, "_WATCH_SECONDS", 0.05)
    given = settings(tmp_path, pki, ENDPOINT, "adapter-1", f"sqlite:///{tmp_path}/node.db")
    crls = (tmp_path / "crls.pem").rename(tmp_path / "later.pem")
    made = start(loop, given, connection)
    try:
        made.client.insert_cpa(cpa_of(connection, "sync", sync_reply=True))
        assert "there are no CRLs in" in ready(made)["problem"]
        body = build(message(pair_of(made, pki, connection)))
        with pytest.raises(HANDSHAKE):
            post(connect(made, pki, connection.host_name), body)
        crls.rename(tmp_path / "crls.pem")
        until(lambda: ready(made)["status"] == "UP", "readiness")
        assert post(connect(made, pki, connection.host_name), body)[0] == 200
    finally:
        loop.run(made.server.stop())


@pytest.mark.parametrize(("party", "reason"), [(PARTNER, ""), (REVOKED, "certificate revoked")])
def test_revoked_server_is_refused(
    node: Node, loop: Loop, pki: Path, connection: Any, tmp_path: Path, party: str, reason: str
) -> None:
    """Our adapter pings a partner whose certificate is, or is not, revoked."""
    folder = tmp_path / "partner"
    folder.mkdir()
    given = settings(folder, pki, party, "mijnoverheid", f"sqlite:///{folder}/partner.db")
    partner = start(loop, given, connection.partner)
    try:
        partner.client.insert_cpa(cpa_of(connection, "sync", sync_reply=True))
        node.client.create_url_mapping(URLMapping(source=partner.endpoint, destination=partner.address))
        assert reason in ping(node, connection)
        assert bool(ping(node, connection)) is bool(reason)
    finally:
        loop.run(partner.server.stop())


def ping(node: Node, connection: Any) -> str:
    """Why no Pong came, or nothing."""
    ours, theirs = (f"urn:osb:oin:{party.oin}" for party in (connection.organisation, connection.partner))
    try:
        node.client.ping("sync", ours, theirs)
    except EbmsServerError as error:
        return str(error)
    return ""


def test_renewed_certificate_is_shown_without_a_restart(node: Node, pki: Path, connection: Any, files: Path) -> None:
    """New connections see it; the one that is open stays."""
    body = build(message(pair_of(node, pki, connection)))
    old = connect(node, pki, connection.host_name)
    assert post(old, body)[0] == 200
    before = shown(node, pki, connection)
    for part in ("certificate", "key"):
        shutil.copy(pki / "refused-wrong-oin" / f"{part}.pem", files / f"{part}.pem")
    until(lambda: shown(node, pki, connection) != before, "the renewed certificate")
    assert post(old, body)[0] == 200


def shown(node: Node, pki: Path, connection: Any) -> bytes:
    """The certificate that a new connection gets to see."""
    context = connect(node, pki, connection.host_name)._context  # type: ignore[attr-defined]
    context.check_hostname = False
    fresh = http.client.HTTPSConnection(connection.host_name, node.server.ports["ebms"], context=context, timeout=10)
    fresh.connect()
    assert isinstance(fresh.sock, ssl.SSLSocket)
    found = fresh.sock.getpeercert(binary_form=True)
    fresh.close()
    return found or b""


def test_files_that_do_not_fit_leave_what_was(
    node: Node, pki: Path, connection: Any, files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Halfway through a renewal there is the new certificate with the old key."""
    before = shown(node, pki, connection)
    shutil.copy(pki / PARTNER / "certificate.pem", files / "certificate.pem")
    until(lambda: "ebms_renewals_failed_total 1.0" in metrics(node), "the failure in the figures")
    assert "certificates and CRLs stay as they were" in caplog.text
    assert shown(node, pki, connection) == before
    assert ready(node) == {"status": "UP"}


def test_renewal_on_demand(
    node: Node, loop: Loop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aansluitkit")

    async def ask() -> None:
        node.server.renew()

    loop.run(ask())
    until(lambda: "took certificates and CRLs anew" in caplog.text, "the renewal")


def test_end_of_crls_is_a_figure(node: Node, generation: str, pki: Path) -> None:
    crl = x509.load_der_x509_crl((pki / f"crl/{generation}-tsp.crl").read_bytes())
    assert crl.next_update_utc
    name = f'ebms_crl_next_update_timestamp_seconds{{authority="TRIAL aansluitkit lab {generation.upper()} - TSP"}}'
    line = next(line for line in metrics(node).splitlines() if line.startswith(name))
    assert float(line.rpartition(" ")[2]) == crl.next_update_utc.timestamp()


def test_signature_of_a_revoked_certificate_is_refused(pki: Path, connection: Any, tmp_path: Path) -> None:
    profile = connection.cpa.model_copy(update={"profile": Profile.RELIABLE_SIGNED})
    signed = connection.model_copy(update={"cpa": profile})
    cpa = read_cpa(cpa_of(signed, "signed", profile=Profile.RELIABLE_SIGNED).encode())
    channel = cpa.terms[0].channel
    assert channel.signature
    settings(tmp_path, pki, PARTNER, "mijnoverheid", "sqlite://")
    crls = read_crls(tmp_path / "crls.pem")
    for party, refused in ((PARTNER, False), (REVOKED, True)):
        signer = Signer(pki / party / "key.pem", pki / party / "certificate.pem")
        agreed = replace(channel, signature=replace(channel.signature, certificate=signer.certificate))
        security = Security(signer, load_key(pki / party / "key.pem"), (), crls)
        sent = build(message(Pair(None, None, pki, connection)))  # type: ignore[arg-type]
        wire = security.seal(read_envelope(sent, ()), agreed)
        if refused:
            with pytest.raises(SecurityFailure, match=r"does not count: 'TRIAL .* has revoked the certificate"):
                security.open(read_envelope(wire.envelope, ()), wire.envelope, agreed)
        else:
            security.open(read_envelope(wire.envelope, ()), wire.envelope, agreed)
