"""Where a body ends: Content-Length, chunks, the end of the connection, and all that contradicts itself there."""

from __future__ import annotations

from typing import Final

from crawler.items import Outcome
from tests.hostile.behaviour import BODY, PAUSE_S, RESET, VANISH, Behaviour, Serve, answer, chunked, floods, head, says

SIZE: Final = len(BODY)
CHUNKED: Final = "Transfer-Encoding: chunked"


def whole(name: str, note: str, serve: Serve, *, body: bytes = BODY) -> Behaviour:
    return Behaviour(name=name, note=note, serve=serve, outcome=Outcome.OK, status=200, body=body)


def bad(name: str, note: str, serve: Serve) -> Behaviour:
    return Behaviour(name=name, note=note, serve=serve, outcome=Outcome.BAD_RESPONSE)


def cut(name: str, note: str, serve: Serve) -> Behaviour:
    return Behaviour(name=name, note=note, serve=serve, outcome=Outcome.TRUNCATED)


def length(*values: str) -> Serve:
    """The body, under these Content-Lengths."""
    return says(head(*(f"Content-Length: {value}" for value in values)) + BODY)


def chunks(raw: bytes) -> Serve:
    return says(head(CHUNKED) + raw)


def coded(*values: str, body: bytes = chunked(BODY)) -> Serve:
    """A body under these transfer codings."""
    return says(head(*(f"Transfer-Encoding: {value}" for value in values)) + body)


LENGTHS: Final = (
    whole("length", "Content-Length, and as many bytes", length(f"{SIZE}")),
    whole("length-zero", "Content-Length: 0", says(answer(b"")), body=b""),
    whole("length-with-zeros", "leading zeros before the number", length(f"000{SIZE}")),
    whole("length-list-equal", "a list of twice the same number", length(f"{SIZE}, {SIZE}")),
    whole("length-twice-equal", "the same Content-Length twice", length(f"{SIZE}", f"{SIZE}")),
    whole("length-no-space", "no space behind the colon", says(head(f"Content-Length:{SIZE}") + BODY)),
    whole("length-spaces", "spaces and tabs around the number", length(f" \t {SIZE} \t ")),
    whole("length-lower-case", "the name in lower case", says(head(f"content-length: {SIZE}") + BODY)),
    whole("length-short", "more bytes than announced: what follows is no part of the body", length("7"), body=BODY[:7]),
    whole("length-short-by-all", "Content-Length: 0 and a body: it is no part", length("0"), body=b""),
    cut("length-long", "a byte less than announced", length(f"{SIZE + 1}")),
    cut("length-long-no-body", "nothing of what was announced", says(head("Content-Length: 5"))),
    cut(
        "length-long-reset",
        "less than announced, then a reset",
        says(head("Content-Length: 99") + BODY, PAUSE_S, RESET),
    ),
    cut("length-long-vanish", "less than announced, no goodbye", says(head("Content-Length: 99") + BODY, VANISH)),
    bad("length-negative", "Content-Length: -1", length("-1")),
    bad("length-plus", "a plus before the number", length(f"+{SIZE}")),
    bad("length-word", "Content-Length: many", length("many")),
    bad("length-hex", "a hexadecimal number", length(f"0x{SIZE:x}")),
    bad("length-decimal", "a decimal fraction", length(f"{SIZE}.0")),
    bad("length-exponent", "Content-Length: 1e1", length("1e1")),
    bad("length-and-more", "letters behind the number", length(f"{SIZE}bytes")),
    bad("length-two-numbers", "two numbers with a space between", length(f"{SIZE} {SIZE}")),
    bad("length-empty", "an empty Content-Length", length("")),
    bad("length-quoted", "the number in quotes", length(f'"{SIZE}"')),
    bad("length-list-different", "a list of two different numbers", length(f"{SIZE}, 3")),
    bad("length-twice-different", "two different Content-Lengths", length(f"{SIZE}", "3")),
    bad("length-twice-one-bad", "two Content-Lengths, one of them no number", length(f"{SIZE}", "x")),
    bad(
        "length-space-before-colon",
        "a space before the colon, which each reader understands differently",
        says(head("Content-Length : 99") + BODY),
    ),
    Behaviour(
        name="length-huge",
        note="Content-Length: 2^63 - 1",
        serve=length(f"{2**63 - 1}"),
        outcome=Outcome.TOO_LARGE,
    ),
    Behaviour(
        name="length-beyond-64-bit",
        note="Content-Length: 10^30",
        serve=length("1" + "0" * 30),
        outcome=Outcome.TOO_LARGE,
    ),
    Behaviour(
        name="length-beyond-64-bit-no-body",
        note="Content-Length: 10^30 and nothing of it",
        serve=says(head("Content-Length: 1" + "0" * 30)),
        outcome=Outcome.TOO_LARGE,
    ),
)

