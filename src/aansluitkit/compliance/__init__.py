"""The compliance run: a connection proves that it speaks every profile, as the Compliancevoorziening tests it."""

from aansluitkit.compliance.playing import play
from aansluitkit.compliance.report import Outcome, Report, Result, show, summarise, write_html

__all__ = ["Outcome", "Report", "Result", "play", "show", "summarise", "write_html"]
