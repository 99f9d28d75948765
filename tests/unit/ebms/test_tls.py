"""Sessions are resumed as long as what they stand for holds, and no longer."""

from __future__ import annotations

import contextlib
import ssl
import time
from pathlib import Path

import pytest

from aansluitkit.connection import Connection
from aansluitkit.ebms import tls
from aansluitkit.ebms.tls import Renewable, client_context, server_context

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def inbound(pki: Path) -> ssl.SSLContext:
    folder = pki / "party-partner"
    return server_context(folder / "certificate.pem", folder / "key.pem", folder / "trust.pem")


def outbound(pki: Path, version: ssl.TLSVersion) -> ssl.SSLContext:
    folder = pki / "party-organisation"
    context = client_context(folder / "certificate.pem", folder / "key.pem", folder / "trust.pem")
    context.maximum_version = version
    return context


@pytest.fixture(params=VERSIONS)
def contexts(request: pytest.FixtureRequest, pki_g4: Path) -> tuple[Renewable, Renewable]:
    """Of a server and of a client."""
    server, client = Renewable(ssl.PROTOCOL_TLS_SERVER), Renewable(ssl.PROTOCOL_TLS_CLIENT)
    server.current, client.current = inbound(pki_g4), outbound(pki_g4, request.param)
    return server, client


def connect(contexts: tuple[Renewable, Renewable], host: str) -> bool:
    """Connect, have an answer, and tell whether a session was resumed; the server knows the client all the same."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = contexts[0].wrap_bio(to_server, to_client, server_side=True)
    client = contexts[1].wrap_bio(to_client, to_server, server_hostname=host)
    for _ in range(4):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    server.write(b"x")
    assert client.read(1) == b"x"
    assert server.getpeercert(binary_form=True)
    assert bool(client.session_reused) == bool(server.session_reused)
    return bool(client.session_reused)


def test_session_is_resumed(contexts: tuple[Renewable, Renewable], connection: Connection) -> None:
    assert [connect(contexts, connection.partner.host_name) for _ in range(4)] == [False, True, True, True]


@pytest.mark.parametrize("side", [0, 1])
def test_no_session_outlives_its_context(
    contexts: tuple[Renewable, Renewable], connection: Connection, pki_g4: Path, side: int
) -> None:
    """A CRL that was fetched makes a new context: each chain is looked at again."""
    host = connection.partner.host_name
    assert [connect(contexts, host), connect(contexts, host)] == [False, True]
    version = contexts[1].current.maximum_version
    contexts[side].current = inbound(pki_g4) if side == 0 else outbound(pki_g4, version)
    assert [connect(contexts, host), connect(contexts, host)] == [False, True]


def test_chain_is_checked_again_in_time(
    contexts: tuple[Renewable, Renewable], connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resuming again and again does not put it off."""
    host, moment = connection.partner.host_name, time.monotonic()
    monkeypatch.setattr(tls.time, "monotonic", lambda: moment)
    found = []
    for _ in range(6):
        found.append(connect(contexts, host))
        moment += tls.RESUMABLE_SECONDS / 2.5
    assert found == [False, True, True, False, True, True]


def test_other_name_is_another_server(contexts: tuple[Renewable, Renewable], connection: Connection) -> None:
    assert not connect(contexts, connection.partner.host_name)
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(contexts, "other.test")
