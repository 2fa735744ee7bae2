"""Content codings: whole, cut, damaged, mislabelled, and bombs."""

from __future__ import annotations

import gzip
import sys
import zlib
from typing import TYPE_CHECKING, Final

import brotli  # type: ignore[import-untyped]  # it has no types

from crawler.items import Outcome
from tests.hostile.behaviour import MAX_BYTES, Behaviour, answer, chunked, head, says

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CHECKSUM: Final[Mapping[int, int]] = {zstd.CompressionParameter.checksum_flag: 1}
TEXT: Final = b"[" + b",".join(b"%d" % (n * n % 9973) for n in range(4000)) + b"]"
"""20 kB that pack to a third."""

BOMB: Final = bytes(10 * MAX_BYTES)


def gz(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def zstd_checked(body: bytes) -> bytes:
    return zstd.compress(body, options=CHECKSUM)


PACK: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": gz,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd_checked,
}
"""The codings of the web (RFC 9110, section 8.4.1; RFC 7932; RFC 8878)."""


def coded(coding: str, body: bytes, *, start: str = "HTTP/1.1 200 OK") -> bytes:
    return answer(body, f"Content-Encoding: {coding}", "Content-Type: application/json", start=start)


def whole(name: str, note: str, response: bytes, *, body: bytes = TEXT) -> Behaviour:
    return Behaviour(name=name, note=note, serve=says(response), outcome=Outcome.OK, status=200, body=body)


def fails(name: str, note: str, response: bytes, outcome: Outcome = Outcome.DECODE) -> Behaviour:
    return Behaviour(name=name, note=note, serve=says(response), outcome=outcome, status=200)


def flipped(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 0x10]) + body[at + 1 :]


def every_coding() -> list[Behaviour]:
    made = []
    for coding, pack in PACK.items():
        packed = pack(TEXT)
        made += [
            whole(f"{coding}-good", f"{coding}, whole", coded(coding, packed)),
            fails(
                f"{coding}-half", f"{coding}, cut in half", coded(coding, packed[: len(packed) // 2]), Outcome.TRUNCATED
            ),
            fails(
                f"{coding}-cut-by-1", f"{coding} without its last byte", coded(coding, packed[:-1]), Outcome.TRUNCATED
            ),
            fails(f"{coding}-first-byte", f"the first byte of {coding}", coded(coding, packed[:1]), Outcome.TRUNCATED),
            fails(f"{coding}-empty", f"no body, said to be {coding}", coded(coding, b""), Outcome.TRUNCATED),
            whole(f"{coding}-of-nothing", f"{coding} of no bytes", coded(coding, pack(b"")), body=b""),
            fails(f"{coding}-and-more", f"bytes behind the end of {coding}", coded(coding, packed + b"garbage")),
            fails(f"{coding}-label-only", f"plain text, said to be {coding}", coded(coding, TEXT)),
            fails(
                f"{coding}-bomb",
                f"{coding} of ten times DOWNLOAD_MAXSIZE",
                coded(coding, pack(BOMB)),
                Outcome.TOO_LARGE,
            ),
        ]
    return made


GZIP: Final = gz(TEXT)
STACKED: Final = gz(gz(gz(TEXT)))

GROUP: Final = (
    *every_coding(),
    whole(
        "gzip-chunked", "gzip in chunks", head("Content-Encoding: gzip", "Transfer-Encoding: chunked") + chunked(GZIP)
    ),
    whole("gzip-closes", "gzip to the end of the connection", head("Content-Encoding: gzip") + GZIP),
    whole("gzip-x", "its old name x-gzip", coded("x-gzip", GZIP)),
    whole("gzip-upper-case", "Content-Encoding: GZIP", coded("GZIP", GZIP)),
    whole("gzip-members", "two members, one after the other", coded("gzip", gz(TEXT[:99]) + gz(TEXT[99:]))),
    whole("gzip-twice", "gzip of gzip", coded("gzip, gzip", gz(GZIP))),
    whole(
        "gzip-two-lines",
        "gzip of br, said in two lines",
        answer(gz(brotli.compress(TEXT)), "Content-Encoding: br", "Content-Encoding: gzip"),
    ),
    whole(
        "deflate-raw", "deflate without the zlib wrapper, as some servers send it", coded("deflate", raw_deflate(TEXT))
    ),
    whole("identity", "Content-Encoding: identity", coded("identity", TEXT)),
    whole("coding-empty", "an empty Content-Encoding", coded("", TEXT)),
    whole("zstd-no-checksum", "zstd without a checksum", coded("zstd", zstd.compress(TEXT))),
    fails("gzip-flipped", "a bit flipped in the data", coded("gzip", flipped(GZIP, len(GZIP) // 2))),
    fails("gzip-crc", "a wrong checksum", coded("gzip", flipped(GZIP, -8 + len(GZIP)))),
    fails("gzip-size", "a wrong length in the trailer", coded("gzip", flipped(GZIP, -2 + len(GZIP)))),
    fails("gzip-no-trailer", "without checksum and length", coded("gzip", GZIP[:-8]), Outcome.TRUNCATED),
    fails("gzip-zeros", "zeros behind the end", coded("gzip", GZIP + bytes(512))),
    fails("gzip-html", "an HTML page, said to be gzip", coded("gzip", b"<html>an error</html>")),
    fails("gzip-is-br", "br, said to be gzip", coded("gzip", brotli.compress(TEXT))),
    fails("gzip-is-deflate", "zlib, said to be gzip", coded("gzip", zlib.compress(TEXT))),
    fails(
        "deflate-flipped",
        "a wrong checksum",
        coded("deflate", flipped(zlib.compress(TEXT), len(zlib.compress(TEXT)) - 2)),
    ),
    fails("zstd-flipped", "a wrong checksum", coded("zstd", flipped(zstd_checked(TEXT), len(zstd_checked(TEXT)) - 2))),
    fails(
        "gzip-members-cut",
        "the second member cut",
        coded("gzip", gz(TEXT[:99]) + gz(TEXT[99:])[:-9]),
        Outcome.TRUNCATED,
    ),
    fails("gzip-three-times", "three codings stacked", coded("gzip, gzip, gzip", STACKED)),
    fails("gzip-ten-times", "ten codings stacked", coded(", ".join(["gzip"] * 10), STACKED)),
    fails("gzip-bomb-in-gzip", "a bomb within gzip", coded("gzip, gzip", gz(gz(BOMB))), Outcome.TOO_LARGE),
    fails("coding-unknown", "Content-Encoding: foo", coded("foo", TEXT)),
    fails("coding-parameter", "gzip;q=1", coded("gzip;q=1", GZIP)),
    fails("coding-compress", "compress, which nobody has sent for 20 years", coded("compress", TEXT)),
    Behaviour(
        name="gzip-bad-404",
        note="an error page that is no gzip: the status says enough",
        serve=says(coded("gzip", b"not found", start="HTTP/1.1 404 Not Found")),
        outcome=Outcome.HTTP_ERROR,
        status=404,
    ),
    Behaviour(
        name="gzip-204",
        note="204 with Content-Encoding",
        serve=says(head("Content-Encoding: gzip", start="HTTP/1.1 204 No Content")),
        outcome=Outcome.OK,
        status=204,
        body=b"",
    ),
    Behaviour(
        name="gzip-short-length",
        note="gzip whose connection ends before its Content-Length",
        serve=says(coded("gzip", GZIP)[:-9]),
        outcome=Outcome.TRUNCATED,
    ),
)
