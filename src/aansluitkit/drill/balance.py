"""A steady stream of messages in both directions while something else goes on, and its balance."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from aansluitkit.connection import Component, Connection, Host, Profile, refuse_load
from aansluitkit.connection.model import CpaParameters, Retries
from aansluitkit.connection.views import CERTIFICATES, PASSWORD_FILE
from aansluitkit.errors import KitError
from aansluitkit.lab import container
from aansluitkit.lab.network import namespace_of

STREAM = Path(__file__).with_name("stream.py")
RATE = 5.0  # messages a second in each direction
PATIENCE_SECONDS = 120.0  # for acknowledgements and messages, when all is sent
_QUIET_SECONDS = 2.0  # after the last one: what is doubled would come now
_FIRST_SECONDS = 90.0
_PAUSE = 0.5
_T = TypeVar("_T")
_CONTENT = base64.b64encode(b"<zaak>" + b"x" * 1000 + b"</zaak>").decode()


@dataclass(frozen=True)
class Balance:
    """What became of the messages of one side.

    ``sent`` were handed over, ``acknowledged`` by the other adapter, ``delivered`` to the other application,
    ``doubled`` delivered more than once, ``lost`` never. ``pause_seconds`` is the longest that nothing came meanwhile.
    ``troubles`` counts what the applications of both sides had to try again, ``problems`` are the first of them.
    """

    sent: int
    acknowledged: int
    delivered: int
    doubled: int
    lost: int
    pause_seconds: float = 0.0
    pings: int = 0
    troubles: int = 0
    problems: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether everything came, once."""
        return self.sent == self.acknowledged == self.delivered > 0 and not self.doubled + self.lost

    @property
    def unnoticed(self) -> bool:
        """Whether everything came, once, and nothing had to be tried again."""
        return self.whole and not self.troubles


Balances = dict[str, Balance]  # by direction


def drilled(connection: Connection) -> Connection:
    """``connection`` under a CPA of the same parties with retries that are soon: hours would not fit in a drill."""
    cpa = connection.cpa
    # More of them than an inventory may have, so that a message outlives the hour that a clock is wrong.
    soon = {"count": 2400, "interval": timedelta(seconds=3), "persist_duration": timedelta(hours=3)}
    services = tuple(service.model_copy(update={"profile": Profile.RELIABLE}) for service in cpa.services)
    agreed = CpaParameters(
        id=f"DRILL_{connection.organisation.oin}-{connection.partner.oin}",
        start=cpa.start,
        end=cpa.end,
        roles=cpa.roles,
        services=services,
        retries=Retries().model_copy(update=soon),
    )
    return connection.model_copy(update={"cpa": agreed})


