"""The XML signature over an envelope and its payloads (ebMS 2.0, section 4.1.3; XMLDSIG).

Own code over lxml's canonical XML and cryptography's RSA. libxmlsec1 evaluates the XPath transform of the specification
node by node, in a time that grows with the square of the envelope: 80 kB of a stranger hold a processor for seconds. It
also resolves ``cid:`` URIs by callbacks of the whole process. Here that transform, which takes out what is for an actor
on the way, is what it means: taking out those elements. Every other transform is refused, and so is every reference
but one to the whole envelope and one to each payload.

Signed with SHA-256, SHA-384 or SHA-512, as the CPA says (Digikoppeling beveiligingsstandaarden, SIGN001 to SIGN004).
Old agreements still name SHA-1: under those any of the three is accepted, and SHA-256 is made. Made with exclusive
canonical XML, which Digikoppeling ebMS2 demands; inclusive, which the specification and other handlers use, is
accepted as well. Revocation is not looked up here: ``security`` does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import verification
from lxml import etree
from lxml.builder import ElementMaker

from aansluitkit.ebms.certificates import oin_of, read_certificate
from aansluitkit.ebms.cpa import SignatureTerms
from aansluitkit.ebms.errors import MalformedError, SecurityFailure
from aansluitkit.ebms.message import NEXT, NEXT_MSH, ON_THE_WAY, content_uri
from aansluitkit.ebms.mime import Payload
from aansluitkit.ebms.xml import DS, NAMESPACES, SOAP, parse, required
from aansluitkit.errors import KitError

SIGNATURES: dict[str, hashes.HashAlgorithm] = {
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": hashes.SHA256(),
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384": hashes.SHA384(),
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512": hashes.SHA512(),
}
DIGESTS = {
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
}
STALE = (f"{DS}rsa-sha1", f"{DS}dsa-sha1", f"{DS}sha1")
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f"{DS}enveloped-signature"
XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
SMALLEST_KEY = 2048

_UNUSABLE = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_LOCATION = "//Header/Signature"
_ACTOR = '[@soap:actor="{}"]'
_FOR_US = (
    f"not(ancestor-or-self::node(){_ACTOR.format(NEXT_MSH)}|ancestor-or-self::node(){_ACTOR.format(NEXT)})"  # 4.1.3
)
_TAKEN = f"taken-{secrets.token_hex(16)}"  # no element of a stranger's has this name
_PREFIX = re.compile(r"@([\w.-]+):actor=")
_ds: Callable[..., etree._Element] = ElementMaker(namespace=DS, nsmap={"ds": DS, "soap": SOAP})


class Signer:
    """Signs with ``key``, that of ``key_file``; sends along the chain of ``certificate_file``, leaf first, both PEM.

    Raises:
        KitError: when the files are no RSA key without passphrase, and its certificate.
    """

    def __init__(self, key_file: Path, certificate_file: Path) -> None:
        try:
            key = load_pem_private_key(key_file.read_bytes(), password=None)
            chain = x509.load_pem_x509_certificates(certificate_file.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise KitError(
                f"{key_file} and {certificate_file} are no readable PEM key without passphrase and certificate chain"
            ) from error
        if not isinstance(key, rsa.RSAPrivateKey) or chain[0].public_key() != key.public_key():
            raise KitError(f"{key_file} is not the RSA key of {certificate_file}: give the one it was made for")
        self.key = key
        self._chain = tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)

    @property
    def certificate(self) -> bytes:
        """The certificate that the signatures are checked with, in DER."""
        return self._chain[0]

    def sign(self, envelope: bytes, payloads: Sequence[Payload], terms: SignatureTerms) -> bytes:
        """``envelope`` with a signature over itself and ``payloads`` (as they are sent: encrypted, if they are)."""
        root = parse(envelope)
        algorithm, digest = to_make(terms)
        references = [_reference("", _digest(digest, _canonical(_for_us(root), EXCLUSIVE)), digest, _transforms())]
        root = parse(envelope)
        for payload in payloads:
            references.append(_reference(content_uri(payload.content_id), _digest(digest, payload.content), digest))
        signed_info = _ds(
            "SignedInfo",
            _ds("CanonicalizationMethod", Algorithm=EXCLUSIVE),
            _ds("SignatureMethod", Algorithm=algorithm),
            *references,
        )
        certificates = [_ds("X509Certificate", _base64(certificate)) for certificate in self._chain]
        signature = _ds("Signature", signed_info, _ds("SignatureValue"), _ds("KeyInfo", _ds("X509Data", *certificates)))
        header = root.find("soap:Header", NAMESPACES)
        if header is None:
            raise MalformedError("the envelope to sign has no SOAP Header")
        header.append(signature)
        value = self.key.sign(_canonical(signed_info, EXCLUSIVE), padding.PKCS1v15(), SIGNATURES[algorithm])
        signature[1].text = _base64(value)
        return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def load_trust(path: Path) -> tuple[x509.Certificate, ...]:
    """The roots in PEM file ``path``, that the chain of a signer may end in.

    Raises:
        KitError: when there are none.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise KitError(f"{path} holds no readable PEM certificates: give the roots of signers") from error


