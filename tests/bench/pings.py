"""Runs on a host of the lab: pings by REST for a while, and prints how many per second were answered."""

import asyncio
import pathlib
import ssl
import sys
import time

import aiohttp

URL, CLIENTS, SECONDS = sys.argv[-3], int(sys.argv[-2]), float(sys.argv[-1])


async def client(session: aiohttp.ClientSession, until: float) -> int:
    """Ping one after the other."""
    done = 0
    while time.monotonic() < until:
        async with session.post(URL) as answer:
            if answer.status != 204:
                raise SystemExit(await answer.text())
        done += 1
    return done


async def main() -> None:
    """Ping with all clients at once."""
    password = pathlib.Path("/etc/aansluitkit/rest-password").read_text().strip()
    context = ssl.create_default_context(cafile="/etc/aansluitkit/certificates/internal-trust.pem")
    context.check_hostname = False  # by address, on this very host
    auth = aiohttp.BasicAuth("ebms", password)
    async with aiohttp.ClientSession(auth=auth, connector=aiohttp.TCPConnector(ssl=context)) as session:
        began = time.monotonic()
        counts = await asyncio.gather(*(client(session, began + SECONDS) for _ in range(CLIENTS)))
        print(sum(counts) / (time.monotonic() - began))


asyncio.run(main())
