"""Rendering of ``templates/``: what partners and their systems read."""

from aansluitkit.documents.cpa import render_consumerspecificatie, render_cpa
from aansluitkit.documents.folder import write_documents, write_netwerkoverzicht
from aansluitkit.documents.netwerkoverzicht import render_netwerkoverzicht
from aansluitkit.documents.picture import render_picture
from aansluitkit.documents.state import date_of

__all__ = [
    "date_of",
    "render_consumerspecificatie",
    "render_cpa",
    "render_netwerkoverzicht",
    "render_picture",
    "write_documents",
    "write_netwerkoverzicht",
]
