"""A connection that the other side has closed meanwhile fails no message that the partner would know again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import pytest

from aansluitkit.ebms.client import Client
from aansluitkit.ebms.errors import HopError

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


async def asked(reader: asyncio.StreamReader) -> bool:
    """Whether a request came, which ``aiohttp`` sends in pieces."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"message")
    except (asyncio.IncompleteReadError, ConnectionError):
        return False
    return True


def against(answers: list[int], act: Callable[[Client, str], Awaitable[None]]) -> list[int]:
    """Act against a server of which the n-th connection answers ``answers[n]`` requests, and breaks at the next one.

    Returns how many requests came by each connection.
    """
    came: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(came)
        came.append(0)
        while await asked(reader):
            came[number] += 1
            if came[number] > answers[number]:
                break
            writer.write(ANSWER)
        writer.transport.abort()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, Client(ssl.create_default_context()) as client:
            await act(client, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ebms")

    asyncio.run(asyncio.wait_for(run(), 10))
    return came


def test_message_goes_by_another_connection() -> None:
    async def act(client: Client, endpoint: str) -> None:
        for _ in range(2):
            await client.post(endpoint, b"message")

    assert against([1, 9], act) == [2, 1]


def test_message_that_may_not_come_twice_does_not() -> None:
    async def act(client: Client, endpoint: str) -> None:
        await client.post(endpoint, b"message", repeatable=False)
        with pytest.raises(HopError):
            await client.post(endpoint, b"message", repeatable=False)

    assert against([1, 9], act) == [2]


@pytest.mark.parametrize(("lifetime", "requests"), [(300, [3]), (0, [1, 1, 1])])
def test_connection_is_used_for_a_while(monkeypatch: pytest.MonkeyPatch, lifetime: int, requests: list[int]) -> None:
    """However busy it is: the name may lead to another network meanwhile."""
    monkeypatch.setattr("aansluitkit.ebms.client.LIFETIME_SECONDS", lifetime)

    async def act(client: Client, endpoint: str) -> None:
        for _ in range(3):
            await client.post(endpoint, b"message")

    assert against([9, 9, 9], act) == requests


def test_new_connection_that_breaks_is_a_failure() -> None:
    async def act(client: Client, endpoint: str) -> None:
        with pytest.raises(HopError):
            await client.post(endpoint, b"message")

    assert against([0, 9], act) == [1]