def verify(
    envelope: bytes,
    payloads: Sequence[Payload],
    terms: SignatureTerms,
    trust: tuple[x509.Certificate, ...] = (),
) -> bytes:
    """See that ``envelope`` and all of ``payloads`` (as received) are signed by the party of ``terms``.

    The signer's certificate is the CPA's or, with ``trust``, another one of the same OIN whose chain ends there.
    ``read_envelope`` refuses the elements that a signature would not cover.

    Returns:
        The signer's certificate, in DER.

    Raises:
        SecurityFailure: when they are not; it says what was changed or is not allowed.
    """
    try:
        root = parse(envelope)
        signature = _signature(root)
        signed_info = _only(signature, "ds:SignedInfo")
        method = _algorithm(signed_info, "ds:SignatureMethod", _allowed(terms.algorithm, SIGNATURES))
        references = _references(signed_info, payloads, _allowed(terms.digest, DIGESTS))
        certificate = _signer(signature, terms, trust)
        content = _canonical_by(signed_info, _only(signed_info, "ds:CanonicalizationMethod"))
        _check_value(certificate, _decoded(signature, "ds:SignatureValue"), content, SIGNATURES[method])
        _check_digests(references, root, signature)
    except MalformedError as error:
        raise SecurityFailure(_LOCATION, str(error)) from error
    except _UNUSABLE as error:
        raise SecurityFailure(_LOCATION, f"the signer's certificate is not usable: {error}") from error
    return certificate.public_bytes(Encoding.DER)


def acknowledges(references: Sequence[bytes], envelope: bytes) -> bool:
    """Whether the ds:Reference elements of a signed Acknowledgment are those of the ``envelope`` that we signed.

    Raises:
        SecurityFailure: when one of them is no whole ds:Reference.
    """
    signed = parse(envelope).iterfind("soap:Header/ds:Signature/ds:SignedInfo/ds:Reference", NAMESPACES)
    ours, theirs = sorted(map(_proof, signed)), sorted(map(_proof, map(parse, references)))
    return bool(ours) and ours == theirs


@dataclass(frozen=True)
class _Reference:
    """What a signature says of ``payload``, or without one of the envelope, after the transforms ``steps``."""

    digest: str
    value: bytes
    payload: Payload | None = None
    steps: tuple[etree._Element, ...] = ()


def _signature(root: etree._Element) -> etree._Element:
    """The one signature of the document, where the specification has it: a second one could cover something else."""
    found = list(root.iter(f"{{{DS}}}Signature"))
    if not found:
        raise SecurityFailure(_LOCATION, "the message is not signed, which the CPA demands")
    parent = found[0].getparent()
    if len(found) > 1 or parent is None or parent.tag != f"{{{SOAP}}}Header" or parent.getparent() is not root:
        raise SecurityFailure(_LOCATION, "one signature is expected, as a child of the SOAP Header")
    return found[0]


def _references(signed_info: etree._Element, payloads: Sequence[Payload], allowed: Sequence[str]) -> list[_Reference]:
    """One reference to the whole envelope, one to each payload, and no other."""
    missing: dict[str, Payload | None] = {"": None, **{f"cid:{payload.content_id}": payload for payload in payloads}}
    references = []
    for element in signed_info.iterfind("ds:Reference", NAMESPACES):
        uri = element.get("URI")
        if uri is None or unquote(uri) not in missing:
            raise SecurityFailure(_LOCATION, f"the signature refers to '{uri}', which is not in the message, or twice")
        payload = missing.pop(unquote(uri))
        steps = tuple(element.iterfind("ds:Transforms/ds:Transform", NAMESPACES))
        if payload is not None and steps:
            raise SecurityFailure(uri, "the signature transforms a payload: it must be signed as it is")
        digest = _algorithm(element, "ds:DigestMethod", allowed)
        references.append(_Reference(digest, _decoded(element, "ds:DigestValue"), payload, steps))
    if missing:
        what = next(iter(missing)) or "the envelope"
        raise SecurityFailure(next(iter(missing)) or _LOCATION, f"the signature does not cover {what}")
    return references


