"""The one program: makes what the inventory names, in the place that fits its environment."""

from __future__ import annotations

from pathlib import Path

import pulumi

from aansluitkit.connection import Environment, load_connection
from aansluitkit_landscape.podman import PodmanLandscape


def landscape(inventory: Path, image: str) -> None:
    """Declare the resources of ``inventory``; ``image`` is the host image where hosts are containers.

    Raises:
        InventoryError: when the inventory is refused; nothing is declared then.
    """
    connection = load_connection(inventory)
    if connection.environment is Environment.LAB:
        PodmanLandscape(connection.name, connection, image)
    else:
        pulumi.log.info(f"the hosts of {inventory} are made by others: nothing to make")
