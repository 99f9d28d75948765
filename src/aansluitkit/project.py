"""Where the project's own files lie."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "templates"
STATE = ROOT / ".lab"


def cache() -> Path:
    """Folder for what is slow to make and the same for every checkout (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aansluitkit"


PULUMI_HOME = cache() / "pulumi"


def use_own_tools() -> None:
    """Have Ansible's commands, which are called by name, come from this environment, with the kit's settings.

    Nothing of Ansible or Pulumi is left in the user's home folder.
    """
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    os.environ.setdefault("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg"))
    os.environ.setdefault("PULUMI_HOME", str(PULUMI_HOME))  # it logs there even what its version is
