"""What travels: a Request that came in, an Answer that goes out. Knows no socket, no route, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import Final

JSON: Final = "application/json"

BODILESS: Final = frozenset({204, 304})
"""Final statuses that carry neither body nor Content-Length (RFC 9110, sections 6.4.1 and 8.6)."""


class BadRequestError(Exception):
    """The client sent what cannot be served; `status` is what it is told (400 to 499)."""

    def __init__(self, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A complete request.

    target: as on the request line. path, query: of its origin form, as written, not decoded.
    headers: as sent, in order, latin-1. body: after chunked decoding.
    keep_alive: whether the client lets the connection live on.
    number: which request of its connection this is, from 1.
    """

    method: str
    target: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    keep_alive: bool
    number: int

    @property
    def resource(self) -> str:
        """Path and query: the name under which requests are counted."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def header(self, name: str) -> str | None:
        """The first value of the header, None when absent. name: in lower case."""
        return next((value for sent, value in self.headers if sent.lower() == name), None)


class Ending(Enum):
    """How an answer ends."""

    WHOLE = "whole"
    CUT = "cut"  # half of the body, then the connection closes
    DROP = "drop"  # the connection closes, nothing is sent
    HANG = "hang"  # nothing is sent, the connection stays


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to send, when, and how it ends.

    content_type: None when there is no body to describe. headers: further ones, in order.
    delay_s: from the request's last byte to the answer's first.
    """

    status: int = 200
    body: bytes = b""
    content_type: str | None = JSON
    headers: tuple[tuple[str, bytes], ...] = ()
    delay_s: float = 0.0
    ending: Ending = Ending.WHOLE

    def head(self, *, date: bytes, close: bool) -> bytes:
        """The status line and the headers, up to and with the empty line. date: an HTTP date."""
        lines = [_status_line(self.status), b"Date: " + date]
        if self.status not in BODILESS:
            if self.content_type is not None:
                lines.append(b"Content-Type: " + self.content_type.encode("latin-1"))
            lines.append(b"Content-Length: %d" % len(self.body))
        if close:
            lines.append(b"Connection: close")
        for name, value in self.headers:
            lines.append(name.encode("latin-1") + b": " + value)
        lines.append(b"\r\n")
        return b"\r\n".join(lines)

    def sent_body(self, method: str) -> bytes:
        """What of the body follows the head when the request's method was *method*."""
        if method == "HEAD" or self.status in BODILESS:
            return b""
        return self.body[: len(self.body) // 2] if self.ending is Ending.CUT else self.body


@lru_cache
def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:  # a code of nobody's; the phrase may be empty (RFC 9112, section 4)
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}".encode()
