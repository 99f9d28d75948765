"""Enter records at a name server of others, from the controller."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from aansluitkit.connection.names import Record
from aansluitkit.dns_update import Difference, NameServer, Place
from aansluitkit.errors import KitError

OPTIONS: dict[str, dict[str, Any]] = {
    "server": {"type": "str", "required": True},
    "key": {"type": "str", "required": True},
    "algorithm": {"type": "str", "required": True},
    "secret": {"type": "str", "required": True, "no_log": True},
    "records": {"type": "list", "elements": "dict", "required": True},
    "ttl": {"type": "int", "required": True},
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Fails with a sentence."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Runs on the controller alone."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(OPTIONS)
        place = Place(given["server"], given["key"], given["algorithm"], given["secret"])
        try:
            server = NameServer(place)
            differences = server.differences(Record.model_validate(record) for record in given["records"])
            if not self._task.check_mode:
                server.enter(differences, given["ttl"])
        except KitError as error:
            return {**result, "failed": True, "msg": str(error)}
        shown = {"before": _shown(differences, "found"), "after": _shown(differences, "wanted")}
        return {**result, "changed": bool(differences), "diff": [{**shown, "before_header": place.server}]}


def _shown(differences: list[Difference], which: str) -> str:
    return "".join(f"{each.name} {each.type} {value}\n" for each in differences for value in getattr(each, which))
