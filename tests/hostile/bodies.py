"""Bodies where there must be none, bodies that are too large, and answers that come slowly or never."""

from __future__ import annotations

from typing import Final

from crawler.items import Outcome
from tests.hostile.behaviour import (
    BODY,
    HANG,
    MAX_BYTES,
    Behaviour,
    Serve,
    answer,
    blurts,
    chunked,
    drips,
    every_half_second,
    floods,
    head,
    says,
)

BLOCK: Final = b"x" * 65_536
CHUNK: Final = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK)
CHUNKED: Final = "Transfer-Encoding: chunked"
FULL: Final = b'"' + b"x" * (MAX_BYTES - 2) + b'"'
"""As much as is allowed."""


def empty(name: str, note: str, serve: Serve, *, status: int, method: str = "GET") -> Behaviour:
    return Behaviour(name=name, note=note, serve=serve, outcome=Outcome.OK, status=status, body=b"", method=method)


def not_modified(name: str, note: str, serve: Serve) -> Behaviour:
    return Behaviour(name=name, note=note, serve=serve, outcome=Outcome.HTTP_ERROR, status=304)


def too_large(name: str, note: str, serve: Serve) -> Behaviour:
    return Behaviour(name=name, note=note, serve=serve, outcome=Outcome.TOO_LARGE)


def late(name: str, note: str, serve: Serve) -> Behaviour:
    return Behaviour(name=name, note=note, serve=serve, outcome=Outcome.TIMEOUT)


NONE: Final = (
    empty("204", "204 without a body", says(head(start="HTTP/1.1 204 No Content")), status=204),
    empty("204-body", "204 with a body, which is no part of it", says(answer(start="HTTP/1.1 204 x")), status=204),
    empty(
        "204-chunked",
        "204 with chunks, which are no part of it",
        says(head(CHUNKED, start="HTTP/1.1 204 x") + chunked(BODY)),
        status=204,
    ),
    empty(
        "204-length",
        "204 that announces a body and sends none",
        says(head("Content-Length: 9", start="HTTP/1.1 204 x"), HANG),
        status=204,
    ),
    empty("205", "205 Reset Content with Content-Length: 0", says(answer(b"", start="HTTP/1.1 205 x")), status=205),
    not_modified("304", "304, though the request had no condition", says(head(start="HTTP/1.1 304 Not Modified"))),
    not_modified("304-body", "304 with a body", says(answer(start="HTTP/1.1 304 Not Modified"))),
    not_modified(
        "304-length",
        "304 that announces a body, as it may",
        says(head("Content-Length: 9", start="HTTP/1.1 304 N"), HANG),
    ),
    empty(
        "head", "HEAD: the length of what GET would bring", says(head("Content-Length: 99")), status=200, method="HEAD"
    ),
    empty("head-body", "HEAD answered with a body", says(answer()), status=200, method="HEAD"),
    empty("head-chunked", "HEAD: chunked, and no chunk", says(head(CHUNKED), HANG), status=200, method="HEAD"),
    empty(
        "head-huge",
        "HEAD: the length of a huge file",
        says(head("Content-Length: 99999999999")),
        status=200,
        method="HEAD",
    ),
    empty(
        "head-gzip",
        "HEAD: the headers of a gzip body",
        says(head("Content-Encoding: gzip", "Content-Length: 99")),
        status=200,
        method="HEAD",
    ),
)

LARGE: Final = (
    Behaviour(
        name="as-large-as-allowed",
        note="a body of DOWNLOAD_MAXSIZE",
        serve=says(answer(FULL)),
        outcome=Outcome.OK,
        status=200,
        body=FULL,
    ),
    too_large("larger-by-one", "a byte more, announced", says(answer(FULL + b" "))),
    too_large("larger-by-one-chunked", "a byte more, in chunks", says(head(CHUNKED) + chunked(FULL, b" "))),
    too_large("larger-by-one-closes", "a byte more, to the end of the connection", says(head() + FULL + b" ")),
    too_large("huge-announced", "a terabyte, announced", floods(head(f"Content-Length: {10**12}"), BLOCK)),
    too_large(
        "huge-announced-one-byte",
        "a terabyte, announced, and one byte of it",
        says(head(f"Content-Length: {10**12}") + b"x", HANG),
    ),
    too_large("endless-closes", "a body without an end", floods(head(), BLOCK)),
    too_large("endless-chunked", "chunks without an end", floods(head(CHUNKED), CHUNK)),
    too_large(
        "endless-one-chunk", "one chunk of 2^60 bytes", floods(head(CHUNKED) + b"1" + b"0" * 15 + b"\r\n", BLOCK)
    ),
    too_large("endless-error-page", "a page of 500 without an end", floods(head(start="HTTP/1.1 500 x"), BLOCK)),
    too_large("endless-small-chunks", "chunks of one byte without an end", floods(head(CHUNKED), b"1\r\nx\r\n" * 4000)),
)

SLOW: Final = (
    Behaviour(
        name="slow-but-done",
        note="a second of pauses in head and body",
        serve=says(answer()[:20], 0.3, answer()[20:-9], 0.4, answer()[-9:-2], 0.3, answer()[-2:]),
        outcome=Outcome.OK,
        status=200,
    ),
    late("never-reads", "accepts, and does nothing", blurts(HANG)),
    late("never-answers", "reads the request, and does nothing", says(HANG)),
    late("slow-status-line", "a byte of the status line each half second", drips(b"", answer(), 0.5)),
    late(
        "slow-headers",
        "a byte of a header each second",
        drips(b"HTTP/1.1 200 OK\r\n", b"X-A: abcdefghijklmnop", 1.0),
    ),
    late(
        "slow-header-lines",
        "a header each half second",
        says(b"HTTP/1.1 200 OK\r\n", *every_half_second(b"X-A: a\r\n")),
    ),
    late("slow-body", "a byte of the body each half second", drips(head("Content-Length: 99"), BODY * 3, 0.5)),
    late("slow-chunks", "a chunk each half second", says(head(CHUNKED), *every_half_second(b"1\r\nx\r\n"))),
    late("slow-chunk-size", "a digit of a chunk's size each second", drips(head(CHUNKED), b"0" * 20, 1.0)),
    late("slow-interim", "100 Continue each half second", says(*every_half_second(b"HTTP/1.1 100 Continue\r\n\r\n"))),
    late("stall-in-status-line", "silence within the status line", says(b"HTTP/1.1 2", HANG)),
    late("stall-in-headers", "silence within the headers", says(b"HTTP/1.1 200 OK\r\nContent-", HANG)),
    late("stall-after-headers", "silence behind the headers", says(head("Content-Length: 99"), HANG)),
    late(
        "stall-after-huge-length", "a terabyte, announced, then silence", says(head(f"Content-Length: {10**12}"), HANG)
    ),
    late("stall-in-body", "silence after half of the body", says(answer()[:-7], HANG)),
    late("stall-in-chunk", "silence within a chunk", says(head(CHUNKED) + b"ff\r\n" + BODY, HANG)),
    late(
        "stall-before-last-chunk", "silence before the last chunk", says(head(CHUNKED) + chunked(BODY, last=b""), HANG)
    ),
    late("stall-no-length", "no length, and the connection stays open", says(head() + BODY, HANG)),
)

GROUP: Final = (*NONE, *LARGE, *SLOW)
