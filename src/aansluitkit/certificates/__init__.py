"""Certificates: what they are, what is wrong with them, asking for them, taking them in, and when they end.

The connection model asks ``facts`` and ``rules``, which know nothing of it; the other modules know both.
"""
