"""The live hosts of an inventory, as the checks see them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, NoReturn

import testinfra

from aansluitkit.connection import Connection, Host
from aansluitkit.connection.model import Contact
from aansluitkit.errors import KitError

PROBE = Path(__file__).with_name("probe.py")
_RUN = "import base64,sys;exec(base64.b64decode(sys.argv[1]))"


class Unproved(AssertionError):  # noqa: N818 - a verdict, not an error
    """What was found, what to do, and whom to call."""


class Site:
    """Runs probes on the hosts through Ansible's own connection variables."""

    def __init__(self, connection: Connection, inventory: str) -> None:
        self.connection = connection
        self.inventory = inventory
        self._probe = base64.b64encode(PROBE.read_bytes()).decode()

    def host(self, host: Host) -> Any:
        """Testinfra's view of ``host``."""
        return testinfra.get_host(f"ansible://{host.name}?ansible_inventory={self.inventory}")

    def probe(self, host: Host, do: str, **request: Any) -> dict[str, Any]:
        """Run one function of the probe on ``host`` and return its answer.

        Raises:
            KitError: when the host can't be reached or the probe does not run there.
        """
        asked = base64.b64encode(json.dumps({"do": do, **request}, default=str).encode()).decode()
        result = self.host(host).run("python3 -c %s %s %s", _RUN, self._probe, asked)
        if result.rc != 0:
            raise KitError(
                f"the probe did not run on {host.name} (exit {result.rc}): {result.stderr.strip()[-400:]}; "
                "see that the controller reaches it by SSH"
            )
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer


def unproved(found: str, advice: str, contact: Contact) -> NoReturn:
    """Fail the check: what was found, what to do, whom to call."""
    raise Unproved(f"{found}; {advice}; call {contact.name} ({contact.phone}, {contact.email})")
