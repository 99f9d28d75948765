"""Runs on a host of the bench: small requests over two-way TLS, of many clients or one at a steady rate; prints JSON.

Arguments: folder with certificate.pem, key.pem and trust.pem, name, address, port, and what to do: ``keep CLIENTS
SECONDS`` (each client one connection), ``new CLIENTS SECONDS`` (a connection for each request), or ``steady RATE
SECONDS`` (a new connection each, and what fails is counted and not repeated).
"""

import http.client
import json
import socket
import ssl
import sys
import threading
import time
from itertools import pairwise

FOLDER, NAME, ADDRESS, PORT, WHAT = *sys.argv[-7:-4], int(sys.argv[-4]), sys.argv[-3]
NUMBER, SECONDS = int(sys.argv[-2]), float(sys.argv[-1])
LONGEST_SECONDS = 5.0  # of one request
CONTEXT = ssl.create_default_context(cafile=f"{FOLDER}/trust.pem")
CONTEXT.load_cert_chain(f"{FOLDER}/certificate.pem", f"{FOLDER}/key.pem")


def connect() -> http.client.HTTPConnection:
    """A new connection."""
    raw = socket.create_connection((ADDRESS, PORT), timeout=LONGEST_SECONDS)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = http.client.HTTPConnection(NAME, PORT, timeout=LONGEST_SECONDS)
    connection.sock = CONTEXT.wrap_socket(raw, server_hostname=NAME)
    return connection


def ask(connection: http.client.HTTPConnection) -> None:
    """One request."""
    connection.request("POST", "/ebms", b"x" * 1000)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise http.client.HTTPException(f"status {answer.status}")


def hammer() -> dict[str, float]:
    """Requests per second, and the 99th percentile of their milliseconds."""
    took: list[float] = []
    until = time.monotonic() + SECONDS

    def client() -> None:
        connection = None if WHAT == "new" else connect()
        while time.monotonic() < until:
            began = time.perf_counter()
            used = connection or connect()
            ask(used)
            took.append(time.perf_counter() - began)
            if connection is None:
                used.close()

    threads = [threading.Thread(target=client) for _ in range(NUMBER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"per_second": len(took) / SECONDS, "p99_ms": 1000 * sorted(took)[len(took) * 99 // 100]}


def steady() -> dict[str, float]:
    """How many failed, and the longest time in which none that was begun succeeded."""
    ended: list[tuple[float, bool]] = []

    def once() -> None:
        began = time.monotonic()
        try:
            connection = connect()
            ask(connection)
            connection.close()
            ended.append((began, True))
        except (OSError, http.client.HTTPException):
            ended.append((began, False))

    first = time.monotonic()
    threads = []
    for number in range(int(SECONDS * NUMBER)):
        time.sleep(max(0.0, first + number / NUMBER - time.monotonic()))
        threads.append(threading.Thread(target=once))
        threads[-1].start()
    for thread in threads:
        thread.join()
    succeeded = sorted(began for began, well in ended if well)
    gap = max((later - earlier for earlier, later in pairwise(succeeded)), default=SECONDS)
    return {"requests": len(ended), "failed": len(ended) - len(succeeded), "gap_seconds": gap}


print(json.dumps(steady() if WHAT == "steady" else hammer()))
