"""A steady load in both directions while something else goes on, and its balance."""

from __future__ import annotations

import base64
import json
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aansluitkit.connection import Component, Connection, Host, refuse_load
from aansluitkit.verification.site import Site

STEADY = Path(__file__).with_name("steady.py")
PYTHON = "/opt/aansluitkit/current/venv/bin/python"
_RUN = "import base64,sys;exec(base64.b64decode(sys.argv[1]))"


@dataclass(frozen=True)
class Balance:
    """What became of the messages and pings of one side, and what went wrong on it."""

    sent: int
    delivered: int
    taken: int
    doubled: int
    lost: int
    pings: int
    problems: tuple[str, ...]

    @property
    def balanced(self) -> bool:
        """Whether everything came, once, whatever had to be tried again."""
        return self.sent == self.delivered == self.taken > 0 and not self.doubled + self.lost

    @property
    def whole(self) -> bool:
        """Whether everything came, once, and nothing failed."""
        return self.balanced and not self.problems


def under_load(site: Site, rate: float, work: Callable[[], None]) -> dict[str, Balance]:
    """Send ``rate`` messages a second in each direction while ``work`` is done, and balance.

    Raises:
        KitError: outside the lab, where no load goes to anybody.
    """
    connection = site.connection
    refuse_load(connection)
    ours, theirs = connection.host_of(Component.ADAPTER), connection.host_of(Component.PARTNER)
    stop = f"/run/aansluitkit-steady-{uuid.uuid4().hex}"
    conversations = {ours.name: uuid.uuid4().hex, theirs.name: uuid.uuid4().hex}

    def run(host: Host, other: Host) -> dict[str, Any]:
        given = _order(connection, host, conversations[host.name])
        given |= {"from_them": conversations[other.name], "stop": stop, "rate": rate}
        script = base64.b64encode(STEADY.read_bytes()).decode()
        done = site.run(host, f"{PYTHON} -c %s %s %s", _RUN, script, json.dumps(given))
        if done.rc != 0:
            raise AssertionError(f"the load on {host.name} ended: {done.stderr[-2000:]}")
        return dict(json.loads(done.stdout))

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(run, ours, theirs), pool.submit(run, theirs, ours)]
        try:
            work()
        finally:
            for host in (ours, theirs):
                site.run(host, "touch %s", stop)
            found = [each.result() for each in running]
    return {ours.name: _balance(*found), theirs.name: _balance(*found[::-1])}


def _order(connection: Connection, host: Host, conversation: str) -> dict[str, Any]:
    """What the script on ``host`` sends; the party there, and the action that it may."""
    outside = Component.PARTNER in host.components
    ids = [party.party_id for party in (connection.organisation, connection.partner)]
    own, other = ids[::-1] if outside else ids
    service, role = connection.cpa.services[0], "SP" if outside else "SR"
    properties = {
        "cpaId": connection.cpa.id,
        "fromPartyId": own,
        "fromRole": role,
        "service": f"{service.type}:{service.name}",
        "action": next(action.name for action in service.actions if action.sender == role),
        "conversationId": conversation,
    }
    content = base64.b64encode(b"<zaak>" + b"x" * 1000 + b"</zaak>").decode()
    return {
        "rest": f"https://{host.address}:{connection.ports.rest}/service/rest/v19",
        "request": {"properties": properties, "dataSources": [{"contentType": "text/xml", "content": content}]},
        "ping": f"/ebms/ping/{connection.cpa.id}/from/{own}/to/{other}",
    }


def _balance(own: dict[str, Any], other: dict[str, Any]) -> Balance:
    taken = Counter(other["taken"])
    sent = set(own["sent"])
    return Balance(
        sent=len(sent),
        delivered=sum(state == "DELIVERED" for state in own["states"].values()),
        taken=len(taken),
        doubled=sum(times - 1 for times in taken.values()) + len(set(taken) - sent),
        lost=len(sent - set(taken)),
        pings=own["pings"],
        problems=tuple(own["problems"]),
    )
