"""A path to bytes.

Owns: opening a file or standard input, gzip, telling whether a list changed, and what a list is called.
Knows no lines and no formats beyond the endings of their names.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import select
import stat
import zlib
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crawler.exceptions import ListError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

STDIN: Final = "-"

FORMATS: Final = {
    ".txt": "txt", ".list": "txt", ".urls": "txt",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl", ".jl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
"""What the ending of a name says about the lines."""

CHUNK_BYTES: Final = 64 * 1024  # a pipe's buffer; four times as much is no faster and holds four times as many lines
_GZIP: Final = b"\x1f\x8b"
_NOT_TEXT: Final = {
    b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"PAR1": "parquet",
    b"\xff\xfe": "UTF-16 text", b"\xfe\xff": "UTF-16 text",
}  # fmt: skip
_BOM: Final = b"\xef\xbb\xbf"
_MAGIC_BYTES: Final = 5  # the longest of the above; no list with a URL in it is shorter
_FINGERPRINT_BYTES: Final = 64 * 1024  # from each end: a millisecond, whatever the size of the list
_NAME_CHARS: Final = 60  # of up to 4 bytes each, within the 255 bytes of a folder name


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Equal fingerprints: the same list. digest: SHA-256, in hex, of the first and the last 64 KiB."""

    size_bytes: int
    mtime_ns: int
    digest: str


def fingerprint(path: str) -> Fingerprint | None:
    """None for what can be read only once (standard input, a pipe). Raises ListError when unreadable."""
    if path == STDIN:
        return None
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return None
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            digest = hashlib.sha256(file.read(_FINGERPRINT_BYTES))
            file.seek(max(0, status.st_size - _FINGERPRINT_BYTES))
            digest.update(file.read(_FINGERPRINT_BYTES))
    except (OSError, ValueError) as exc:
        raise ListError(f"{path}: {_why(exc)}") from exc
    return Fingerprint(status.st_size, status.st_mtime_ns, digest.hexdigest())


def name_format(path: str) -> str | None:
    """The format that the name of the file tells; None when it tells none."""
    return FORMATS.get(Path(path.lower().removesuffix(".gz")).suffix)


def list_name(path: str) -> str:
    """What the list is called, without folder and endings; safe as the name of a folder."""
    if path == STDIN:
        return "stdin"
    name = Path(path).name
    if name.lower().endswith(".gz"):
        name = name[:-3]
    if Path(name).suffix.lower() in FORMATS:
        name = Path(name).stem
    return re.sub(r"[^\w.-]+", "_", name).strip(".")[:_NAME_CHARS] or "list"


def open_bytes(path: str) -> tuple[Iterator[bytes], io.FileIO]:
    """The bytes of the list, inflated, as they arrive, without a BOM; and the file to close.

    The iterator raises OSError, EOFError or zlib.error when the bytes break off.
    Raises ListError when it cannot be read or is no text.
    """
    try:
        # Unbuffered: what a pipe has is had at once, and no lock is held in a blocked read at exit.
        file = io.FileIO(0, closefd=False) if path == STDIN else io.FileIO(path)
    except (OSError, ValueError) as exc:
        raise ListError(f"{path}: {_why(exc)}") from exc
    try:
        return _text(path, file), file
    except (OSError, EOFError, zlib.error) as exc:
        file.close()
        raise ListError(f"{path}: cannot be read: {exc}") from exc
    except ListError:
        file.close()
        raise


def peek(chunks: Iterator[bytes], enough: Callable[[bytes], bool]) -> tuple[bytes, Iterator[bytes]]:
    """The beginning of *chunks*, as soon as it is *enough* or all there is; and all of the chunks again."""
    begin = b""
    for chunk in chunks:
        begin += chunk
        if enough(begin):
            break
    return begin, chain([begin], chunks)


def _text(path: str, file: io.FileIO) -> Iterator[bytes]:
    begin, chunks = peek(_read(file), _shows_its_kind)
    if begin.startswith(_GZIP):
        begin, chunks = peek(_inflate(chunks), _shows_its_kind)
    elif path.lower().endswith(".gz"):
        raise ListError(f"{path}: is named .gz but is not gzip: rename it, or compress it again")
    for magic, kind in _NOT_TEXT.items():
        if begin.startswith(magic):
            raise ListError(f"{path}: is {kind}; a list is UTF-8 text, plain or gzip: convert it first")
    if begin.startswith(_BOM):
        return chain([next(chunks)[len(_BOM) :]], chunks)
    return chunks


def _shows_its_kind(begin: bytes) -> bool:
    return len(begin) >= _MAGIC_BYTES


def _read(file: io.FileIO) -> Iterator[bytes]:
    while True:
        try:
            chunk = file.read(CHUNK_BYTES)
        except ValueError as exc:  # closed by another thread
            raise OSError("closed while being read") from exc
        if chunk:
            yield chunk
        elif chunk is None:  # a pipe that somebody made non-blocking, with nothing in it: not the end
            select.select([file], [], [])
        else:
            return


def _inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """gzip, of one member or several (RFC 1952), at most CHUNK_BYTES at a time."""
    member = None
    for chunk in chunks:
        rest = chunk
        while rest:
            if member is None:
                rest = rest.lstrip(b"\0")  # padding, as tape archives leave it
                if not rest:
                    break
                member = zlib.decompressobj(wbits=31)  # 16 + 15: a gzip header and checksum
            if inflated := member.decompress(rest, CHUNK_BYTES):
                yield inflated
            rest = member.unused_data if member.eof else member.unconsumed_tail
            if member.eof:
                member = None
    if member is not None:
        yield member.flush()
        raise EOFError("the gzip data is cut short")


def _why(exc: Exception) -> str:
    match exc:
        case FileNotFoundError():
            return "no such file; the path counts from the folder where the command runs"
        case IsADirectoryError():
            return "is a folder; name one file in it"
        case PermissionError():
            return "may not be read by this user; check its permissions"
        case OSError():
            return f"cannot be read: {exc.strerror}"
        case _:
            return f"is no path: {exc}"
