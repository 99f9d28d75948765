"""What is refused of a connection that is valid: asked by whatever changes hosts or makes traffic, before it starts."""

from __future__ import annotations

from pathlib import Path

from aansluitkit.connection.loading import load_inventory
from aansluitkit.connection.model import Connection, Environment
from aansluitkit.connection.places import Places
from aansluitkit.errors import InventoryError, KitError


def refuse_deployment(inventory: Path, connection: Connection) -> None:
    """Refuse to make or change anything for ``inventory`` when its ``connection`` is an example.

    Raises:
        InventoryError: when it is.
    """
    if connection.example:
        message = (
            f"is true: '{connection.full_name}' is an example; its names and addresses are nobody's, so nothing is "
            "deployed: make an inventory of your own (aansluitkit new)"
        )
        raise InventoryError([Places(load_inventory(inventory)).problem("example", message, "refuse_deployment")])


def refuse_load(connection: Connection) -> None:
    """Refuse load towards a partner that is not our own: MijnOverheid allows none without permission (seed 4.4.4).

    Raises:
        KitError: when the partner of ``connection`` stands outside the lab.
    """
    if connection.environment is not Environment.LAB:
        raise KitError(
            f"connection '{connection.name}' is {connection.environment}: no load goes to {connection.partner.name} "
            f"({connection.partner.host_name}) without its permission (seed 4.4.4): measure in the lab"
        )
