"""Who stands behind a certificate."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from aansluitkit.certificates import facts
from aansluitkit.errors import KitError


class Untrusted(KitError):  # noqa: N818 - a verdict
    """A request that does not come from the load balancer, or without a certificate from it."""


def read_certificate(content: bytes) -> x509.Certificate:
    """The certificate in DER ``content``.

    Raises:
        ValueError: when it is none whose every part can be read.
    """
    return facts.from_der(content)


@lru_cache(maxsize=256)
def oin_of(certificate: bytes) -> str | None:
    """The OIN in Subject.serialNumber of a DER certificate (Digikoppeling, use of certificates, chapter 4)."""
    subject = read_certificate(certificate).subject
    found = subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    return str(found[0].value) if found else None


def passed_certificate(
    header: str | None, address: str | None, balancers: AbstractSet[IPv4Address | IPv6Address]
) -> bytes:
    """The client certificate, in DER, that a load balancer passes on as URL-encoded PEM.

    Raises:
        Untrusted: when ``address`` is none of ``balancers``, or the header has no certificate.
    """
    if address is None or ip_address(address) not in balancers:
        raise Untrusted(f"{address} is not the load balancer, which alone may say whose certificate it saw")
    try:
        certificate = facts.from_pem(unquote(header or "").encode())
    except ValueError as error:
        raise Untrusted("the load balancer passes no certificate (URL-encoded PEM) on") from error
    return certificate.public_bytes(Encoding.DER)
