"""How much of a list's file was read, for an estimate of its length: cheap, and None where it would be a guess."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.sources.packed import CHUNK_BYTES, MAGIC_BYTES, packing_of

if TYPE_CHECKING:
    import io
    from collections.abc import Sequence


class Share:
    """The part of a file that is behind the reader. For who reads: call it with each block."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        status = os.fstat(file.fileno())
        self._size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        self._is_compressed = bool(self._size) and packing_of(os.pread(file.fileno(), MAGIC_BYTES, 0)) is not None

    def lines_about(self, known: int) -> int | None:
        """Give how many lines the file has about. known: lines up to where it is read; None for a pipe.

        Of a compressed file the last chunk may hold many times what was made of it so far: while that matters, the
        answer is None.
        """
        if not self._size:
            return None
        at = self._file.tell()
        if self._is_compressed and not 4 * CHUNK_BYTES <= at < self._size:
            return None
        return round(known * self._size / at) if at else None


class Sizes:
    """The files of a list of several, by their sizes. opened: how many of them, in order, are read or being read."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files = files
        self._bytes: list[int] = []
        self.opened = 0

    def lines_about(self, known: int) -> int | None:
        """Give how many lines all of them have about. known: lines of those that were opened."""
        if not self._bytes:
            with suppress(OSError):  # one is gone: the list says so when its turn comes
                self._bytes = [Path(file).stat().st_size for file in self._files]
        before = sum(self._bytes[: self.opened])
        return round(known * sum(self._bytes) / before) if before else None
