"""What Digikoppeling fixes and both the connection model and the adapter need."""

from __future__ import annotations

import re

OIN_TYPE = "urn:osb:oin"  # of a PartyId that is an OIN: Koppelvlakstandaard ebMS2 chapter 5
_OIN_TYPES = (OIN_TYPE, "urn:oin")  # the second is no standard, and met in agreements
# Outside production a suffix tells environments of one organisation apart (Best practices ebMS2, EB004): _T, _OTA.
_OIN = re.compile(r"(\d{20})(?:_[A-Z]{1,4})?")


def oin_in(party_id_type: str, value: str) -> str | None:
    """The OIN that a PartyId is, without the suffix that it may have outside production; None when it is another id."""
    found = _OIN.fullmatch(value) if party_id_type in _OIN_TYPES else None
    return found.group(1) if found else None
