"""Parsing of XML that strangers send: no DTD, no entities, no network, nothing huge."""

from __future__ import annotations

from lxml import etree

from aansluitkit.ebms.errors import MalformedError

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
EB = "http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd"
CPA = "http://www.oasis-open.org/committees/ebxml-cppa/schema/cpp-cpa-2_0.xsd"
DS = "http://www.w3.org/2000/09/xmldsig#"
XLINK = "http://www.w3.org/1999/xlink"
XML = "http://www.w3.org/XML/1998/namespace"
NAMESPACES = {"soap": SOAP, "eb": EB, "tns": CPA, "ds": DS, "xlink": XLINK}


def parse(content: bytes) -> etree._Element:
    """Parse ``content`` and return its root element.

    Raises:
        MalformedError: when it is not well-formed, too deep or too large for libxml2's guards, or has a DTD.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise MalformedError(f"this is no well-formed XML: {_one_line(error)}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise MalformedError("XML with a document type declaration is not accepted")
    return root


def text(parent: etree._Element, path: str) -> str | None:
    """Text of the first element at ``path`` (prefixes of ``NAMESPACES``), or None when absent or empty."""
    found = parent.find(path, NAMESPACES)
    return (found.text or "").strip() or None if found is not None else None


def required(parent: etree._Element, path: str) -> str:
    """As ``text``, for what must be there.

    Raises:
        MalformedError: when it is absent or empty.
    """
    found = text(parent, path)
    if found is None:
        raise MalformedError(f"{etree.QName(parent).localname} lacks {path}")
    return found


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
