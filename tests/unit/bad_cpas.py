"""CPAs that nobody can use, each out of a good one."""

from __future__ import annotations

import re
from collections.abc import Callable

Spoil = Callable[[bytes], bytes]


def _not_xml(_good: bytes) -> bytes:
    return b"geen xml"


def _no_cpa(_good: bytes) -> bytes:
    return b"<html><body>Log in om het CPA op te halen</body></html>"


def _schema_invalid(good: bytes) -> bytes:
    return re.sub(rb"<tns:MessageOrderSemantics>.*?</tns:MessageOrderSemantics>", b"", good)


def _other_parties(good: bytes) -> bytes:
    return re.sub(rb'(<tns:PartyId tns:type="urn:osb:oin">)\d{20}', rb"\g<1>00000001001234567000", good, count=1)


def _other_certificates(good: bytes) -> bytes:
    """Ours is the partner's."""
    found = re.findall(rb"<ds:X509Certificate>([^<]+)", good)
    return good.replace(found[0], found[-1])


def _ended(good: bytes) -> bytes:
    span = b"<tns:Start>2019-01-01T00:00:00Z</tns:Start><tns:End>2020-01-01T00:00:00Z</tns:End>"
    return re.sub(rb"<tns:Start>.*</tns:End>", span, good, flags=re.DOTALL)


def _entity_bomb(good: bytes) -> bytes:
    entities = b'<!ENTITY a "lol">' + b"".join(
        b'<!ENTITY %c "%s">' % (97 + n, b"&%c;" % (96 + n) * 10) for n in range(1, 9)
    )
    head, _, body = good.partition(b"?>")
    return head + b"?><!DOCTYPE tns [" + entities + b"]>" + body.replace(b"<tns:Start>", b"<tns:Start>&i;")


def _other_endpoint(good: bytes) -> bytes:
    return re.sub(rb'tns:uri="https://[^/]+/', b'tns:uri="https://elders.voorbeeldgemeente.internal/', good, count=1)


def _other_id(good: bytes) -> bytes:
    return re.sub(rb'tns:cpaid="[^"]+"', b'tns:cpaid="ATG-1-0$1.0_0002"', good)


# How to make each, and what is said of it: where an inventory is known, and by the module.
BAD_CPAS: dict[str, tuple[Spoil, str, str]] = {
    "not XML": (_not_xml, "this is no well-formed XML", "it is no XML"),
    "not a CPA": (_no_cpa, "the root element is html", "it is no CPA but html"),
    "schema-invalid": (_schema_invalid, "ReliableMessaging lacks MessageOrderSemantics", "lacks MessageOrderSemantics"),
    "other parties": (_other_parties, "it is other parties' CPA", "it is between urn:osb:oin:00000001001234567000"),
    "other certificates": (_other_certificates, "(connection_certificates)", "it names certificate SHA-256"),
    "outside its dates": (_ended, "valid from 2019-01-01 to 2020-01-01", "expired on 2020-01-01"),
    "entity bomb": (_entity_bomb, "document type declaration", "document type declaration"),
    "other id": (_other_id, "expected is 'MIJNOVERHEID", "its cpaid is 'ATG-1-0$1.0_0002'"),
}
