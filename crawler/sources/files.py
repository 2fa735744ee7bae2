"""A path to bytes.

Owns: opening a file or standard input, unpacking it, telling what is no list at all, and whether a list
changed. Knows no lines and no formats.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import os
import re
import select
import stat
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crawler.exceptions import ListError
from crawler.sources.names import STDIN, packing
from crawler.sources.packed import CHUNK_BYTES, MAGIC_BYTES, packing_of, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NO_LIST: Final = {
    b"PK\x03\x04": "a zip archive (Excel's files are such): unpack it, or save the sheet as CSV",
    b"PAR1": "Parquet under another name: rename it to .parquet, or say format=parquet",
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"%PDF-": "a PDF document: copy its URLs into a text file, one a line",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"SQLite": "a SQLite database: write its URLs to a file, one a line",
    b"\x7fELF": "a program",
    b"{\\rtf": "a document of a word processor: save it as plain text",
}
"""What is never a list of URLs, by its first bytes, and what to do."""

_HTML: Final = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype|html|head|body|\?xml)\b", re.IGNORECASE | re.DOTALL)
_TAR: Final = slice(257, 262), b"ustar"
_BOM: Final = b"\xef\xbb\xbf"
_FINGERPRINT_BYTES: Final = 64 * 1024  # from each end: a millisecond, whatever the size of the list


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
        raise ListError(_unreadable(path, exc)) from exc
    return Fingerprint(status.st_size, status.st_mtime_ns, digest.hexdigest())


def open_bytes(path: str) -> tuple[Iterator[bytes], io.FileIO]:
    """The bytes of the list, unpacked, as they arrive, without a BOM; and the file to close.

    The iterator raises OSError or EOFError when the bytes break off.
    Raises ListError when it cannot be read or is no text.
    """
    try:
        # Unbuffered: what a pipe has is had at once, and no lock is held in a blocked read at exit.
        file = io.FileIO(0, closefd=False) if path == STDIN else io.FileIO(path)
    except (OSError, ValueError) as exc:
        raise ListError(_unreadable(path, exc)) from exc
    try:
        return _text(path, file), file
    except (OSError, EOFError) as exc:
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
    packed, said = packing_of(begin), packing(path)
    if said is not None and packed != said:
        what = f"is {packed}" if packed else "is not packed at all" if begin else "is empty"
        raise ListError(f"{path}: the name says {said}, but it {what}: rename it, or pack it again (not {said} now)")
    if packed is not None:
        begin, chunks = peek(unpack(chunks, packed), _shows_its_kind)
    if why := _no_list(begin):
        raise ListError(f"{path}: is {why}. A list is text, UTF-8, a URL or call a line")
    if begin.startswith(_BOM):
        return chain([next(chunks)[len(_BOM) :]], chunks)
    return chunks


def _no_list(begin: bytes) -> str | None:
    """What the bytes are, and what to do about it; None when they may be a list."""
    for magic, why in _NO_LIST.items():
        if begin.startswith(magic):
            return why
    if packed := packing_of(begin):
        return f"packed twice: what is inside is {packed} again. Unpack it once"
    at, magic = _TAR
    if begin[at] == magic:
        return "a tar archive: unpack it, and name the list in it"
    if _HTML.match(begin.removeprefix(_BOM)):
        return "a web page (HTML or XML), perhaps an error or login page saved in the list's place"
    return None


def _shows_its_kind(begin: bytes) -> bool:
    return len(begin) >= MAGIC_BYTES


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


def why_unreadable(exc: Exception) -> str:
    """What to say of an error of opening a path."""
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


def _unreadable(path: str, exc: Exception) -> str:
    return f"{path}: {why_unreadable(exc)}{_near(path) if isinstance(exc, FileNotFoundError) else ''}"


def _near(path: str) -> str:
    """A question that names a file much like the one that is not there; "" without one."""
    missing = Path(path)
    try:
        names = [file.name for file in missing.parent.iterdir() if not file.name.startswith(".")]
    except OSError:
        return ""
    found = difflib.get_close_matches(missing.name, names, n=1)
    return f" (did you mean {missing.parent / found[0]}?)" if found else ""
