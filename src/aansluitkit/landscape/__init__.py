"""The networks and hosts of an inventory: what would change, making it, removing it. Pulumi does the work."""

from aansluitkit.landscape.changes import Change, Changes
from aansluitkit.landscape.verbs import destroy, plan, up

__all__ = ["Change", "Changes", "destroy", "plan", "up"]
