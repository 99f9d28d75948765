"""Turning ``templates/`` into files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from lxml import etree

from aansluitkit.errors import KitError
from aansluitkit.project import TEMPLATES


def render(template: str, **values: Any) -> str:
    """Return XML ``template`` filled with ``values``; what it yields is parsed before anybody sees it.

    Raises:
        KitError: when the template yields no XML.
    """
    text = _environment().get_template(template).render(values)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise KitError(f"{TEMPLATES / template} yields no XML: {error}: mend the template") from error
    return text


def render_text(template: str, **values: Any) -> str:
    """Return ``template``, which is no markup, filled with ``values``."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    """Templates stay compiled: rendering for a thousand customers reads each once."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=select_autoescape(("xml.j2", "svg.j2", "html.j2")),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def write(content: str | bytes, path: Path) -> None:
    """Write ``content`` to ``path``, whole or not at all; text in UTF-8."""
    making = path.with_name(f".{path.name}")
    making.write_bytes(content.encode() if isinstance(content, str) else content)
    making.replace(path)
