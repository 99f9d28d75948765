"""The partner: the stand-in, on a host that no inventory names."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Self
from urllib.parse import quote

import yaml
from ground import OUTSIDE, PARTNER, RESOLVER

REST, PASSWORD = 8080, "a password of the partner"


class Partner:
    """An adapter in stand-in mode, with the certificates in ``work/partner``."""

    def __init__(self, work: Path, domain: str) -> None:
        self._folder, self._domain = work / "partner", domain
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        folder = self._folder
        (folder / "rest-password").write_text(PASSWORD)
        settings = {
            "node": "partner",
            "domain": self._domain,
            "database": f"sqlite:///{folder}/adapter.db",
            "stand_in": {"echo": True},
            "ebms": {
                "address": PARTNER,
                "port": 443,
                "path": "/ebms",
                "certificate_file": f"{folder}/certificate.pem",
                "key_file": f"{folder}/key.pem",
                "trust_file": f"{folder}/trust.pem",
            },
            "rest": {
                "address": PARTNER,
                "port": REST,
                "certificate_file": f"{folder}/internal-certificate.pem",
                "key_file": f"{folder}/internal-key.pem",
                "user": "ebms",
                "password_file": f"{folder}/rest-password",
            },
            "health": {"address": PARTNER, "port": 8008},
        }
        file = folder / "adapter.yml"
        file.write_text(yaml.safe_dump(settings))
        (folder / "resolv.conf").write_text(f"nameserver {RESOLVER}\n")
        resolving = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        inside = ["ip", "netns", "exec", OUTSIDE, "sh", "-c", resolving, str(folder / "resolv.conf")]
        migrated = [sys.executable, "-m", "aansluitkit.ebms.migrate", str(settings["database"])]
        subprocess.run(migrated, check=True, capture_output=True)
        with (folder / "adapter.log").open("wb") as log:
            command = [*inside, sys.executable, "-m", "aansluitkit.ebms", "--settings", str(file)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()

    def load(self, cpa: Path) -> None:
        """Have the partner know the CPA in file ``cpa``."""
        self._call("POST", "/cpas", cpa.read_bytes())

    def ping(self, cpa: str, sender: str, receiver: str) -> None:
        """Have the partner send a Ping, and check the Pong."""
        self._call("POST", f"/ebms/ping/{quote(cpa)}/from/{quote(sender)}/to/{quote(receiver)}", b"")

    def _call(self, method: str, path: str, body: bytes) -> None:
        token = base64.b64encode(f"ebms:{PASSWORD}".encode()).decode()
        url = f"https://{PARTNER}:{REST}/service/rest/v19{path}"
        command = [
            "ip",
            "netns",
            "exec",
            OUTSIDE,
            "curl",
            "--silent",
            "--show-error",
            "--insecure",
            "--request",
            method,
        ]
        command += ["--header", f"Authorization: Basic {token}", "--header", "Content-Type: text/plain; charset=UTF-8"]
        command += ["--data-binary", "@-", "--write-out", "\n%{http_code}", url]
        done = subprocess.run(command, input=body, capture_output=True, check=True)
        text, _, status = done.stdout.decode().rpartition("\n")
        assert status.startswith("2"), json.dumps(
            {"path": path, "status": status, "text": text, "error": done.stderr.decode()}
        )
