"""Rendering of ``templates/``: what partners and their systems read."""

from aansluitkit.documents.cpa import render_consumerspecificatie, render_cpa
from aansluitkit.documents.folder import write_documents
from aansluitkit.documents.topology import render_topology

__all__ = ["render_consumerspecificatie", "render_cpa", "render_topology", "write_documents"]
