"""Whether a business message is what its CPA says it is."""

from __future__ import annotations

from datetime import datetime

from aansluitkit.ebms.cpa import Cpa, Service, Terms
from aansluitkit.ebms.errors import ErrorCode, ErrorListError
from aansluitkit.ebms.message import Message

_HEADER = "//Header/MessageHeader"


def check_terms(message: Message, cpa: Cpa, terms: Terms | None, now: datetime) -> Terms:
    """See that ``message`` is of ``terms``, and return them.

    Raises:
        ErrorListError: when it is not; it names the element (ebMS 2.0, section 4.2.3).
    """
    if terms is None:
        raise _unknown(message, cpa)
    channel, header = terms.channel, message.header
    if header.time_to_live and header.time_to_live <= now:
        raise ErrorListError(
            ErrorCode.TIME_TO_LIVE_EXPIRED,
            f"{_HEADER}/MessageData/TimeToLive",
            f"the message was to arrive before {header.time_to_live:%Y-%m-%dT%H:%M:%SZ}",
        )
    asked = message.ack_requested
    _same("//Header/AckRequested", asked is not None, channel.ack_requested)
    if asked:
        _same("//Header/AckRequested/@signed", asked.signed, channel.ack_signed)
    _same(f"{_HEADER}/DuplicateElimination", header.duplicate_elimination, channel.duplicate_elimination)
    _same("//Header/SyncReply", message.sync_reply, channel.sync_reply)
    return terms


def _unknown(message: Message, cpa: Cpa) -> ErrorListError:
    """Which part of the header makes that the CPA does not have it."""
    header = message.header
    service = Service(header.service, header.service_type)
    sent = [terms for terms in cpa.terms if header.sender in terms.sender.ids and terms.service == service]
    if not sent:
        told = f"CPA {cpa.id} lets {header.sender} send nothing of service {service}"
        return ErrorListError(ErrorCode.VALUE_NOT_RECOGNIZED, f"{_HEADER}/Service", told)
    if header.action not in [terms.action for terms in sent]:
        told = f"CPA {cpa.id} lets {header.sender} send no action {header.action} of service {service}"
        return ErrorListError(ErrorCode.VALUE_NOT_RECOGNIZED, f"{_HEADER}/Action", told)
    side = "From" if header.sender_role not in [None, *(terms.sender_role for terms in sent)] else "To"
    told = f"role {header.sender_role if side == 'From' else header.receiver_role} is not the one in CPA {cpa.id}"
    return ErrorListError(ErrorCode.INCONSISTENT, f"{_HEADER}/{side}/Role", told)


def _same(location: str, found: bool, agreed: bool) -> None:
    if found != agreed:
        words = ("is there", "does not have it") if found else ("is missing", "demands it")
        raise ErrorListError(ErrorCode.INCONSISTENT, location, f"it {words[0]}, and the CPA {words[1]}")
