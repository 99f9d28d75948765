"""Long work in steps that are told as they go, with the seconds that each took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Steps:
    """Prints what happens; ``seconds`` holds how long each step took."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Tell that ``name`` begins, and how long it took."""
        began = time.monotonic()
        self._console.print(f"[bold]==> {name}[/]", highlight=False)
        yield
        self.seconds[name] = time.monotonic() - began
        self._console.print(f"    done in {self.seconds[name]:.1f} s", highlight=False, style="dim")

    def say(self, message: str) -> None:
        """Tell something of the step that runs."""
        elapsed = time.monotonic() - self._began
        self._console.print(f"    [{elapsed:5.1f} s] {message}", markup=False, highlight=False, soft_wrap=True)
