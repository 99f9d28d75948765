"""The words of the model in the documents, which are in Dutch."""

from __future__ import annotations

from aansluitkit.connection import Component, Connection, Environment
from aansluitkit.connection.flows import Direction, FlowGroup, Purpose, link_of
from aansluitkit.connection.model import Link, Network, View

COMPONENTS = {
    Component.FIREWALL: "Firewall",
    Component.NAME_SERVER: "Nameserver",
    Component.LOAD_BALANCER: "Loadbalancer",
    Component.ADAPTER: "Digikoppeling-adapter",
    Component.DATABASE: "Database",
    Component.APPLICATION: "Applicatie",
    Component.PARTNER: "Adapter van de partner",
    Component.MANAGEMENT: "Beheer",
    Component.MONITORING: "Bewaking",
}
ENVIRONMENTS = {
    Environment.LAB: "Lab",
    Environment.COMPLIANCE: "Compliancevoorziening",
    Environment.PREPROD: "Preproductie",
    Environment.PRODUCTION: "Productie",
}
AUTHORITY = "Uitgever van certificaten"
NAME_SERVER = "Nameserver van een ander"
PACKAGE_SOURCE = "Bron van pakketten"
TIME_SERVER = "Tijdserver"
RESOLVER = "Resolvers van anderen"
NETWORKS = {Network.INTERNET: "Internet", Network.DIGINETWERK: "Diginetwerk"}
VIEWS = {
    View.INTERNAL: "Binnen: voor de nameservers die de eigen hosts bevragen, en voor niemand anders",
    View.EXTERNAL: "Buiten: voor de nameservers die de andere partij bereikt",
    View.MIGRATION: "Buiten, op het nieuwe netwerk: voor de nameservers die de andere partij daar bereikt",
}
DIRECTIONS = {
    Direction.INBOUND: "inkomend",
    Direction.OUTBOUND: "uitgaand",
    Direction.INSIDE: "intern",
}
_PURPOSES = {
    Purpose.MESSAGES_IN: "ebMS-berichten van de partner",
    Purpose.MESSAGES_OUT: "ebMS-berichten naar de partner",
    Purpose.MESSAGES_TO_ADAPTER: "ebMS-berichten naar de adapter, TLS ongeopend doorgegeven",
    Purpose.MESSAGES_IN_CLEAR: "ebMS-berichten naar de adapter, met het certificaat van de partner in een header",
    Purpose.SHARING: "levensteken van hosts die een adres delen",
    Purpose.STATES: "stand van de verbindingen, voor als een firewall uitvalt",
    Purpose.HEALTH: "gezondheidscontrole door de loadbalancer",
    Purpose.STORE: "opslag van berichten en CPA's",
    Purpose.REPLICATION: "de standby volgt de primaire database",
    Purpose.APPLICATION: "applicatie biedt berichten aan en haalt ze op",
    Purpose.METRICS: "meetwaarden voor Prometheus",
    Purpose.FIGURES: "meetwaarden en meldingen bekijken",
    Purpose.NAMES: "namen opzoeken (DNS)",
    Purpose.NAMES_GIVEN: "anderen zoeken de namen van de aansluiting op (DNS)",
    Purpose.UPDATES: "namen invoeren (DNS-updates)",
    Purpose.MANAGEMENT: "beheer over SSH",
    Purpose.PACKAGES: "pakketten en beveiligingsupdates van de distributie ophalen",
    Purpose.TIME: "de tijd opvragen (NTP)",
    Purpose.REVOCATION: "CRL's van de certificaten van beide partijen ophalen",
}


def purpose_of(group: FlowGroup) -> str:
    """What the flows are for; of an extra flow, as it was declared."""
    return _PURPOSES.get(group.first.purpose, group.first.reason)


def way_of(connection: Connection, group: FlowGroup) -> str:
    """The direction of the flows, and while there are two networks which of them they take."""
    link = link_of(connection, group.first)
    return DIRECTIONS[group.direction] + (on(connection, link, ", ") if link else "")


def on(connection: Connection, link: Link, before: str = " op ") -> str:
    """The network of ``link`` after ``before``, while there are two; nothing where there is no other."""
    return before + NETWORKS[link.network] if len(connection.links) > 1 else ""


def networks_of(connection: Connection) -> str:
    """The network towards the partner, or both."""
    return " en ".join(NETWORKS[link.network] for link in connection.links)