BOTH: Final = (
    bad(
        "length-and-chunked",
        "Content-Length and chunks, which agree",
        says(head(f"Content-Length: {SIZE}", CHUNKED) + chunked(BODY)),
    ),
    bad(
        "chunked-and-length",
        "the same in the other order",
        says(head(CHUNKED, f"Content-Length: {SIZE}") + chunked(BODY)),
    ),
    bad(
        "length-and-chunked-differ",
        "Content-Length and chunks, which differ",
        says(head("Content-Length: 3", CHUNKED) + chunked(BODY)),
    ),
    bad(
        "length-and-chunked-empty",
        "Content-Length and chunks, and no body",
        says(head("Content-Length: 0", CHUNKED) + chunked()),
    ),
    bad(
        "length-and-gzip-transfer",
        "Content-Length and a transfer coding that is not chunked",
        says(head(f"Content-Length: {SIZE}", "Transfer-Encoding: gzip") + BODY),
    ),
)

CODINGS: Final = (
    whole("chunked", "two chunks", chunks(chunked(BODY[:5], BODY[5:]))),
    whole("chunked-by-the-byte", "a chunk for each byte", chunks(chunked(*(bytes([byte]) for byte in BODY)))),
    whole("chunked-empty", "the last chunk alone", chunks(chunked()), body=b""),
    whole("chunked-upper-case", "Transfer-Encoding: CHUNKED", coded("CHUNKED")),
    whole("chunk-size-zeros", "zeros before a chunk's size", chunks(b"0000f\r\n" + BODY + b"\r\n0\r\n\r\n")),
    whole(
        "chunk-extension", "an extension behind a chunk's size", chunks(b"f;name=value\r\n" + BODY + b"\r\n0\r\n\r\n")
    ),
    whole(
        "chunk-extension-5k", "an extension of 5 kB", chunks(b"f;" + b"x" * 5000 + b"\r\n" + BODY + b"\r\n0\r\n\r\n")
    ),
    whole("trailers", "trailers behind the last chunk", chunks(chunked(BODY, last=b"0\r\nX-A: 1\r\nX-B: 2\r\n\r\n"))),
    whole(
        "trailers-that-lie",
        "Content-Length, Location and Content-Encoding in the trailers, where they mean nothing",
        chunks(chunked(BODY, last=b"0\r\nContent-Length: 3\r\nLocation: /\r\nContent-Encoding: gzip\r\n\r\n")),
    ),
    cut("chunk-size-bad", "a chunk's size that is no number", chunks(b"zz\r\n" + BODY + b"\r\n0\r\n\r\n")),
    cut("chunk-size-negative", "a negative size", chunks(b"-f\r\n" + BODY + b"\r\n0\r\n\r\n")),
    bad(
        "chunk-size-0x",
        "a size that begins with 0x: the last chunk, and then no trailer",
        chunks(b"0xf\r\n" + BODY + b"\r\n0\r\n\r\n"),
    ),
    cut("chunk-size-empty", "an empty size", chunks(b"\r\n" + BODY + b"\r\n0\r\n\r\n")),
    cut("chunk-size-overflow", "a size of 2^68", chunks(b"1" + b"0" * 17 + b"\r\n" + BODY + b"\r\n0\r\n\r\n")),
    cut("chunk-size-huge", "a size of 2^62, and 15 bytes of it", chunks(b"4" + b"0" * 15 + b"\r\n" + BODY)),
    cut("chunk-size-too-small", "more bytes than the chunk's size", chunks(b"5\r\n" + BODY + b"\r\n0\r\n\r\n")),
    cut("chunk-size-too-large", "fewer bytes than the chunk's size", chunks(b"20\r\n" + BODY + b"\r\n0\r\n\r\n")),
    cut("chunk-no-crlf", "no line end behind a chunk", chunks(b"f\r\n" + BODY + b"0\r\n\r\n")),
    cut("chunk-cut", "closed within a chunk", chunks(b"ff\r\n" + BODY)),
    cut("chunk-cut-in-size", "closed within a chunk's size", chunks(b"f\r\n" + BODY + b"\r\nf")),
    cut("chunk-reset", "reset within a chunk", says(head(CHUNKED) + b"ff\r\n" + BODY, PAUSE_S, RESET)),
    cut("chunk-last-missing", "closed before the last chunk", chunks(chunked(BODY, last=b""))),
    cut("chunk-last-half", "closed within the last chunk", chunks(chunked(BODY, last=b"0\r\n"))),
    cut("trailers-cut", "closed within the trailers", chunks(chunked(BODY, last=b"0\r\nX-A: 1\r\n"))),
    bad(
        "trailers-endless",
        "trailers without an end",
        floods(head(CHUNKED) + b"f\r\n" + BODY + b"\r\n0\r\n", b"X-A: 1\r\n" * 1000),
    ),
    Behaviour(
        name="chunk-extension-endless",
        note="an extension without an end",
        serve=floods(head(CHUNKED) + b"f;", b"x" * 10_000),
        outcome=Outcome.TIMEOUT,
    ),
    bad("transfer-foo", "Transfer-Encoding: foo", coded("foo", body=BODY)),
    bad("transfer-identity", "Transfer-Encoding: identity, which HTTP has no more", coded("identity", body=BODY)),
    bad("transfer-gzip-chunked", "a transfer coding that was not asked for", coded("gzip, chunked")),
    bad("transfer-chunked-gzip", "chunked not the last", coded("chunked, gzip")),
    bad(
        "transfer-chunked-twice",
        "Transfer-Encoding: chunked, chunked",
        coded("chunked, chunked", body=chunked(chunked(BODY))),
    ),
    bad(
        "transfer-chunked-two-lines",
        "two lines of Transfer-Encoding: chunked",
        coded("chunked", "chunked", body=chunked(chunked(BODY))),
    ),
    bad("transfer-xchunked", "Transfer-Encoding: xchunked", coded("xchunked")),
    bad("transfer-quoted", 'Transfer-Encoding: "chunked"', coded('"chunked"')),
    bad("transfer-vertical-tab", "a vertical tab before chunked", coded("\x0bchunked")),
    bad("transfer-empty", "an empty Transfer-Encoding", coded("", body=BODY)),
    bad(
        "transfer-space-before-colon",
        "Transfer-Encoding with a space before the colon",
        says(head("Transfer-Encoding : chunked") + chunked(BODY)),
    ),
)

CLOSES: Final = (
    whole("close-delimited", "no length: the body ends with the connection", says(head() + BODY)),
    whole("close-delimited-empty", "no length and no body", says(head()), body=b""),
    whole("http-1.0", "HTTP/1.0 with Content-Length", says(answer(start="HTTP/1.0 200 OK"))),
    whole("http-1.0-closes", "HTTP/1.0 without a length", says(head(start="HTTP/1.0 200 OK") + BODY)),
    bad(
        "http-1.0-chunked",
        "chunks in HTTP/1.0, which has none",
        says(head(CHUNKED, start="HTTP/1.0 200 OK") + chunked(BODY)),
    ),
    cut("close-delimited-reset", "no length, and a reset", says(head() + BODY, PAUSE_S, RESET)),
    bad("http-0.9", "the body alone, without a head", says(BODY)),
)

GROUP: Final = (*LENGTHS, *BOTH, *CODINGS, *CLOSES)
