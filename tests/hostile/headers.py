"""Header sections: malformed lines, floods, and interim responses that never become a final one."""

from __future__ import annotations

from typing import Final

from crawler.items import Outcome
from tests.hostile.behaviour import BODY, HANG, Behaviour, Serve, answer, floods, head, says

LENGTH: Final = f"Content-Length: {len(BODY)}"
STATUS_LINE: Final = b"HTTP/1.1 200 OK\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
SWITCHING: Final = head("Upgrade: x", "Connection: upgrade", start="HTTP/1.1 101 Switching Protocols")


def good(name: str, note: str, serve: Serve) -> Behaviour:
    return Behaviour(name=name, note=note, serve=serve, outcome=Outcome.OK, status=200)


def bad(name: str, note: str, serve: Serve) -> Behaviour:
    return Behaviour(name=name, note=note, serve=serve, outcome=Outcome.BAD_RESPONSE)


def lines(*headers: str | bytes) -> Serve:
    return says(answer(BODY, *headers))


GROUP: Final = (
    good("header-latin-1", "Latin-1 in a value", lines("X-A: schön")),
    good("header-utf-8", "UTF-8 in a value", lines("X-A: schön".encode())),
    good("header-control", "control characters in a value", lines("X-A: a\x01\x1b[31mb\x7f")),
    good("header-empty-value", "an empty value", lines("X-A:")),
    good("header-colons", "colons in a value", lines("X-A: a:b: c:")),
    good("header-folded", "a value folded over two lines, which RFC 9112 lets a client unfold", lines("X-A: a\r\n b")),
    good("header-same-1000", "the same name 1,000 times", lines(*["Set-Cookie: a=b"] * 1000)),
    good("header-20k", "a line of 20 kB", lines("X-A: " + "x" * 20_000)),
    good("header-4000", "4,000 headers", lines(*(f"X-{n}: {n}" for n in range(4000)))),
    good("header-line-feed-only", "lines that end in LF alone", says(answer().replace(b"\r\n", b"\n"))),
    bad("header-nul-in-value", "a NUL in a value", lines("X-A: a\0b")),
    bad("header-nul-in-name", "a NUL in a name", lines("X\0A: a")),
    bad("header-no-colon", "a line without a colon", lines("nonsense")),
    good("header-no-name", "an empty name", lines(": value")),
    good("header-space-in-name", "a space in a name", lines("X A: a")),
    good("header-space-before-colon", "a space before the colon, where it does no harm", lines("X-A : a")),
    good("header-folded-first", "a folded line before any header", says(STATUS_LINE + b" X-A: a\r\n" + answer()[17:])),
    bad(
        "header-folded-length",
        "a Content-Length folded in the middle of the number",
        says(head("Content-Length: 1\r\n 5") + BODY),
    ),
    bad("header-carriage-return", "a CR alone within a value", lines("X-A: a\rContent-Length: 3")),
    Behaviour(
        name="header-cr-lines",
        note="lines that end in CR alone: the first one never ends",
        serve=says(answer().replace(b"\r\n", b"\r")),
        outcome=Outcome.RESET,
    ),
    bad("header-10000", "10,000 headers", lines(*(f"X-{n}: {n}" for n in range(10_000)))),
    bad("header-200k", "a line of 200 kB", lines("X-A: " + "x" * 200_000)),
    bad("header-1m", "100 headers of 10 kB", lines(*(f"X-{n}: {'x' * 10_000}" for n in range(100)))),
    bad("header-endless-line", "a line without an end", floods(STATUS_LINE + b"X-A: ", b"x" * 16_384)),
    bad("header-endless-name", "a name without an end", floods(STATUS_LINE, b"x" * 16_384)),
    bad("header-endless", "headers without an end", floods(STATUS_LINE, b"X-A: abcdefgh\r\n" * 1000)),
    bad(
        "header-endless-folded", "a folded value without an end", floods(STATUS_LINE + b"X-A: a\r\n", b" a\r\n" * 4000)
    ),
    bad("header-endless-reason", "a status line without an end", floods(STATUS_LINE[:-2], b"x" * 16_384)),
    good("interim-100", "100 Continue, then 200", says(CONTINUE, 0.05, answer())),
    good("interim-100-same-segment", "100 Continue and 200 in one piece", says(CONTINUE + answer())),
    good("interim-102", "102 Processing three times, then 200", says(head(start="HTTP/1.1 102 P") * 3 + answer())),
    good(
        "interim-103",
        "103 Early Hints with headers of its own, then 200",
        says(head("Link: </a>; rel=preload", "Content-Length: 3", start="HTTP/1.1 103 Early Hints") + answer()),
    ),
    good("interim-199", "an unknown interim status, then 200", says(head(start="HTTP/1.1 199 x") + answer())),
    bad("interim-flood", "100 Continue without an end", floods(b"", CONTINUE * 500)),
    bad(
        "interim-flood-103", "103 Early Hints without an end", floods(b"", head("X-A: a", start="HTTP/1.1 103 E") * 300)
    ),
    Behaviour(
        name="interim-only",
        note="100 Continue, then closed",
        serve=says(CONTINUE),
        outcome=Outcome.RESET,
    ),
    Behaviour(
        name="interim-then-nothing",
        note="100 Continue, then silence",
        serve=says(CONTINUE, HANG),
        outcome=Outcome.TIMEOUT,
    ),
    Behaviour(
        name="interim-101",
        note="101 Switching Protocols, which nobody asked for, and closed",
        serve=says(SWITCHING),
        outcome=Outcome.RESET,
    ),
    Behaviour(
        name="interim-101-then-another",
        note="101 Switching Protocols, and bytes of another protocol",
        serve=says(SWITCHING + b"\x05\x01", HANG),
        outcome=Outcome.TIMEOUT,
    ),
)
