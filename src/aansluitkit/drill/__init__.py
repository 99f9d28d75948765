"""Drills: the lab is broken in one way after the other while messages go both ways, and nothing is lost or doubled."""

from aansluitkit.drill.report import Outcome, Report, Result, show, summarise, write_html
from aansluitkit.drill.run import drill

__all__ = ["Outcome", "Report", "Result", "drill", "show", "summarise", "write_html"]
