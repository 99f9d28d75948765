"""Playing the compliance run on the hosts of an inventory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aansluitkit.compliance.adapter import Adapter, HostRest
from aansluitkit.compliance.facility import echoes, played_by
from aansluitkit.compliance.report import Outcome, Report
from aansluitkit.compliance.run import Run, Sides
from aansluitkit.connection import Component, Connection, load_connection, refuse_deployment
from aansluitkit.documents import render_cpa
from aansluitkit.errors import KitError
from aansluitkit.verification.site import Site

_PATIENCE = 60.0  # seconds that an answer may take


def play(inventory: Path, tell: Callable[[Outcome], None]) -> Report:
    """Play every case with the hosts of ``inventory``, and return the report; ``tell`` hears of each case as it ends.

    Raises:
        InventoryError: when the inventory is refused; nothing is tried then.
        KitError: when its environment has no Compliancevoorziening, or a host or an adapter can't be asked.
    """
    connection = played_by(load_connection(inventory))
    refuse_deployment(inventory, connection)
    report = Report(str(inventory), connection.cpa.id)

    def ended(outcome: Outcome) -> None:
        report.outcomes.append(outcome)
        tell(outcome)

    site = Site(connection, str(inventory))
    try:
        with _agreed(site, connection) as sides:
            Run(sides, echoes(connection), ended, _PATIENCE).play()
            sides.ours.take([identity for outcome in report.outcomes for identity in outcome.message_ids])
    finally:
        site.close()
    return report


@contextmanager
def _agreed(site: Site, connection: Connection) -> Iterator[Sides]:
    """Both sides have the CPA: in the lab for as long as the run lasts, elsewhere since it was loaded."""
    sides = sides_of(site, connection)
    if sides.partner is None:
        if not sides.ours.has_cpa():
            raise KitError(
                f"CPA {connection.cpa.id} is not in the adapter: run ansible-playbook -i {site.inventory} "
                "playbooks/cpa.yml"
            )
        yield sides
        return
    both = (sides.ours, sides.partner)
    try:
        for adapter in both:
            adapter.load(render_cpa(connection))
        yield sides
    finally:
        for adapter in both:
            adapter.take(adapter.waiting())
            adapter.unload()


def sides_of(site: Site, connection: Connection) -> Sides:
    """Our first adapter, and the stand-in where the inventory has one."""
    roles, own, other = connection.cpa.roles, connection.organisation.party_id, connection.partner.party_id
    ours = HostRest(site, connection, connection.host_of(Component.ADAPTER))
    stand_ins = connection.hosts_of(Component.PARTNER)
    theirs = HostRest(site, connection, stand_ins[0]) if stand_ins else None
    return Sides(
        Adapter(ours, connection.cpa.id, (own, roles.requester), other),
        Adapter(theirs, connection.cpa.id, (other, roles.provider), own) if theirs else None,
    )
