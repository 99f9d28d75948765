"""Identifiers of Digikoppeling: the OIN and HRN, and names and addresses as the model takes them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from aansluitkit.errors import printable

OIN_LENGTH = 20
TEST_PREFIX = "00000099"
HRN_PREFIXES = ("00000001", "00000003")
# OIN-Stelsel chapter 6: the registers that the first eight positions may name.
OIN_PREFIXES = {
    "00000001": "RSIN",
    "00000002": "Fi-nummer",
    "00000003": "KvK-nummer",
    "00000004": "sub-OIN",
    "00000006": "Logius",
    "00000007": "BRIN",
    "00000008": "buitenlandse organisaties",
    "00000009": "UZI",
    "00000010": "TRR-BD",
    TEST_PREFIX: "test",
}
LONGEST_SHOWN = 60  # characters of a value that is refused
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


def check_oin(value: str) -> str:
    """Return ``value`` when it is built as an OIN or HRN (OIN-Stelsel chapter 6).

    The tail is not judged: Logius itself uses 00000004003214345001, which does not end in zeros.

    Raises:
        ValueError: with what is wrong, as a sentence.

    """
    if len(value) != OIN_LENGTH or not value.isalnum() or not value.isascii():
        raise ValueError(
            f"'{value}' has {len(value)} characters; an OIN or HRN has {OIN_LENGTH} digits, "
            "leading zeros included (OIN-Stelsel ch. 6): put it between quotes and keep the zeros"
        )
    prefix = value[:8]
    if prefix not in OIN_PREFIXES:
        raise ValueError(
            f"'{value}' starts with {prefix}, which no register uses (OIN-Stelsel ch. 6); "
            f"expected one of {', '.join(OIN_PREFIXES)}: copy the number from the certificate or the OIN register"
        )
    if prefix != "00000007" and not value.isdigit():
        raise ValueError(f"'{value}' holds letters; only a BRIN-based OIN may (OIN-Stelsel ch. 6): write digits")
    return value


def check_hrn(value: str) -> str:
    """Return ``value`` when it is an HRN: built on RSIN or KvK number (seed 3.3.8; IDA annex 1).

    Raises:
        ValueError: with what is wrong, as a sentence.

    """
    if not value.startswith(HRN_PREFIXES):
        raise ValueError(
            f"'{value}' is no HRN, which starts with {' or '.join(HRN_PREFIXES)} (seed 3.3.8): "
            "copy the number from the vendor's certificate"
        )
    return value


def doubt_oin(value: str) -> str | None:
    """What is unusual about an ``value`` that is built as an OIN, as a sentence; no document forbids it.

    The test of RSIN and Fi-nummer is the general Dutch one ("elfproef"); of the other registers nothing is known.
    """
    digits = value[8:17]
    if value.startswith(("00000001", "00000002")) and digits.isdigit():
        total = sum(weight * int(digit) for weight, digit in zip((9, 8, 7, 6, 5, 4, 3, 2, -1), digits, strict=True))
        if total % 11 or digits == "0" * 9:
            return f"'{value}' holds {digits}, which fails the elfproef of an RSIN: compare it with the certificate"
        if not value.endswith("000"):
            return f"'{value}' does not end in 000, as an OIN of an RSIN does: compare it with the certificate"
    return None


def shown(value: str) -> str:
    """``value`` as a sentence quotes it: on one line, and no longer than people read."""
    text = printable(value[: LONGEST_SHOWN + 1])
    return text if len(value) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def check_fqdn(value: str) -> str:
    """Return ``value`` in lower case when it is a fully qualified host name (RFC 1123 section 2.1).

    Raises:
        ValueError: with what is wrong, as a sentence.

    """
    name = value.lower().rstrip(".")
    labels = name.split(".")
    if len(labels) < 2 or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(
            f"'{shown(value)}' is not a fully qualified domain name: write it whole, such as ebms.organisatie.nl"
        )
    if labels[-1].isdigit():
        raise ValueError(f"'{value}' is an address; the certificate names a host: write the host's name")
    return name


Oin = Annotated[str, AfterValidator(check_oin)]
Fqdn = Annotated[str, AfterValidator(check_fqdn)]
