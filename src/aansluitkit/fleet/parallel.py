"""The same question to many inventories, spread over the machine's cores."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

Answer = TypeVar("Answer")
CHUNK = 16  # inventories that a process takes at once


def ask(question: Callable[[Path], Answer], inventories: Sequence[Path]) -> Iterator[Answer]:
    """Yield the answer of each of ``inventories``, in their order, as it comes.

    ``question`` and its answers are pickled; let them be small, for there may be thousands.
    """
    workers = min(os.cpu_count() or 1, -(-len(inventories) // CHUNK))
    if workers <= 1:
        yield from map(question, inventories)
        return
    with ProcessPoolExecutor(workers, initializer=_leave_interrupts) as pool:
        yield from pool.map(question, inventories, chunksize=CHUNK)


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal; the one that asked ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
