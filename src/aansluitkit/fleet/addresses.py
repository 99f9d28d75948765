"""Addresses of a new environment: the next free ones of the pools that the shared defaults declare.

``new_inside_network`` is cut into blocks of a network per zone; of ``new_external_network`` the firewall takes an
address, and the connection its inbound and outbound one. What stands anywhere in an inventory is taken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from pathlib import Path
from typing import Any

from aansluitkit.errors import KitError

BLANK = "TODO"
INSIDE_POOL = "new_inside_network"
EXTERNAL_POOL = "new_external_network"
EXTERNAL = "external"
ZONES = ("dmz", "application", "data", "management")
BLOCK = 22  # prefix length: a /24 for each zone
GATEWAY = 1
HOSTS = {
    "ns": ("dmz", 53),
    "lb": ("dmz", 10),
    "adapter-1": ("application", 11),
    "adapter-2": ("application", 12),
    "application": ("application", 20),
    "db": ("data", 10),
    "management": ("management", 10),
}
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")


@dataclass(frozen=True)
class Place:
    """Networks by zone, and addresses by host and zone, as an inventory writes them."""

    zones: dict[str, str]
    hosts: dict[str, dict[str, str]]
    inbound: str
    outbound: str


def blank_place() -> Place:
    """A place that people still have to find."""
    zones = (EXTERNAL, *ZONES)
    return Place(
        zones=dict.fromkeys(zones, BLANK),
        hosts={
            "fw": dict.fromkeys(("management", *zones[:-1]), BLANK),
            **{name: {zone: BLANK} for name, (zone, _) in HOSTS.items()},
        },
        inbound=BLANK,
        outbound=BLANK,
    )


def take(shared: dict[str, Any], root: Path, taken: set[str]) -> Place | None:
    """The next free place of the pools of ``shared``, or None where it declares none; ``taken`` grows by it.

    Raises:
        KitError: when a pool is no network, or used up.
    """
    if INSIDE_POOL not in shared or EXTERNAL_POOL not in shared:
        return None
    inside, external = _pool(shared, INSIDE_POOL), _pool(shared, EXTERNAL_POOL)
    taken |= _written(root)
    block = next(_free_blocks(inside, taken), None)
    # The first address of the external network is its own gateway's.
    own = list(islice((str(one) for one in islice(external.hosts(), 1, None) if str(one) not in taken), 3))
    if block is None or len(own) < 3:
        name, pool = (INSIDE_POOL, inside) if block is None else (EXTERNAL_POOL, external)
        raise KitError(f"{root / 'shared'}: {name}: {pool} has no free addresses left: declare another network")
    place = _place(block, external, own)
    taken |= {address for addresses in place.hosts.values() for address in addresses.values()} | set(own)
    return place


def _place(block: IPv4Network, external: IPv4Network, own: list[str]) -> Place:
    zones = dict(zip(ZONES, block.subnets(new_prefix=BLOCK + 2), strict=True))
    firewall = {zone: str(network[GATEWAY]) for zone, network in zones.items()}
    return Place(
        zones={EXTERNAL: str(external), **{zone: str(network) for zone, network in zones.items()}},
        hosts={
            "fw": {"management": firewall.pop("management"), EXTERNAL: own[0], **firewall},
            **{name: {zone: str(zones[zone][number])} for name, (zone, number) in HOSTS.items()},
        },
        inbound=own[1],
        outbound=own[2],
    )


def _free_blocks(pool: IPv4Network, taken: set[str]) -> Iterator[IPv4Network]:
    held = {
        IPv4Network((address, BLOCK), strict=False) for address in map(_address, taken) if address and address in pool
    }
    return (block for block in pool.subnets(new_prefix=BLOCK) if block not in held)


def _written(root: Path) -> set[str]:
    """Every address that an inventory below ``root`` writes, valid or not.

    Raises:
        KitError: when a folder can't be read, for its addresses would be given away.
    """
    folders = (folder for level in ("*", "*/*") for folder in root.glob(level) if folder.is_dir())
    closed = next((folder for folder in folders if not os.access(folder, os.R_OK | os.X_OK)), None)
    if closed:
        raise KitError(f"{closed}: can't be read, so which addresses are free is not known: mend that")
    files = (*root.glob("*/*/hosts.yml"), *root.glob("*/*/group_vars/all/connection.yml"))
    return {found for file in files for found in _ADDRESS.findall(file.read_text(encoding="utf-8", errors="replace"))}


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:
        return None


def _pool(shared: dict[str, Any], name: str) -> IPv4Network:
    try:
        network = IPv4Network(str(shared[name]))
    except ValueError as error:
        known = "no IPv4; IPv6 is not supported" if ":" in str(shared[name]) else "no network"
        raise KitError(
            f"shared defaults: {name}: '{shared[name]}' is {known}: write a network such as 10.64.0.0/12"
        ) from error
    if name == INSIDE_POOL and network.prefixlen > BLOCK:
        raise KitError(
            f"shared defaults: {name}: {network} is smaller than /{BLOCK}, which one environment takes: widen it"
        )
    return network
