"""Plan, up and destroy: for every place the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pulumi import automation

from aansluitkit.connection import Connection, Environment, load_connection, refuse_deployment
from aansluitkit.connection.place import Place
from aansluitkit.errors import KitError
from aansluitkit.landscape.changes import KINDS, Change, Changes, changes_of
from aansluitkit.landscape.configuration import differences, mend
from aansluitkit.landscape.stack import Say, Settings, open_stack, settings_of, told

Confirm = Callable[[Changes], bool]


def plan(inventory: Path, say: Say) -> Changes:
    """Return what differs between ``inventory`` and what is there; nothing is changed, not even Pulumi's state.

    Resources are compared as they are now, so drift shows. Configuration is asked of the hosts that are there.

    Raises:
        InventoryError: when the inventory is refused.
        KitError: when the state or the place can't be read.
    """
    connection = load_connection(inventory)
    resources = _preview(inventory, connection, say)
    try:
        return Changes(resources, differences(inventory, connection, resources, say))
    except KitError as error:  # a host that can't be asked may be what is to be repaired
        say(f"configuration can't be told: {error}")
        return Changes(resources, unknown=str(error))


def up(inventory: Path, say: Say, confirm: Confirm) -> Changes:
    """Do what ``plan`` tells, and return it. In production ``confirm`` is asked first.

    Configuration is mended where a host differs; hosts that are made here get theirs by deployment.

    Raises:
        InventoryError: when the inventory is refused, or an example; nothing is changed then.
        KitError: when something can't be made, or the change is not confirmed.
    """
    connection = load_connection(inventory)
    refuse_deployment(inventory, connection)
    changes = plan(inventory, say)
    if changes and connection.environment is Environment.PRODUCTION and not confirm(changes):
        raise KitError("not confirmed: nothing was changed")
    if changes.resources:
        _make(inventory, connection, say)
    if changes.configuration:
        mend(inventory, connection, changes.configuration, say)
    return changes


def destroy(inventory: Path, say: Say, confirm: Confirm) -> None:
    """Remove all that Pulumi made of ``inventory``, after ``confirm`` was asked; never in production.

    Raises:
        KitError: in production, when it is not confirmed, or when something can't be removed.
    """
    connection = load_connection(inventory)
    if connection.environment is Environment.PRODUCTION:
        raise KitError(
            f"{inventory} is production, which is never removed by a command: release its resources by hand first "
            "('pulumi state unprotect --all' in the folder pulumi, then 'pulumi destroy')"
        )
    if connection.place is Place.EXISTING:
        say("the hosts were made by others: nothing to remove")
        return
    stack = open_stack(inventory, connection, _settings(connection), say)
    with told("what would be removed can't be told"):
        events: list[automation.EngineEvent] = []
        stack.preview_destroy(on_event=events.append, on_output=_ignore)
    if not confirm(Changes(changes_of(events))):
        raise KitError("not confirmed: nothing was removed")
    with told("the landscape could not be removed whole; start it again to go on"):
        stack.destroy(on_event=lambda event: _tell(event, say), on_output=_ignore)


def apply(stack: automation.Stack, say: Say) -> dict[str, int]:
    """Make what the program of ``stack`` declares, repair what is gone, and return how many resources changed, by kind.

    Raises:
        KitError: when a resource can't be made.
    """
    with told("the landscape could not be made whole; start it again to go on"):
        # A run that was broken off leaves creations of which nobody knows how they ended.
        stack.refresh(on_output=_ignore, clear_pending_creates=True)
        result = stack.up(on_event=lambda event: _tell(event, say), on_output=_ignore)
    return {str(kind): count for kind, count in (result.summary.resource_changes or {}).items()}


def _make(inventory: Path, connection: Connection, say: Say) -> None:
    if connection.place is Place.PODMAN:
        from aansluitkit.lab.up import make_hosts  # noqa: PLC0415 - the lab stands on this

        make_hosts(inventory, say)
    else:
        apply(open_stack(inventory, connection, _settings(connection), say), say)


def _preview(inventory: Path, connection: Connection, say: Say) -> tuple[Change, ...]:
    if connection.place is Place.EXISTING:
        say("the hosts were made by others: their configuration alone is looked at")
        return ()
    stack = open_stack(inventory, connection, _settings(connection), say)
    events: list[automation.EngineEvent] = []
    with told("what would change can't be told"):
        stack.preview(refresh=True, on_event=events.append, on_output=_ignore)
    found = changes_of(events)
    for change in found:
        say(str(change))
    return found


def _settings(connection: Connection) -> Settings:
    if connection.openstack:
        return settings_of(connection.openstack)
    from aansluitkit.lab.landscape import settings  # noqa: PLC0415 - the lab stands on this

    return settings()


def _tell(event: automation.EngineEvent, say: Say) -> None:
    if event.res_outputs_event:
        step = event.res_outputs_event.metadata
        state = step.new or step.old
        if step.op in KINDS and state and state.custom and not step.type.startswith("pulumi:"):
            say(f"{step.urn.rpartition('::')[2]} {KINDS[step.op]}d")


def _ignore(_line: str) -> None:
    pass
