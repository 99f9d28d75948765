"""The kit's own description of a CPA's form refuses what the schema of OASIS refuses, and names the line."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
from lxml import etree

from aansluitkit.agreement.structure import faults
from aansluitkit.connection import Connection, Profile
from aansluitkit.documents import render_cpa
from aansluitkit.ebms.xml import CPA, MAXIMUM_CPA, parse

from ..conftest import CPPA_SCHEMA, Recorded, agreed, needs_schema

Change = Callable[[etree._Element], None]


@pytest.fixture(scope="module")
def whole(connection: Connection) -> etree._Element:
    """A CPA that has every element that the kit makes."""
    return parse(render_cpa(agreed(connection, Profile.RELIABLE_ENCRYPTED)).encode())


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(CPPA_SCHEMA))


@pytest.mark.parametrize("profile", Profile)
def test_every_profile_has_the_form(connection: Connection, profile: Profile) -> None:
    assert list(faults(parse(render_cpa(agreed(connection, profile)).encode()))) == []


def test_agreements_of_others_have_the_form(recorded: Recorded) -> None:
    files = sorted((recorded.folder / "cpa").glob("*.xml"))
    assert files
    for path in files:
        assert list(faults(parse(path.read_bytes(), MAXIMUM_CPA))) == [], path.name


def _remove(element: etree._Element) -> None:
    parent = element.getparent()
    assert parent is not None
    parent.remove(element)


def _repeat(element: etree._Element) -> None:
    element.addnext(copy.deepcopy(element))


def _rename(element: etree._Element) -> None:
    element.tag = f"{{{CPA}}}Other"


def _move_first(element: etree._Element) -> None:
    parent = element.getparent()
    assert parent is not None
    parent.insert(0, element)


def _fill(element: etree._Element) -> None:
    element.text = "- some text -"


def _empty(element: etree._Element) -> None:
    element.text = None


def _without(name: str) -> Change:
    def change(element: etree._Element) -> None:
        del element.attrib[name]

    return change


def _with(name: str, value: str) -> Change:
    def change(element: etree._Element) -> None:
        element.set(name, value)

    return change


def changes(root: etree._Element) -> Iterator[tuple[str, int, Change]]:
    """Each way to spoil each kind of element: what it is, the element's number, and the change."""
    seen = set()
    for number, element in enumerate(root.iter(f"{{{CPA}}}*")):
        if element is root or element.tag in seen:
            continue
        seen.add(element.tag)
        name = etree.QName(element).localname
        for change in (_remove, _repeat, _rename, _move_first, _fill, _empty):
            yield f"{name} {change.__name__}", number, change
        for attribute in map(str, element.attrib):
            short = etree.QName(attribute).localname
            yield f"{name} without {short}", number, _without(attribute)
            for value in ("", "no value of any kind", "1"):
                yield f"{name} {short} '{value}'", number, _with(attribute, value)
        yield f"{name} with one more", number, _with(f"{{{CPA}}}more", "1")
        yield f"{name} with one unqualified", number, _with("id", "1")


@needs_schema
def test_verdict_is_that_of_the_schema(whole: etree._Element, schema: etree.XMLSchema) -> None:
    """But for texts that the schema takes and nobody could use: references to elements of another kind."""
    judged = 0
    for what, number, change in changes(whole):
        spoilt = copy.deepcopy(whole)
        change(list(spoilt.iter(f"{{{CPA}}}*"))[number])
        spoilt = parse(etree.tostring(spoilt))
        found = list(faults(spoilt))
        if schema.validate(spoilt):
            assert [each for each in found if "refers to" not in each] == [], what
        else:
            assert found, f"{what}: {schema.error_log[0]}"
        judged += 1
    assert judged > 600


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda root: _remove(root.find(".//{*}DeliveryChannel/{*}MessagingCharacteristics")), "lacks Messaging"),
        (lambda root: _move_first(root.find("{*}End")), "has End where Status is expected"),
        (lambda root: _repeat(root.find("{*}Status")), "has Status where Start is expected"),
        (lambda root: _remove(root.find("{*}PartyInfo")), "has SimplePart where PartyInfo is expected"),
        (_without(f"{{{CPA}}}cpaid"), "lacks attribute cpaid"),
        (_with(f"{{{CPA}}}cpaid", ""), "cpaid of CollaborationProtocolAgreement is ''"),
        (lambda root: _fill(root.find("{*}Start")), "Start is '- some text -'"),
        (
            lambda root: _with(f"{{{CPA}}}syncReplyMode", "never")(root.find(".//{*}MessagingCharacteristics")),
            "syncReplyMode of MessagingCharacteristics is 'never'",
        ),
    ],
)
def test_fault_names_line_and_element(whole: etree._Element, change: Change, told: str) -> None:
    spoilt = copy.deepcopy(whole)
    change(spoilt)
    found = list(faults(parse(etree.tostring(spoilt))))
    assert found[0].startswith("line ")
    assert told in found[0]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("certId=“SR_client”/>", "certId=“SR_none”/>", "refers to Certificate 'SR_none', which is not there"),
        ("certId=“SR_client”/>", "certId=“SR_transport”/>", "refers to Certificate 'SR_transport', which is not there"),
        ("certId=“SR_client”/>", "certId=“SP_client”/>", "refers to 'SP_client', which is the other party's"),
        (">SP_R_1_1</tns:Other", ">SR_S_1_1</tns:Other", "refers to 'SR_S_1_1', which is the party's own"),
        ("channelId=“SP_signal_channel”", "channelId=“SR_signal_channel”", "id 'SR_signal_channel' stands on line"),
    ],
)
def test_references_mean_something_of_the_right_kind(whole: etree._Element, old: str, new: str, told: str) -> None:
    text = etree.tostring(whole).decode()
    old, new = (each.replace("“", '"').replace("”", '"') for each in (old, new))
    assert old in text
    assert told in next(faults(parse(text.replace(old, new).encode())))


def test_other_documents_are_no_cpa() -> None:
    told = "the root element is html, not CollaborationProtocolAgreement"
    assert list(faults(parse(b"<html/>"))) == [f"line 1: {told}"]
