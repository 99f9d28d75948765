#!/usr/bin/python
"""Ansible module: a CPA in an ebMS adapter, over REST /service/rest/v19. Standard library alone: it runs on hosts."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import ssl
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: ebms_cpa
short_description: Loads a CPA into an ebMS adapter, or removes it
description:
  - Compares the CPA that the adapter has with the given one by content, so that formatting and namespace prefixes
    make no difference, validates it, loads it, and reads it back.
  - A CPA is removed when no message waits for it. An adapter that does not tell what it is still sending keeps a CPA
    until its End.
options:
  id: {description: Id of the CPA., type: str, required: true}
  state: {description: Whether the adapter has it., type: str, choices: [present, absent], default: present}
  document: {description: The CPA as XML., type: str}
  parties:
    description: The parties that the CPA is between, as type and number; any when it is empty.
    type: list
    elements: str
    default: []
  certificates:
    description: SHA-256, hexadecimal, of the certificates that the CPA may name; any when it is empty.
    type: list
    elements: str
    default: []
  url:
    description: Base URL of the REST interface; C(http) on the host itself alone.
    type: str
    required: true
  server_name: {description: Name in the certificate of the REST interface; needed for C(https)., type: str}
  trust: {description: Roots that the certificate may end in; needed for C(https)., type: path}
  user: {description: User of the REST interface; without a password nobody logs in., type: str}
  password: {description: Password of the REST interface., type: str}
author: [aansluitkit]
"""
EXAMPLES = """
- name: Load a CPA
  ebms_cpa:
    id: my-cpa
    document: "{{ lookup('ansible.builtin.file', 'cpa.xml') }}"
    url: https://198.51.100.11:8080
    server_name: adapter-1.example.nl
    trust: /etc/aansluitkit/certificates/internal-trust.pem
    user: ebms
    password: "{{ secret_rest_password }}"
"""
BASE = "/service/rest/v19"
TIMEOUT = 30
TNS = "{http://www.oasis-open.org/committees/ebxml-cppa/schema/cpp-cpa-2_0.xsd}"
DS = "{http://www.w3.org/2000/09/xmldsig#}"
DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Unusable(Exception):  # noqa: N818 - a verdict
    """One sentence for the user."""


