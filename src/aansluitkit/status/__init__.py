"""How a connection is at this moment: asked of its hosts over SSH, without Prometheus, and nothing of the partner."""

from aansluitkit.status.findings import Finding, Verdict, worst
from aansluitkit.status.look import look
from aansluitkit.status.page import write_html

__all__ = ["Finding", "Verdict", "look", "worst", "write_html"]
