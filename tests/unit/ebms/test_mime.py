"""Bodies come out of MIME as they went in, byte for byte; what is not multipart/related by the book is refused."""

from __future__ import annotations

import base64
import contextlib
import email.parser
import email.policy
import multiprocessing
import resource
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aansluitkit.ebms.errors import MalformedError
from aansluitkit.ebms.mime import CONTENT_TYPE, Limits, Payload, _value, pack, unpack

ENVELOPE = b"<Envelope/>"
ids = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="<>"), min_size=1, max_size=60)
types = st.sampled_from(["application/xml", "text/plain; charset=UTF-8", 'x/y; p="a;b"', "image/png"])
names = st.none() | st.text(min_size=1, max_size=40).filter(
    lambda name: name.encode("utf-8", "ignore").decode() == name and "\0" not in name
)
contents = st.binary() | st.sampled_from([b"\r\n", b"--", b"\r\n--", b"\r\n--=_\r\n\r\n", b"\n"])
payloads = st.builds(Payload, ids, types, contents, names)


def body(*parts: bytes, boundary: bytes = b"b", start: bytes = b"", end: bytes = b"\r\n--b--\r\n") -> bytes:
    return start + b"\r\n".join(b"--" + boundary + b"\r\n" + part for part in parts) + end


ROOT = b"Content-Type: text/xml\r\nContent-ID: <root>\r\n\r\n<Envelope/>"


def part(headers: bytes, content: bytes) -> bytes:
    return headers + b"\r\n\r\n" + content


def encoded(encoding: bytes, content: bytes) -> bytes:
    return part(b"Content-Type: text/xml\r\nContent-ID: <root>\r\nContent-Transfer-Encoding: " + encoding, content)


def named(disposition: bytes) -> bytes:
    return part(b"Content-ID: <a>\r\nContent-Disposition: " + disposition, b"")


RELATED = 'multipart/related; boundary="b"; type="text/xml"; start="<root>"'


@given(st.lists(payloads, max_size=4, unique_by=lambda payload: payload.content_id))
def test_messages_survive(given: list[Payload]) -> None:
    assert unpack(*pack(ENVELOPE, tuple(given))) == (ENVELOPE, tuple(given))


@given(st.lists(payloads, min_size=1, max_size=3, unique_by=lambda payload: payload.content_id))
def test_others_read_what_we_write(given: list[Payload]) -> None:
    content_type, packed = pack(ENVELOPE, tuple(given))
    whole = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(
        f"Content-Type: {content_type}\r\n\r\n".encode() + packed
    )
    parts = whole.get_payload()
    assert isinstance(parts, list)
    assert [part["Content-ID"] for part in parts] == [whole.get_param("start"), *(f"<{p.content_id}>" for p in given)]


def test_an_envelope_alone_is_no_multipart() -> None:
    assert pack(ENVELOPE, ()) == (CONTENT_TYPE, ENVELOPE)
    for content_type in ("text/xml", "Text/XML ;charset=utf-8", "application/xml"):
        assert unpack(content_type, ENVELOPE) == (ENVELOPE, ())


@pytest.mark.parametrize(
    ("content_type", "whole"),
    [
        (RELATED, body(ROOT)),
        (RELATED.replace('"', ""), body(ROOT)),
        (RELATED.upper().replace('"B"', '"b"').replace("<ROOT>", "<root>"), body(ROOT)),
        ("multipart/related; boundary=b", body(ROOT)),
        ('multipart/related;\tboundary="\\b" ; start=root', body(ROOT)),
        (RELATED, body(ROOT, start=b"preamble\r\n")),
        (RELATED, body(ROOT, end=b"\r\n--b--")),
        (RELATED, body(ROOT, end=b"\r\n--b-- \t\r\nepilogue\r\n--b\r\n")),
        (RELATED, body(ROOT.replace(b"\r\nContent-ID:", b"\r\nX-Folded: a\r\n b\r\nContent-ID:"))),
        (RELATED, body(encoded(b"Binary", ENVELOPE))),
        (RELATED, body(encoded(b"base64", b"PEVudmVs\r\nb3BlLz4="))),
        (RELATED, body(encoded(b"quoted-printable", b"=3CEnvelope/=\r\n>"))),
    ],
)  # fmt: skip
def test_forms_of_others_are_read(content_type: str, whole: bytes) -> None:
    assert unpack(content_type, whole) == (ENVELOPE, ())


