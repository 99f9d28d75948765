"""The picture of a connection: the partner on the left, then the zones, and below them a lane for each numbered flow.

Hosts of a zone with the same components are one box, with a line downwards. A lane runs from the numbers at its
sources to the arrow heads at its destinations; where it crosses the firewall outwards it bears the address by which
the other side knows it. All of it is derived from the connection, and every box is made around its text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

from aansluitkit.connection import Component, Connection, Flow, Host
from aansluitkit.connection.flows import (
    AUTHORITIES,
    NAME_SERVERS,
    PACKAGE_SOURCES,
    PARTNER,
    RESOLVERS,
    TIME_SERVERS,
    FlowGroup,
    flow_groups,
    foreign_name_servers,
    hosts_at,
)
from aansluitkit.connection.model import EXTERNAL
from aansluitkit.documents.dutch import (
    AUTHORITY,
    COMPONENTS,
    ENVIRONMENTS,
    NAME_SERVER,
    PACKAGE_SOURCE,
    RESOLVER,
    TIME_SERVER,
    networks_of,
    purpose_of,
    way_of,
)
from aansluitkit.documents.lettering import width_of, wrapped
from aansluitkit.documents.rendering import render

MARGIN = 24
PAD = 10  # between a box and its text
GAP = 16  # between two boxes
ZONE_GAP = 30
TITLE, NAME, TEXT = 19, 12, 11  # sizes of letters
LINE = 16
WORDS = 290  # width of what stands left of the lanes
TALLEST = 12  # hosts below each other in one box
RANGES_SHOWN = 4
HEAD = 96  # height of the title block
LANE_LEAST = 46
LEGEND = 172  # height


@dataclass(frozen=True)
class Line:
    """A text, with where its baseline begins, seen from its box; ``kind`` is its style."""

    text: str
    x: float
    y: float
    kind: str = "text"


@dataclass(frozen=True)
class Box:
    """A rectangle with its texts."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    lines: tuple[Line, ...]

    @property
    def middle(self) -> float:
        """The x of its middle."""
        return self.x + self.width / 2

    def at(self, x: float, y: float) -> Box:
        """The same box elsewhere."""
        return replace(self, x=x, y=y)


@dataclass(frozen=True)
class Panel:
    """Zones, or what lies outside: their boxes beside each other, each with the names of flows that end there."""

    title: str
    subtitle: str
    zones: tuple[str, ...]
    x: float
    width: float
    boxes: tuple[Box, ...]
    ends: tuple[tuple[str, ...], ...]

    @property
    def right(self) -> float:
        """The x of its right side."""
        return self.x + self.width


@dataclass(frozen=True)
class Lane:
    """A numbered flow: its words in ``box``, and at height ``y`` the x of each source and destination."""

    number: int
    direction: str
    box: Box
    y: float
    sources: tuple[float, ...]
    destinations: tuple[float, ...]
    badge: Box | None

    @property
    def left(self) -> float:
        """The leftmost end."""
        return min(*self.sources, *self.destinations)

    @property
    def right(self) -> float:
        """The rightmost end."""
        return max(*self.sources, *self.destinations)

    @property
    def heads(self) -> tuple[tuple[float, int], ...]:
        """The x of each arrow head, and 1 when it points to the right, -1 to the left."""
        right = [(x, 1) for x in self.destinations if min(self.sources) < x]
        left = [(x, -1) for x in self.destinations if max(self.sources) > x]
        return (*right, *left)


def render_picture(connection: Connection, state: date) -> str:
    """Return the picture of ``connection`` as SVG; ``state`` is the date of the inventory."""
    return render("picture.svg.j2", connection=connection, picture=Picture(connection, state), margin=MARGIN, head=HEAD)


