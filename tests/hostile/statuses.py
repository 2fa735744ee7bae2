"""Status lines, and which statuses are an answer."""

from __future__ import annotations

from typing import Final

from crawler.items import Outcome
from tests.hostile.behaviour import Behaviour, answer, says


def line(start: str | bytes) -> bytes:
    """A response whose status line is *start*."""
    text = start if isinstance(start, bytes) else start.encode("latin-1")
    return text + answer().removeprefix(b"HTTP/1.1 200 OK")


def good(name: str, note: str, start: str | bytes, *, status: int = 200) -> Behaviour:
    return Behaviour(name=name, note=note, serve=says(line(start)), outcome=Outcome.OK, status=status)


def bad(name: str, note: str, start: str | bytes, *, status: int | None = None) -> Behaviour:
    return Behaviour(name=name, note=note, serve=says(line(start)), outcome=Outcome.BAD_RESPONSE, status=status)


def error(name: str, note: str, start: str, *, status: int) -> Behaviour:
    return Behaviour(name=name, note=note, serve=says(line(start)), outcome=Outcome.HTTP_ERROR, status=status)


GROUP: Final = (
    good("status-299", "an unknown status of success", "HTTP/1.1 299 Fine", status=299),
    good("reason-none", "no reason, but the space before it", "HTTP/1.1 200 "),
    good("reason-none-no-space", "no reason and no space", "HTTP/1.1 200"),
    good("reason-10k", "a reason of 10 kB", "HTTP/1.1 200 " + "x" * 10_000),
    good("reason-latin-1", "a reason in Latin-1", "HTTP/1.1 200 schön"),
    good("reason-looks-like-http", "a reason that looks like a status line", "HTTP/1.1 200 HTTP/1.1 500 x"),
    error("status-300", "300 without Location", "HTTP/1.1 300 Multiple Choices", status=300),
    error("status-305", "305, which no client follows any more", "HTTP/1.1 305 Use Proxy", status=305),
    error("status-404", "404 with a body", "HTTP/1.1 404 Not Found", status=404),
    error("status-499", "an unknown error of the client", "HTTP/1.1 499 x", status=499),
    error("status-503", "503", "HTTP/1.1 503 Service Unavailable", status=503),
    error("status-599", "an unknown error of the server", "HTTP/1.1 599 x", status=599),
    bad("status-206-unasked", "206 Partial Content, though no range was asked for", "HTTP/1.1 206 Part", status=206),
    bad("status-600", "600", "HTTP/1.1 600 x", status=600),
    bad("status-999", "999, as some sites answer what they take for a robot", "HTTP/1.1 999 x", status=999),
    bad("status-99", "two digits", "HTTP/1.1 99 x"),
    bad("status-0", "0", "HTTP/1.1 0 x"),
    bad("status-000", "000", "HTTP/1.1 000 x"),
    bad("status-099", "099", "HTTP/1.1 099 x"),
    bad("status-negative", "-1", "HTTP/1.1 -1 x"),
    bad("status-2000", "four digits", "HTTP/1.1 2000 OK"),
    bad("status-99999", "five digits", "HTTP/1.1 99999 x"),
    bad("status-letters", "abc", "HTTP/1.1 abc x"),
    bad("status-2xx", "2xx", "HTTP/1.1 2xx OK"),
    bad("status-glued", "no space between status and reason", "HTTP/1.1 200OK"),
    bad("status-none", "the version alone", "HTTP/1.1"),
    bad("status-tab", "a tab before the status", "HTTP/1.1\t200 OK"),
    bad("protocol-icy", "ICY 200 OK, as Shoutcast says it", "ICY 200 OK"),
    bad("protocol-word", "abc", "abc"),
    bad("protocol-lower-case", "http/1.1 in lower case, though it is case-sensitive", "http/1.1 200 OK"),
    bad("protocol-2-in-text", "HTTP/2 in text", "HTTP/2 200 OK"),
    bad("protocol-3-in-text", "HTTP/3 in text", "HTTP/3 200 OK"),
    bad("protocol-9.9", "HTTP/9.9", "HTTP/9.9 200 OK"),
    bad("protocol-1.10", "HTTP/1.10", "HTTP/1.10 200 OK"),
    bad("protocol-rtsp", "RTSP/1.0", "RTSP/1.0 200 OK"),
    bad("protocol-html", "a page without a head", "<html><title>It works"),
    bad("line-empty-first", "an empty line before the status line", b"\r\nHTTP/1.1 200 OK"),
    bad("line-nul", "a NUL in the reason", "HTTP/1.1 200 O\0K"),
    bad("reason-200k", "a reason of 200 kB", "HTTP/1.1 200 " + "x" * 200_000),
)
