"""Variables that the lab declares in its inventory, in files of their own beside those that are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml


def write_variables(path: Path, variables: Mapping[str, object]) -> None:
    """Write ``variables`` to ``path``, in place of what it said."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(variables), explicit_start=True, sort_keys=False), encoding="utf-8")
