"""What can go wrong between two adapters, and where."""

from __future__ import annotations

from enum import StrEnum
from traceback import format_tb
from typing import TYPE_CHECKING

from aansluitkit.errors import KitError

if TYPE_CHECKING:
    from aansluitkit.ebms.message import Header


class HopError(KitError):
    """An exchange with the partner that failed at ``hop`` (one of the hops of ``aansluitkit verify``)."""

    def __init__(self, hop: str, message: str) -> None:
        self.hop = hop
        super().__init__(message)


class MalformedError(KitError):
    """What was received is no ebMS 2.0 message, or no CPA; the text says what is wrong with it."""


class ErrorCode(StrEnum):
    """Error codes of the ebXML Message Service Specification 2.0, sections 4.2.3.4.1 and 4.2.3.4.2."""

    VALUE_NOT_RECOGNIZED = "ValueNotRecognized"
    NOT_SUPPORTED = "NotSupported"
    INCONSISTENT = "Inconsistent"
    OTHER_XML = "OtherXml"
    DELIVERY_FAILURE = "DeliveryFailure"
    TIME_TO_LIVE_EXPIRED = "TimeToLiveExpired"
    SECURITY_FAILURE = "SecurityFailure"
    MIME_PROBLEM = "MimeProblem"
    UNKNOWN = "Unknown"


class ErrorListError(KitError):
    """A message that is to be answered with an ErrorList (section 4.2.3).

    ``location`` is an XPath in the message, or the ``cid:`` URI of the payload at fault; ``header`` is what the reader
    of the message had read of it, and ``about_error`` whether the message at fault reports an error itself.
    """

    about_error = False

    def __init__(self, code: ErrorCode, location: str, description: str, header: Header | None = None) -> None:
        self.code = code
        self.location = location
        self.description = description
        self.header = header
        super().__init__(f"{code} at {location}: {description}")


class SecurityFailure(ErrorListError):  # noqa: N818 - the specification's name
    """A signature or an encryption that does not hold."""

    def __init__(self, location: str, description: str) -> None:
        super().__init__(ErrorCode.SECURITY_FAILURE, location, description)


_LONGEST_TEXT = 2000


def cleaned(text: str) -> str:
    """``text`` as it can be kept and shown: what can't be printed, and what no database takes, becomes U+FFFD.

    Cut after 2,000 characters.
    """
    return "".join(each if each.isprintable() else "\ufffd" for each in " ".join(text.split())[:_LONGEST_TEXT])


def short(error: Exception) -> str:
    """``error`` in one line of the log, of at most 300 characters."""
    return cleaned(str(error))[:300]


def unexpected(error: Exception) -> str:
    """``error`` and where it was raised, for the log; its own words, which may be a stranger's, are escaped."""
    return f"an unexpected error: {error!r:.300}\n{''.join(format_tb(error.__traceback__))}"
