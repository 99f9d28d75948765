"""The connection's records at a name server of others: dynamic updates (RFC 2136), signed with TSIG (RFC 8945).

Each record is asked for first, and what differs is replaced: per zone in one update, which the server takes whole or
not at all. What else is in the zone stays.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update

from aansluitkit.connection.flows import DNS_PORT
from aansluitkit.connection.names import Record
from aansluitkit.errors import KitError

SECONDS = 10  # for one answer
_ADVICE = {
    dns.rcode.REFUSED: "have its operator allow this key to change these names",
    dns.rcode.NOTAUTH: "it is no primary of that zone: name the primary in connection_dns.updates",
    dns.rcode.SERVFAIL: "see the log there",
}


@dataclass(frozen=True)
class Place:
    """A primary name server, and the key that it knows us by; ``secret`` is in base64."""

    server: str
    key: str
    algorithm: str
    secret: str


@dataclass(frozen=True)
class Difference:
    """What the server gives for ``name`` (``found``), and what it is to give."""

    zone: str
    name: str
    type: str
    found: tuple[str, ...]
    wanted: tuple[str, ...]


class NameServer:
    """The name server at ``place``."""

    def __init__(self, place: Place) -> None:
        self._place = place
        try:
            self._key = dns.tsig.Key(place.key, place.secret, place.algorithm)
        except binascii.Error as error:
            raise KitError(
                f"the secret of key {place.key} is no base64 ({error}): copy it as the operator of name server "
                f"{place.server} gave it"
            ) from error

    def differences(self, records: Iterable[Record]) -> list[Difference]:
        """What of ``records`` the server does not give as it is declared.

        Raises:
            KitError: when it can't be asked, or serves no zone of theirs.
        """
        wanted: dict[tuple[str, str], list[str]] = {}
        for record in records:
            wanted.setdefault((record.name, record.type), []).append(record.value)
        zones: dict[str, str] = {}
        found = []
        for (name, kind), values in wanted.items():
            given = self._values(name, kind)
            if given != sorted(values):
                parent = name.partition(".")[2]
                zone = zones[parent] = zones.get(parent) or self._zone_of(name)
                found.append(Difference(zone, name, kind, tuple(given), tuple(sorted(values))))
        return found

    def enter(self, differences: Sequence[Difference], ttl: int) -> None:
        """Have the server give what it is to give, for ``ttl`` seconds, and see that it does.

        Raises:
            KitError: when it refuses, or does not do it.
        """
        for zone in dict.fromkeys(difference.zone for difference in differences):
            update = dns.update.UpdateMessage(zone)
            changed = [difference for difference in differences if difference.zone == zone]
            for each in changed:
                name = dns.name.from_text(each.name)
                update.replace(name, dns.rrset.from_text_list(name, ttl, "IN", each.type, _absolute(each)))
            code = self._ask(update).rcode()
            if code != dns.rcode.NOERROR:
                names = ", ".join(each.name for each in changed)
                advice = _ADVICE.get(code, "ask its operator")
                raise KitError(
                    f"name server {self._place.server} answers {dns.rcode.to_text(code)} to an update of {names} in "
                    f"zone {zone}, with key {self._place.key}; nothing of it was changed there: {advice}"
                )
            for each in changed:
                if self._values(each.name, each.type) != [*each.wanted]:
                    raise KitError(
                        f"name server {self._place.server} took an update of {each.name} and does not give it: ask its "
                        "operator what else writes this zone"
                    )

    def _values(self, name: str, kind: str) -> list[str]:
        """What is given for ``name`` now, sorted, without the last dot of names."""
        answer = self._query(name, kind)
        wanted = dns.rdatatype.from_text(kind)
        records = [rrset for rrset in answer.answer if rrset.name == dns.name.from_text(name)]
        if any(rrset.rdtype == dns.rdatatype.CNAME for rrset in records):
            raise KitError(
                f"{name} is an alias (CNAME) at name server {self._place.server}, beside which no record can stand: "
                "have its operator remove it, or write another name in the inventory"
            )
        return sorted(item.to_text().rstrip(".") for rrset in records if rrset.rdtype == wanted for item in rrset)

    def _zone_of(self, name: str) -> str:
        """The zone that ``name`` lies in, as the server has it."""
        above = dns.name.from_text(name)
        while above != dns.name.root:
            answer = self._query(above.to_text(), "SOA")
            for rrset in (*answer.answer, *answer.authority):
                served = rrset.rdtype == dns.rdatatype.SOA and answer.flags & dns.flags.AA
                if served and above.is_subdomain(rrset.name) and rrset.name != dns.name.root:
                    return rrset.name.to_text(omit_final_dot=True)
            above = above.parent()
        raise KitError(
            f"name server {self._place.server} has no zone that {name} lies in: name its primary in "
            "connection_dns.updates, or have its operator make the zone"
        )

    def _query(self, name: str, kind: str) -> dns.message.Message:
        query = dns.message.make_query(name, kind)
        query.flags &= ~dns.flags.RD  # what it knows itself
        answer = self._ask(query)
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.REFUSED):
            raise KitError(
                f"name server {self._place.server} answers {dns.rcode.to_text(answer.rcode())} when asked for {name}: "
                f"{_ADVICE.get(answer.rcode(), 'ask its operator')}"
            )
        return answer

    def _ask(self, message: dns.message.Message) -> dns.message.Message:
        place = self._place
        message.use_tsig(self._key)  # questions as well: by the key it may tell its views apart
        try:
            return dns.query.tcp(message, place.server, SECONDS, DNS_PORT)
        except dns.tsig.PeerBadKey:
            why = f"does not know key {place.key} with {place.algorithm}: write both as its operator made them"
        except (dns.tsig.PeerBadSignature, dns.tsig.BadSignature):
            why = f"has another secret for key {place.key}: copy it as its operator gave it"
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime):
            why = "has another time than this machine, by more than five minutes: see the clocks of both"
        except dns.exception.Timeout:
            why = f"does not answer within {SECONDS} s on TCP port {DNS_PORT}: see that a firewall lets it through"
        except OSError as error:
            why = f"can't be reached on TCP port {DNS_PORT} ({error.strerror or error}): see its address"
        except (dns.exception.DNSException, EOFError) as error:
            why = f"breaks off or gives no valid answer ({type(error).__name__}): ask its operator"
        raise KitError(f"name server {place.server} {why}")


def _absolute(difference: Difference) -> list[str]:
    return [f"{value}." if difference.type == "PTR" else value for value in difference.wanted]
