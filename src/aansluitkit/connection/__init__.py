"""The connection model and its rules: what every other part of the kit asks."""

from aansluitkit.connection.flows import Flow, flows_of
from aansluitkit.connection.guards import refuse_deployment, refuse_load
from aansluitkit.connection.inventory import Examination, examine, find_inventories, load_connection
from aansluitkit.connection.model import Component, Connection, Environment, Host, Kind, Profile

__all__ = [
    "Component",
    "Connection",
    "Environment",
    "Examination",
    "Flow",
    "Host",
    "Kind",
    "Profile",
    "examine",
    "find_inventories",
    "flows_of",
    "load_connection",
    "refuse_deployment",
    "refuse_load",
]
