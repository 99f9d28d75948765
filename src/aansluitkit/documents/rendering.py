"""Turning ``templates/`` into files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from lxml import etree

from aansluitkit.errors import KitError
from aansluitkit.project import TEMPLATES


def render(template: str, **values: Any) -> str:
    """Return ``template`` filled with ``values``; what it yields is parsed before anybody sees it.

    Raises:
        KitError: when the template yields no XML.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template(template).render(values)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise KitError(f"{TEMPLATES / template} yields no XML: {error}: mend the template") from error
    return text


def write(content: str | bytes, path: Path) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    making = path.with_name(f".{path.name}")
    making.write_bytes(content.encode() if isinstance(content, str) else content)
    making.replace(path)
