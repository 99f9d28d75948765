"""Figures for Prometheus, served where the health is: nothing in them names a party or a message.

A CRL is named after its authority, which the partner's certificate shows to everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from aansluitkit.certificates.facts import common_name
from aansluitkit.ebms.certificates import read_certificate
from aansluitkit.ebms.cpa import Cpa, PartyId, read_cpa
from aansluitkit.ebms.material import Material
from aansluitkit.ebms.store import Store

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What one node did, what it works with at the moment, and what all nodes on its database have to do."""

    def __init__(self, store: Store, material: Callable[[], Material]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "ebms_requests", "HTTP requests of partners, by status", ["status"], registry=self._registry
        )
        self.renewals_failed = Counter(
            "ebms_renewals_failed", "Changed certificates or CRLs that could not be used", registry=self._registry
        )
        self._registry.register(_Shared(store, material))

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Shared(Collector):
    """Asked of the database when Prometheus asks."""

    def __init__(self, store: Store, material: Callable[[], Material]) -> None:
        self._store = store
        self._material = material

    def collect(self) -> Iterator[Metric]:
        yield from _dates(self._material())
        up = GaugeMetricFamily("ebms_database_up", "1 when the database answers")
        try:
            yield from self._of_database()
            up.add_metric([], 1)
        except SQLAlchemyError:
            up.add_metric([], 0)
        yield up

    def _of_database(self) -> list[Metric]:
        queue, states = self._store.messages.queue(), self._store.messages.states()
        length = GaugeMetricFamily("ebms_queue_length", "Messages and signals that are still to be sent")
        length.add_metric([], queue.length)
        oldest = GaugeMetricFamily("ebms_oldest_undelivered_seconds", "Age of the oldest undelivered message")
        oldest.add_metric([], queue.oldest_seconds)
        counts = GaugeMetricFamily("ebms_messages", "Business messages that are kept, by state", labels=["state"])
        for state, number in sorted(states.items()):
            counts.add_metric([state], number)
        return [length, oldest, counts, *self._of_agreements()]

    def _of_agreements(self) -> Iterator[Metric]:
        documents = filter(None, map(self._store.cpa, self._store.cpa_ids()))
        end, expiry = _first_ends(tuple(documents))
        ends = GaugeMetricFamily("ebms_cpa_ends_timestamp_seconds", "When the first party is left without a CPA")
        expires = GaugeMetricFamily(
            "ebms_cpa_certificate_expires_timestamp_seconds", "When the first certificate in the last CPAs expires"
        )
        for gauge, moment in ((ends, end), (expires, expiry)):
            if moment:
                gauge.add_metric([], moment.timestamp())
            yield gauge


@lru_cache(maxsize=1)  # CPAs change once in a while, figures are asked every few seconds
def _first_ends(documents: tuple[bytes, ...]) -> tuple[datetime | None, datetime | None]:
    """When the first of the CPAs in ``documents`` ends that no other replaces, and the first certificate in those."""
    last = last_agreements(map(read_cpa, documents))
    held = {certificate for cpa in last for party in cpa.parties for certificate in party.certificates.values()}
    expiries = [read_certificate(certificate).not_valid_after_utc for certificate in held]
    return min((cpa.end for cpa in last), default=None), min(expiries, default=None)


def last_agreements(cpas: Iterable[Cpa]) -> list[Cpa]:
    """Of the CPAs between the same parties the one that ends last: another that ends was replaced in time."""
    last: dict[frozenset[PartyId], Cpa] = {}
    for cpa in cpas:
        between = frozenset(identification for party in cpa.parties for identification in party.ids)
        if between not in last or cpa.end > last[between].end:
            last[between] = cpa
    return list(last.values())


def _dates(material: Material) -> Iterator[Metric]:
    expires = GaugeMetricFamily("ebms_certificate_expires_timestamp_seconds", "When our first certificate expires")
    expires.add_metric([], material.first_to_expire[1].not_valid_after_utc.timestamp())
    yield expires
    following = GaugeMetricFamily(
        "ebms_crl_next_update_timestamp_seconds", "Until when the CRL of an authority counts", labels=["authority"]
    )
    for crl in material.crls.crls if material.crls else ():
        if crl.next_update_utc:
            following.add_metric([common_name(crl.issuer)], crl.next_update_utc.timestamp())
    yield following
