"""Runs on a host of the lab: hands over messages at a steady rate, pings, and takes what comes; prints what it saw.

As an application does that loses and doubles nothing: each message has an id of its own, and is handed over again with
that id until it is known to be taken; what came is processed until that is known.

One argument, JSON: ``rest`` (URL), ``stop`` (file that ends it), ``rate`` (messages per second), ``request`` (the
message), ``ping`` (path), ``from_them`` (conversation that the other side sends in). Prints JSON: ``sent`` (ids),
``states`` (id: state), ``taken`` (ids, one for each time that one was handed over), ``pings``, and ``problems``,
one text for each.
"""

import asyncio
import json
import pathlib
import re
import ssl
import sys
import time
import uuid
from typing import Any

import aiohttp

PAUSE = 0.2  # between two looks for messages
PATIENCE = 60.0  # for acknowledgements and messages, when all is sent
LONGEST_MESSAGE = 300  # characters of a problem


class Steady:
    """The load of one side."""

    def __init__(self, given: dict[str, Any], session: aiohttp.ClientSession) -> None:
        self.given = given
        self.session = session
        self.sent: list[str] = []
        self.states: dict[str, str] = {}
        self.taken: list[str] = []
        self.pings = 0
        self.problems: list[str] = []

    @property
    def over(self) -> bool:
        """Whether the load is to end."""
        return pathlib.Path(self.given["stop"]).exists()

    async def call(self, method: str, path: str, **options: Any) -> str | None:
        """What REST answers, or None and a problem."""
        try:
            async with self.session.request(method, self.given["rest"] + path, **options) as answer:
                text = await answer.text()
                if answer.status < 300:
                    return text
                problem = f"{method} {path}: {answer.status} {text}"
        except (aiohttp.ClientError, TimeoutError) as error:
            problem = f"{method} {path}: {error!r}"
        self.problems.append(problem[:LONGEST_MESSAGE])
        return None

    async def until_done(self, method: str, path: str, **options: Any) -> str | None:
        """What REST answers at last; a message whose id is taken was handed over before, and its answer got lost."""
        until = time.monotonic() + PATIENCE
        while True:
            answer = await self.call(method, path, **options)
            if answer is None:
                taken = re.search(r"message id (\S+) is taken", self.problems[-1])
                answer = taken[1] if taken else None
            if answer is not None or time.monotonic() > until:
                return answer
            await asyncio.sleep(PAUSE)

    async def hand_over(self) -> str | None:
        """One message; its id, or None when it was not taken."""
        request = self.given["request"]
        own = {"messageId": uuid.uuid4().hex}
        return await self.until_done(
            "POST", "/ebms/messages", json={**request, "properties": {**request["properties"], **own}}
        )

    async def send(self) -> None:
        """Hand over at the rate, whatever the answers take."""
        began = time.monotonic()
        running: list[asyncio.Task[str | None]] = []
        while not self.over:
            await asyncio.sleep(began + len(running) / self.given["rate"] - time.monotonic())
            running.append(asyncio.create_task(self.hand_over()))
        self.sent = [identity for identity in await asyncio.gather(*running) if identity]

    async def ping(self) -> None:
        """Ping once a second."""
        while not self.over:
            self.pings += await self.call("POST", self.given["ping"]) is not None
            await asyncio.sleep(1)

    async def take(self, sending: "asyncio.Future[Any]") -> None:
        """Take what the other side sends, until nothing has come for a while after our own is over."""
        query = {"conversationId": self.given["from_them"], "maxNr": "100"}
        quiet = time.monotonic()
        while not sending.done() or time.monotonic() < quiet + 10:
            found = json.loads(await self.call("GET", "/ebms/messages/unprocessed", params=query) or "[]")
            for identity in found:
                quiet = time.monotonic()
                self.taken.append(identity)
                await self.until_done("PATCH", f"/ebms/messages/{identity}")
            await asyncio.sleep(PAUSE)

    async def settle(self) -> None:
        """Wait until each message has ended."""
        until = time.monotonic() + PATIENCE
        for identity in self.sent:
            while True:
                answer = await self.call("GET", f"/ebms/messages/{identity}")
                self.states[identity] = json.loads(answer)["properties"]["messageStatus"] if answer else "UNKNOWN"
                if self.states[identity] == "DELIVERED" or time.monotonic() > until:
                    break
                await asyncio.sleep(PAUSE)


async def main() -> None:
    """Do it all at once."""
    password = pathlib.Path("/etc/aansluitkit/rest-password").read_text().strip()
    context = ssl.create_default_context(cafile="/etc/aansluitkit/certificates/internal-trust.pem")
    context.check_hostname = False  # by address, on this very host
    headers = {"Authorization": aiohttp.encode_basic_auth("ebms", password)}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(ssl=context)) as session:
        steady = Steady(json.loads(sys.argv[-1]), session)
        sending = asyncio.gather(steady.send(), steady.ping())
        await asyncio.gather(sending, steady.take(sending))
        await steady.settle()
    print(json.dumps({name: value for name, value in vars(steady).items() if name not in ("given", "session")}))


asyncio.run(main())
