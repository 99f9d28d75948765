"""``python -m aansluitkit.ebms --settings FILE``: runs until it is told to stop (SIGTERM).

SIGHUP has it read certificates, keys, roots and CRLs again at once; it sees by itself when they change.

Exit status: 0 stopped, 1 it could not run, 2 the settings are wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from aansluitkit.ebms.logs import begin_logging
from aansluitkit.ebms.server import Server
from aansluitkit.ebms.settings import Settings, read_settings
from aansluitkit.errors import KitError

log = logging.getLogger("aansluitkit.ebms")


def main() -> int:
    """Run one node."""
    parser = argparse.ArgumentParser(prog="aansluitkit-adapter", description="ebMS 2.0 adapter")
    parser.add_argument("--settings", type=Path, required=True, help="the settings file (YAML)")
    path = parser.parse_args().settings
    try:
        settings = read_settings(path)
    except KitError as error:
        return _fail(error, 2)
    begin_logging(settings.node, settings.log_format)
    try:
        asyncio.run(_run(settings))
    except KitError as error:
        return _fail(error, 1)
    return 0


def _fail(error: KitError, status: int) -> int:
    print(f"aansluitkit-adapter: {error}", file=sys.stderr)
    return status


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    server = Server(settings)
    for number, act in ((signal.SIGTERM, stop.set), (signal.SIGINT, stop.set), (signal.SIGHUP, server.renew)):
        asyncio.get_running_loop().add_signal_handler(number, act)
    try:
        await server.start()
        _notify("READY=1")
        log.info("node %s is ready", settings.node)
        await stop.wait()
        # Systemd gives that much time instead of the unit's own.
        _notify(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(server.stop_seconds * 1_000_000)}")
    finally:
        await server.stop()


def _notify(state: str) -> None:
    """Tell systemd (sd_notify(3)), where it started us."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


if __name__ == "__main__":
    sys.exit(main())
