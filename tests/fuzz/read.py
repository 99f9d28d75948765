"""Coverage-guided fuzzing of all that reads what a stranger sends: MIME, XML, headers, signatures, encrypted payloads.

``make fuzz`` runs it for a while; arguments go to libFuzzer. It starts from the messages that the adapter itself makes
and from ``corpus``, which keeps every input that once went wrong and is replayed by the unit tests.
"""

from __future__ import annotations

import datetime
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from aansluitkit.ebms import message, mime, signature
from aansluitkit.ebms.cpa import EncryptionTerms, PartyId, SignatureTerms, read_cpa
from aansluitkit.ebms.encryption import AES_GCM, decrypt, encrypt
from aansluitkit.ebms.errors import ErrorListError, MalformedError, SecurityFailure
from aansluitkit.project import STATE

SECONDS = 20
LARGEST = 20_000  # bytes of an input
CORPUS = Path(__file__).with_name("corpus")
KINDS = ("text/xml", 'multipart/related; boundary="b"; start="<e>"', "multipart/related; boundary=b")
WORDS = (
    "--b",
    "--b--",
    "\\x0d\\x0a",
    "Content-ID: <e>",
    "cid:",
    "base64",
    "<!DOCTYPE",
    "<![CDATA[",
    "<?x?>",
    "&#0;",
    "eb:",
    "soap:",
)


def try_one(data: bytes) -> None:
    """Read ``data``, whose first byte chooses a Content-Type: it is refused by name, or means what it seems to mean."""
    body = data[1:]
    with suppress(MalformedError):
        read_cpa(body)
    try:
        envelope, payloads = mime.unpack(KINDS[data[0] % len(KINDS)] if data else "", body)
        read = message.read_envelope(envelope, payloads)
    except (MalformedError, ErrorListError):
        return
    written = message.build(read)
    again = message.build(message.read_envelope(written, read.payloads))
    assert again == written, "a message that is written and read again says something else"
    key, certificate = _party()
    try:
        signature.verify(envelope, payloads, _signed(certificate))
        decrypt(payloads, key, _encrypted(certificate))
    except SecurityFailure:
        return


@cache
def _party() -> tuple[rsa.RSAPrivateKey, bytes]:
    """A party of this run, which signs and receives."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.SERIAL_NUMBER, "00000099000000001000")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, SHA256())
    return key, certificate.public_bytes(Encoding.DER)


def _signed(certificate: bytes) -> SignatureTerms:
    return SignatureTerms(next(iter(signature.SIGNATURES)), next(iter(signature.DIGESTS)), certificate)


def _encrypted(certificate: bytes) -> EncryptionTerms:
    return EncryptionTerms(next(iter(AES_GCM)), certificate)


def seeds(folder: Path) -> None:
    """Write into ``folder`` one message of each kind, signed and not."""
    key, certificate = _party()
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "certificate.pem").write_bytes(x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM))
    signer = signature.Signer(folder / "key.pem", folder / "certificate.pem")
    one, other = (PartyId(oin, "urn:osb:oin") for oin in ("00000099000000001000", "00000099000000002000"))
    plain = mime.Payload("een", "text/plain", b"content", "name.txt")
    asked = message.request(one, other, "cpa", message.PING, "test")
    found = ErrorListError(message.ErrorCode.MIME_PROBLEM, "cid:x", "text")
    business = replace(asked, payloads=encrypt((plain,), _encrypted(certificate)), sync_reply=True)
    business = replace(business, ack_requested=message.AckRequested(signed=True))
    messages = {
        "ping": asked,
        "status": replace(asked, status=message.Status("x", "Received", asked.header.timestamp), asked_message_id="x"),
        "error": message.error(asked.header, found, "test"),
        "acknowledgment": message.acknowledgment(replace(business, references=(b"<x/>",)), "test"),
        "business": business,
    }
    for name, given in messages.items():
        envelope = message.build(given)
        for suffix, sent in (
            ("plain", envelope),
            ("signed", signer.sign(envelope, given.payloads, _signed(certificate))),
        ):
            kind, body = mime.pack(sent, given.payloads)
            boundary = kind.partition('boundary="')[2].partition('"')[0].encode()
            start = kind.partition('start="<')[2].partition(">")[0].encode()
            body = body.replace(boundary, b"b").replace(start, b"e") if boundary else body
            (folder / f"{name}-{suffix}").write_bytes(bytes([1 if boundary else 0]) + body)


def main() -> None:
    """Fuzz with libFuzzer's arguments, or for some seconds."""
    try:
        import atheris  # noqa: PLC0415 - what replays the corpus does without
    except ImportError:
        sys.exit("atheris is not here: it is installed on Linux on x86_64, for Python 3.11 to 3.13")
    atheris.instrument_all()
    artifacts = STATE / "fuzz"
    artifacts.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        found, given = Path(name) / "found", Path(name) / "seeds"
        for folder in (found, given):
            folder.mkdir()
        seeds(given)
        (Path(name) / "words").write_text("".join(f'"{word}"\n' for word in WORDS))
        arguments = sys.argv[1:] or [f"-max_total_time={SECONDS}"]
        options = [f"-dict={name}/words", f"-max_len={LARGEST}", f"-artifact_prefix={artifacts}/", "-timeout=10"]
        atheris.Setup([sys.argv[0], *options, *arguments, str(found), str(given), str(CORPUS)], try_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