@pytest.mark.parametrize(
    ("written", "payload"),
    [
        (part(b"Content-ID: <a@b>", b""), Payload("a@b", "text/plain", b"")),
        (part(b"content-id:a@b\r\nCONTENT-TYPE:  x/y ", b"\r\n"), Payload("a@b", "x/y", b"\r\n")),
        (part(b"Content-ID: <a>", b"--bc"), Payload("a", "text/plain", b"--bc")),
        (part(b"Content-ID: <a>", b"\r\n--bc\r\n--b \n--b"), Payload("a", "text/plain", b"\r\n--bc\r\n--b \n--b")),
        (named(b"attachment; filename=n.xml"), Payload("a", "text/plain", b"", "n.xml")),
        (named(b'attachment; filename="a;\\"b\\""'), Payload("a", "text/plain", b"", 'a;"b"')),
        (named(b"x; filename*=utf-8''%e2%82%ac"), Payload("a", "text/plain", b"", "€")),
        (part(b'Content-ID: <a>\r\nContent-Type: x/y; name="n"', b""), Payload("a", 'x/y; name="n"', b"", "n")),
        (encoded(b"base64", base64.encodebytes(bytes(99))), Payload("root", "text/xml", bytes(99))),
    ],
)  # fmt: skip
def test_payloads_of_others_are_read(written: bytes, payload: Payload) -> None:
    root, related = ROOT.replace(b"<root>", b"<start>"), RELATED.replace("<root>", "<start>")
    assert unpack(related, body(root, written)) == (ENVELOPE, (payload,))
    assert unpack(related, body(written, root)) == (ENVELOPE, (payload,))