class Picture:
    """Where everything stands, in pixels."""

    def __init__(self, connection: Connection, state: date) -> None:
        self._connection = connection
        self._state = state
        self._firewalls = connection.hosts_of(Component.FIREWALL)

    @cached_property
    def panels(self) -> tuple[Panel, ...]:
        """What lies outside, and the zones from the outermost inwards."""
        connection, x = self._connection, float(MARGIN + WORDS)
        outer = connection.outer_zones
        zones = [outer, *((name,) for name in connection.zones if name not in outer)]
        outside = [(_partner_box(connection), (PARTNER, *self._partners))]
        if connection.crl_addresses:
            outside.append((_box("partner", AUTHORITY, _ranges(connection.crl_addresses, "CRL's op")), (AUTHORITIES,)))
        if asking := connection.dns.published_to:
            outside.append((_box("partner", RESOLVER, _ranges(asking, "vragen vanaf")), (RESOLVERS,)))
        others = {
            NAME_SERVERS: (NAME_SERVER, foreign_name_servers(connection)),
            PACKAGE_SOURCES: (PACKAGE_SOURCE, tuple(source.address for source in connection.package_sources)),
            TIME_SERVERS: (TIME_SERVER, connection.time_servers),
        }
        for name, (title, addresses) in others.items():
            if addresses:
                asked = tuple(IPv4Network(address) for address in dict.fromkeys(addresses))
                outside.append((_box("partner", title, _ranges(asked, "bereikt op")), (name,)))
        panels = [_panel(f"Buiten: {networks_of(connection)}", "de andere partij", (), x, outside)]
        for names in zones:
            title = f"{'Zones' if len(names) > 1 else 'Zone'} {' en '.join(names)}"
            ranges = ", ".join(str(connection.zones[name].network) for name in names)
            panels.append(_panel(title, ranges, names, panels[-1].right + ZONE_GAP, list(self._boxes(names))))
        return tuple(panels)

    @property
    def _partners(self) -> tuple[str, ...]:
        return tuple(host.name for host in self._connection.hosts_of(Component.PARTNER))

    def _boxes(self, zones: tuple[str, ...]) -> Iterator[tuple[Box, tuple[str, ...]]]:
        if EXTERNAL in zones:
            yield _firewall_box(self._connection, self._firewalls), tuple(host.name for host in self._firewalls)
        clusters: dict[tuple[Component, ...], list[Host]] = {}
        for host in self._connection.hosts.values():
            if host.zone in zones and not {Component.FIREWALL, Component.PARTNER} & set(host.components):
                clusters.setdefault(host.components, []).append(host)
        for components, hosts in clusters.items():
            shared = self._connection.virtual_address(hosts[0], hosts[0].zone)
            yield _cluster_box(components, hosts, shared), tuple(host.name for host in hosts)

    @property
    def bottom_of_panels(self) -> float:
        """The y below the zones."""
        tallest = max(box.y + box.height for panel in self.panels for box in panel.boxes)
        return max(tallest + PAD, HEAD + LEGEND)

    @property
    def width(self) -> float:
        """Of the whole picture."""
        return self.panels[-1].right + MARGIN

    @property
    def height(self) -> float:
        """Of the whole picture."""
        return self.lanes[-1].box.y + self.lanes[-1].box.height + MARGIN

    @property
    def borders(self) -> tuple[float, ...]:
        """The x between each two zones behind the firewall: nothing crosses but by it."""
        return tuple((one.right + other.x) / 2 for one, other in pairwise(self.panels[2:]))

    @property
    def bar(self) -> Box:
        """The firewall, all along the lanes."""
        widest = width_of("255.255.255.255", TEXT, bold=True) + 2 * PAD
        return replace(self.panels[1].boxes[0], x=self.panels[1].boxes[0].middle - widest / 2, width=widest)

    @cached_property
    def lanes(self) -> tuple[Lane, ...]:
        """A lane for each group of flows, below each other."""
        lanes, y = [], self.bottom_of_panels + GAP
        for group in flow_groups(self._connection):
            lanes.append(self._lane(group, y))
            y += lanes[-1].box.height
        return tuple(lanes)

    def _lane(self, group: FlowGroup, top: float) -> Lane:
        box = self._words(group, top)
        y = top + box.height / 2
        sources = self._places(flow.source for flow in group.flows)
        destinations = self._places(flow.destination for flow in group.flows)
        if sources == destinations:
            sources = tuple(x + GAP * 3 for x in sources)  # within one box: beside its line, and back to it
        return Lane(group.number, group.direction.value, box, y, sources, destinations, self._badge(group.first, y))

    def _words(self, group: FlowGroup, top: float) -> Box:
        room = WORDS - 3 * PAD - 2 * GAP
        ends = [self._told(getattr(flow, side) for flow in group.flows) for side in ("source", "destination")]
        texts = [(line, "name") for line in wrapped(purpose_of(group), NAME, room, bold=True)]
        texts.append((f"{group.service} · {way_of(self._connection, group)}", "text"))
        texts += [(line, "text") for line in wrapped(" → ".join(ends), TEXT, room)]
        height = max(LANE_LEAST, LINE * len(texts) + PAD)
        first = (height - LINE * len(texts)) / 2 + TEXT
        lines = tuple(
            Line(text, 2 * PAD + 2 * GAP, first + LINE * place, kind) for place, (text, kind) in enumerate(texts)
        )
        return Box("words", MARGIN, top, WORDS - PAD, height, lines)

    def _places(self, names: Iterator[str]) -> tuple[float, ...]:
        """The x of each box where a flow ends that is called one of ``names``: host, zone or partner."""
        wanted = set(self._hosts(names))
        found = []
        for panel in self.panels:
            whole = bool(wanted & {*panel.zones})
            found += [
                box.middle for box, ends in zip(panel.boxes, panel.ends, strict=True) if whole or wanted & {*ends}
            ]
            if whole and not panel.boxes:
                found.append(panel.x + panel.width / 2)
        return tuple(found)

    def _hosts(self, names: Iterator[str]) -> Iterator[str]:
        """``names``, with those of its hosts in the place of a component's."""
        for name in names:
            yield from [host.name for host in hosts_at(self._connection, name)] or [name]

    def _told(self, names: Iterator[str]) -> str:
        """``names`` for people: a box that is meant as a whole by its title and how many hosts it holds."""
        left = dict.fromkeys(self._hosts(names))
        told = []
        for panel in self.panels:
            for box, ends in zip(panel.boxes, panel.ends, strict=True):
                if len(ends) > 1 and set(ends) <= set(left):
                    told.append(box.lines[0].text)
                    left = {name: None for name in left if name not in ends}
        return ", ".join([*left, *told])

    def _badge(self, flow: Flow, y: float) -> Box | None:
        address = flow.published_address or flow.outbound_address
        if address is None:
            return None
        kind = "inbound" if flow.published_address else "outbound"
        width = width_of(str(address), TEXT, bold=True) + PAD
        line = Line(str(address), width / 2, LINE - 4, "badge")
        return Box(kind, self.bar.middle - width / 2, y - LINE / 2, width, LINE, (line,))

    @property
    def title(self) -> Box:
        """What it is, and whose."""
        room = WORDS - 3 * PAD
        name = wrapped(self._connection.organisation.name, NAME + 2, room, bold=True)[:2]
        lines = [Line(text, 0, 2 * TITLE + 4 + place * (LINE + 2), "owner") for place, text in enumerate(name)]
        return Box(
            "plain", MARGIN, MARGIN - 4, room, HEAD - 2 * GAP, (Line("Netwerkoverzicht", 0, TITLE, "title"), *lines)
        )

    @property
    def fields(self) -> tuple[Box, ...]:
        """The title block: label and value, from left to right, in as many rows as it takes."""
        connection = self._connection
        values = {
            "Omgeving": ENVIRONMENTS[connection.environment],
            "Aansluiting": connection.name,
            "Netwerk": networks_of(connection),
            "Eigen OIN": connection.organisation.oin,
            "OIN van de partner": connection.partner.oin,
            "Eigen endpoint": connection.endpoint,
            "Stand": f"{self._state:%d-%m-%Y}",
        }
        boxes: list[Box] = []
        x, y = float(MARGIN + WORDS), float(MARGIN - 10)
        for label, value in values.items():
            width = max(width_of(label, TEXT), width_of(value, NAME, bold=True)) + 2 * PAD
            if x + width > self.width - MARGIN:
                x, y = float(MARGIN + WORDS), y + 2 * LINE + 8
            lines = (Line(label, PAD, LINE - 3, "text"), Line(value, PAD, 2 * LINE - 3, "name"))
            boxes.append(Box("field", x, y, width, 2 * LINE + 4, lines))
            x += width + 6
        return tuple(boxes)


