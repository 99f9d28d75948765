"""Posting a message to the partner, and saying at which hop it failed."""

from __future__ import annotations

import asyncio
import errno
import io
import socket
import ssl
import time
from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import Self, TypedDict
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from aansluitkit.ebms.errors import HopError
from aansluitkit.ebms.message import SOAP_ACTION, fault_reason
from aansluitkit.ebms.mime import CONTENT_TYPE

CONNECT_SECONDS = 10
LIFETIME_SECONDS = 300  # of connections that are used all the time: by then the name may lead elsewhere
EXCHANGE_SECONDS = 60
MAXIMUM_REPLY = 20 * 1024 * 1024
# Of these the same message may be accepted later (Digikoppeling ebMS2, HTTP response codes).
_PASSING = {408, 429, *range(500, 600)} - {501, 505, 510}


class StatusError(HopError):
    """The partner answered with an HTTP status that is no success."""

    def __init__(self, hop: str, message: str, status: int) -> None:
        self.status = status
        super().__init__(hop, message)

    @property
    def passing(self) -> bool:
        """Whether the same message may be accepted later."""
        return self.status in _PASSING


@dataclass(frozen=True)
class Reply:
    """What came back in the same exchange; ``body`` is empty when the answer is to come on its own."""

    content_type: str
    body: bytes


class Client:
    """Two-way TLS to the partner; ``address`` is used instead of what the name resolves to."""

    def __init__(self, context: ssl.SSLContext, address: str | None = None) -> None:
        self._context = context
        self._address = address
        self._exchanges: Counter[aiohttp.ClientSession] = Counter()
        self._session = self._open()
        self._opened = time.monotonic()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _open(self) -> aiohttp.ClientSession:
        resolver = _Fixed(self._address) if self._address else None
        connector = aiohttp.TCPConnector(ssl=self._context, family=socket.AF_INET, resolver=resolver, limit=64)
        timeout = aiohttp.ClientTimeout(total=EXCHANGE_SECONDS, sock_connect=CONNECT_SECONDS)
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_reuse)
        return aiohttp.ClientSession(connector=connector, timeout=timeout, trace_configs=[trace])

    async def close(self) -> None:
        """Close all connections."""
        for session in {self._session, *self._exchanges}:
            await session.close()

    async def renew(self) -> None:
        """Use new connections from now on: those that are open show what was renewed. Exchanges under way end first."""
        former, self._session = self._session, self._open()
        self._opened = time.monotonic()
        await self._retire(former)

    async def _retire(self, session: aiohttp.ClientSession) -> None:
        if session is not self._session and not self._exchanges[session]:
            del self._exchanges[session]
            await session.close()

    async def post(
        self, endpoint: str, body: bytes, content_type: str = CONTENT_TYPE, *, repeatable: bool = True
    ) -> Reply:
        """Post the message ``body`` to ``endpoint``.

        A connection that was open from before may have been closed by the other side at this very moment: a message
        that is ``repeatable``, because the partner knows it again, then goes by another one (RFC 9112 section 9.3.1).

        Raises:
            HopError: when no ebMS answer came; ``hop`` says where it failed. A StatusError when it was an HTTP status.
        """
        if time.monotonic() - self._opened > LIFETIME_SECONDS:
            await self.renew()
        session = self._session
        self._exchanges[session] += 1
        try:
            while True:
                way: _Way = {"reused": False}
                try:
                    return await _exchange(session, endpoint, body, content_type, way)
                except (aiohttp.ServerDisconnectedError, ConnectionError):
                    if not (repeatable and way["reused"]):
                        raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _at_hop(endpoint, error) from error
        finally:
            self._exchanges[session] -= 1
            await self._retire(session)


class _Way(TypedDict):
    """How a request went: by a connection that was open from before, or by a new one."""

    reused: bool


async def _note_reuse(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx["reused"] = True


async def _exchange(session: aiohttp.ClientSession, endpoint: str, body: bytes, content_type: str, way: _Way) -> Reply:
    headers = {"Content-Type": content_type, "SOAPAction": SOAP_ACTION}
    # As a file it goes in pieces, and only the piece under way is held encrypted beside it.
    content = io.BytesIO(body)
    async with session.post(
        endpoint, data=content, headers=headers, allow_redirects=False, trace_request_ctx=way
    ) as response:
        return _reply(endpoint, response, await _read(endpoint, response.content))


async def _read(endpoint: str, content: aiohttp.StreamReader) -> bytes:
    """The whole answer: what is left unread would also end the connection, and with it the TLS session."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > MAXIMUM_REPLY:
            raise HopError("http", f"{endpoint} answers with more than {MAXIMUM_REPLY} bytes")
    return bytes(body)


def _reply(endpoint: str, response: aiohttp.ClientResponse, body: bytes) -> Reply:
    if 200 <= response.status < 300:
        return Reply(response.headers.get("Content-Type", ""), body.strip())
    reason = fault_reason(body) if body else None
    if reason:
        raise StatusError("cpa", f"{endpoint} refuses the message: {reason}", response.status)
    told = f"{endpoint} answers with HTTP status {response.status}, which is not of an ebMS adapter"
    raise StatusError("http", told, response.status)


def _at_hop(endpoint: str, error: Exception) -> HopError:
    host = urlsplit(endpoint).netloc
    cause = getattr(error, "os_error", None) or error.__cause__ or error
    tls = next((found for found in (error, cause) if isinstance(found, ssl.SSLError)), None)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return HopError("dns", f"the name of {host} does not resolve: {cause}")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        refused = _verification(error.certificate_error)
        return HopError("tls_server", f"the certificate of {host} is not accepted: {refused}")
    if tls is not None or "ALERT" in str(error):
        return _at_tls(host, tls or error)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return HopError("firewall", f"{host} does not answer within {CONNECT_SECONDS} s: a firewall drops the packets")
    if isinstance(error, TimeoutError):
        return HopError("http", f"{host} gives no HTTP answer within {EXCHANGE_SECONDS} s")
    return _at_socket(host, error, getattr(cause, "errno", None))


def _at_socket(host: str, error: Exception, number: int | None) -> HopError:
    if number == errno.ECONNREFUSED:
        return HopError("load_balancer", f"{host} refuses the connection: nothing listens there")
    if number in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return HopError("route", f"there is no route to {host}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return HopError("load_balancer", f"{host} closes the connection before TLS: no adapter behind it is up")
    # TLS 1.3 refuses a client after the handshake, and the alert that says so is lost when our request is under way.
    return HopError("tls_client", f"{host} breaks off after the TLS handshake: it does not take our certificate")


def _at_tls(host: str, error: Exception) -> HopError:
    """TLS 1.3 tells that our certificate is refused only when we read."""
    if "ALERT" in str(getattr(error, "reason", "")) + str(error):
        return HopError("tls_client", f"{host} refuses our certificate or TLS parameters: {_short(error)}")
    return HopError("tls_server", f"TLS with {host} fails: {_short(error)}")


def _verification(error: Exception) -> str:
    return str(getattr(error, "verify_message", "") or _short(error))


def _short(error: Exception) -> str:
    return " ".join(str(getattr(error, "reason", "") or error).replace("_", " ").split()).lower()[:200]


class _Fixed(AbstractResolver):
    """Gives one address for every name: to try a host before its name is published."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        await asyncio.sleep(0)
        return [
            ResolveResult(
                hostname=host, host=self._address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
            )
        ]

    async def close(self) -> None:
        await asyncio.sleep(0)
