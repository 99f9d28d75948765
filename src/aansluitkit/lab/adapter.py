"""Which adapter our nodes of the lab run: what ADAPTER and EBMS_ADMIN_JAR of the environment tell ``lab up``."""

from __future__ import annotations

import os
from pathlib import Path

from aansluitkit.checksum import sha256_of
from aansluitkit.errors import KitError
from aansluitkit.jar import refuse_others
from aansluitkit.lab.lock import claimed
from aansluitkit.lab.variables import write_variables

EMBEDDED, EBMS_ADMIN = "embedded", "ebms_admin"
VARIABLES = "group_vars/all/adapter.yml"  # what every later command on the lab knows it by


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


def refuse_change(inventory: Path, adapter: str) -> None:
    """Refuse another adapter than the one that the standing lab of ``inventory`` runs: each has its own database.

    Raises:
        KitError: when it runs another one.
    """
    runs = EBMS_ADMIN if (inventory / VARIABLES).exists() else EMBEDDED
    if claimed() == inventory.resolve() and runs != adapter:
        raise KitError(
            f"the lab that stands runs {runs}, and {adapter} can't go on with its database: remove the lab first "
            f"(make lab-down), or say ADAPTER={runs} as before"
        )


def declare_adapter(inventory: Path, adapter: str) -> None:
    """Have ``inventory`` say that our nodes run ``adapter``, of the jar that was asked for.

    A jar that is given by hand is pinned to itself. ebms-admin looks at no CRLs, so the load balancers judge
    certificates in front of it.
    """
    if adapter == EMBEDDED:
        forget_adapter(inventory)
        return
    jar = Path(os.environ["EBMS_ADMIN_JAR"]).resolve()
    variables = {
        "connection_tls_ends_at": "load_balancer",
        "ebms_adapter_implementation": f"{{{{ '{adapter}' if 'adapter' in group_names else '{EMBEDDED}' }}}}",
        "ebms_adapter_jar": str(jar),
        "ebms_adapter_jar_sha256": sha256_of(jar),
    }
    write_variables(inventory / VARIABLES, variables)


def forget_adapter(inventory: Path) -> None:
    """Leave ``inventory`` as it was before an adapter was asked for."""
    (inventory / VARIABLES).unlink(missing_ok=True)
