"""Runs on a host of the bench: answers every request over two-way TLS, over plain HTTP, and as a health check.

Arguments: folder with certificate.pem, key.pem and trust.pem, address, port with TLS, port without, port of the health.
"""

import http.server
import ssl
import sys
import threading

FOLDER, ADDRESS = sys.argv[-5:-3]
SECURE, PLAIN, HEALTH = map(int, sys.argv[-3:])


class Answer(http.server.BaseHTTPRequestHandler):
    """200, always."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer the health check."""
        self.do_POST()

    def do_POST(self) -> None:
        """Read everything and say so."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_args: object) -> None:
        """Nothing."""


class Server(http.server.ThreadingHTTPServer):
    """A thread for each connection, in which its handshake happens too."""

    request_queue_size = 1024
    daemon_threads = True
    context: ssl.SSLContext | None = None

    def finish_request(self, request: object, client_address: object) -> None:
        """Begin TLS where it is spoken."""
        assert not isinstance(request, tuple)
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)  # type: ignore[arg-type]
        super().finish_request(request, client_address)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no matter."""


for port in (SECURE, PLAIN, HEALTH):
    server = Server((ADDRESS, port), Answer)
    if port == SECURE:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(f"{FOLDER}/certificate.pem", f"{FOLDER}/key.pem")
        server.context.load_verify_locations(f"{FOLDER}/trust.pem")
        server.context.verify_mode = ssl.CERT_REQUIRED
    threading.Thread(target=server.serve_forever).start()
