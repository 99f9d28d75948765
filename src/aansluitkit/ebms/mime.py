"""SOAP with attachments: an envelope and its payloads as one HTTP body, and back (sections 2.1 and B.2).

A splitter of our own, because bytes count: what is signed comes out as it went in, megabytes are copied once, and what
is not multipart/related by RFC 2046 and 2387 is refused rather than guessed at.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from aansluitkit.ebms.errors import MalformedError

CONTENT_TYPE = "text/xml; charset=UTF-8"
XML_TYPES = ("text/xml", "application/xml")
EXACT = ("", "7bit", "8bit", "binary")

# None of them goes back over what it has read: the bytes are a stranger's.
_PARAMETER = re.compile(r";\s*+([!#$%&'*+.^_`|~\w-]++)\s*+=\s*+", re.ASCII)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"')
_BARE = re.compile(r'[^\s;"]*+')
_NAME = re.compile(rb"[!#$%&'*+.^_`|~\w-]++")
_FOLDED = re.compile(rb"\r\n[ \t]+")
_REST = re.compile(rb"(--)?[ \t]*(?:\r\n|\Z)")  # of a delimiter line
_VISIBLE = re.compile(r"[\x20-\x7e]+")
_IDENTITY = re.compile(r"[\x21-\x3b\x3d\x3f-\x7e]+")  # no blanks, no < and >


@dataclass(frozen=True)
class Payload:
    """One payload container (section 2.1.4); ``content_id`` stands without brackets, ``name`` is the file name."""

    content_id: str
    content_type: str
    content: bytes
    name: str | None = None


@dataclass(frozen=True)
class Limits:
    """Bounds of what is taken from a stranger.

    Bytes of the body and of a part's head, characters of a payload's id, type and name, and the number of payloads.
    """

    body: int = 64 * 1024 * 1024
    head: int = 8 * 1024
    word: int = 255
    payloads: int = 100


DEFAULT_LIMITS = Limits()


def pack(envelope: bytes, payloads: tuple[Payload, ...]) -> tuple[str, bytes]:
    """Content-Type and body of a message: the envelope alone, or multipart/related with payloads as they are.

    Raises:
        MalformedError: when an id, a type or a name would not stand in a MIME header, or an id occurs twice.
    """
    if not payloads:
        return CONTENT_TYPE, envelope
    if len({payload.content_id for payload in payloads}) < len(payloads):
        raise MalformedError("two payloads have the same Content-ID")
    boundary = f"=_{uuid.uuid4().hex}"
    start = f"<{uuid.uuid4()}@envelope>"
    parts = [(f"Content-Type: {CONTENT_TYPE}\r\nContent-ID: {start}\r\n", envelope)]
    parts += [(_head(payload), payload.content) for payload in payloads]
    pieces = []
    for head, content in parts:
        pieces += [f"--{boundary}\r\n{head}\r\n".encode("ascii"), content, b"\r\n"]
    body = b"".join((*pieces, f"--{boundary}--\r\n".encode("ascii")))
    return f'multipart/related; type="text/xml"; boundary="{boundary}"; start="{start}"', body


def unpack(content_type: str, body: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[bytes, tuple[Payload, ...]]:
    """The envelope in an HTTP body, and the payloads beside it, in their order.

    Raises:
        MalformedError: when it is neither XML nor multipart/related with an envelope, or beyond ``limits``.
    """
    if len(body) > limits.body:
        raise MalformedError(f"the body has {len(body)} bytes: at most {limits.body} are accepted")
    kind, parameters = _value(content_type)
    if kind in XML_TYPES:
        return body, ()
    if kind != "multipart/related":
        raise MalformedError(f"Content-Type is '{kind}', text/xml or multipart/related is expected")
    parts = list(_parts(body, parameters.get("boundary", ""), limits))
    at = _root(parts, parameters.get("start"))
    headers, envelope = parts.pop(at)
    if _value(headers.get("content-type", ""))[0] not in XML_TYPES:
        raise MalformedError("the root part of the multipart message is no text/xml")
    payloads = tuple(_payload(*part) for part in parts)
    if len({payload.content_id for payload in payloads}) < len(payloads):
        raise MalformedError("two parts of the multipart message have the same Content-ID")
    return _decoded(headers, envelope), payloads


def _parts(body: bytes, boundary: str, limits: Limits) -> Iterator[tuple[Mapping[str, str], bytes]]:
    """Headers and content of each part (RFC 2046, section 5.1.1)."""
    if not _VISIBLE.fullmatch(boundary) or len(boundary) > 70:
        raise MalformedError("the multipart message has no usable boundary")
    mark = f"--{boundary}".encode("ascii")
    found = _delimiter(body, mark, 0)
    if found is None or found.start > limits.head:
        raise MalformedError("the multipart message does not begin with its boundary")
    number = 0
    while not found.last:
        # The end of one delimiter line is also the line break before the next, when a part is empty.
        start = found.end
        found = _delimiter(body, mark, start - 2)
        if found is None:
            raise MalformedError("the multipart message does not end with its boundary")
        number += 1
        if number > limits.payloads + 1:
            raise MalformedError(f"the multipart message has more than {limits.payloads} payloads")
        yield _part(body, start, max(found.start, start), limits)


@dataclass(frozen=True)
class _Delimiter:
    """Where a delimiter line is, from the line break before it to after its own; ``last`` ends the multipart."""

    start: int
    end: int
    last: bool


def _delimiter(body: bytes, mark: bytes, at: int) -> _Delimiter | None:
    """The first delimiter line from ``at`` on; a line that only begins like one is content."""
    start, length = (0, 0) if at == 0 and body.startswith(mark) else (body.find(b"\r\n" + mark, at), 2)
    while start >= 0:
        rest = _REST.match(body, start + length + len(mark))
        if rest:
            return _Delimiter(start, rest.end(), bool(rest.group(1)))
        start, length = body.find(b"\r\n" + mark, start + length), 2
    return None


def _part(body: bytes, start: int, end: int, limits: Limits) -> tuple[Mapping[str, str], bytes]:
    if body.startswith(b"\r\n", start, end):
        return {}, body[start + 2 : end]
    blank = body.find(b"\r\n\r\n", start, min(end, start + limits.head))
    if blank < 0:
        raise MalformedError(f"a part of the multipart message has no end of its head within {limits.head} bytes")
    return _headers(body[start:blank]), body[blank + 4 : end]


def _headers(head: bytes) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for line in _FOLDED.sub(b" ", head).split(b"\r\n"):
        field, colon, value = line.partition(b":")
        name = field.decode("ascii", "replace").lower()
        if not colon or not _NAME.fullmatch(field) or name in headers:
            raise MalformedError(
                "a part of the multipart message has a header that is not well-formed, or stands twice"
            )
        headers[name] = value.strip(b" \t").decode("utf-8", "replace")
    return headers


def _value(header: str) -> tuple[str, Mapping[str, str]]:
    """The value of a header in small letters, and its parameters (RFC 2045, section 5.1).

    What follows a quotation mark that nothing closes is not read.
    """
    value, _, _ = header.partition(";")
    parameters: dict[str, str] = {}
    at = len(value)
    while (at := header.find(";", at)) >= 0:
        named = _PARAMETER.match(header, at)
        if not named:
            at += 1
            continue
        quoted = header.startswith('"', named.end())
        found = (_QUOTED if quoted else _BARE).match(header, named.end())
        if not found:
            break
        parameters.setdefault(named[1].lower(), re.sub(r"\\(.)", r"\1", found[1]) if quoted else found[0])
        at = found.end()
    return value.strip().lower(), parameters


def _root(parts: list[tuple[Mapping[str, str], bytes]], start: str | None) -> int:
    """Which part is the envelope (RFC 2387, section 3.2)."""
    if not parts:
        raise MalformedError("the multipart message has no parts")
    if start is None:
        return 0
    for at, (headers, _) in enumerate(parts):
        if headers.get("content-id", "").strip("<>") == start.strip("<>"):
            return at
    raise MalformedError(f"the multipart message has no part {start}, with which it says to start")


def _payload(headers: Mapping[str, str], content: bytes) -> Payload:
    identity = headers.get("content-id", "").strip().removeprefix("<").removesuffix(">")
    if not identity:
        raise MalformedError("a payload of the multipart message has no Content-ID")
    kind, name = headers.get("content-type", "text/plain"), _name(headers)
    for what, value in (("Content-ID", identity), ("Content-Type", kind), ("file name", name or "")):
        if len(value) > DEFAULT_LIMITS.word or "\0" in value:
            raise MalformedError(f"the {what} of a payload has more than {DEFAULT_LIMITS.word} characters, or a NUL")
    return Payload(content_id=identity, content_type=kind, content=_decoded(headers, content), name=name)


def _name(headers: Mapping[str, str]) -> str | None:
    """The file name, in the forms of RFC 2183 and RFC 5987."""
    disposition, content_type = (_value(headers.get(name, ""))[1] for name in ("content-disposition", "content-type"))
    extended = disposition.get("filename*", "")
    if extended.lower().startswith("utf-8''"):
        return unquote(extended[7:])
    return disposition.get("filename") or content_type.get("name")


def _decoded(headers: Mapping[str, str], content: bytes) -> bytes:
    encoding = headers.get("content-transfer-encoding", "").lower()
    if encoding in EXACT:
        return content
    try:
        if encoding == "base64":
            return base64.b64decode(b"".join(content.split()), validate=True)
        if encoding == "quoted-printable":
            return binascii.a2b_qp(content)
    except binascii.Error as error:
        raise MalformedError("a part of the multipart message is no base64, which it says to be") from error
    raise MalformedError(f"Content-Transfer-Encoding '{encoding}' is not known")


def _head(payload: Payload) -> str:
    if not _IDENTITY.fullmatch(payload.content_id):
        raise MalformedError(f"'{payload.content_id}' can't be a Content-ID: visible ASCII without < and > is expected")
    if not _VISIBLE.fullmatch(payload.content_type):
        raise MalformedError(f"'{payload.content_type}' can't be a Content-Type: visible ASCII is expected")
    head = f"Content-Type: {payload.content_type}\r\nContent-ID: <{payload.content_id}>\r\n"
    if payload.name is None:
        return head
    if _VISIBLE.fullmatch(payload.name):
        escaped = re.sub(r'(["\\])', r"\\\1", payload.name)
        return f'{head}Content-Disposition: attachment; filename="{escaped}"\r\n'
    return f"{head}Content-Disposition: attachment; filename*=UTF-8''{quote(payload.name, safe='')}\r\n"
