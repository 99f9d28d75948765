"""The one program: makes what the inventory names, in the place that it names."""

from __future__ import annotations

from pathlib import Path

import pulumi

from aansluitkit.connection import load_connection
from aansluitkit.connection.place import Place
from aansluitkit.errors import KitError
from aansluitkit.landscape.stack import PROJECT
from aansluitkit.project import ROOT
from aansluitkit_landscape.existing import ExistingLandscape
from aansluitkit_landscape.openstack import OpenStackLandscape
from aansluitkit_landscape.podman import PodmanLandscape

Landscape = PodmanLandscape | OpenStackLandscape | ExistingLandscape
LANDSCAPES: dict[Place, type[Landscape]] = {
    Place.PODMAN: PodmanLandscape,
    Place.OPENSTACK: OpenStackLandscape,
    Place.EXISTING: ExistingLandscape,
}


def program() -> None:
    """Declare the inventory that the configuration ``aansluitkit:inventory`` names.

    Raises:
        KitError: as ``landscape``.
    """
    landscape(ROOT / pulumi.Config(PROJECT).require("inventory"))


def landscape(inventory: Path) -> None:
    """Declare the resources of ``inventory``, and the addresses of its hosts as the stack's output ``hosts``.

    Raises:
        InventoryError: when the inventory is refused; nothing is declared then.
        KitError: when the stack is another environment's.
    """
    connection = load_connection(inventory)
    if pulumi.get_stack() != connection.full_name:
        raise KitError(
            f"{inventory} belongs to stack '{connection.full_name}', not to '{pulumi.get_stack()}': choose it with "
            f"'pulumi stack select --create {connection.full_name}', or name another inventory"
        )
    made = LANDSCAPES[connection.place](connection)
    pulumi.export("hosts", made.hosts)
