"""Content codings undone, strictly: the whole body that was encoded, or an error. Pure.

Owns what gzip, deflate, br and zstd bodies must look like. Knows nothing of requests and responses.

A cut is found in every coding, unless it falls between two gzip members or two zstd frames: what is before it
is a whole body. A changed byte is found in gzip (CRC-32 and length) and in zstd frames that carry a checksum,
an option of the sender and often off. In deflate it is found but for one in 80,000 (Adler-32 is weak on short
text); in br, in raw deflate and in zstd without a checksum it may decode to other bytes, and nothing tells.
So ask for gzip.
"""

from __future__ import annotations

import sys
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Final

import brotli  # type: ignore[import-untyped]  # it has no types

from crawler.exceptions import DecodeError, TooLargeError, TruncatedError, UnknownCodingError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    Pieces = Generator[bytes, None, int]
    Part = Callable[[memoryview, int], Pieces]

MAX_CODINGS: Final = 2
"""Encoded on the fly on top of a file that is compressed already: more is an attack, or a mistake."""

MAX_PARTS: Final = 4096
"""Members or frames of one body. bgzip, which makes the smallest, needs 1,024 for 64 MiB; 4,096 empty zstd frames of
an attacker's take 80 ms."""

INPUT_BYTES: Final = 16 * 1024
"""Fed at once. Decoders copy what they leave over, so all at once would cost the square of the length."""

OUTPUT_BYTES: Final = 256 * 1024
"""Decoded at once: what `max_bytes` may be overrun by (brotli: twice that)."""

ZSTD_OPTIONS: Final[Mapping[int, int]] = {zstd.DecompressionParameter.window_log_max: 23}
"""8 MiB of window, the most that the content coding allows (RFC 9659)."""


def parse_codings(values: Iterable[bytes]) -> list[str]:
    """The codings of all Content-Encoding headers, in the order in which they were applied, in lower case."""
    names = b",".join(values).decode("latin-1").lower().split(",")
    return [name for name in map(str.strip, names) if name]


def decode(body: bytes, codings: Sequence[str], *, max_bytes: int) -> bytes:
    """Undo *codings*, the last one first. max_bytes: of the result of each; 0 for no limit.

    Nothing encodes to an empty body, so under a coding that is a body cut at its first byte. Zeros behind the
    end, which gzip(1) ignores, are refused like any other bytes. Raises DecodeError, UnknownCodingError
    before anything is decoded, TruncatedError, and TooLargeError as soon as there is too much.
    """
    named = [coding for coding in codings if coding != "identity"]
    if len(named) > MAX_CODINGS:
        raise UnknownCodingError(f"{len(named)} content codings, more than {MAX_CODINGS}")
    for coding in named:
        if coding not in _CODINGS:
            raise UnknownCodingError(f"unknown content coding {coding[:40]!r}")
    for coding in reversed(named):
        body = _undone(body, coding, max_bytes)
    return body


def _undone(body: bytes, coding: str, max_bytes: int) -> bytes:
    try:
        with BytesIO() as whole:  # hands its buffer over, and holds it no longer than this: an error's traceback would
            for piece in _pieces(body, *_CODINGS[coding]):
                whole.write(piece)
                if 0 < max_bytes < whole.tell():
                    raise TooLargeError(f"{coding}: more than {max_bytes} bytes decoded")
            return whole.getvalue()
    except (zlib.error, brotli.error, zstd.ZstdError) as exc:
        raise DecodeError(f"{coding}: {exc}") from exc
    except EOFError:
        raise TruncatedError(f"{coding}: the body of {len(body)} bytes ends before the stream does") from None


# A part (a gzip member, a zstd frame, a whole stream of the others) is undone by a generator of decoded pieces. It is
# given the body and where the part begins, returns where it ends, and raises EOFError when the body ends before.


def _pieces(body: bytes, part: Part, first_bytes: bytes) -> Iterator[bytes]:
    """All parts of a body. first_bytes: those with which another part may begin; none: there is but one."""
    view, at = memoryview(body), 0
    for _ in range(MAX_PARTS):
        at = yield from part(view, at)
        if at == len(body):
            return
        if body[at] not in first_bytes:
            raise DecodeError(f"{len(body) - at} bytes follow the end of the stream")
    raise DecodeError(f"a body of more than {MAX_PARTS} parts")


def _gzip(view: memoryview, at: int) -> Pieces:
    return _inflate(view, at, 16 + zlib.MAX_WBITS)


def _deflate(view: memoryview, at: int) -> Pieces:
    # As RFC 9110 has it, or without the zlib wrapper, as some servers do. The wrapper begins with an 8 in the low
    # half byte (RFC 1950); a raw stream's first bits would be a stored block whose padding is not zero.
    wrapped = len(view) == 0 or view[0] & 0x0F == 8
    return _inflate(view, at, zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)


def _inflate(view: memoryview, at: int, wbits: int) -> Pieces:
    decoder = zlib.decompressobj(wbits)
    while not decoder.eof:
        fed = view[at : at + INPUT_BYTES]
        piece = decoder.decompress(fed, OUTPUT_BYTES)
        at += len(fed) - len(decoder.unconsumed_tail) - len(decoder.unused_data)
        yield piece
        if not (fed or piece or decoder.eof):
            raise EOFError
    return at


def _zstd(view: memoryview, at: int) -> Pieces:
    decoder = zstd.ZstdDecompressor(options=ZSTD_OPTIONS)
    while not decoder.eof:
        fed = view[at : at + INPUT_BYTES] if decoder.needs_input else b""
        piece = decoder.decompress(fed, OUTPUT_BYTES)
        at += len(fed)
        yield piece
        if not (fed or piece or decoder.eof):
            raise EOFError
    return at - len(decoder.unused_data)


def _brotli(view: memoryview, at: int) -> Pieces:
    decoder = brotli.Decompressor()  # refuses by itself what follows the end in the same input
    while not decoder.is_finished():
        fed = view[at : at + INPUT_BYTES] if decoder.can_accept_more_data() else b""
        piece = decoder.process(fed, output_buffer_limit=OUTPUT_BYTES)
        at += len(fed)
        yield piece
        if not (fed or piece or decoder.is_finished()):
            raise EOFError
    return at


_ZSTD_FIRST_BYTES: Final = b"\x28" + bytes(range(0x50, 0x60))  # of a frame, of skippable frames (RFC 8878, 3.1)

_CODINGS: Final[dict[str, tuple[Part, bytes]]] = {
    "gzip": (_gzip, b"\x1f"),
    "x-gzip": (_gzip, b"\x1f"),
    "deflate": (_deflate, b""),
    "br": (_brotli, b""),
    "zstd": (_zstd, _ZSTD_FIRST_BYTES),
}
