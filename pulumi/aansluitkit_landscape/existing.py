"""Hosts that others made: nothing is made, the addresses are told all the same."""

from __future__ import annotations

import pulumi

from aansluitkit.connection import Connection
from aansluitkit_landscape.hosts import addresses_of


class ExistingLandscape(pulumi.ComponentResource):
    """The hosts of a connection that somebody else makes at the declared addresses."""

    def __init__(self, connection: Connection) -> None:
        super().__init__("aansluitkit:landscape:Existing", connection.name)
        self.hosts = addresses_of(connection)
        self.register_outputs({"hosts": self.hosts})
