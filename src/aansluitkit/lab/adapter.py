"""Which adapter the organisation's nodes of the lab run: ADAPTER and EBMS_ADMIN_JAR of the environment."""

from __future__ import annotations

import os
from pathlib import Path

from aansluitkit.errors import KitError
from aansluitkit.jar import refuse_others

EMBEDDED, EBMS_ADMIN = "embedded", "ebms_admin"


def check_adapter() -> str:
    """The adapter that was asked for.

    Raises:
        KitError: when there is none of that name, or no jar of it.
    """
    asked = os.environ.get("ADAPTER") or EMBEDDED
    if asked not in (EMBEDDED, EBMS_ADMIN):
        raise KitError(f"ADAPTER is '{asked}': write {EMBEDDED} or {EBMS_ADMIN}")
    if asked == EBMS_ADMIN:
        jar = os.environ.get("EBMS_ADMIN_JAR")
        if not jar:
            raise KitError(
                f"ADAPTER is {asked}, but EBMS_ADMIN_JAR names no jar of it: make lab ADAPTER={asked} "
                "EBMS_ADMIN_JAR=/path/to/ebms-admin-VERSION.jar"
            )
        refuse_others(Path(jar), f"EBMS_ADMIN_JAR: {jar}")
    return asked
