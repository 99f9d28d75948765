"""Which certificates are revoked: the CRLs of both parties' chains, how a host keeps them fresh, and what they say."""

from aansluitkit.revocation.lists import RevocationLists, read_crls

__all__ = ["RevocationLists", "read_crls"]
