"""TLS as Digikoppeling demands it: two-way, 1.2 and 1.3, and of NCSC's guideline only what is good or sufficient.

New connections resume a session where they can, which costs a quarter of a handshake. A resumed one shows no chain, so
what a chain is checked for must hold without: a renewed CRL makes a new context, and no session outlives its context;
the server looks at expiry and revocation of the client's certificate with each request; the client resumes for a
quarter of an hour after it saw the server's chain.
"""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from pathlib import Path

# TLSCIPH001 with NCSC TLS 2025-05: ECDHE with an AEAD; DHE and CBC are to be phased out and so forbidden.
CIPHERS = ":".join(
    f"ECDHE-{authentication}-{cipher}"
    for cipher in ("AES256-GCM-SHA384", "CHACHA20-POLY1305", "AES128-GCM-SHA256")
    for authentication in ("ECDSA", "RSA")
)


RESUMABLE_SECONDS = 900  # since the server's chain was checked


@dataclass(frozen=True)
class _Begun:
    """A connection that a client began with ``context``; ``resumed`` is when the chain of its session was checked."""

    context: ssl.SSLContext
    connection: ssl.SSLObject
    at: float
    resumed: float

    @property
    def session(self) -> ssl.SSLSession | None:
        """What may be resumed of it, once its handshake is over: with TLS 1.3 the server gives it a moment later."""
        young = time.monotonic() - self.checked < RESUMABLE_SECONDS
        return self.connection.session if young and self.connection.version() else None

    @property
    def checked(self) -> float:
        """When the server's chain was checked."""
        return self.resumed if self.connection.session_reused else self.at


class Renewable(ssl.SSLContext):
    """A context that hands every new connection over to ``current``, which may be replaced at any time.

    Connections that are open stay as they are. Sessions of a replaced context are not resumed, so nobody comes in by a
    ticket from before a revocation.
    """

    current: ssl.SSLContext

    def __init__(self, _protocol: int) -> None:
        self._newest: dict[str | bytes, _Begun] = {}
        self._usable: dict[str | bytes, _Begun] = {}

    @property
    def next(self) -> ssl.SSLContext:
        """What a connection begins with now."""
        return self.current

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection, as asyncio does."""
        context = self.next
        if server_side or not server_hostname:
            return context.wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        former = self._former(server_hostname, context)
        found = former.session if former else None
        connection = context.wrap_bio(incoming, outgoing, False, server_hostname, found)
        now = time.monotonic()
        self._newest[server_hostname] = _Begun(context, connection, now, former.checked if former else now)
        return connection

    def _former(self, host: str | bytes, context: ssl.SSLContext) -> _Begun | None:
        """The last connection to ``host`` whose session can be resumed."""
        newest = self._newest.get(host)
        if newest and newest.session:
            self._usable[host] = newest
        former = self._usable.get(host)
        return former if former and former.context is context else None


def server_context(certificate: Path, key: Path, trust: Path | None, crls: Path | None = None) -> ssl.SSLContext:
    """Context of a server; with ``trust`` every client must show a certificate that ends in one of its roots.

    With ``crls`` no certificate of the client's chain may be revoked.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    context.load_cert_chain(certificate, key)
    if trust:
        context.load_verify_locations(trust)
        context.verify_mode = ssl.CERT_REQUIRED
    _look_up(context, crls)
    return context


def client_context(certificate: Path, key: Path, trust: Path, crls: Path | None = None) -> ssl.SSLContext:
    """Context of a client that shows its certificate, and checks the server's name and chain.

    With ``crls`` no certificate of the server's chain may be revoked.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _restrict(context)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(trust)
    _look_up(context, crls)
    return context


def _look_up(context: ssl.SSLContext, crls: Path | None) -> None:
    """Refuse every chain whose CRLs, of all its levels, are not in ``crls`` or have expired (BEV PKI003)."""
    if crls is None:
        return
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if crls.is_file() and crls.stat().st_size:
        context.load_verify_locations(crls)


def webhook_context(trust: Path | None) -> ssl.SSLContext:
    """Context of a client that checks the server's name and chain, to roots in ``trust`` or those of the system."""
    context = ssl.create_default_context(cafile=trust)
    _restrict(context)
    return context


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
