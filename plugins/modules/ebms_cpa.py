#!/usr/bin/python
"""Ansible module: a CPA in an ebMS adapter, over REST /service/rest/v19. Standard library alone: it runs on hosts."""

from __future__ import annotations

import base64
import http.client
import re
import ssl
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: ebms_cpa
short_description: Loads a CPA into an ebMS adapter, or removes it
description:
  - Compares the CPA that the adapter has with the given one by content, so that formatting and namespace prefixes
    make no difference, validates it and loads it.
options:
  id: {description: Id of the CPA., type: str, required: true}
  state: {description: Whether the adapter has it., type: str, choices: [present, absent], default: present}
  document: {description: The CPA as XML., type: str}
  url: {description: Base URL of the REST interface., type: str, required: true}
  server_name: {description: Name in the certificate of the REST interface., type: str, required: true}
  trust: {description: Roots that the certificate may end in., type: path, required: true}
  user: {description: User of the REST interface., type: str, required: true}
  password: {description: Password of the REST interface., type: str, required: true}
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
DURATION = re.compile(r"(?<=[>\"])P(?:[0-9]+[YMD])*(?:T(?:[0-9]+(?:\.[0-9]+)?[HMS])+)?(?=[<\"])")
BASE = "/service/rest/v19/cpas"
TIMEOUT = 30


class Unusable(Exception):  # noqa: N818 - a verdict
    """One sentence for the user."""


class Adapter:
    """The REST interface of one adapter."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self._place = urlsplit(parameters["url"])
        self._name = parameters["server_name"]
        self._trust = parameters["trust"]
        token = base64.b64encode(f"{parameters['user']}:{parameters['password']}".encode()).decode()
        self._headers = {
            # ebms-admin answers to the name in its certificate alone.
            "Host": f"{self._name}:{self._place.port or 443}",
            "Authorization": f"Basic {token}",
            "Content-Type": "text/plain; charset=UTF-8",
            "Accept": "*/*",
        }

    def call(self, method: str, path: str, body: str = "") -> tuple[int, str]:
        """Status and text of one exchange."""
        try:
            context = ssl.create_default_context(cafile=self._trust)
            connection = _Named(self._place.hostname or "", self._place.port or 443, self._name, context)
            connection.request(method, BASE + path, body.encode(), self._headers)
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


class _Named(http.client.HTTPSConnection):
    """HTTPS to an address, with the certificate checked against a name."""

    def __init__(self, address: str, port: int, name: str, context: ssl.SSLContext) -> None:
        super().__init__(address, port, timeout=TIMEOUT, context=context)
        self._name, self._context_of_name = name, context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._context_of_name.wrap_socket(self.sock, server_hostname=self._name)


def canonical(document: str) -> str:
    """The content of an XML document, whatever its layout, prefixes (C14N 2.0) and empty parts of durations."""
    try:
        content = ElementTree.canonicalize(document, strip_text=True, rewrite_prefixes=True)
    except ElementTree.ParseError:
        return document
    return DURATION.sub(lambda found: _without_zeros(found[0]), content)


def _without_zeros(duration: str) -> str:
    """PT3H for P0Y0M0DT3H0M0.000S, which is how ebms-admin writes it."""
    parts = re.findall(r"[PT]|[0-9.]+[YMDHS]", duration)
    return "".join(part for part in parts if part in "PT" or float(part[:-1])).rstrip("T")


def ensure(adapter: Adapter, parameters: dict[str, Any], check: bool) -> dict[str, Any]:
    """Bring the adapter to the wanted state and say what differed."""
    identity, wanted = parameters["id"], parameters["document"] or ""
    path = "/" + quote(identity, safe="")
    status, found = adapter.call("GET", path)
    if status not in (200, 404):
        raise Unusable(f"the adapter does not say whether it has CPA {identity}: HTTP {status} {found[:300]}")
    before = found if status == 200 else ""
    if canonical(before) == canonical(wanted):
        return {"changed": False}
    if wanted:
        _refused(adapter.call("POST", "/validate", wanted), f"CPA {identity} is not valid")
    if not check and wanted:
        _refused(adapter.call("POST", "?overwrite=true", wanted), f"CPA {identity} is not taken")
    elif not check:
        _refused(adapter.call("DELETE", path), f"CPA {identity} is not removed")
    return {
        "changed": True,
        "diff": {"before": before, "after": wanted, "before_header": identity, "after_header": identity},
    }


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
            "url": {"type": "str", "required": True},
            "server_name": {"type": "str", "required": True},
            "trust": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
        },
        required_if=[("state", "present", ["document"])],
        supports_check_mode=True,
    )
    try:
        result = ensure(Adapter(module.params), module.params, module.check_mode)
    except Unusable as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
