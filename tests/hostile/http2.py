"""HTTP/2, in frames written by hand (RFC 9113, section 6; RFC 7541 for the header block)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from crawler.items import Outcome
from tests.hostile.behaviour import BODY, HANG, PAUSE_S, RESET, VANISH, Behaviour, Door, End, Serve, answer, perform

if TYPE_CHECKING:
    from tests.hostile.peer import Peer

H2: Final = Door("https", "h2")
PREFACE_BYTES: Final = 24

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED = 1, 2, 7, 11, 13
STREAM: Final = 1
"""A client's first stream, and here its only one."""

STATUS_200: Final = b"\x88"
STATUS_404: Final = b"\x8d"


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = STREAM) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def field(name: bytes, value: bytes) -> bytes:
    """A header that no table remembers; name and value up to 126 bytes."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def headers(block: bytes = STATUS_200, *, end: bool = False) -> bytes:
    return frame(HEADERS, block, flags=END_HEADERS | (END_STREAM if end else 0))


def data(body: bytes = BODY, *, end: bool = True) -> bytes:
    return frame(DATA, body, flags=END_STREAM if end else 0)


def rst(code: int) -> bytes:
    return frame(RST_STREAM, struct.pack(">I", code))


def goaway(last: int, code: int = 0) -> bytes:
    return frame(GOAWAY, struct.pack(">II", last, code), stream=0)


def length(size: int) -> bytes:
    return field(b"content-length", b"%d" % size)


def says(*parts: bytes | float | End) -> Serve:
    """Take the client's first request, then send frames; the connection stays open unless an End is named."""

    async def serve(peer: Peer) -> None:
        await take_request(peer)
        await perform(peer, (*parts, HANG))

    return serve


async def take_request(peer: Peer) -> None:
    await peer.read(PREFACE_BYTES)
    await peer.send(frame(SETTINGS, stream=0))
    kind = None
    while kind != HEADERS:
        size, kind, flags = struct.unpack(">I", b"\0" + await peer.read(3))[0], *await peer.read(2)
        await peer.read(4 + size)
        if kind == SETTINGS and not flags & ACK:
            await peer.send(frame(SETTINGS, flags=ACK, stream=0))


def floods(*parts: bytes) -> Serve:
    """Send the last part again and again."""
    *start, block = parts

    async def serve(peer: Peer) -> None:
        await take_request(peer)
        await peer.send(b"".join(start))
        while True:
            await peer.send(block)

    return serve


async def refuses_once(peer: Peer) -> None:
    """Refuse the stream on the first connection, which says that nothing was done; answer on any other."""
    await take_request(peer)
    await peer.send(rst(REFUSED_STREAM) + goaway(0) if peer.number == 1 else headers() + data())
    await peer.end(HANG)


async def requires_1_1(peer: Peer) -> None:
    if peer.number == 1:
        await take_request(peer)
        await perform(peer, (rst(HTTP_1_1_REQUIRED), HANG))
    await peer.request()
    await peer.send(answer())


def good(name: str, note: str, serve: Serve) -> Behaviour:
    return Behaviour(name=f"h2-{name}", note=note, serve=serve, outcome=Outcome.OK, status=200, door=H2, h2=True)


def bad(name: str, note: str, serve: Serve, outcome: Outcome = Outcome.BAD_RESPONSE) -> Behaviour:
    return Behaviour(name=f"h2-{name}", note=note, serve=serve, outcome=outcome, door=H2, h2=True)


def cut(name: str, note: str, serve: Serve) -> Behaviour:
    return bad(name, note, serve, Outcome.TRUNCATED)


