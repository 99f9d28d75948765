"""What is refused of a connection that is valid: asked by whatever changes hosts or makes traffic, before it starts."""

from __future__ import annotations

from aansluitkit.connection.model import Connection, Environment
from aansluitkit.errors import KitError


def refuse_deployment(connection: Connection) -> None:
    """Refuse to make or change anything for an inventory that is an example.

    Raises:
        KitError: when ``connection`` is an example.
    """
    if connection.example:
        raise KitError(
            f"connection '{connection.name}' ({connection.environment}) is an example (connection_example is true); "
            "its names and addresses are nobody's, so nothing is deployed: make an inventory of your own"
        )


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
