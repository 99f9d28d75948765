"""One Ping without an adapter: from any host that has the certificate."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aansluitkit.ebms.client import Client
from aansluitkit.ebms.cpa import Cpa, Party, read_cpa
from aansluitkit.ebms.errors import HopError
from aansluitkit.ebms.message import PING, Message, build, check_pong, read_message, request
from aansluitkit.ebms.tls import client_context
from aansluitkit.errors import KitError


@dataclass(frozen=True)
class Answered:
    """A Ping that was answered; ``seconds`` lie between the first packet and the checked Pong."""

    endpoint: str
    pong: Message
    seconds: float


@dataclass(frozen=True)
class Credentials:
    """PEM files: our chain, its key, and the roots that the partner's chain may end in."""

    certificate: Path
    key: Path
    trust: Path


def ping(cpa_file: Path, credentials: Credentials, sender: str, address: str | None = None) -> Answered:
    """Ping the other party of a CPA as ``sender`` (``type:value``, or the bare OIN) and check its Pong.

    ``address`` is tried instead of what the endpoint's name resolves to.

    Raises:
        HopError: when the Pong did not come or is not of this Ping.
        KitError: when a file is not usable, or the CPA has the partner send its Pong to our own endpoint.
    """
    cpa = read_cpa(_read(cpa_file))
    objection = cpa.objection(datetime.now(UTC))
    if objection:
        raise HopError("cpa", objection)
    party, partner = _parties(cpa, sender)
    if not partner.sync_reply:
        raise KitError(
            f"CPA {cpa.id} has {partner.name} send its Pong to {party.endpoint} (syncReplyMode none), where a single "
            "Ping does not listen: ping from the adapter, or agree on mshSignalsOnly"
        )
    message = request(party.ids[0], partner.ids[0], cpa.id, PING, _domain(party))
    began = time.monotonic()
    pong = asyncio.run(_exchange(partner.endpoint, message, _context(credentials), address))
    check_pong(message.header, pong)
    return Answered(partner.endpoint, pong, time.monotonic() - began)


async def _exchange(endpoint: str, message: Message, context: ssl.SSLContext, address: str | None) -> Message:
    async with Client(context, address) as client:
        reply = await client.post(endpoint, build(message))
    if not reply.body:
        raise HopError("pong", f"{endpoint} takes the Ping and answers without a Pong")
    return read_message(reply.content_type, reply.body)


def _parties(cpa: Cpa, sender: str) -> tuple[Party, Party]:
    for party, other in (cpa.parties, cpa.parties[::-1]):
        if any(sender in (str(identification), identification.value) for identification in party.ids):
            return party, other
    known = ", ".join(str(party.ids[0]) for party in cpa.parties)
    raise KitError(f"'{sender}' is no party of CPA {cpa.id}: its parties are {known}")


def _domain(party: Party) -> str:
    return party.endpoint.partition("://")[2].partition("/")[0].partition(":")[0]


def _context(credentials: Credentials) -> ssl.SSLContext:
    for path in (credentials.certificate, credentials.key, credentials.trust):
        _read(path)
    try:
        return client_context(credentials.certificate, credentials.key, credentials.trust)
    except (ssl.SSLError, ValueError) as error:
        raise KitError(
            f"{credentials.certificate}, {credentials.key} and {credentials.trust} are no usable PEM certificate "
            "chain, matching key without passphrase, and roots"
        ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KitError(f"{path} can't be read: {error.strerror}") from error
