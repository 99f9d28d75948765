"""Proof that what is deployed is what was declared: running ``tests/verify`` and telling what it found."""

from aansluitkit.verification.checks import HOPS, Check, Report, Result
from aansluitkit.verification.run import LIMIT_SECONDS, verify
from aansluitkit.verification.show import show, write_html

__all__ = ["HOPS", "LIMIT_SECONDS", "Check", "Report", "Result", "show", "verify", "write_html"]
