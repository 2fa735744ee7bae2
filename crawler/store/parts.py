"""Parts: many envelopes in one zstd file, a line each, so that tens of millions of small bodies are some hundred files.

Owns how lines stand in a part, and how one is found again. Every frame is a zstd frame of its own (RFC 8878) with a
checksum, so that a part is what `zstdcat`, Spark and DuckDB read, and a line is read without what stands before its
frame. Knows nothing of when a part begins and ends, and nothing of the ledger.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import time
from collections import OrderedDict
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from crawler.exceptions import BodyError
from crawler.store.bodies import Reader
from crawler.store.files import open_regular
from crawler.store.tree import FileReader

if sys.version_info >= (3, 14):
    from compression import zstd
else:  # the same module, which Scrapy brings along
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

ENDING: Final = ".jsonl.zst"

FRAME_BYTES: Final = 512 * 1024
"""Most bytes of lines in a frame, unless one line is longer. Of 1.4 kB lines with 1 kB of text, 256 in a frame pack to
0.23 of their size, 16 to 0.35, one by itself to 0.64; one is read at random in 0.4, 0.05 and 0.03 ms."""

LEVEL: Final = 3
"""6 us a line, zstd's own default. Level 1 saves 1.5 us and takes 10 % more room; level 6 costs 9 us more for 0.5 %."""

KEPT_FRAMES: Final = 8
"""Frames that a reader keeps: whoever reads in the order of the list comes back to one until all of it is read."""

HARDER: Final = (LEVEL, 9, 19)
"""Levels in turn, where what is left of a frame has to fit in its place."""

_SKIPPABLE: Final = Struct("<II")  # RFC 8878, 3.1.2: a magic number, then how many bytes to pass over
_SKIPPABLE_MAGIC: Final = 0x184D2A50
_CHECKED: Final[dict[int, int]] = {
    zstd.CompressionParameter.checksum_flag: 1,
    zstd.CompressionParameter.content_size_flag: 1,
}
MOST_BYTES: Final = 2**31
"""Of a line: more than an answer can have (DOWNLOAD_MAXSIZE)."""

_SPOT: Final = re.compile(
    r"(?P<part>(?:responses|errors)/[0-9a-f]{15}-[0-9]{5,}\.jsonl\.zst)#([0-9]{1,15})\+([0-9]{1,15})/([0-9]{1,15})\+([0-9]{1,15})"
)


class Spot(NamedTuple):
    """Where a line stands. at, size: of its frame in the part. line_at, line_size: of the line in what is unpacked."""

    part: str
    at: int
    size: int
    line_at: int
    line_size: int

    def __str__(self) -> str:
        return f"{self.part}#{self.at}+{self.size}/{self.line_at}+{self.line_size}"

    @classmethod
    def parse(cls, location: str) -> Self:
        """Raises BodyError: a ledger that somebody else wrote leads nowhere else."""
        found = _SPOT.fullmatch(location)
        if found is None:
            raise BodyError(f"{location!r} is no place in a part")
        part, *numbers = found.groups()
        return cls(part, *map(int, numbers))


class PartNames:
    """Names of the parts of one run alone, also beside others in one place. They sort by the time at which it began."""

    def __init__(self) -> None:
        self._run = f"{int(time.time() * 1000):011x}{secrets.token_hex(2)}"
        self._count = 0

    def next(self, tree: str) -> str:
        self._count += 1
        return f"{tree}/{self._run}-{self._count:05}{ENDING}"


def check_name(part: str) -> None:
    """Raises BodyError where that is no name of a part."""
    Spot.parse(str(Spot(part, 0, 0, 0, 0)))


def locations(part: str, at: int, size: int, lines: Iterable[bytes]) -> list[str]:
    """Where the lines of a frame stand, each a `Spot` as text. at, size: of the frame."""
    frame, line_at, found = f"{part}#{at}+{size}/", 0, []
    for line in lines:
        found.append(f"{frame}{line_at}+{len(line)}")  # a fifth of what str(Spot(...)) takes
        line_at += len(line)
    return found


def line_start(uuid: str) -> bytes:
    """How each line of a call begins."""
    return b'{"uuid":"%s"' % uuid.encode()


