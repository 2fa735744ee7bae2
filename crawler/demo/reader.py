"""Bytes in, Requests out (RFC 9112), strictly: what another server might refuse is refused here.

Owns framing and its limits. Knows no socket: whoever receives bytes feeds them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from crawler.demo.messages import BadRequestError, Request

MAX_HEAD_BYTES: Final = 64 * 1024  # eight times what common servers take
MAX_BODY_BYTES: Final = 64 * 1024 * 1024  # the crawler's own largest response, so that it can be put here

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE: Final = re.compile(rb"(%b) ([!-~]+) HTTP/1\.([01])\r\n" % _TOKEN)
_HEADER: Final = re.compile(rb"(%b):[ \t]*([^\r\n\0]*?)[ \t]*\r\n" % _TOKEN)
_HEADERS: Final = re.compile(rb"(?:%b:[^\r\n\0]*\r\n)*" % _TOKEN)
_ORIGIN: Final = re.compile(r"http://[^/?#]+", re.IGNORECASE)
_BEGUN_HEAD: Final = re.compile(rb"[!-~](?:[^\n]*\r\n)*[^\n]*")
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """A parsed head. length: of the body in bytes, None when it is chunked."""

    method: str
    target: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    keep_alive: bool
    length: int | None
    expects_continue: bool


@dataclass(slots=True)
class RequestReader:
    """One connection's incoming side.

    wants_continue: the client waits for `100 Continue` before it sends the body; whoever says it sets False.
    """

    wants_continue: bool = False
    _buffer: bytearray = field(default_factory=bytearray)
    _head: _Head | None = None
    _chunks: bytearray = field(default_factory=bytearray)
    _taken: int = 0

    def feed(self, data: bytes) -> None:
        self._buffer += data

    @property
    def unread_bytes(self) -> int:
        return len(self._buffer)

    def next_request(self) -> Request | None:
        """The next complete request; None until more bytes come. Raises BadRequestError for good."""
        head = self._head
        if head is None:
            head = self._head = self._take_head()
            if head is None:
                return None
            self.wants_continue = head.expects_continue
        body = self._take_chunked() if head.length is None else self._take(head.length)
        if body is None:
            return None
        self._head = None
        self.wants_continue = False
        self._taken += 1
        return Request(
            method=head.method,
            target=head.target,
            path=head.path,
            query=head.query,
            headers=head.headers,
            body=body,
            keep_alive=head.keep_alive,
            number=self._taken,
        )

    def _take_head(self) -> _Head | None:
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):  # to be ignored before a request (RFC 9112, section 2.2)
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n")
        if (end if end >= 0 else len(buffer)) > MAX_HEAD_BYTES:
            raise BadRequestError(f"a head of more than {MAX_HEAD_BYTES} bytes", status=431)
        if end < 0:
            if len(buffer) > 1 and not _BEGUN_HEAD.fullmatch(buffer):
                raise BadRequestError("not the beginning of a request")  # or a mere \n: it would wait forever
            return None
        data = bytes(buffer[: end + 2])
        del buffer[: end + 4]
        return _parse_head(data)

    def _take(self, length: int) -> bytes | None:
        if not length:
            return b""
        if len(self._buffer) < length:
            return None
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken

    def _take_chunked(self) -> bytes | None:
        """RFC 9112, section 7.1; extensions and trailers are read and forgotten."""
        while (line := self._peek_line()) is not None:
            match = _CHUNK_LINE.fullmatch(line)
            if match is None:
                raise BadRequestError("a chunk without a size")
            size = int(match[1], 16)
            begin = len(line) + 2
            if not size:
                return self._take_trailers(begin)
            _check_length(len(self._chunks) + size)
            if len(self._buffer) < begin + size + 2:
                return None
            if self._buffer[begin + size : begin + size + 2] != b"\r\n":
                raise BadRequestError("a chunk longer than its size")
            self._chunks += self._buffer[begin : begin + size]
            del self._buffer[: begin + size + 2]
        return None

    def _take_trailers(self, begin: int) -> bytes | None:
        end = self._buffer.find(b"\r\n\r\n", begin - 2)  # with no trailer, the last chunk's own \r\n begins it
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise BadRequestError("endless trailers", status=431)
            return None
        if not _HEADERS.fullmatch(self._buffer, begin, end + 2):
            raise BadRequestError("a malformed trailer")
        del self._buffer[: end + 4]
        body = bytes(self._chunks)
        self._chunks.clear()
        return body

    def _peek_line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n", 0, MAX_HEAD_BYTES)
        if end < 0:
            if len(self._buffer) >= MAX_HEAD_BYTES:
                raise BadRequestError("an endless chunk size")
            return None
        return bytes(self._buffer[:end])


def _parse_head(data: bytes) -> _Head:
    """data: the request line and the headers, each with its line end."""
    line = _REQUEST_LINE.match(data)
    if line is None:
        raise BadRequestError("not a request line of HTTP/1.0 or HTTP/1.1")
    if not _HEADERS.fullmatch(data, line.end()):
        raise BadRequestError("a malformed header")
    target = line[2].decode()
    path, query = _split_target(target)
    headers = [(n.decode(), v.decode("latin-1")) for n, v in _HEADER.findall(data, line.end())]
    values: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        # What repeats is a list (RFC 9110, section 5.3): two lengths or hosts make one that is refused.
        values[lower] = f"{values[lower]}, {value}" if lower in values else value
    modern = line[3] == b"1"
    if modern and ("host" not in values or "," in values["host"]):
        raise BadRequestError("not exactly one Host")
    options = values.get("connection", "").lower()
    return _Head(
        method=line[1].decode(),
        target=target,
        path=path,
        query=query,
        headers=headers,
        keep_alive="close" not in options if modern else "keep-alive" in options,
        length=_body_length(values),
        expects_continue=values.get("expect", "").lower() == "100-continue",
    )


def _split_target(target: str) -> tuple[str, str]:
    """Path and query of an origin-form, absolute-form (as proxies are sent it) or asterisk-form target."""
    if not target.startswith("/") and target != "*":
        origin = _ORIGIN.match(target)
        if origin is None:
            raise BadRequestError("a target that is no path")
        target = target[origin.end() :]
    if "#" in target:
        raise BadRequestError("a fragment in the target")
    path, _, query = target.partition("?")
    return path or "/", query


def _body_length(values: dict[str, str]) -> int | None:
    """Bytes of the body, None when it is chunked (RFC 9112, section 6.3)."""
    length, coding = values.get("content-length"), values.get("transfer-encoding")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None:
            raise BadRequestError("a Transfer-Encoding that is not chunked alone")
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdecimal() and len(length) < 20):  # 2**64 has 20 digits
        raise BadRequestError("a Content-Length that is no number")
    _check_length(int(length))
    return int(length)


def _check_length(length: int) -> None:
    if length > MAX_BODY_BYTES:
        raise BadRequestError(f"a body of more than {MAX_BODY_BYTES} bytes", status=413)