def _panel(
    title: str, subtitle: str, zones: tuple[str, ...], x: float, content: list[tuple[Box, tuple[str, ...]]]
) -> Panel:
    boxes, right = [], x + PAD
    for box, _ in content:
        boxes.append(box.at(right, HEAD + 2 * LINE + PAD))
        right += box.width + GAP
    least = max(width_of(title, NAME, bold=True), width_of(subtitle, TEXT)) + 2 * PAD
    width = max(least, right - GAP + PAD - x)
    spare = (width - (right - GAP + PAD - x)) / 2 if boxes else 0
    moved = tuple(box.at(box.x + spare, box.y) for box in boxes)
    return Panel(title, subtitle, zones, x, width, moved, tuple(ends for _, ends in content))


def _box(kind: str, title: str, rows: list[tuple[str, str]]) -> Box:
    """A box with ``title`` and, below it, pairs of name and value in as few columns as ``TALLEST`` allows."""
    names = max((width_of(name, TEXT, bold=True) for name, _ in rows), default=0)
    values = max((width_of(value, TEXT, bold=not name) for name, value in rows), default=0)
    column = names + (PAD if names else 0) + values
    lines = [Line(title, PAD, LINE + 1, "name")]
    for place, (name, value) in enumerate(rows):
        x = PAD + place // TALLEST * (column + GAP)
        y = 2 * LINE + 4 + place % TALLEST * LINE
        lines += [Line(name, x, y, "host")] if name else []
        lines.append(Line(value, x + names + (PAD if names else 0), y))
    columns = -(-len(rows) // TALLEST)
    width = max(width_of(title, NAME, bold=True), columns * column + (columns - 1) * GAP) + 2 * PAD
    return Box(kind, 0, 0, width, LINE * (min(len(rows), TALLEST) + 1) + 2 * PAD, tuple(lines))


def _cluster_box(components: tuple[Component, ...], hosts: list[Host], shared: IPv4Address | None) -> Box:
    title = " + ".join(COMPONENTS[component] for component in components)
    if len(hosts) == 1:
        box = _box("host", title, [("", hosts[0].name), ("", str(hosts[0].address))])
        return replace(box, lines=(box.lines[0], replace(box.lines[1], kind="host"), box.lines[2]))
    rows = [(host.name, str(host.address)) for host in hosts]
    return _box("host", f"{title} ({len(hosts)}x)", [*rows, *([("gedeeld", str(shared))] if shared else [])])


def _partner_box(connection: Connection) -> Box:
    partner = connection.partner
    rows = [("", partner.host_name)]
    for link in connection.links:
        rows += _ranges(link.partner.inbound_addresses, "ontvangt op")
        rows += _ranges(link.partner.outbound_addresses, "zendt vanaf")
    rows += [("", f"host {host.name}") for host in connection.hosts_of(Component.PARTNER)]
    return _box("partner", partner.name, rows)


def _ranges(networks: tuple[IPv4Network, ...], label: str) -> list[tuple[str, str]]:
    shown = [str(network).removesuffix("/32") for network in networks[:RANGES_SHOWN]]
    more = len(networks) - len(shown)
    rows = [("", f"{label} {text}") for text in shown]
    return [*rows, ("", f"en nog {more}, zie de tabel")] if more else rows


def _firewall_box(connection: Connection, firewalls: list[Host]) -> Box:
    rows = [(zone, str(connection.gateway(zone))) for zone in firewalls[0].addresses]
    box = _box("firewall", f"Firewall {' + '.join(host.name for host in firewalls)}", rows)
    lines, y = list(box.lines), box.height + 4
    for link in connection.links:
        for label, address in (("inkomend", link.inbound_address), ("uitgaand", link.outbound_address)):
            carried = connection.carried(address)
            text = f"{label} {address}" + (f" (hier {carried})" if carried != address else "")
            lines.append(Line(text, PAD, y, "inbound" if label == "inkomend" else "outbound"))
            y += LINE
    own = lines[len(box.lines) :]
    width = max(box.width, *(width_of(line.text, TEXT, bold=True) + 2 * PAD for line in own))
    return replace(box, width=width, height=y - PAD + 4, lines=tuple(lines))
