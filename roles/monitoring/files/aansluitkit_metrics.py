#!/usr/bin/python3
"""What Prometheus can't ask of anybody else: when certificates, CRLs and CPAs end, and whether the partner answers.

``aansluitkit-metrics dates|ping FILE`` writes FILE whole, for the textfile collector of Debian's node exporter. Where
to look stands in /etc/aansluitkit-metrics.json. Status 1 when something could not be asked; what could be is written
all the same. A partner that does not answer is what ``ping`` finds out, so no failure.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

SETTINGS = Path("/etc/aansluitkit-metrics.json")
LONGEST_SECONDS = 60.0  # that the adapter may take; it waits for the partner itself
_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)
_END = re.compile(r"<(?:\w+:)?End>\s*([^<\s]+)\s*</")  # of the CPA itself: nothing else in it is called that
HELP = {
    "aansluitkit_certificate_expires_timestamp_seconds": "When the certificate in the file expires",
    "aansluitkit_crl_next_update_timestamp_seconds": "Until when the CRL of an authority counts",
    "aansluitkit_cpa_ends_timestamp_seconds": "When the CPA ends",
    "aansluitkit_ping_success": "1 when the partner answered the last Ping by a Pong",
    "aansluitkit_ping_duration_seconds": "How long the answer took",
}

Sample = tuple[str, dict[str, str], float]


class Adapter:
    """The REST interface of the adapter on this host, at its address, under its name."""

    def __init__(self, place: dict[str, Any]) -> None:
        self._place = place
        self._url = urlsplit(place["url"])

    def ask(self, method: str, path: str) -> str:
        """What the adapter answers.

        Raises:
            OSError: when it does not answer, or with a status that is no success.
        """
        name, port = str(self._url.hostname), self._url.port or 443
        context = ssl.create_default_context(cafile=self._place["trust"])
        connection = http.client.HTTPSConnection(name, port, timeout=LONGEST_SECONDS, context=context)
        plain = socket.create_connection((self._place["address"], port), LONGEST_SECONDS)
        connection.sock = context.wrap_socket(plain, server_hostname=name)
        password = Path(self._place["password_file"]).read_text(encoding="utf-8").strip()
        user = base64.b64encode(f"ebms:{password}".encode()).decode()
        try:
            connection.request(
                method, self._url.path + path, headers={"Authorization": f"Basic {user}", "Accept": "*/*"}
            )
            answer = connection.getresponse()
            content = answer.read().decode("utf-8", "replace")
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP came: {error!r}") from error
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            raise OSError(f"status {answer.status}: {content[:200]}")
        return content


def _openssl(kind: str, what: str, content: bytes) -> str:
    """What OpenSSL says of ``what`` (such as enddate) of a certificate or CRL; empty when it is none."""
    said = subprocess.run(["openssl", kind, "-noout", *what.split()], input=content, capture_output=True, check=False)
    return said.stdout.decode("utf-8", "replace").strip()


def _moment(text: str) -> float:
    """Seconds since 1970 of a time as OpenSSL writes it: ``notAfter=May  1 10:00:00 2026 GMT``."""
    return ssl.cert_time_to_seconds(text.partition("=")[2])


def dates(settings: dict[str, Any], problems: list[str]) -> Iterator[Sample]:
    """Ends of certificates, CRLs and CPAs."""
    for path in sorted(Path(settings["certificates"]).glob("*.pem")):
        try:
            said = _openssl("x509", "-enddate", path.read_bytes())
        except PermissionError:  # a key
            continue
        if said:
            yield "aansluitkit_certificate_expires_timestamp_seconds", {"file": path.name}, _moment(said)
    if settings["crls"]:
        try:
            found = _CRL.findall(Path(settings["crls"]).read_bytes())
        except OSError as error:
            problems.append(str(error))
            found = []
        for crl in found:
            until, _, issuer = _openssl("crl", "-nextupdate -issuer -nameopt multiline,-esc_msb,utf8", crl).partition(
                "\n"
            )
            named = re.search(r"commonName\s*= (.*)", issuer)
            authority = named[1] if named else " ".join(issuer.split())
            yield "aansluitkit_crl_next_update_timestamp_seconds", {"authority": authority}, _moment(until)
    if settings["adapter"]:
        yield from _agreements(Adapter(settings["adapter"]), problems)


def _agreements(adapter: Adapter, problems: list[str]) -> Iterator[Sample]:
    try:
        for cpa in json.loads(adapter.ask("GET", "/cpas")):
            end = _END.search(adapter.ask("GET", f"/cpas/{quote(cpa, safe='')}"))
            if end:
                moment = datetime.fromisoformat(end[1])
                moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                yield "aansluitkit_cpa_ends_timestamp_seconds", {"cpa": cpa}, moment.timestamp()
    except (OSError, ValueError) as error:
        problems.append(f"the adapter does not tell its CPAs: {error}")


def ping(settings: dict[str, Any], _problems: list[str]) -> Iterator[Sample]:
    """Whether the partner answers a Ping, asked of the adapter."""
    place = settings["adapter"]
    own, other = (quote(party, safe="") for party in place["parties"])
    adapter = Adapter(place)
    began = time.monotonic()
    try:
        cpa = _agreement(adapter, place["cpa"])
        adapter.ask("POST", f"/ebms/ping/{quote(cpa, safe='')}/from/{own}/to/{other}")
        success = 1
    except (OSError, ValueError) as error:
        print(f"aansluitkit-metrics: no Pong came: {error}", file=sys.stderr)
        success = 0
    yield "aansluitkit_ping_success", {}, success
    yield "aansluitkit_ping_duration_seconds", {}, round(time.monotonic() - began, 3)


def _agreement(adapter: Adapter, declared: str) -> str:
    """The CPA ``declared``, or the one that took over from it since this host was configured."""
    known: list[str] = json.loads(adapter.ask("GET", "/cpas"))
    return declared if declared in known or not known else known[-1]


def written(samples: list[Sample]) -> str:
    """``samples`` in Prometheus' text format."""
    lines: list[str] = []
    for name, meaning in HELP.items():
        mine = [(labels, value) for found, labels, value in samples if found == name]
        if mine:
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
        for labels, value in mine:
            inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            lines.append(f"{name}{{{inner}}} {value}" if inner else f"{name} {value}")
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def main() -> int:
    """Look, and write."""
    looks = {"dates": dates, "ping": ping}
    if len(sys.argv) != 3 or sys.argv[1] not in looks:
        print("usage: aansluitkit-metrics dates|ping FILE", file=sys.stderr)
        return 2
    settings = json.loads(SETTINGS.read_text(encoding="utf-8"))
    problems: list[str] = []
    text = written(list(looks[sys.argv[1]](settings, problems)))
    partial = Path(f"{sys.argv[2]}.new")  # the collector reads *.prom alone
    partial.write_text(text, encoding="utf-8")
    partial.replace(sys.argv[2])
    for problem in problems:
        print(f"aansluitkit-metrics: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
