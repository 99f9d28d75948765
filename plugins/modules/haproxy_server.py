#!/usr/bin/python
"""Ansible module: a server of HAProxy in or out of work, over the runtime socket. Standard library alone."""

from __future__ import annotations

import csv
import io
import socket
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: haproxy_server
short_description: Takes a server of HAProxy out of work, or puts it back
description:
  - A server that is drained gets no new connection; those that it has go on. C(wait_seconds) is how long they may take
    to end. What is left then ends with the server.
  - A server that is put back is waited for until its checks find it up.
options:
  backend: {description: Name of the backend., type: str, required: true}
  server: {description: Name of the server., type: str, required: true}
  state: {description: Whether it gets connections., type: str, choices: [drained, ready], required: true}
  wait_seconds: {description: Longest wait for connections to end or checks to pass., type: int, default: 30}
  socket: {description: Runtime socket., type: path, default: /run/haproxy/admin.sock}
author: [aansluitkit]
"""
EXAMPLES = """
- name: Give a node no new connection
  haproxy_server:
    backend: adapters
    server: adapter-1
    state: drained
"""
RETURN = """
connections: {description: Connections that were left., type: int, returned: always}
"""
_PAUSE = 0.5


def ask(path: str, command: str) -> str:
    """The answer of the runtime socket at ``path``."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(path)
        client.sendall(f"{command}\n".encode())
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()


def look(path: str, backend: str, server: str) -> dict[str, str]:
    """What HAProxy says of ``server``; nothing when it is not there."""
    rows = csv.DictReader(io.StringIO(ask(path, "show stat").removeprefix("# ")))
    return next((row for row in rows if (row["pxname"], row["svname"]) == (backend, server)), {})


def is_reached(found: dict[str, str], state: str) -> bool:
    """Whether a drained server has no connection left, or one that is ready is up."""
    return found["scur"] == "0" if state == "drained" else found["status"].startswith("UP")


def main() -> None:
    """Run as Ansible calls it."""
    arguments = {
        "backend": {"type": "str", "required": True},
        "server": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["drained", "ready"], "required": True},
        "wait_seconds": {"type": "int", "default": 30},
        "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
    }
    module = AnsibleModule(arguments, supports_check_mode=True)
    given = module.params
    place, name = (given["socket"], given["backend"], given["server"]), f"{given['backend']}/{given['server']}"
    try:
        found = look(*place)
        if not found:
            module.fail_json(msg=f"HAProxy has no server {name}: run playbooks/site.yml, which makes it")
        changed = found["status"].startswith("DRAIN") != (given["state"] == "drained")
        if module.check_mode:
            module.exit_json(changed=changed, connections=int(found["scur"]))
        refused = ask(given["socket"], f"set server {name} state {'drain' if given['state'] == 'drained' else 'ready'}")
        if refused.strip():
            module.fail_json(msg=f"HAProxy refuses to set {name}: {refused.strip()}")
        until = time.monotonic() + given["wait_seconds"]
        while not is_reached(found := look(*place), given["state"]) and time.monotonic() < until:
            time.sleep(_PAUSE)
    except OSError as error:
        module.fail_json(msg=f"HAProxy does not answer at {given['socket']}: {error}; see 'systemctl status haproxy'")
    if given["state"] == "ready" and not is_reached(found, "ready"):
        last = found.get("last_chk") or found["status"]
        module.fail_json(msg=f"HAProxy does not find {name} up in {given['wait_seconds']} s: {last}")
    module.exit_json(changed=changed, connections=int(found["scur"]))


if __name__ == "__main__":
    main()
