"""Parsing of XML that strangers send: no DTD, no entities, no network, nothing huge."""

from __future__ import annotations

from datetime import UTC, datetime

from lxml import etree

from aansluitkit.ebms.errors import MalformedError

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
EB = "http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd"
CPA = "http://www.oasis-open.org/committees/ebxml-cppa/schema/cpp-cpa-2_0.xsd"
DS = "http://www.w3.org/2000/09/xmldsig#"
XENC = "http://www.w3.org/2001/04/xmlenc#"
XENC11 = "http://www.w3.org/2009/xmlenc11#"
XLINK = "http://www.w3.org/1999/xlink"
XML = "http://www.w3.org/XML/1998/namespace"
NAMESPACES = {"soap": SOAP, "eb": EB, "tns": CPA, "ds": DS, "xenc": XENC, "xenc11": XENC11, "xlink": XLINK}


MAXIMUM_ENVELOPE = 256 * 1024  # bytes; canonical XML takes the square of the attributes of an element
MAXIMUM_CPA = 4 * 1024 * 1024


def parse(content: bytes, maximum: int = MAXIMUM_ENVELOPE) -> etree._Element:
    """Parse ``content`` and return its root element, without comments.

    Comments go because they are not signed: one in the middle of a value must not split it for its readers.

    Raises:
        MalformedError: when it is too large, not well-formed, too deep for libxml2's guards, or has a DTD.
    """
    if len(content) > maximum:
        raise MalformedError(f"XML of {len(content)} bytes is not accepted: at most {maximum} are")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True
    )
    return _parse(content, parser)


def parse_large(content: bytes) -> etree._Element:
    """As ``parse``, for UTF-8 of any size, such as an encrypted payload; the caller bounds it.

    libxml2's guards against entities are off for large texts, so a DTD does not even reach the parser.

    Raises:
        MalformedError: when it is not well-formed or has a DTD.
    """
    if b"<!DOCTYPE" in content:
        raise MalformedError("XML with a document type declaration is not accepted")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, remove_comments=True, encoding="UTF-8"
    )
    return _parse(content, parser)


def _parse(content: bytes, parser: etree.XMLParser) -> etree._Element:
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise MalformedError(f"this is no well-formed XML: {_one_line(error)}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise MalformedError("XML with a document type declaration is not accepted")
    return root


def text(parent: etree._Element, path: str) -> str | None:
    """Text of the first element at ``path`` (prefixes of ``NAMESPACES``), or None when absent or empty.

    Raises:
        MalformedError: when there are elements or processing instructions in that text.
    """
    found = parent.find(path, NAMESPACES)
    if found is None:
        return None
    if len(found):
        raise MalformedError(f"{etree.QName(parent).localname}/{path} holds more than text")
    return (found.text or "").strip() or None


def required(parent: etree._Element, path: str) -> str:
    """As ``text``, for what must be there.

    Raises:
        MalformedError: when it is absent or empty.
    """
    found = text(parent, path)
    if found is None:
        raise MalformedError(f"{etree.QName(parent).localname} lacks {path}")
    return found


def read_moment(value: str) -> datetime:
    """An xsd:dateTime in UTC; one without a time zone is taken for UTC.

    Raises:
        MalformedError: when it is none.
    """
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise MalformedError(f"'{value}' is no date and time") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).partition(" (<string>")[0].split())[:200]  # lxml's name for what has no file
