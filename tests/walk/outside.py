"""What lies outside an organisation: a router, the partner, resolvers, CRLs, and a mirror of Debian's packages.

All of it is in one network namespace. Servers of this process listen there and reach the mirror's origin from the
namespace of the process itself.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError

import dns.flags
import dns.message
import dns.rrset

from aansluitkit.lab.network import NAMESPACES
from aansluitkit.project import cache

ORIGIN = "http://deb.debian.org"
_CLONE_NEWNET = 0x40000000


def mirror(namespace: str, address: str, port: int) -> None:
    """Serve Debian's packages at ``address`` in ``namespace``; a package is fetched once for all runs."""

    def find(path: str) -> bytes:
        kept = cache() / "mirror" / path.lstrip("/")
        if path.endswith(".deb") and kept.is_file():
            return kept.read_bytes()
        with urllib.request.urlopen(ORIGIN + path, timeout=60) as answer:  # noqa: S310 - a URL of http
            content: bytes = answer.read()
        if path.endswith(".deb"):
            kept.parent.mkdir(parents=True, exist_ok=True)
            making = kept.with_suffix(f".{threading.get_ident()}")
            making.write_bytes(content)
            making.rename(kept)
        return content

    serve(namespace, address, port, find)


def publish(namespace: str, address: str, folder: Path) -> None:
    """Serve the files of ``folder``, which are CRLs, at ``address`` in ``namespace``."""

    def find(path: str) -> bytes:
        file = folder / Path(path).name
        if not file.is_file():
            raise HTTPError(path, HTTPStatus.NOT_FOUND, "no such file", {}, None)  # type: ignore[arg-type]
        return file.read_bytes()

    serve(namespace, address, 80, find)


def serve(namespace: str, address: str, port: int, find: Callable[[str], bytes]) -> None:
    """Answer HTTP requests at ``address`` in ``namespace`` with what ``find`` returns for their path."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                status, content = HTTPStatus.OK, find(self.path)
            except HTTPError as error:
                status, content = HTTPStatus(error.code), b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _inside(namespace):
        server = ThreadingHTTPServer((address, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()


def resolve(namespace: str, address: str, names: dict[str, str]) -> None:
    """Answer DNS queries for ``names``, which are addresses by name, at ``address`` in ``namespace``."""
    with _inside(namespace):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((address, 53))

    def answer() -> None:
        while True:
            query, client = server.recvfrom(4096)
            asked = dns.message.from_wire(query)
            reply = dns.message.make_response(asked)
            reply.flags |= dns.flags.RA | dns.flags.AA
            [question] = asked.question
            found = names.get(question.name.to_text(omit_final_dot=True).lower())
            if found is None:
                reply.set_rcode(dns.rcode.NXDOMAIN)
            elif question.rdtype == dns.rdatatype.A:
                reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", found))
            server.sendto(reply.to_wire(), client)

    threading.Thread(target=answer, daemon=True).start()


@contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """Have this thread make its sockets in ``namespace``."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as here, (NAMESPACES / namespace).open() as there:
        _enter(libc, there.fileno())
        try:
            yield
        finally:
            _enter(libc, here.fileno())


def _enter(libc: ctypes.CDLL, file: int) -> None:
    if libc.setns(file, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