def pack(lines: Iterable[bytes], level: int = LEVEL) -> bytes:
    """A frame, with a checksum, that says how much it holds."""
    options: dict[int, int] = {zstd.CompressionParameter.compression_level: level, **_CHECKED}
    return zstd.compress(b"".join(lines), options=options)


def skipped(size: int) -> bytes:
    """A frame that readers pass over, of so many bytes, at least 8."""
    return _SKIPPABLE.pack(_SKIPPABLE_MAGIC, max(0, size - _SKIPPABLE.size)) + bytes(max(0, size - _SKIPPABLE.size))


def frames(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the frames of a part are, and how long. Raises ValueError at the first that is none."""
    view, at = memoryview(data), 0
    while at < len(view):
        try:
            size = zstd.get_frame_size(view[at:])
        except zstd.ZstdError as exc:
            raise ValueError(f"no frame at byte {at}: {exc}") from exc
        yield at, size
        at += size


def framed(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Lines in order, shared out among frames."""
    frame: list[bytes] = []
    size = 0
    for line in lines:
        if frame and size + len(line) > FRAME_BYTES:
            yield frame
            frame, size = [], 0
        frame.append(line)
        size += len(line)
    if frame:
        yield frame


def unpack(frame: bytes, *, most_bytes: int = MOST_BYTES) -> bytes:
    """The lines of a frame. Raises ValueError when it is damaged, or says that it holds more than that."""
    try:
        size = zstd.get_frame_info(frame).decompressed_size
        if size is None or size > most_bytes:
            raise ValueError(f"it says that it holds {size} bytes")
        return zstd.decompress(frame)
    except zstd.ZstdError as exc:
        raise ValueError(str(exc)) from exc


class PartReader(Reader):
    """The parts of a directory (a `Reader`). A frame is unpacked once for all its lines that are read in a row.

    where: as errors name the output, None: by its path.
    """

    def __init__(self, out: Path, where: str | None = None) -> None:
        self._out = out
        self._where = where or str(out)
        self._frames: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()

    def read(self, location: str) -> bytes:
        spot = Spot.parse(location)
        key = spot[:3]
        lines = self._frames.get(key)
        if lines is None:
            lines = self._frames[key] = self._read_frame(spot)
            if len(self._frames) > KEPT_FRAMES:
                self._frames.popitem(last=False)
        else:
            self._frames.move_to_end(key)
        line = lines[spot.line_at : spot.line_at + spot.line_size]
        if len(line) != spot.line_size:
            raise BodyError(f"{self._where}/{location}: its frame holds {len(lines)} bytes")
        return line

    def size(self, part: str) -> int | None:
        """How many bytes a part has; None when it is not there."""
        try:
            return (self._out / part).stat().st_size
        except OSError:
            return None

    def sizes(self, tree: str) -> Iterator[tuple[str, int]]:
        """The parts of a tree, and whatever else is there, with their bytes."""
        return ((name, self.size(name) or 0) for name in FileReader(self._out).below(tree))

    def whole(self, part: str) -> bytes:
        """A whole part, as it is packed. Raises BodyError."""
        return self._packed(Spot(part, 0, self.size(part) or 0, 0, 0))

    def close(self) -> None:
        """No file is open."""

    def _packed(self, spot: Spot) -> bytes:
        """A frame as it is packed, cut where the part ends. Raises BodyError."""
        path = self._out / spot.part
        fd = open_regular(path)
        try:
            return os.pread(fd, min(spot.size, os.fstat(fd).st_size), spot.at)
        except OSError as exc:
            raise BodyError(f"{path}: {exc.strerror}") from exc
        finally:
            os.close(fd)

    def _read_frame(self, spot: Spot) -> bytes:
        shown, frame = f"{self._where}/{spot.part}", self._packed(spot)
        if len(frame) < spot.size:
            raise BodyError(f"{shown} ends before byte {spot.at + spot.size}")
        try:
            return unpack(frame, most_bytes=max(FRAME_BYTES, spot.line_at + spot.line_size))
        except ValueError as exc:
            raise BodyError(f"{shown}: the frame at byte {spot.at} is damaged: {exc}") from exc
