"""The Compliancevoorziening of Digikoppeling: an echo for each profile, under one CPA.

Its six services bear one name and are told apart by their type; a consumer sends EchoRequest, and gets EchoResponse.
"""

from __future__ import annotations

from datetime import timedelta

from aansluitkit.connection import Connection, Environment, Profile
from aansluitkit.connection.model import CpaParameters, Retries, Roles, Service, ServiceAction
from aansluitkit.ebms.echo import REQUEST, RESPONSE
from aansluitkit.errors import KitError

_KINDS = {
    Profile.BEST_EFFORT: "be",
    Profile.BEST_EFFORT_SIGNED: "be:signed",
    Profile.BEST_EFFORT_ENCRYPTED: "be:encrypted",
    Profile.RELIABLE: "rm",
    Profile.RELIABLE_SIGNED: "rm:signed",
    Profile.RELIABLE_ENCRYPTED: "rm:encrypted",
}
_ACTIONS = (ServiceAction(name=REQUEST, sender="SR"), ServiceAction(name=RESPONSE, sender="SP"))
SERVICES = tuple(
    Service(type=f"urn:cv:{kind}:services", name="EchoService$1.0", profile=profile, actions=_ACTIONS)
    for profile, kind in _KINDS.items()
)
ROLES = Roles(requester="Consumer", provider="ComplianceVoorziening")
# Soon over, so that a run sees messages being tried again and given up.
_RETRIES = Retries(count=9, interval=timedelta(seconds=1), persist_duration=timedelta(seconds=10))


def played_by(connection: Connection) -> Connection:
    """``connection`` under the CPA that a compliance run plays: its own, or in the lab one of the same two parties.

    Raises:
        KitError: when the environment has no Compliancevoorziening, or the CPA none of its services.
    """
    if connection.environment is Environment.LAB:
        parties = f"{connection.organisation.oin}-{connection.partner.oin}"
        cpa = connection.cpa
        agreed = CpaParameters(
            id=f"CV_{parties}", start=cpa.start, end=cpa.end, roles=ROLES, services=SERVICES, retries=_RETRIES
        )
        return connection.model_copy(update={"cpa": agreed})
    if connection.environment is not Environment.COMPLIANCE:
        raise KitError(
            f"connection '{connection.name}' is {connection.environment}: the compliance run is played with the "
            "Compliancevoorziening alone, and never sends to MijnOverheid: take an inventory whose "
            "connection_environment is compliance or lab"
        )
    if not any(service.actions == _ACTIONS for service in connection.cpa.services):
        raise KitError(
            f"connection '{connection.name}': connection_cpa.services has no service with {REQUEST} sent by SR and "
            f"{RESPONSE} sent by SP, which the Compliancevoorziening has: write its services, as the example "
            "inventories/voorbeeldgemeente/compliance does"
        )
    return connection


def echoes(connection: Connection) -> list[Service]:
    """The services of the CPA that echo."""
    return [service for service in connection.cpa.services if service.actions == _ACTIONS]
