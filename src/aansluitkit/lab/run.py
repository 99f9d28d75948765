"""Running the machine's own tools."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from aansluitkit.errors import KitError


def run(*command: str | Path, environment: Mapping[str, str] | None = None, text: str | None = None) -> str:
    """Run ``command`` with ``text`` on its standard input and return its standard output.

    Raises:
        KitError: when the command is not there or fails; its last words are in the message.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            input=text,
            capture_output=True,
            text=True,
            env={**os.environ, **(environment or {})},
            check=False,
        )
    except FileNotFoundError as error:
        raise KitError(f"{words[0]} is not installed: run ./bootstrap, which installs what the lab needs") from error
    if done.returncode != 0:
        last = " ".join((done.stderr or done.stdout).split())[-600:]
        raise KitError(f"'{' '.join(words[:6])}' ended with status {done.returncode}: {last}")
    return done.stdout
