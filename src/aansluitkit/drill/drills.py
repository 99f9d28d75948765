"""The drills: each does one thing to the lab, waits, and undoes it, so that the next one finds the lab whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aansluitkit.connection import Component, Connection
from aansluitkit.drill.ground import Ground
from aansluitkit.ebms.scenarios import Scenario
from aansluitkit.errors import KitError

HOLD_SECONDS = 6.0  # twice the interval between two attempts of a message
_ADAPTER = "aansluitkit-adapter.service"
_PROCESS = f"$(systemctl show --property MainPID --value {_ADAPTER})"
_STARTED = f"$(systemctl show --property ExecMainStartTimestamp --value {_ADAPTER})"
_PLAYBOOK_SECONDS = 180
LOCK = "/run/aansluitkit-deployment.json"  # of plugins/modules/deployment.py


@dataclass(frozen=True)
class Drill:
    """One thing that goes wrong.

    ``done`` says what is done, ``expected`` what the messages do meanwhile, ``heals`` what makes it whole again.
    ``act`` does and undoes it. ``missing`` says what a connection lacks for it, or nothing.
    """

    name: str
    done: str
    expected: str
    heals: str
    act: Callable[[Ground], None]
    missing: Callable[[Connection], str] = lambda connection: ""


def _adapter_killed(ground: Ground) -> None:
    node = ground.hosts(Component.ADAPTER)[0]
    with _off(ground, node):
        time.sleep(HOLD_SECONDS)


def _adapters_killed(ground: Ground) -> None:
    with _off(ground, *ground.hosts(Component.ADAPTER)):
        pass


def _load_balancer_killed(ground: Ground) -> None:
    with _off(ground, ground.hosts(Component.LOAD_BALANCER)[0]):
        time.sleep(HOLD_SECONDS)


def _firewall_killed(ground: Ground) -> None:
    with _off(ground, ground.hosts(Component.FIREWALL)[0]):
        time.sleep(HOLD_SECONDS)


def _database_restarted(ground: Ground) -> None:
    ground.run(_primary(ground), "systemctl restart postgresql")


def _database_promoted(ground: Ground) -> None:
    ground.playbook("promote")


def _database_killed(ground: Ground) -> None:
    with _off(ground, _primary(ground)):
        time.sleep(HOLD_SECONDS)


def _primary(ground: Ground) -> str:
    """The host whose PostgreSQL takes changes."""
    for host in ground.hosts(Component.DATABASE):
        if "primary" in ground.run(host, "aansluitkit-database-state").split():
            return host
    raise KitError("no host of the database is its primary: see docs/promote.md")


def _no_standby(connection: Connection) -> str:
    alone = len(connection.hosts_of(Component.DATABASE)) < 2
    return "the database has no standby" if alone else ""


def _partner_down(ground: Ground) -> None:
    partner = ground.hosts(Component.PARTNER)[0]
    ground.run(partner, f"systemctl stop {_ADAPTER}")
    try:
        time.sleep(HOLD_SECONDS)
    finally:
        ground.run(partner, f"systemctl start {_ADAPTER}")


def _partner_slow(ground: Ground) -> None:
    _played(ground, Scenario.LATE)


def _certificate_expired(ground: Ground) -> None:
    _played(ground, Scenario.EXPIRED_CERTIFICATE)


def _partition(ground: Ground) -> None:
    with _unplugged(ground, ground.hosts(Component.ADAPTER)[-1]):
        time.sleep(HOLD_SECONDS)


def _database_unreachable(ground: Ground) -> None:
    with _unplugged(ground, _primary(ground)):
        time.sleep(HOLD_SECONDS)


# Everything that a service of the node may write to; what the machine itself has must not be filled.
_FULL = (
    "for folder in /var/lib/aansluitkit /var/log /var/tmp; do mkdir -p $folder && "
    "mount -t tmpfs -o size=64k full $folder && head -c 128k /dev/zero > $folder/full 2>/dev/null; done; true"
)
_ROOM = "for folder in /var/lib/aansluitkit /var/log /var/tmp; do umount $folder; done"


def _disk_full(ground: Ground) -> None:
    node = ground.hosts(Component.ADAPTER)[0]
    ground.run(node, _FULL)
    try:
        ground.run(node, f"systemctl restart --no-block {_ADAPTER}")
        time.sleep(HOLD_SECONDS)
    finally:
        ground.run(node, f"systemctl stop {_ADAPTER}; {_ROOM}; systemctl start {_ADAPTER}")


def _partner_disk_full(ground: Ground) -> None:
    """Its files take no more bytes than they have: SQLite meets what it meets on a full disk."""
    partner = ground.hosts(Component.PARTNER)[0]
    ground.run(partner, f"prlimit --pid {_PROCESS} --fsize=4096:unlimited")
    try:
        time.sleep(HOLD_SECONDS)
    finally:
        ground.run(partner, f"prlimit --pid {_PROCESS} --fsize=unlimited:unlimited")


def _names_down(ground: Ground) -> None:
    server = ground.hosts(Component.NAME_SERVER)[0]
    ground.run(server, "systemctl stop named")
    try:
        time.sleep(HOLD_SECONDS)
    finally:
        ground.run(server, "systemctl start named")


def _playbook_broken_off(ground: Ground) -> None:
    """The settings are other ones when it is killed, and the adapter was not told yet; the next run has to tell it."""
    node = ground.hosts(Component.ADAPTER)[-1]
    other = ("--limit", node, "--extra-vars", "ebms_adapter_parallel=15")
    with ground.playing(*other) as process:
        changed = "grep --quiet 'parallel: 15' /etc/aansluitkit/adapter.yml"
        ground.run(node, f"timeout {_PLAYBOOK_SECONDS} sh -c 'until {changed}; do sleep 0.1; done'")
        process.kill()
    ground.playbook("site", *other)
    ground.run(node, f'[ $(stat --format %Y /etc/aansluitkit/adapter.yml) -le $(date --date "{_STARTED}" +%s) ]')
    ground.playbook("site", "--limit", node)


def _two_operators(ground: Ground) -> None:
    """While the first one works the second one is refused; the first one comes to its end."""
    node = ground.hosts(Component.ADAPTER)[-1]
    with ground.playing("--limit", node) as process:
        held = f"test -s {LOCK}"
        ground.run(node, f"timeout {_PLAYBOOK_SECONDS} sh -c 'until {held}; do sleep 0.1; done'")
        refused = ground.refusal("--limit", node)
        if "deploys here since" not in refused:
            raise KitError(f"the second operator was not refused: {refused or 'the playbook ran'}")
        if process.wait() != 0:
            raise KitError("the first operator's playbook failed while the second one was refused")


def _played(ground: Ground, scenario: Scenario) -> None:
    ground.play(scenario)
    try:
        time.sleep(HOLD_SECONDS)
    finally:
        ground.play(None)


@contextmanager
def _off(ground: Ground, *hosts: str) -> Iterator[None]:
    ground.power_off(*hosts)
    try:
        yield
    finally:
        ground.power_on(*hosts)


@contextmanager
def _unplugged(ground: Ground, *hosts: str) -> Iterator[None]:
    ground.unplug(*hosts)
    try:
        yield
    finally:
        ground.plug(*hosts)


DRILLS = (
    Drill(
        "adapter_node_killed",
        "the power of one adapter node fails",
        "the load balancer leaves it out after two checks; the application asks the other node",
        "by itself; what the node was sending goes on when it starts again, or when its claims run out (90 s)",
        _adapter_killed,
    ),
    Drill(
        "adapters_killed",
        "the power of all adapter nodes fails, and comes back",
        "nothing is taken in; both sides keep what they have and try again",
        "by itself, when a node has started",
        _adapters_killed,
    ),
    Drill(
        "load_balancer_killed",
        "the power of the load balancer fails",
        "messages go out; the partner's wait, unless there is a second load balancer",
        "by itself with a second one, otherwise when it starts again",
        _load_balancer_killed,
    ),
    Drill(
        "firewall_killed",
        "the power of the firewall fails",
        "nothing goes to or from the partner nor to the database, unless there is a second firewall",
        "by itself with a second one, otherwise when it starts again",
        _firewall_killed,
    ),
    Drill(
        "database_restarted",
        "PostgreSQL is restarted",
        "what is handed over meanwhile is refused, and handed over again",
        "by itself: the adapters connect anew",
        _database_restarted,
    ),
    Drill(
        "database_promoted",
        "the database is handed over to its standby",
        "what is handed over meanwhile is refused, and handed over again; the standby has all that was acknowledged",
        "by itself: the adapters connect to the new primary; hand it back with playbooks/promote.yml (docs/promote.md)",
        _database_promoted,
        _no_standby,
    ),
    Drill(
        "database_killed",
        "the power of the database fails, and comes back",
        "what is not committed was not acknowledged: both sides try again",
        "when it starts again",
        _database_killed,
    ),
    Drill(
        "database_unreachable",
        "the network between adapters and database fails",
        "the adapters tell the load balancer that they are not ready, and refuse what comes",
        "by itself, when the network is back",
        _database_unreachable,
    ),
    Drill(
        "partner_down",
        "the partner's adapter stops for longer than the interval of retries",
        "messages wait in the database and are tried again",
        "by itself, when the partner is back",
        _partner_down,
    ),
    Drill(
        "partner_slow",
        "the partner answers late",
        "messages wait for their acknowledgement",
        "by itself",
        _partner_slow,
    ),
    Drill(
        "network_partition",
        "one adapter node loses its network and goes on working by itself",
        "the load balancer leaves it out; the other node does the work",
        "by itself, when the network is back",
        _partition,
    ),
    Drill(
        "disk_full",
        "the disk of an adapter node is full, and its adapter is restarted on it",
        "messages are in the database, not on the node: nothing stops",
        "remove what fills it; systemctl restart aansluitkit-adapter",
        _disk_full,
    ),
    Drill(
        "partner_disk_full",
        "the disk of an adapter that keeps its messages on it (the partner's) takes no more",
        "it acknowledges nothing that it could not keep; the sender tries again",
        "by itself, when there is room",
        _partner_disk_full,
    ),
    Drill(
        "names_down",
        "the name server stops",
        "connections that are open stay; what needs a new one waits",
        "by itself, when it runs again",
        _names_down,
    ),
    Drill(
        "certificate_expired",
        "the partner's certificate expires",
        "no message passes in either direction, each is kept and tried again",
        "install a valid certificate (docs/rotate.md)",
        _certificate_expired,
    ),
    Drill(
        "playbook_broken_off",
        "a playbook that changes an adapter's settings is killed before the adapter has them",
        "the node works on as it was",
        "run the playbook again: it finishes what was begun",
        _playbook_broken_off,
    ),
    Drill(
        "two_operators",
        "two operators deploy to the same host at once",
        "the second one is refused before anything changes, and hears who is at it",
        "the second one starts again when the first is done; the lock of a controller that died runs out",
        _two_operators,
    ),
)
