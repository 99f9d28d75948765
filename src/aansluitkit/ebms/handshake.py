"""TLS handshakes that we refuse, told to both sides.

asyncio ends a failed handshake silently: the alert that OpenSSL made for the peer stays in its buffer, and nothing is
logged. An administrator on either side would see a reset connection and no reason.
"""

from __future__ import annotations

import logging
import ssl
from asyncio import sslproto
from typing import Any

log = logging.getLogger(__name__)
_Silent: Any = sslproto.SSLProtocol


class _Telling(_Silent):  # type: ignore[misc] # asyncio's own, which is not typed
    def _on_handshake_complete(self, error: BaseException | None) -> None:
        if self._server_side and isinstance(error, ssl.SSLError):
            address = (self._get_extra_info("peername") or ("an unknown address",))[0]
            reason = getattr(error, "verify_message", "") or (error.reason or "").replace("_", " ").lower()
            log.warning("refused TLS with %s: %s", address, reason)
            self._process_outgoing()
        super()._on_handshake_complete(error)


def tell_refusals() -> None:
    """Have asyncio's servers send the alert and log the reason, from now on."""
    sslproto.SSLProtocol = _Telling  # type: ignore[misc]
