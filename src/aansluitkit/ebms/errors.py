"""What can go wrong between two adapters, and where."""

from __future__ import annotations

from aansluitkit.errors import KitError


class HopError(KitError):
    """An exchange with the partner that failed at ``hop`` (one of the hops of ``aansluitkit verify``)."""

    def __init__(self, hop: str, message: str) -> None:
        self.hop = hop
        super().__init__(message)


class MalformedError(KitError):
    """What was received is no ebMS 2.0 message, or no CPA; the text says what is wrong with it."""