@pytest.mark.parametrize(
    ("content_type", "whole", "words"),
    [
        ("", ENVELOPE, "Content-Type is ''"),
        ("application/json", ENVELOPE, "application/json"),
        ("application/soap+xml", ENVELOPE, "soap"),
        ("multipart/mixed; boundary=b", body(ROOT), "mixed"),
        ("multipart/related", body(ROOT), "no usable boundary"),
        (f"multipart/related; boundary={'b' * 71}", body(ROOT), "no usable boundary"),
        ('multipart/related; boundary="\u20ac"', body(ROOT), "no usable boundary"),
        ("multipart/related; boundary=c", body(ROOT), "does not begin"),
        (RELATED, b"", "does not begin"),
        (RELATED, b"--b--\r\n", "no parts"),
        (RELATED, body(ROOT, end=b""), "does not end"),
        (RELATED, body(ROOT, end=b"\n--b--\n"), "does not end"),
        (RELATED, body(ROOT).replace(b"\r\n", b"\n"), "does not end|does not begin|header"),
        (RELATED, body(ROOT.replace(b"<root>", b"<other>")), "no part <root>"),
        (RELATED, body(ROOT.replace(b"text/xml", b"text/html")), "no text/xml"),
        (RELATED, body(b"Content-ID: <root>\r\n\r\n<Envelope/>"), "no text/xml"),
        (RELATED, body(ROOT, b"\r\nno headers"), "no Content-ID"),
        (RELATED, body(ROOT, part(b"Content-Type: x/y", b"")), "no Content-ID"),
        (RELATED, body(ROOT, part(b"Content-ID: <>", b"")), "no Content-ID"),
        (RELATED, body(ROOT, part(b"Content-ID: <a>", b""), part(b"Content-ID: <a>", b"")), "same Content-ID"),
        (RELATED, body(ROOT, part(b"Content-ID: <a>\r\ncontent-id: <b>", b"")), "stands twice"),
        (RELATED, body(ROOT, part(b"Content-ID <a>", b"")), "not well-formed"),
        (RELATED, body(ROOT, b"Content-ID: <a>"), "no end of its head"),
        (RELATED, body(ROOT, part(b"Content-ID: <a>\r\nX: " + bytes(9000), b"")), "no end of its head"),
        (RELATED, body(ROOT, part(b"Content-ID: <a>\r\nContent-Transfer-Encoding: base64", b"*")), "no base64"),
        (RELATED, body(ROOT, part(b"Content-ID: <a>\r\nContent-Transfer-Encoding: uuencode", b"")), "uuencode"),
        (RELATED, body(ROOT, *(part(b"Content-ID: <%d>" % n, b"") for n in range(101))), "more than 100 payloads"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(content_type: str, whole: bytes, words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        unpack(content_type, whole)


def test_bounds_are_kept() -> None:
    content_type, whole = pack(ENVELOPE, (Payload("a", "x/y", bytes(1000)),))
    unpack(content_type, whole, Limits(body=len(whole)))
    with pytest.raises(MalformedError, match=f"at most {len(whole) - 1}"):
        unpack(content_type, whole, Limits(body=len(whole) - 1))


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (Payload("a b", "x/y", b""), "Content-ID"),
        (Payload("a>\r\nX: y", "x/y", b""), "Content-ID"),
        (Payload("", "x/y", b""), "Content-ID"),
        (Payload("a", "x/y\r\nX: y", b""), "Content-Type"),
        (Payload("a", "", b""), "Content-Type"),
    ],
)
def test_nothing_is_written_into_headers(payload: Payload, words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        pack(ENVELOPE, (payload,))


def test_a_name_can_not_be_a_header() -> None:
    payload = Payload("a", "x/y", b"", "n\r\nX-Evil: 1")
    content_type, whole = pack(ENVELOPE, (payload,))
    assert b"X-Evil: 1" not in whole
    assert unpack(content_type, whole)[1] == (payload,)


def test_two_payloads_need_two_ids() -> None:
    with pytest.raises(MalformedError, match="same Content-ID"):
        pack(ENVELOPE, (Payload("a", "x/y", b"1"), Payload("a", "x/y", b"2")))


@pytest.mark.parametrize(("prefix", "number"), [("03", 1), ("05", 1), ("08", 1), ("11", 2), ("16", 1)])
def test_messages_of_the_reference_adapter_are_read(prefix: str, number: int, recorded: Any) -> None:
    _, content_type, whole = recorded.messages(prefix)[0]
    envelope, found = unpack(content_type, whole)
    assert envelope.startswith(b"<soap:Envelope")
    assert envelope.rstrip().endswith(b"</soap:Envelope>")
    assert len(found) == number
    assert all(payload.name and whole.count(payload.content) for payload in found)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-ID: <" + b"a" * 256 + b">",
        b"Content-ID: <a>\r\nContent-Type: text/" + b"p" * 256,
        b"Content-ID: <a>\r\nContent-Disposition: attachment; filename=" + b"n" * 256,
        b"Content-ID: <a\0b>",
        b"Content-ID: <a>\r\nContent-Disposition: attachment; filename*=UTF-8''a%00b",
    ],
)
def test_what_could_not_be_kept_of_a_payload_is_refused(head: bytes) -> None:
    body = b"--b\r\nContent-Type: text/xml\r\n\r\n<e/>\r\n--b\r\n" + head + b"\r\n\r\nx\r\n--b--\r\n"
    with pytest.raises(MalformedError, match="of a payload has more than 255 characters, or a NUL"):
        unpack("multipart/related; boundary=b", body)


COSTLY = {
    "field": b"X: x" + b" " * 8100 + b"x",
    "quotes": b"Content-Type: a/b" + b';a="\\"' * 1330,
    "names": b"Content-Type: a/b" + b";aaaaaaa \t" * 800,
    "bare": b"Content-Type: a/b" + b";a=b " * 1600,
    "folded": b"X: x" + b"\r\n " * 2600 + b"x",
}
CPU_SECONDS = 5  # two hundred times what one of them takes


def read_within_bounds(head: bytes) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    parts = [b"Content-ID: <%d>\r\n%b\r\n\r\nx" % (number, head) for number in range(100)]
    with contextlib.suppress(MalformedError):
        unpack(RELATED, body(ROOT, *parts))


@pytest.mark.parametrize("head", COSTLY.values(), ids=COSTLY)
def test_heads_of_a_stranger_are_read_once(head: bytes) -> None:
    """A hundred part heads of eight kilobytes, each as costly as a stranger can make it."""
    process = multiprocessing.get_context("fork").Process(target=read_within_bounds, args=(head,))
    process.start()
    process.join()
    assert process.exitcode == 0, "it was ended for what it cost"


@pytest.mark.parametrize(
    ("header", "parameters"),
    [
        ('a/b; x="1;2"; y=3', {"x": "1;2", "y": "3"}),
        ('a/b; x="1\\"2" ;y = 3', {"x": '1"2', "y": "3"}),
        ("a/b; ; x=1; nonsense; y=2", {"x": "1", "y": "2"}),
        ('a/b; x=1; y="no end; z=2', {"x": "1"}),
        ("a/b; x=1; X=2", {"x": "1"}),
    ],
)
def test_parameters_of_a_header(header: str, parameters: dict[str, str]) -> None:
    assert _value(header) == ("a/b", parameters)
