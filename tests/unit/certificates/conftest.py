"""An authority, an inventory that trusts it, and a server of its CRLs."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from aansluitkit.certificates import facts
from aansluitkit.project import ROOT

from .makers import Authority, CrlServer


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority("Voorbeeld G4")


@pytest.fixture(scope="session")
def stranger() -> Authority:
    return Authority("Vreemd G4")


@pytest.fixture
def inventory(authority: Authority, tmp_path: Path) -> Path:
    """The preprod environment of the example, trusting ``authority``, whose intermediates are known."""
    root = Path(shutil.copytree(ROOT / "inventories", tmp_path / "inventories", symlinks=True))
    folder = root / "shared/pkioverheid"
    folder.mkdir()
    (folder / "root.pem").write_bytes(authority.root.pem)
    (folder / "intermediates.pem").write_bytes(authority.intermediates)
    text = (root / "shared/all.yml").read_text()
    start, end = text.index("  roots:\n"), text.index("# Hosts are reached")
    digest = facts.fingerprint(authority.root.certificate)
    trusted = f'  roots:\n    g4: {{name: Voorbeeld G4 Root, sha256: "{digest}"}}\n\n'
    (root / "shared/all.yml").write_text(text[:start] + trusted + text[end:])
    return root / "voorbeeldgemeente/preprod"


@pytest.fixture
def own_inventory(inventory: Path) -> Path:
    """The same as somebody's own: no example, and with names that are none."""
    for path in inventory.parents[1].rglob("*.yml"):
        if not path.is_symlink():
            text = path.read_text().replace("connection_example: true\n", "").replace(".example", ".internal")
            path.write_text(text.replace("network: internet", "network: diginetwerk"))
    return inventory


@pytest.fixture
def crl_server() -> Iterator[CrlServer]:
    state = CrlServer("", {}, [])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            content = state.files.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()