GROUP: Final = (
    good("good", "a response in two frames", says(headers(STATUS_200 + length(len(BODY))) + data())),
    good(
        "no-length",
        "no content-length: the stream's end is the body's",
        says(headers() + data(BODY[:5], end=False) + data(BODY[5:])),
    ),
    good(
        "trailers",
        "trailers behind the body",
        says(headers() + data(end=False) + headers(field(b"x-a", b"1"), end=True)),
    ),
    good("interim", "103 before the final head", says(headers(field(b":status", b"103")) + headers() + data())),
    good("ping", "pings in between", says(headers() + frame(PING, bytes(8), stream=0) * 5 + data())),
    good("goaway-after", "GOAWAY that lets this stream finish", says(goaway(STREAM) + headers() + data())),
    good("refused-once", "a refused stream, which may be sent again, and an answer", refuses_once),
    good("rst-after", "RST_STREAM with NO_ERROR behind the whole response", says(headers() + data() + rst(0))),
    Behaviour(
        name="h2-404",
        note="404 without a body",
        serve=says(headers(STATUS_404, end=True)),
        outcome=Outcome.HTTP_ERROR,
        status=404,
        door=H2,
        h2=True,
    ),
    cut("rst-in-body", "RST_STREAM within the body", says(headers() + data(end=False), PAUSE_S, rst(INTERNAL_ERROR))),
    cut(
        "rst-in-length",
        "RST_STREAM before content-length is met",
        says(headers(STATUS_200 + length(99)) + data(end=False), PAUSE_S, rst(INTERNAL_ERROR)),
    ),
    cut("fin-in-body", "closed within the body", says(headers() + data(end=False), PAUSE_S, End.FIN)),
    cut(
        "vanish-in-body",
        "closed within the body, without TLS's goodbye",
        says(headers() + data(end=False), PAUSE_S, VANISH),
    ),
    cut("reset-in-body", "reset within the body", says(headers() + data(end=False), PAUSE_S, RESET)),
    cut(
        "goaway-in-body",
        "GOAWAY within the body, and closed",
        says(headers() + data(end=False) + goaway(STREAM, INTERNAL_ERROR), PAUSE_S, End.FIN),
    ),
    bad("rst", "RST_STREAM instead of a response", says(rst(INTERNAL_ERROR)), Outcome.RESET),
    bad("rst-calm", "RST_STREAM: ENHANCE_YOUR_CALM", says(rst(ENHANCE_YOUR_CALM)), Outcome.RESET),
    bad("goaway", "GOAWAY instead of a response, and closed", says(goaway(0), PAUSE_S, End.FIN), Outcome.RESET),
    bad("goaway-error", "GOAWAY with an error", says(goaway(0, PROTOCOL_ERROR), PAUSE_S, End.FIN)),
    bad("closes", "closed instead of a response", says(End.FIN), Outcome.RESET),
    cut("length-long", "less than content-length, and its end", says(headers(STATUS_200 + length(99)) + data())),
    cut("length-short", "more than content-length", says(headers(STATUS_200 + length(3)) + data())),
    bad(
        "length-no-number",
        "a content-length that is no number",
        says(headers(STATUS_200 + field(b"content-length", b"x")) + data()),
    ),
    bad("frame-too-large", "a frame larger than allowed", says(headers() + data(bytes(20_000)))),
    bad("frame-too-large-late", "the same, after a moment", says(headers(), 0.1, data(bytes(20_000)))),
    bad(
        "frame-cut",
        "a frame of HEADERS that ends within its block",
        says(frame(HEADERS, b"\0\x7f:st", flags=END_HEADERS)),
    ),
    bad("no-status", "a head without :status", says(headers(field(b"x-a", b"1")) + data())),
    bad("status-word", "a :status that is no number", says(headers(field(b":status", b"abc")) + data())),
    bad("upper-case", "a name in upper case", says(headers(STATUS_200 + field(b"X-A", b"1")) + data())),
    bad(
        "connection-header",
        "a header of HTTP/1.1's connections",
        says(headers(STATUS_200 + field(b"transfer-encoding", b"chunked")) + data()),
    ),
    bad("table-index", "an index that no table has", says(headers(b"\xff\x7f") + data())),
    bad("data-first", "DATA before HEADERS", says(data())),
    bad("data-first-late", "DATA before HEADERS, after a moment: libcurl waits for the timeout", says(0.1, data())),
    bad(
        "push",
        "PUSH_PROMISE, which the client forbade",
        says(frame(PUSH_PROMISE, struct.pack(">I", 2) + STATUS_200, flags=END_HEADERS)),
    ),
    bad(
        "stream-of-nobody",
        "a response on a stream that nobody opened",
        says(frame(HEADERS, STATUS_200, flags=END_HEADERS, stream=99)),
    ),
    bad("settings-bad", "SETTINGS of a length that cannot be", says(frame(SETTINGS, b"x", stream=0))),
    bad("window-zero", "WINDOW_UPDATE of nothing", says(frame(WINDOW_UPDATE, bytes(4), stream=0))),
    bad("ping-length", "PING of 3 bytes", says(frame(PING, b"abc", stream=0))),
    bad(
        "http-1.1",
        "an answer in HTTP/1.1 after h2 was agreed on",
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
    ),
    bad(
        "flood-headers",
        "CONTINUATION without an end",
        floods(frame(HEADERS, STATUS_200), frame(CONTINUATION, field(b"x", b"y" * 100) * 50)),
    ),
    bad(
        "flood-headers-many",
        "4 MB in one header section",
        says(headers(STATUS_200 + b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000 + b"\xbe" * 1000) + data()),
    ),
    bad("flood-ping", "pings without an end, and no response", floods(frame(PING, bytes(8), stream=0) * 100)),
    bad("flood-settings", "SETTINGS without an end, and no response", floods(frame(SETTINGS, stream=0) * 100)),
    bad("flood-empty", "empty frames of DATA without an end", floods(headers(), data(b"", end=False) * 100)),
    bad("silent", "no frame at all", says(), Outcome.TIMEOUT),
    bad("stall", "silence within the body", says(headers() + data(end=False)), Outcome.TIMEOUT),
    good("requires-1.1", "RST_STREAM: HTTP_1_1_REQUIRED, and an answer in HTTP/1.1", requires_1_1),
)