class Adapter:
    """The REST interface of one adapter."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self._place = urlsplit(parameters["url"])
        self._name = parameters["server_name"] or ""
        self._trust = parameters["trust"]
        self._headers = {"Accept": "*/*"}
        if parameters["password"]:
            token = base64.b64encode(f"{parameters['user']}:{parameters['password']}".encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
        if self._place.scheme == "http" and self._place.hostname not in LOOPBACK:
            raise Unusable(f"{parameters['url']} is not https, and not on the host itself: correct cpa_url")
        if self._place.scheme != "http" and not (self._name and self._trust):
            raise Unusable(f"{parameters['url']} needs cpa_server_name and cpa_trust: set both")
        if self._name:  # ebms-admin answers to the name in its certificate alone
            self._headers["Host"] = f"{self._name}:{self._place.port or 443}"

    def call(self, method: str, path: str, body: str = "") -> tuple[int, str]:
        """Status and text of one exchange."""
        try:
            connection = self._connection()
            kind = {"Content-Type": "text/plain; charset=UTF-8"} if body else {}  # with nothing behind it: 415
            connection.request(method, BASE + path, body.encode() or None, {**self._headers, **kind})
            response = connection.getresponse()
            status, text = response.status, response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            where = self._place.netloc
            raise Unusable(
                f"the adapter at {where} can't be reached: {error}; see that it runs and cpa_trust"
            ) from error
        if status == 401:
            raise Unusable(f"the adapter at {self._place.netloc} refuses cpa_user and cpa_password")
        return status, text

    def _connection(self) -> http.client.HTTPConnection:
        host = self._place.hostname or ""
        if self._place.scheme == "http":
            return http.client.HTTPConnection(host, self._place.port or 80, timeout=TIMEOUT)
        context = ssl.create_default_context(cafile=self._trust)
        return _Named(host, self._place.port or 443, self._name, context)


class _Named(http.client.HTTPSConnection):
    """HTTPS to an address, with the certificate checked against a name."""

    def __init__(self, address: str, port: int, name: str, context: ssl.SSLContext) -> None:
        super().__init__(address, port, timeout=TIMEOUT, context=context)
        self._name, self._context_of_name = name, context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._context_of_name.wrap_socket(self.sock, server_hostname=self._name)


class _Plain(ElementTree.TreeBuilder):
    """Refuses a document type declaration before any entity of it is looked at."""

    def doctype(self, *_declared: Any) -> None:
        raise Unusable("it has a document type declaration, which no CPA has")


def parse(document: str) -> ElementTree.Element:
    """The root of XML without document type declaration."""
    parser = ElementTree.XMLParser(target=_Plain())  # noqa: S314 - see _Plain
    try:
        parser.feed(document.encode())
        root: ElementTree.Element = parser.close()
    except (ElementTree.ParseError, ValueError) as error:
        raise Unusable(f"it is no XML ({error})") from error
    return root


def canonical(document: str) -> str:
    """The content of a CPA, whatever its layout and prefixes (C14N 2.0), and however often an adapter rewrote it."""
    if not document:
        return ""
    root = parse(document)
    for element in root.iter():
        _plain(element)
    return ElementTree.canonicalize(ElementTree.tostring(root), strip_text=True, rewrite_prefixes=True)


def _plain(element: ElementTree.Element) -> None:
    """Writes what means the same in the same way: white space in base64, moments, durations, and default values."""
    text = element.text or ""
    if element.tag in (f"{DS}X509Certificate", f"{DS}Modulus", f"{DS}Exponent"):
        element.text = "".join(text.split())
    elif element.tag in (f"{TNS}Start", f"{TNS}End"):
        element.text = _moment(text).isoformat()
    elif element.tag in (f"{TNS}RetryInterval", f"{TNS}PersistDuration"):
        element.text = _duration(text)
    for name, value in list(element.attrib.items()):
        if name.startswith(XSI):
            del element.attrib[name]  # where a schema may lie
        elif name.startswith(f"{TNS}timeTo"):
            element.set(name, _duration(value))
    for name, value in DEFAULTS.get(element.tag.removeprefix(TNS), {}).items():
        element.attrib.setdefault(name, value)


DEFAULTS = {
    "Endpoint": {f"{TNS}type": "allPurpose"},
    "MessagingCharacteristics": {
        f"{TNS}syncReplyMode": "none",
        f"{TNS}ackRequested": "perMessage",
        f"{TNS}ackSignatureRequested": "perMessage",
        f"{TNS}duplicateElimination": "perMessage",
    },
    "Constituent": {f"{TNS}excludedFromSignature": "false"},
}


def _duration(text: str) -> str:
    """An xsd:duration as months and seconds: PT1H30M and P0Y0M0DT1H30M0.000S are one."""
    matched = DURATION.fullmatch(text.strip())
    if matched is None:
        return text
    years, months, days, hours, minutes, seconds = (float(number or 0) for number in matched.groups())
    return f"P{years * 12 + months}M{((days * 24 + hours) * 60 + minutes) * 60 + seconds}S"


def _moment(text: str) -> datetime:
    """An xsd:dateTime; one without a time zone is taken for UTC."""
    try:
        found = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError as error:
        raise Unusable(f"'{text.strip()}' is no date and time") from error
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def judge(document: str, parameters: dict[str, Any]) -> None:
    """See that the document is the wanted CPA, before the adapter hears of it."""
    root = parse(document)
    if root.tag != f"{TNS}CollaborationProtocolAgreement":
        raise Unusable(f"it is no CPA but {root.tag.rpartition('}')[2]}")
    if root.get(f"{TNS}cpaid") != parameters["id"]:
        raise Unusable(f"its cpaid is '{root.get(f'{TNS}cpaid')}': correct connection_cpa.id or give the right CPA")
    _judge_parties(root, parameters["parties"])
    allowed = {fingerprint.lower().replace(":", "") for fingerprint in parameters["certificates"]}
    for element in root.iter(f"{DS}X509Certificate"):
        if allowed and _fingerprint(element.text or "") not in allowed:
            raise Unusable(
                f"it names certificate SHA-256 {_fingerprint(element.text or '')[:16]}…, which is none of "
                "connection_certificates: give the CPA that has them, or correct these"
            )


def _judge_parties(root: ElementTree.Element, wanted: list[str]) -> None:
    infos = root.findall(f"{TNS}PartyInfo")
    named = [
        {f"{each.get(f'{TNS}type')}:{(each.text or '').strip()}" for each in info.iter(f"{TNS}PartyId")}
        for info in infos
    ]
    missing = [party for party in wanted if not any(party in names for names in named)]
    if missing:
        there = " and ".join(", ".join(sorted(names)) for names in named) or "nobody"
        raise Unusable(f"it is between {there}, not {' and '.join(missing)}: give the CPA of these parties")


def _fingerprint(text: str) -> str:
    try:
        return hashlib.sha256(base64.b64decode("".join(text.split()), validate=True)).hexdigest()
    except ValueError as error:
        raise Unusable("it holds a certificate that is no base64") from error


def ensure(adapter: Adapter, parameters: dict[str, Any], check: bool) -> dict[str, Any]:
    """Bring the adapter to the wanted state and say what differed."""
    identity = parameters["id"]
    wanted = parameters["document"].removeprefix("\ufeff") if parameters["state"] == "present" else ""
    path = "/cpas/" + quote(identity, safe="")
    if wanted:
        judge(wanted, parameters)
    before = read(adapter, identity, path)
    if canonical(before) == canonical(wanted):
        return {"changed": False}
    if wanted:
        _refused(adapter.call("POST", "/cpas/validate", wanted), f"CPA {identity} is not valid")
    else:
        _refuse_pending(adapter, identity, before)
    if not check:
        _change(adapter, identity, path, wanted)
    return {
        "changed": True,
        "diff": {"before": before, "after": wanted, "before_header": identity, "after_header": identity},
    }


def read(adapter: Adapter, identity: str, path: str) -> str:
    """The CPA as the adapter has it; empty when it has none."""
    status, found = adapter.call("GET", path)
    if status not in (200, 404):
        raise Unusable(f"the adapter does not say whether it has CPA {identity}: HTTP {status} {found[:300]}")
    return found if status == 200 else ""


def _change(adapter: Adapter, identity: str, path: str, wanted: str) -> None:
    if not wanted:
        _refused(adapter.call("DELETE", path), f"CPA {identity} is not removed")
        return
    _refused(adapter.call("POST", "/cpas?overwrite=true", wanted), f"CPA {identity} is not taken")
    if canonical(read(adapter, identity, path)) != canonical(wanted):
        raise Unusable(f"the adapter took CPA {identity} and gives another back: compare them, and load it by hand")


def _refuse_pending(adapter: Adapter, identity: str, loaded: str) -> None:
    """Refuse to take a CPA away from messages that still need it."""
    wanted = urlencode({"cpaId": identity})
    status, text = adapter.call("GET", f"/ebms/messages/unprocessed?{wanted}")
    _refused((status, text), f"CPA {identity} is not removed")
    received = len(json.loads(text))
    if received:
        raise Unusable(
            f"CPA {identity} is not removed: {received} received message(s) of it wait for the application; have "
            "them processed first"
        )
    status, text = adapter.call("GET", f"/ebms/messages/pending?{wanted}")
    if status == 200 and json.loads(text):
        raise Unusable(
            f"CPA {identity} is not removed: {len(json.loads(text))} message(s) of it are still being sent; wait until "
            "they are delivered or have failed"
        )
    end = _moment(parse(loaded).findtext(f"{TNS}End") or "")
    if status != 200 and datetime.now(UTC) < end:
        raise Unusable(
            f"CPA {identity} is not removed: this adapter does not tell whether it is still sending messages of it; "
            f"wait until the CPA ends, on {end:%Y-%m-%d}, or remove it in the adapter's console"
        )


def _refused(answer: tuple[int, str], what: str) -> None:
    status, text = answer
    if not 200 <= status < 300:
        raise Unusable(f"{what}: the adapter answers HTTP {status}: {' '.join(text.split())[:300]}")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "id": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "document": {"type": "str"},
            "parties": {"type": "list", "elements": "str", "default": []},
            "certificates": {"type": "list", "elements": "str", "default": []},
            "url": {"type": "str", "required": True},
            "server_name": {"type": "str"},
            "trust": {"type": "path"},
            "user": {"type": "str"},
            "password": {"type": "str", "no_log": True},
        },
        required_if=[("state", "present", ["document"])],
        required_together=[("user", "password")],
        supports_check_mode=True,
    )
    try:
        result = ensure(Adapter(module.params), module.params, module.check_mode)
    except Unusable as error:
        module.fail_json(msg=f"CPA {module.params['id']}: {error}" if str(error).startswith("it ") else str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
