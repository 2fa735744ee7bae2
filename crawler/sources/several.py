"""A list of several files: read one after the other, each opened when its turn comes.

Owns that order, the counts over all of them, and that one file is a list too. Which files there are, and what
a file is, is others'.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from crawler.sources.files import fingerprint
from crawler.sources.members import members
from crawler.sources.names import STDIN, is_url
from crawler.sources.share import Sizes
from crawler.sources.source import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crawler.items import BadLine, Entry
    from crawler.sources.source import FileSource, Shape, Source


class SeveralSource:
    """A Source of files, in the order given. Entries say which file is theirs."""

    is_dry = False

    def __init__(
        self,
        files: Sequence[str],
        shape: Shape,
        *,
        limit: int | None = None,
        skip: Callable[[str], Callable[[int], bool]] | None = None,
    ) -> None:
        """files: paths, as entries name them. skip: of a file, as `open_source` takes it. Raises ListError."""
        self._files = iter(files)
        self._sizes = Sizes(files)
        self._shape = shape
        self._limit = limit
        self._skip = skip
        self._count = self._skipped = 0  # of the files before
        self._closed = False
        self._current: FileSource | None = None
        self._open_next()

    @property
    def count(self) -> int:
        return self._count + (self._current.count if self._current else 0)

    @property
    def skipped(self) -> int:
        return self._skipped + (self._current.skipped if self._current else 0)

    @property
    def lines_about(self) -> int | None:
        if self._current is None:
            return self._count
        in_file = self._current.lines_about
        return None if in_file is None else self._sizes.lines_about(self._count + in_file)

    def next_batch(self, size: int) -> list[Entry | BadLine]:
        while not self._closed and self._current is not None:
            if batch := self._current.next_batch(size):
                return batch
            if not self._closed:
                self._open_next()
        return []

    def ack(self, entries: Sequence[Entry | BadLine], *, again: bool = False) -> None:
        """Files need no word of it."""

    def close(self) -> None:
        self._closed = True
        if self._current is not None:
            self._current.close()

    def _open_next(self) -> None:
        if self._current is not None:
            self._count += self._current.count
            self._skipped += self._current.skipped
            self._current.close()
            self._current = None
        left = None if self._limit is None else self._limit - self._count
        file = next(self._files, None) if left is None or left > 0 else None
        if file is not None:
            self._sizes.opened += 1
            skip = self._skip(file) if self._skip else None
            self._current = open_source(file, self._shape, limit=left, skip=skip, source=file)


def open_list(
    urls: str,
    files: Sequence[str] | None,
    shape: Shape,
    *,
    limit: int | None = None,
    skip: Callable[[str | None], Callable[[int], bool]] | None = None,
) -> Source:
    """Open a list, whatever it is. files: those it stands for; None: it is one. Raises ListError."""
    if files is not None:
        return SeveralSource(files, shape, limit=limit, skip=skip)
    return open_source(urls, shape, limit=limit, skip=skip(None) if skip else None)


CHECKED: Final = 1000
"""Files of a list that are looked into before a run: a fifth of a second's work."""


def check_list(urls: str, shape: Shape) -> None:
    """Look into the list, as far as that takes nothing from it. Raises ListError where it cannot be read."""
    if urls == STDIN or is_url(urls):
        return
    for path in islice(members(urls) or [urls], CHECKED):
        if fingerprint(path) is not None:  # what is read from a pipe would be lost
            open_source(path, shape).close()