def _check_digests(references: list[_Reference], root: etree._Element, signature: etree._Element) -> None:
    """The envelope comes last: what is not signed in it is taken out."""
    for reference in sorted(references, key=lambda reference: reference.payload is None):
        if reference.payload is not None:
            content, location = reference.payload.content, content_uri(reference.payload.content_id)
        else:
            content, location = _transformed(root, signature, reference.steps), "//Envelope"
        if not hmac.compare_digest(_digest(reference.digest, content), reference.value):
            raise SecurityFailure(location, "this is not what was signed: it was changed on the way")


def _transformed(root: etree._Element, signature: etree._Element, steps: tuple[etree._Element, ...]) -> bytes:
    """The envelope without its signature, without what is for others if they say so, in canonical XML."""
    order = [step.get("Algorithm", "") for step in steps]
    last = steps[-1] if steps and order[-1] in (INCLUSIVE, EXCLUSIVE) else None
    if order[: len(order) - (last is not None)] not in ([ENVELOPED], [ENVELOPED, XPATH]):
        raise SecurityFailure(_LOCATION, f"the envelope is transformed by {order}, not as section 4.1.3 says")
    if XPATH in order:
        _check_expression(_only(steps[order.index(XPATH)], "ds:XPath"))
    _take_out(root, [signature])
    whole = _for_us(root) if XPATH in order else root
    return _canonical_by(whole, last) if last is not None else _canonical(whole, INCLUSIVE)


def _check_expression(element: etree._Element) -> None:
    """Section 4.1.3 has but one expression; its blanks, quotes, prefix, and the order of its halves vary."""
    found = "".join((element.text or "").split()).replace("'", '"')
    prefixes = set(_PREFIX.findall(found))
    wanted = _PREFIX.sub("@soap:actor=", found)
    one, other = (f"ancestor-or-self::node(){_ACTOR.format(actor)}" for actor in ON_THE_WAY)
    known = wanted in (_FOR_US, f"not({other}|{one})")
    if not known or len(element) or {element.nsmap.get(prefix) for prefix in prefixes} != {SOAP}:
        raise SecurityFailure(_LOCATION, "the XPath transform of the signature is not the one of section 4.1.3")


def _for_us(root: etree._Element) -> etree._Element:
    _take_out(root, [element for element in root.iter("*") if element.get(f"{{{SOAP}}}actor") in ON_THE_WAY])
    return root


def _take_out(root: etree._Element, elements: list[etree._Element]) -> None:
    """Remove ``elements`` and leave the text behind them, which lxml takes for a part of them."""
    if root in elements:
        raise SecurityFailure("//Envelope", "the whole envelope is for an actor on the way, so nothing of it is signed")
    for element in elements:
        element.tag = _TAKEN
    etree.strip_elements(root, _TAKEN, with_tail=False)


def _canonical_by(element: etree._Element, method: etree._Element) -> bytes:
    prefixes = method.find(f"{{{EXCLUSIVE}}}InclusiveNamespaces")
    listed = prefixes.get("PrefixList", "").split() if prefixes is not None else []
    return _canonical(element, method.get("Algorithm", ""), listed)


def _canonical(element: etree._Element, algorithm: str, prefixes: list[str] | None = None) -> bytes:
    if algorithm not in (INCLUSIVE, EXCLUSIVE):
        raise SecurityFailure(_LOCATION, f"canonicalization {algorithm} is not accepted: {EXCLUSIVE} is")
    tree = element.getroottree()
    what = tree if tree.getroot() is element else element  # processing instructions beside the root count too
    exclusive = algorithm == EXCLUSIVE
    listed = prefixes if exclusive else None
    try:
        return etree.tostring(
            what, method="c14n", exclusive=exclusive, with_comments=False, inclusive_ns_prefixes=listed
        )
    except etree.C14NError as error:
        raise SecurityFailure(
            "//Envelope", "the envelope has no canonical form: a namespace is no absolute URI"
        ) from error


