"""Packed bytes to plain ones: gzip, bzip2, xz and zstd, in constant memory. Knows no files and no lines.

Several members (streams, frames) in a row are one list, as `cat a.gz b.gz` makes them. What is cut or
damaged is an error, after all that could be unpacked before it.
"""

from __future__ import annotations

import bz2
import lzma
import sys
import zlib
from typing import TYPE_CHECKING, Final, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CHUNK_BYTES: Final = 64 * 1024  # a pipe's buffer; four times as much is no faster and holds four times as many lines

MAGIC: Final = {
    "gzip": (b"\x1f\x8b",),
    "bzip2": (b"BZh",),
    "xz": (b"\xfd7zXZ\x00",),
    "zstd": (b"\x28\xb5\x2f\xfd", *(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60))),  # RFC 8878, 3.1
}
"""How packed bytes begin; zstd may begin with a skippable frame."""

MAGIC_BYTES: Final = max(len(magic) for magics in MAGIC.values() for magic in magics)

_XZ_MEMORY_BYTES: Final = 128 * 1024 * 1024  # `xz -9` takes 65 MiB to unpack; a list that asks for more is an attack


class _Member(Protocol):
    """What the decompressors of the standard library have in common but for zlib's."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the face of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)  # 16 + 15: a gzip header and checksum

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_MEMBERS: Final[dict[str, Callable[[], _Member]]] = {
    "gzip": _Gzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES),
    "zstd": zstd.ZstdDecompressor,
}

_PADDING: Final = {"gzip": b"\0", "xz": b"\0"}
"""What may follow a member and mean nothing: gzip's as tape archives leave it, xz's by its specification."""


def packing_of(begin: bytes) -> str | None:
    """How bytes that begin so are packed; None for not at all. begin: MAGIC_BYTES or all there is."""
    return next((name for name, magics in MAGIC.items() if begin.startswith(magics)), None)


def unpack(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The plain bytes, at most CHUNK_BYTES at a time, each as soon as it can be had. name: of MAGIC.

    Raises EOFError when the bytes end too early, OSError when they are damaged.
    """
    try:
        yield from _unpack(chunks, name)
    except EOFError:
        raise EOFError(f"the {name} data is cut short") from None


def _unpack(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    padding = _PADDING.get(name, b"")
    member: _Member | None = None
    for chunk in chunks:
        rest = chunk
        while rest or (member is not None and not member.needs_input):
            if member is None:
                rest = rest.lstrip(padding) if padding else rest
                if not rest:
                    break
                if not any(rest[: len(magic)] == magic[: len(rest)] for magic in MAGIC[name]):
                    raise OSError(f"the {name} data is damaged: other bytes follow its end")
                member = _MEMBERS[name]()
            if plain := _decompress(member, rest, name):
                yield plain
            rest = b""
            if member.eof:
                rest, member = member.unused_data, None
    if member is not None:
        while plain := _decompress(member, b"", name):  # what a cut left in its hands
            yield plain
        raise EOFError


def _decompress(member: _Member, data: bytes, name: str) -> bytes:
    try:
        return member.decompress(data, CHUNK_BYTES)
    except (OSError, zlib.error, lzma.LZMAError, zstd.ZstdError, ValueError) as exc:
        raise OSError(f"the {name} data is damaged: {exc}") from exc
