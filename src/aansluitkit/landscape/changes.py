"""What would change, or has changed, in terms of resources and hosts: read from the events of the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pulumi import automation
from pulumi.automation import OpType

KINDS = {
    OpType.CREATE: "create",
    OpType.UPDATE: "update",
    OpType.REPLACE: "replace",
    OpType.DELETE: "delete",
}


@dataclass(frozen=True)
class Change:
    """One resource that differs from the inventory.

    ``kind`` is create, update, replace or delete; ``type`` is Pulumi's type of the resource without its package,
    ``name`` its name; ``properties`` are the inputs that differ, for update and replace alone.
    """

    kind: str
    type: str
    name: str
    properties: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.type} {self.name}" + (f" ({', '.join(self.properties)})" if self.properties else "")


@dataclass(frozen=True)
class Changes:
    """Everything that differs; false when nothing does.

    ``resources`` are networks, hosts and rules of the place. ``configuration`` are the hosts on which a playbook would
    change something, with the number of tasks; ``unknown`` says why that can't be told, and is empty when it can.
    """

    resources: tuple[Change, ...] = ()
    configuration: tuple[tuple[str, int], ...] = ()
    unknown: str = ""

    def __bool__(self) -> bool:
        return bool(self.resources or self.configuration or self.unknown)

    def __str__(self) -> str:
        counts = Counter(change.kind for change in self.resources)
        words = [f"{counts[kind]} to {kind}" for kind in KINDS.values() if counts[kind]]
        if self.configuration:
            words.append(f"configuration differs on {', '.join(host for host, _ in self.configuration)}")
        if self.unknown:
            words.append("whether the configuration differs can't be told")
        return ", ".join(words) or "nothing differs"


def changes_of(events: Iterable[automation.EngineEvent]) -> tuple[Change, ...]:
    """The changes that ``events`` of a preview announce, by name; components and providers are left out."""
    found = {}
    for event in events:
        if not event.resource_pre_event:
            continue
        step = event.resource_pre_event.metadata
        state = step.new or step.old
        if step.op in KINDS and state and state.custom and not step.type.startswith("pulumi:"):
            found[step.urn] = Change(
                KINDS[step.op],
                step.type.rpartition(":")[2],
                step.urn.rpartition("::")[2],
                tuple(sorted(step.detailed_diff or step.diffs or ())),
            )
    return tuple(sorted(found.values(), key=lambda change: (change.name, change.type)))