def _signer(signature: etree._Element, terms: SignatureTerms, trust: tuple[x509.Certificate, ...]) -> x509.Certificate:
    sent = [
        _certificate(element.text or "")
        for element in signature.iterfind("ds:KeyInfo/ds:X509Data/ds:X509Certificate", NAMESPACES)
    ]
    agreed = read_certificate(terms.certificate)
    leaf = sent[0] if sent else agreed
    now = datetime.now(UTC)
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise SecurityFailure(_LOCATION, f"the signer's certificate is valid until {leaf.not_valid_after_utc}")
    if leaf == agreed:
        return leaf
    if not trust:
        raise SecurityFailure(_LOCATION, "the signer's certificate is not the signing certificate of the CPA")
    oins = [oin_of(certificate.public_bytes(Encoding.DER)) for certificate in (leaf, agreed)]
    if oins[0] is None or oins[0] != oins[1]:
        raise SecurityFailure(_LOCATION, f"the signer's certificate is of OIN {oins[0]}, the CPA's of {oins[1]}")
    policy = verification.PolicyBuilder().store(verification.Store(list(trust))).time(now)
    policy = policy.extension_policies(  # a signing certificate need not be one for TLS
        ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(),
        ee_policy=verification.ExtensionPolicy.permit_all(),
    )
    try:
        policy.build_client_verifier().verify(leaf, sent[1:])
    except verification.VerificationError as error:
        raise SecurityFailure(_LOCATION, f"the signer's certificate is not trusted: {error}") from error
    return leaf


def _check_value(certificate: x509.Certificate, value: bytes, content: bytes, method: hashes.HashAlgorithm) -> None:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < SMALLEST_KEY:
        raise SecurityFailure(_LOCATION, f"the signer's key is no RSA key of {SMALLEST_KEY} bits or more")
    try:
        key.verify(value, content, padding.PKCS1v15(), method)
    except InvalidSignature as error:
        raise SecurityFailure(
            _LOCATION, "the signature was not made with the signer's key over this SignedInfo"
        ) from error


def to_make(terms: SignatureTerms) -> tuple[str, str]:
    """What we sign with: what the CPA says, or the strongest that everybody has in the place of SHA-1.

    Raises:
        SecurityFailure: when that is not known.
    """
    return _allowed(terms.algorithm, SIGNATURES)[0], _allowed(terms.digest, DIGESTS)[0]


def _allowed(agreed: str, known: Sequence[str] | dict[str, str] | dict[str, hashes.HashAlgorithm]) -> list[str]:
    if agreed in STALE:
        return list(known)
    if agreed not in known:
        raise SecurityFailure(_LOCATION, f"the CPA names algorithm {agreed}; RSA with SHA-2 is supported")
    return [agreed]


def _algorithm(parent: etree._Element, path: str, allowed: Sequence[str]) -> str:
    found = _only(parent, path).get("Algorithm", "")
    if found not in allowed:
        name = path.removeprefix("ds:")
        raise SecurityFailure(_LOCATION, f"{name} is {found}, {' or '.join(allowed)} is agreed")
    return found


def _only(parent: etree._Element, path: str) -> etree._Element:
    found = parent.findall(path, NAMESPACES)
    if len(found) != 1:
        raise SecurityFailure(_LOCATION, f"{etree.QName(parent).localname} has {len(found)} elements {path}, not one")
    return found[0]


def _decoded(parent: etree._Element, path: str) -> bytes:
    try:
        return base64.b64decode("".join(required(parent, path).split()), validate=True)
    except ValueError as error:
        raise SecurityFailure(_LOCATION, f"{path.removeprefix('ds:')} is no base64") from error


def _certificate(text: str) -> x509.Certificate:
    try:
        return read_certificate(base64.b64decode("".join(text.split()), validate=True))
    except ValueError as error:
        raise SecurityFailure(_LOCATION, "the signature has an X509Certificate that is none") from error


def _proof(reference: etree._Element) -> tuple[str, str, bytes]:
    """What makes two references the same proof."""
    method = _only(reference, "ds:DigestMethod").get("Algorithm", "")
    return unquote(reference.get("URI", "")), method, _decoded(reference, "ds:DigestValue")


def _reference(uri: str, value: bytes, digest: str, transforms: tuple[etree._Element, ...] = ()) -> etree._Element:
    method = _ds("DigestMethod", Algorithm=digest)
    return _ds("Reference", *transforms, method, _ds("DigestValue", _base64(value)), URI=uri)


def _transforms() -> tuple[etree._Element]:
    return (
        _ds(
            "Transforms",
            _ds("Transform", Algorithm=ENVELOPED),
            _ds("Transform", _ds("XPath", _FOR_US), Algorithm=XPATH),
            _ds("Transform", Algorithm=EXCLUSIVE),
        ),
    )


def _digest(algorithm: str, content: bytes) -> bytes:
    return hashlib.new(DIGESTS[algorithm], content).digest()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
