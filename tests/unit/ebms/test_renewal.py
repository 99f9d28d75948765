"""Revocation as both sides of an adapter see it, and certificates and CRLs that change while it runs."""

from __future__ import annotations

import http.client
import json
import logging
import shutil
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from ebms_adapter_client.exceptions import EbmsServerError
from ebms_adapter_client.models import DataSource, MessageFilter, MessageRequest, MessageRequestProperties, URLMapping

from aansluitkit.connection import Profile
from aansluitkit.ebms import server
from aansluitkit.ebms.cpa import Terms, read_cpa
from aansluitkit.ebms.encryption import load_key
from aansluitkit.ebms.errors import SecurityFailure
from aansluitkit.ebms.message import build, compose, read_envelope, read_message
from aansluitkit.ebms.mime import Payload
from aansluitkit.ebms.security import Keys, Security
from aansluitkit.ebms.signature import Signer
from aansluitkit.lab.pki import CRL_VALIDITY, ENDPOINT, PARTNER, REVOKED, Generation, Hierarchy, load_authority
from aansluitkit.revocation import RevocationLists, read_crls

from .conftest import HEADERS, LOOPBACK, Loop, Node, Pair, cpa_of, introduce, settings, start, write_crls
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
    cpa = read_cpa(cpa_of(connection, "signed", profile=Profile.RELIABLE_SIGNED).encode())
    channel = cpa.terms[0].channel
    assert channel.signature
    settings(tmp_path, pki, PARTNER, "mijnoverheid", "sqlite://")
    crls = read_crls(tmp_path / "crls.pem")
    for party, refused in ((PARTNER, False), (REVOKED, True)):
        signer = Signer(pki / party / "key.pem", pki / party / "certificate.pem")
        agreed = replace(channel, signature=replace(channel.signature, certificate=signer.certificate))
        security = Security(Keys(signer, load_key(pki / party / "key.pem"), crls=crls, issuers=_issuers(pki)))
        sent = build(message(Pair(None, None, pki, connection)))  # type: ignore[arg-type]
        wire = security.seal(read_envelope(sent, ()), agreed)
        if refused:
            with pytest.raises(SecurityFailure, match=r"does not count: 'TRIAL .* has revoked the certificate"):
                security.open(read_envelope(wire.envelope, ()), wire.envelope, agreed)
        else:
            security.open(read_envelope(wire.envelope, ()), wire.envelope, agreed)


def _issuers(pki: Path) -> tuple[x509.Certificate, ...]:
    """The authorities of the lab, the root last."""
    files = (pki / PARTNER / "certificate.pem", pki / PARTNER / "trust.pem")
    return tuple(one for file in files for one in x509.load_pem_x509_certificates(file.read_bytes()))[1:]


def test_signature_below_a_revoked_authority_is_refused(pki: Path, generation: str, tmp_path: Path) -> None:
    """CRLs are looked up at every level of the chain (BEV PKI003), which has to be whole for that."""
    signer = Signer(pki / PARTNER / "key.pem", pki / PARTNER / "certificate.pem")
    keys = Keys(signer, signer.key, crls=read_crls(write_crls(pki, tmp_path / "crls.pem")), issuers=_issuers(pki))
    assert keys.objection(signer.certificate) is None
    assert "is not here" in str(replace(keys, issuers=keys.issuers[1:]).objection(signer.certificate))
    hierarchy = Hierarchy(Generation(generation), datetime.now(UTC))
    domain, provider = (load_authority(pki, f"{generation}-{layer}") for layer in ("domein", "tsp"))
    crl = hierarchy.crl(domain, [provider.certificate.serial_number], 2**40)
    others = [one for one in keys.crls.crls if one.issuer != crl.issuer] if keys.crls else []
    revoked = replace(keys, crls=RevocationLists([*others, crl]))
    assert "Domein' has revoked the certificate of 'TRIAL" in str(revoked.objection(signer.certificate))


def test_what_is_encrypted_for_the_former_key_is_read(terms: Terms, pki_g4: Path, pki_g1: Path) -> None:
    """The CPA names the old certificate for a while, and the new one before it is shown."""
    signer = Signer(pki_g4 / ENDPOINT / "key.pem", pki_g4 / ENDPOINT / "certificate.pem")
    former, current = (Signer(pki / PARTNER / "key.pem", pki / PARTNER / "certificate.pem") for pki in (pki_g4, pki_g1))
    sent = compose(terms, [Payload("deel", "text/xml", b"<zaak/>")], "test")
    wire = Security(Keys(signer, former.key)).seal(sent, terms.channel)
    received = read_message(wire.content_type, wire.body)
    with pytest.raises(SecurityFailure, match="for another key"):
        Security(Keys(signer, current.key)).open(received, wire.envelope, terms.channel)
    (payload,) = Security(Keys(signer, current.key, others=(former,))).open(received, wire.envelope, terms.channel)
    assert payload.content == b"<zaak/>"


