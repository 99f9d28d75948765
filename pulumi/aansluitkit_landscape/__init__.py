"""The landscapes: where the hosts of a connection can live. Each takes the connection and decides nothing."""

from aansluitkit_landscape.program import landscape, program

__all__ = ["landscape", "program"]
