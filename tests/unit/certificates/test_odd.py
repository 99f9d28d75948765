"""Certificates that the library reads only in part, by every door: one sentence that names the part, or none at all."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from aansluitkit.certificates.facts import read_leaf
from aansluitkit.certificates.reading import read_content
from aansluitkit.documents.cpa import PartyCertificate
from aansluitkit.ebms.certificates import Untrusted, passed_certificate, read_certificate
from aansluitkit.errors import KitError
from aansluitkit.project import ROOT

from .makers import NAME, Authority, Wish

UTF8, T61 = 0x0C, 0x14  # the tags of two kinds of text (X.680)


def bent(der: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    assert old in der
    return der.replace(old, new)


def text(tag: int, content: str) -> bytes:
    encoded = content.encode()
    return bytes([tag, len(encoded)]) + encoded


def with_t61(der: bytes) -> bytes:
    return bent(der, text(UTF8, NAME), bytes([T61, len(NAME)]) + b"\xe9" * len(NAME))


def with_bytes_in_a_name(der: bytes) -> bytes:
    return bent(der, b"\x82" + bytes([len(HOST)]) + HOST.encode(), b"\x82" + bytes([len(HOST)]) + b"\xe9" * len(HOST))


BALANCER = IPv4Address("127.0.0.1")
HOST = Wish().names[0]
ODD: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a T61String that is none": (with_t61, "its subject can't be read"),
    "a name that is no ASCII": (with_bytes_in_a_name, "its extensions can't be read"),
}


def pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(("bend", "words"), ODD.values(), ids=ODD)
def test_every_door_names_the_part(
    authority: Authority, tmp_path: Path, bend: Callable[[bytes], bytes], words: str
) -> None:
    der = bend(authority.leaf().der)
    x509.load_der_x509_certificate(der)  # which reads no part of it yet
    file = tmp_path / "odd.pem"
    file.write_bytes(pem(der))
    with pytest.raises(ValueError, match=words):
        read_leaf(file)
    with pytest.raises(ValueError, match=words):
        read_certificate(der)
    with pytest.raises(KitError, match=words):
        read_content(file, pem(der))
    with pytest.raises(KitError, match=words):
        PartyCertificate.read(file)
    with pytest.raises(Untrusted):
        passed_certificate(quote(pem(der)), "127.0.0.1", {BALANCER})


def test_serial_number_that_is_negative_is_read_without_a_word_of_the_library(
    authority: Authority, tmp_path: Path
) -> None:
    made = authority.leaf()
    number = made.certificate.serial_number
    length = (number.bit_length() + 8) // 8
    positive = bytes([2, length]) + number.to_bytes(length)
    negative = bytes([2, length, 0x80 | positive[2]]) + positive[3:]
    file = tmp_path / "negative.pem"
    file.write_bytes(pem(bent(made.certificate.public_bytes(Encoding.DER), positive, negative)))
    done = subprocess.run(
        [sys.executable, "-m", "aansluitkit", "certificate", file],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Warning" not in done.stderr
    assert done.stdout
