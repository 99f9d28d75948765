"""Rendering of ``templates/``: what partners and their systems read."""

from aansluitkit.documents.cpa import render_consumerspecificatie, render_cpa, write_documents

__all__ = ["render_consumerspecificatie", "render_cpa", "write_documents"]
