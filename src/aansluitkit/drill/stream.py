"""Runs on a host of the lab as an application does: hands over messages at a steady rate and takes what comes.

One argument, a file with JSON: ``nodes`` (name and address of each adapter of its own side), ``port``, ``trust``
(file), ``password``, ``rate`` (messages per second), ``request`` (the message), ``from_them`` (the conversation that
the other side sends in), ``ping`` (path, empty for none) and ``folder``. What is refused or breaks off is handed over
again, under the same id, to the next node. It ends when the file ``end`` is in the folder, and sends no more from
``stop`` on. What it saw stands in the folder's ``state.json``, written anew every half second. It needs Python alone.
"""

import base64
import http.client
import json
import pathlib
import socket
import ssl
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlencode

BASE = "/service/rest/v19"
PAUSE = 0.25  # seconds between two looks, and before the next node is tried
ANSWER_SECONDS = 20
CLIENTS = 8
LONGEST_PROBLEM = 300  # characters
MOST_PROBLEMS = 20
ENDED = ("DELIVERED", "DELIVERY_FAILED", "FAILED", "EXPIRED")


class Rest:
    """The adapters of one side, one connection at a time: when a node fails, the next one is asked."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._nodes = given["nodes"]
        self._port = given["port"]
        self._context = ssl.create_default_context(cafile=given["trust"])
        credentials = base64.b64encode(f"ebms:{given['password']}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
        self._at = int(uuid.uuid4()) % len(self._nodes)
        self._connection: http.client.HTTPConnection | None = None

    def call(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        """Status and text of the answer of one node.

        Raises:
            OSError, http.client.HTTPException: when there is none; the next call goes to the next node.
        """
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.request(method, BASE + path, body, self._headers)
            answer = self._connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException):
            self.next()
            raise
        if answer.status >= 500:
            self.next()
        return answer.status, text

    def next(self) -> None:
        """Leave the node that was asked for the one after it."""
        if self._connection:
            self._connection.close()
        self._connection = None
        self._at = (self._at + 1) % len(self._nodes)

    def _connect(self) -> http.client.HTTPConnection:
        name, address = self._nodes[self._at]
        plain = socket.create_connection((address, self._port), timeout=3)
        plain.settimeout(ANSWER_SECONDS)
        connection = http.client.HTTPConnection(name, self._port)
        connection.sock = self._context.wrap_socket(plain, server_hostname=name)
        return connection


class Stream:
    """What one application sends and takes."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.folder = pathlib.Path(given["folder"])
        self.began = time.monotonic()
        self.planned = 0
        self.accepted: list[str] = []
        self.ended: dict[str, str] = {}
        self.taken: list[str] = []
        self.unsure: list[str] = []
        self.pings = 0
        self.problems: list[str] = []
        self.troubles = 0
        self.longest_pause = 0.0
        self._clients = threading.local()
        self._guard = threading.Lock()

    def is_there(self, name: str) -> bool:
        """Whether the file ``name`` was put into the folder."""
        return (self.folder / name).exists()

    def call(self, method: str, path: str, body: str | None = None) -> str | None:
        """The text of an answer, or None and a problem."""
        status, text = self.ask(method, path, body)
        if status < 300:
            return text
        self.trouble(f"{method} {path}: {status} {text}")
        return None

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        """Status and text of an answer; 599 when there is none."""
        if not hasattr(self._clients, "rest"):
            self._clients.rest = Rest(self.given)
        try:
            found: tuple[int, str] = self._clients.rest.call(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            return 599, repr(error)
        return found

    def trouble(self, problem: str) -> None:
        """Note ``problem``; the first few in words."""
        with self._guard:
            self.troubles += 1
            if len(self.problems) < MOST_PROBLEMS:
                self.problems.append(problem[:LONGEST_PROBLEM])

    def send(self) -> None:
        """Hand over at the rate, whatever the answers take."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            while not self.is_there("stop"):
                pool.submit(self.hand_over)
                self.planned += 1
                time.sleep(max(self.began + self.planned / self.given["rate"] - time.monotonic(), 0))

    def hand_over(self) -> None:
        """Hand one message over, until an adapter says that it has it."""
        identity = str(uuid.uuid4())
        request = self.given["request"]
        body = json.dumps({**request, "properties": {**request["properties"], "messageId": identity}})
        again = False
        while not self.is_there("end"):
            status, text = self.ask("POST", "/ebms/messages", body)
            if status < 300:
                self.accepted.append(text)
                return
            if again and text.endswith("is taken"):  # the attempt whose answer was lost had been kept
                self.accepted.append(text.removeprefix("message id ").removesuffix(" is taken"))
                return
            self.trouble(f"POST /ebms/messages: {status} {text}")
            again = True
            time.sleep(PAUSE)

    def follow(self) -> None:
        """Ask of each message whether it has ended."""
        while not self.is_there("end"):
            for identity in [each for each in list(self.accepted) if each not in self.ended]:
                answer = self.call("GET", f"/ebms/messages/{quote(identity)}")
                state = json.loads(answer)["properties"]["messageStatus"] if answer else ""
                if state in ENDED:
                    self.ended[identity] = state
                if self.is_there("end"):
                    return
            time.sleep(PAUSE)

    def take(self) -> None:
        """Take what the other side sends; a message that was taken and is there once more has come twice."""
        query = urlencode({"conversationId": self.given["from_them"], "maxNr": "100"})
        last = 0.0
        while not self.is_there("end"):
            for identity in json.loads(self.call("GET", f"/ebms/messages/unprocessed?{query}") or "[]"):
                if self.call("PATCH", f"/ebms/messages/{quote(identity)}") is None:
                    self.unsure.append(identity)  # it comes again, or it was taken all the same
                    continue
                self.taken.append(identity)
                if last and not self.is_there("stop"):
                    self.longest_pause = max(self.longest_pause, time.monotonic() - last)
                last = time.monotonic()
            time.sleep(PAUSE)

    def ping(self) -> None:
        """Ping once a second."""
        while self.given["ping"] and not self.is_there("stop"):
            self.pings += self.call("POST", self.given["ping"]) is not None
            time.sleep(1)

    def tell(self) -> None:
        """Write down what was seen, whole."""
        hidden = ("given", "folder", "began")
        seen = {name: value for name, value in vars(self).items() if name[0] != "_" and name not in hidden}
        (self.folder / "state.new").write_text(json.dumps(seen))
        (self.folder / "state.new").replace(self.folder / "state.json")


def main() -> None:
    """Do it all at once."""
    stream = Stream(json.loads(pathlib.Path(sys.argv[1]).read_text()))
    work = [threading.Thread(target=each) for each in (stream.send, stream.follow, stream.take, stream.ping)]
    for thread in work:
        thread.start()
    while any(thread.is_alive() for thread in work):
        stream.tell()
        time.sleep(0.5)
    stream.tell()
    (stream.folder / "over").touch()


if __name__ == "__main__":
    main()