@dataclass
class Side:
    """A party whose files change, and what it sent."""

    node: Node
    folder: Path
    party: str
    id: str
    action: tuple[str, str]  # role and action of what it sends
    sent: list[str] = field(default_factory=list)

    def put(self, current: Path, former: Path | None = None, shows: Path | None = None) -> None:
        """Trust the roots of ``current`` and ``former``, know their CRLs, and show what is in ``shows``."""
        trusted = [each for each in (current, former) if each]
        roots = b"".join((each / self.party / "trust.pem").read_bytes() for each in trusted)
        crls = b"".join(write_crls(each, self.folder / "one.pem").read_bytes() for each in trusted)
        chosen = (shows or current) / self.party
        contents = {part: (chosen / f"{part}.pem").read_bytes() for part in ("certificate", "key")}
        issuers = b"".join((each / self.party / "certificate.pem").read_bytes() for each in trusted)
        for name, content in {**contents, "trust": roots, "issuers": issuers, "crls": crls}.items():
            (self.folder / f"{name}.new").write_bytes(content)
            (self.folder / f"{name}.new").rename(self.folder / f"{name}.pem")

    def shown_to(self, pki: Path) -> x509.Certificate | None:
        """What the other party sees on a new connection with its certificate of ``pki``; None when it is refused."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        other = pki / (PARTNER if self.party == ENDPOINT else ENDPOINT)
        context.load_cert_chain(other / "certificate.pem", other / "key.pem")
        try:
            with (
                socket.create_connection((LOOPBACK, self.node.server.ports["ebms"]), timeout=10) as raw,
                context.wrap_socket(raw) as secure,
            ):
                secure.sendall(b"GET / HTTP/1.0\r\n\r\n")
                if not secure.recv(1):  # TLS 1.3 tells of a refusal on the first read
                    return None
                return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")
        except HANDSHAKE:
            return None


@pytest.fixture
def sides(
    loop: Loop, tmp_path: Path, pki: Path, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Side, Side]]:
    monkeypatch.setattr(server, "_WATCH_SECONDS", 0.05)
    made = []
    for party, host, named, action in (
        (ENDPOINT, "adapter-1", connection, ("SR", "zaakbericht")),
        (PARTNER, "mijnoverheid", connection.partner, ("SP", "foutbericht")),
    ):
        folder = tmp_path / party
        folder.mkdir()
        given = settings(folder, pki, party, host, f"sqlite:///{folder}/node.db")
        own = {f"{part}_file": folder / f"{part}.pem" for part in (*PARTS, "issuers")}
        oin = (connection.organisation if party == ENDPOINT else connection.partner).oin
        side = Side(None, folder, party, f"urn:osb:oin:{oin}", action)  # type: ignore[arg-type]
        side.put(pki)
        side.node = start(loop, given.model_copy(update={"ebms": given.ebms.model_copy(update=own)}), named)
        side.node.client.insert_cpa(cpa_of(connection, "rotated", profile=Profile.RELIABLE_SIGNED))
        made.append(side)
    introduce(*(side.node for side in made))
    yield made[0], made[1]
    for side in made:
        loop.run(side.node.server.stop())


def test_generation_changes_while_messages_go_on(
    sides: tuple[Side, Side], pki: Path, connection: Any, generation: str, request: pytest.FixtureRequest
) -> None:
    """Trusted first, then used, then the former goes: every message and Ping of both sides comes, once."""
    following: Path = request.getfixturevalue("pki_g1" if generation == "g4" else "pki_g4")
    stop = threading.Event()

    def load(own: Side, other: Side) -> None:
        role, action = own.action
        service = f"{connection.cpa.services[0].type}:{connection.cpa.services[0].name}"
        properties = MessageRequestProperties(
            cpa_id="rotated", from_party_id=own.id, from_role=role, service=service, action=action
        )
        source = DataSource(content_type="text/xml", content=b"<zaak/>")
        while not stop.wait(0.05):
            own.sent.append(own.node.client.send_message(MessageRequest(properties, [source])))
            if len(own.sent) % 5 == 0:
                own.node.client.ping("rotated", own.id, other.id)

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(load, *sides), pool.submit(load, *sides[::-1])]
        try:
            stages(sides, pki, following)
        finally:
            stop.set()
        for each in running:
            each.result()
    for own, other in (sides, sides[::-1]):
        until(lambda own=own: states_of(own) == {"DELIVERED"}, "acknowledgement of all")  # type: ignore[misc]
        assert sorted(other.node.client.list_unprocessed_message_ids(MessageFilter(cpa_id="rotated"))) == sorted(
            own.sent
        )


def stages(sides: tuple[Side, Side], before: Path, after: Path) -> None:
    """The order of docs/rotate.md, each stage in force at both before the next."""
    for side in sides:
        side.put(before, after)
    for side in sides:
        until(lambda side=side: side.shown_to(after), "trust in what comes next")  # type: ignore[misc]
    go_on(sides)
    for side in sides:
        side.put(before, after, shows=after)
        following = x509.load_pem_x509_certificate((after / side.party / "certificate.pem").read_bytes())
        until(lambda side=side, following=following: side.shown_to(after) == following, "its use")  # type: ignore[misc]
    go_on(sides)
    for side in sides:
        side.put(after)
        until(lambda side=side: side.shown_to(before) is None, "the end of the former trust")  # type: ignore[misc]
    go_on(sides)


def go_on(sides: tuple[Side, Side]) -> None:
    """Let each side send some more, and ping."""
    before = [len(side.sent) for side in sides]
    until(lambda: all(len(side.sent) > sent + 6 for side, sent in zip(sides, before, strict=True)), "traffic")


def states_of(side: Side) -> set[str]:
    return {side.node.client.get_message(identity).properties.message_status.value for identity in side.sent}
