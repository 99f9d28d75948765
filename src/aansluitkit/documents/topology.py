"""The picture of a connection: zones and hosts on top, every flow below; between two zones each crosses the firewall.

Each host has a line downwards; a flow is a horizontal line from the dots of its sources to the arrow heads of its
destinations. Flows with the same reason share a line. All of it is derived from the connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from aansluitkit.connection import Component, Connection, Flow, Host, flows_of
from aansluitkit.documents.rendering import render

MARGIN = 24
COLUMN = 132  # of a host, in pixels
GAP = 26  # between two zones
ZONE_TOP = 84
LANE_TOP = 236
LANE = 46


@dataclass(frozen=True)
class Box:
    """A host and the x of its middle."""

    host: Host
    x: int


@dataclass(frozen=True)
class Band:
    """A zone: its hosts from left to right between ``x`` and ``x + width``."""

    name: str
    network: IPv4Network
    gateway: str
    x: int
    width: int
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Lane:
    """Flows of one reason: the x of each source and destination, at height ``y``."""

    y: int
    label: str
    sources: tuple[int, ...]
    destinations: tuple[int, ...]

    @property
    def left(self) -> int:
        """The leftmost end."""
        return min(*self.sources, *self.destinations)

    @property
    def right(self) -> int:
        """The rightmost end."""
        return max(*self.sources, *self.destinations)

    def ends(self, destination: int) -> bool:
        """Whether the arrow comes to ``destination`` from the left."""
        return destination > min(self.sources)


def render_topology(connection: Connection) -> str:
    """Return the topology of ``connection`` as SVG."""
    bands = tuple(_bands(connection))
    lanes = tuple(_lanes(connection, {box.host.name: box.x for band in bands for box in band.boxes}))
    return render(
        "topology.svg.j2",
        connection=connection,
        firewall=connection.host_of(Component.FIREWALL),
        bands=bands,
        lanes=lanes,
        zone_top=ZONE_TOP,
        lane_top=LANE_TOP,
        margin=MARGIN,
        column=COLUMN,
        width=bands[-1].x + bands[-1].width + MARGIN,
        height=LANE_TOP + LANE * len(lanes) + MARGIN * 2,
    )


def _bands(connection: Connection) -> Iterator[Band]:
    x = MARGIN
    for name, zone in connection.zones.items():
        hosts = [host for host in connection.hosts.values() if host.zone == name and not _is_firewall(host)]
        width = max(len(hosts), 1) * COLUMN
        boxes = tuple(Box(host, x + COLUMN // 2 + COLUMN * place) for place, host in enumerate(hosts))
        yield Band(name, zone.network, str(connection.gateway(name)), x, width, boxes)
        x += width + GAP


def _is_firewall(host: Host) -> bool:
    return Component.FIREWALL in host.components


def _lanes(connection: Connection, places: dict[str, int]) -> Iterator[Lane]:
    groups: dict[tuple[int, str], list[Flow]] = {}
    for flow in flows_of(connection):
        groups.setdefault((flow.port, flow.reason), []).append(flow)
    y = LANE_TOP + LANE
    for (port, reason), flows in groups.items():
        sources = _places(connection, places, (flow.source_networks for flow in flows))
        destinations = _places(connection, places, (flow.destination_networks for flow in flows))
        if sources and destinations:
            protocols = "/".join(dict.fromkeys(flow.protocol for flow in flows))
            yield Lane(y, f"{protocols} {port} · {reason}{_translation(flows)}", sources, destinations)
            y += LANE


def _places(
    connection: Connection, places: dict[str, int], networks: Iterable[tuple[IPv4Network, ...]]
) -> tuple[int, ...]:
    """The x of every host that one of ``networks`` holds, the firewall excepted: it is the ground of the picture."""
    inside = [network for some in networks for network in some]
    return tuple(
        places[host.name]
        for host in connection.hosts.values()
        if host.name in places and any(host.address in network for network in inside)
    )


def _translation(flows: list[Flow]) -> str:
    for flow in flows:
        if flow.published_address and flow.source == "partner":
            return f" · published on {flow.published_address}"
        if flow.outbound_address:
            return f" · leaves with {flow.outbound_address}"
    return ""