@dataclass
class Streams:
    """The two applications: ours beside the adapters, the partner's on the host of its stand-in."""

    connection: Connection
    rate: float = RATE
    pings: bool = False
    balances: Balances = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse load to somebody else."""
        refuse_load(self.connection)
        partner = self.connection.host_of(Component.PARTNER)
        self._hosts = {"outbound": self.connection.host_of(Component.APPLICATION), "inbound": partner}
        self._nodes = {"outbound": self.connection.hosts_of(Component.ADAPTER), "inbound": (partner,)}
        self._folder = f"/run/aansluitkit-stream-{uuid.uuid4().hex[:12]}"

    def start(self) -> None:
        """Start both, and wait until messages go both ways.

        Raises:
            KitError: when none come.
        """
        conversations = {direction: uuid.uuid4().hex for direction in self._hosts}

        def begin(direction: str) -> None:
            given = self._order(direction, conversations[direction]) | {"from_them": conversations[_OTHER[direction]]}
            self._in(direction, f"mkdir -m 700 {self._folder} && cat > {self._folder}/stream.py", STREAM.read_text())
            self._use(direction, self.connection.cpa.id)
            self._in(direction, f"umask 077 && cat > {self._folder}/order.json", json.dumps(given))
            unit = f"systemd-run --quiet --collect --unit={self._folder.rpartition('/')[2]}"
            self._in(direction, f"{unit} python3 {self._folder}/stream.py {self._folder}/order.json")

        self._both(begin)
        if not self._wait(_FIRST_SECONDS, lambda seen: all(side["taken"] for side in seen.values())):
            raise KitError(f"messages do not go both ways before anything is done: {self._problems()}")

    def switch(self, cpa: str) -> None:
        """Have both applications use the CPA with id ``cpa`` from now on."""
        self._both(lambda direction: self._use(direction, cpa))

    def end(self) -> Balances:
        """Send no more, wait until all is settled or patience is over, and balance."""
        self._mark("stop")
        self._wait(PATIENCE_SECONDS, _settled)
        time.sleep(_QUIET_SECONDS)
        self._mark("end")
        wait = f"timeout 60 sh -c 'until [ -e {self._folder}/over ]; do sleep 0.2; done'"
        last = self._both(lambda direction: self._in(direction, f"{wait}; cat {self._folder}/state.json"))
        seen = {direction: json.loads(text) for direction, text in last.items()}
        self._both(lambda direction: self._in(direction, f"rm -r {self._folder}"))
        self.balances = {
            "outbound": _balance(seen["outbound"], seen["inbound"]),
            "inbound": _balance(seen["inbound"], seen["outbound"]),
        }
        return self.balances

    def caught_up(self, seconds: float) -> bool:
        """Wait until all that was handed over before now has come, both ways; false when it has not in ``seconds``."""
        before = {direction: set(side["accepted"]) for direction, side in self._seen().items()}
        return self._wait(
            seconds, lambda seen: all(before[direction] <= _come(seen[_OTHER[direction]]) for direction in before)
        )

    def _wait(self, seconds: float, enough: Callable[[dict[str, dict[str, Any]]], bool]) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(_PAUSE)
            if enough(self._seen()):
                return True
        return False

    def _seen(self) -> dict[str, dict[str, Any]]:
        command = f"cat {self._folder}/state.json 2>/dev/null || true"
        found = self._both(lambda direction: self._in(direction, command))
        return {direction: json.loads(text) if text else dict(_NOTHING) for direction, text in found.items()}

    def _problems(self) -> str:
        return "; ".join(problem for side in self._seen().values() for problem in side["problems"][:2]) or "no answer"

    def _mark(self, name: str) -> None:
        self._both(lambda direction: self._in(direction, f"touch {self._folder}/{name}"))

    def _use(self, direction: str, cpa: str) -> None:
        self._in(direction, f"cat > {self._folder}/cpa.new && mv {self._folder}/cpa.new {self._folder}/cpa", cpa)

    def _both(self, work: Callable[[str], _T]) -> dict[str, _T]:
        with ThreadPoolExecutor(len(self._hosts)) as pool:
            return dict(zip(self._hosts, pool.map(work, self._hosts), strict=True))

    def _in(self, direction: str, command: str, text: str = "") -> str:
        return container.run_in(namespace_of(self._hosts[direction].name), command, text)

    def _order(self, direction: str, conversation: str) -> dict[str, Any]:
        """What the application of ``direction`` sends; the party there, and the action that it may."""
        connection, nodes = self.connection, self._nodes[direction]
        ids = [party.party_id for party in (connection.organisation, connection.partner)]
        own, other = ids if direction == "outbound" else ids[::-1]
        service, sender = connection.cpa.services[0], "SR" if direction == "outbound" else "SP"
        roles = connection.cpa.roles
        properties = {
            "fromPartyId": own,
            "fromRole": roles.requester if sender == "SR" else roles.provider,
            "service": f"{service.type}:{service.name}",
            "action": next(action.name for action in service.actions if action.sender == sender),
            "conversationId": conversation,
        }
        return {
            "nodes": [(connection.name_of(node), str(node.address)) for node in nodes],
            "port": connection.ports.rest,
            "trust": f"{CERTIFICATES}/internal-trust.pem",
            "password": container.run_in(namespace_of(_first_up(nodes).name), f"cat {PASSWORD_FILE}").strip(),
            "rate": self.rate,
            "folder": self._folder,
            "request": {
                "properties": properties,
                "dataSources": [{"contentType": "text/xml", "content": _CONTENT}],
            },
            "ping": f"/ebms/ping/{{cpa}}/from/{own}/to/{other}" if self.pings else "",
        }


@contextmanager
def under_load(connection: Connection, rate: float = RATE, *, pings: bool = False) -> Iterator[Streams]:
    """Send ``rate`` messages a second in each direction for as long as the block runs, and balance.

    Raises:
        KitError: outside the lab, where no load goes to anybody; or when messages do not go before the block.
    """
    streams = Streams(connection, rate, pings)
    streams.start()
    try:
        yield streams
    finally:
        streams.end()


_OTHER = {"outbound": "inbound", "inbound": "outbound"}
_NOTHING: dict[str, Any] = {"accepted": [], "ended": {}, "taken": [], "unsure": [], "planned": 0, "problems": []}


def _first_up(hosts: Sequence[Host]) -> Host:
    return next((host for host in hosts if container.is_running(namespace_of(host.name))), hosts[0])


def _come(side: dict[str, Any]) -> set[str]:
    return {*side["taken"], *side["unsure"]}


def _settled(seen: dict[str, dict[str, Any]]) -> bool:
    """Whether all that was planned was handed over and has ended, and came to the other side."""
    return all(
        side["planned"] == len(side["accepted"]) == len(side["ended"])
        and set(side["accepted"]) <= _come(seen[_OTHER[direction]])
        for direction, side in seen.items()
    )


def _balance(own: dict[str, Any], other: dict[str, Any]) -> Balance:
    taken = Counter(other["taken"])
    taken.update(set(other["unsure"]) - set(taken))
    sent = set(own["accepted"])
    return Balance(
        sent=own["planned"],
        acknowledged=sum(state == "DELIVERED" for state in own["ended"].values()),
        delivered=len(set(taken) & sent),
        doubled=sum(times - 1 for times in taken.values()) + len(set(taken) - sent),
        lost=own["planned"] - len(sent) + len(sent - set(taken)),
        pause_seconds=round(other["longest_pause"], 1),
        pings=own["pings"],
        troubles=own["troubles"],
        problems=tuple(own["problems"]),
    )
