"""What a behaviour is, and the words that most of them are written in.

Owns: the row of the table, and helpers that make bytes of HTTP/1.1. Knows nothing of sockets but `Peer`'s words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from crawler.items import Outcome
    from tests.hostile.peer import Peer

TIMEOUT_S: Final = 4.0
"""Of the calls that are to end by their timeout: what hangs hangs longer."""

PAUSE_S: Final = 1.0
"""So that the client has read what was sent before the end, even on a busy machine: the place is what counts, not the
race."""

MAX_BYTES: Final = 2 * 1024 * 1024
"""DOWNLOAD_MAXSIZE of the crawls."""

WORKERS: Final = 50
"""Enough that the behaviours that only end by timeout, 24 at 4 s, wait beside each other."""

BODY: Final = b'{"whole": true}'

Serve: TypeAlias = "Callable[[Peer], Awaitable[None]]"
"""What the server does with one connection; when it returns, the connection is closed."""


class End(Enum):
    """How a connection ends, or does not."""

    FIN = "closed, in TLS with a goodbye"
    VANISH = "closed, in TLS without a goodbye"
    RESET = "reset"
    HANG = "kept open for ever"


FIN, VANISH, RESET, HANG = End


class Door(NamedTuple):
    """Behind which port a behaviour sits. scheme: of its URL. certificate: a name in certificates.py; None: no TLS."""

    scheme: str
    certificate: str | None


PLAIN: Final = Door("http", None)
TLS: Final = Door("https", "good")


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One way to misbehave, and what it must end as.

    note: what the server does, for a person. status: of the record, None when no response may be believed.
    body: what is stored when it is ok. door: None for the port that the crawl is about, plain or TLS.
    method, headers, payload: of the request. h2: in HTTP/2. todo: what is still to be done so that the outcome
    is this one.
    """

    name: str
    note: str
    serve: Serve
    outcome: Outcome
    status: int | None = None
    body: bytes = BODY
    door: Door | None = None
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    payload: bytes = b""
    h2: bool = False
    todo: str | None = None


def says(*parts: bytes | float | End) -> Serve:
    """Read a request, then: bytes are sent, numbers are seconds of silence, an End ends it (FIN unless said)."""

    async def serve(peer: Peer) -> None:
        await peer.request()
        await perform(peer, parts)

    return serve


def blurts(*parts: bytes | float | End) -> Serve:
    """Like says, but reads no request."""

    async def serve(peer: Peer) -> None:
        await perform(peer, parts)

    return serve


def floods(start: bytes, block: bytes) -> Serve:
    """Read a request, send *start*, then *block* again and again until the client leaves."""

    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(start)
        while True:
            await peer.send(block)

    return serve


def drips(start: bytes, rest: bytes, every_s: float) -> Serve:
    """Read a request, send *start*, then *rest* byte by byte."""
    return says(start, *(part for byte in rest for part in (bytes([byte]), every_s)))


def every_half_second(part: bytes) -> list[bytes | float]:
    """*part*, as often as to outlast the timeout."""
    return [part, 0.5] * round(TIMEOUT_S * 4)


async def perform(peer: Peer, parts: tuple[bytes | float | End, ...]) -> None:
    for part in parts:
        match part:
            case bytes():
                await peer.send(part)
            case End():
                await peer.end(part)
            case _:
                await peer.wait(part)


def head(*lines: str | bytes, start: str = "HTTP/1.1 200 OK") -> bytes:
    """A status line, header lines, and the blank line."""
    return b"".join(_encoded(line) + b"\r\n" for line in (start, *lines, b""))


def answer(body: bytes = BODY, *lines: str | bytes, start: str = "HTTP/1.1 200 OK") -> bytes:
    """A whole response with its Content-Length. lines: further headers."""
    return head(f"Content-Length: {len(body)}", *lines, start=start) + body


def chunked(*chunks: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    """The chunked coding of a body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + last


def _encoded(line: str | bytes) -> bytes:
    return line if isinstance(line, bytes) else line.encode("latin-1")
