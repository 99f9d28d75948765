"""The connection model and its rules: what every other part of the kit asks."""

from aansluitkit.connection.flows import Flow, flows_of
from aansluitkit.connection.inventory import build_connection, load_connection
from aansluitkit.connection.model import Component, Connection, Environment, Host, Kind, Profile

__all__ = [
    "Component",
    "Connection",
    "Environment",
    "Flow",
    "Host",
    "Kind",
    "Profile",
    "build_connection",
    "flows_of",
    "load_connection",
]
