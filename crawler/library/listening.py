"""What a crawl's process says, as it comes: its log and how far it is, passed on to whoever looks."""

from __future__ import annotations

import os
import selectors
import sys
from collections import deque
from typing import TYPE_CHECKING, Final

from crawler.meter.progress import from_json
from crawler.telling import is_for_people

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.meter import Bar

LAST_LINES: Final = 20
"""How many lines of the log are kept, for the message when there is no result."""

_PIECE_BYTES: Final = 65536


def bar_for_people(progress: bool | None, *, quiet: bool) -> Bar | None:
    """A bar on the terminal or below the notebook's cell. None: nobody looks, or none is wanted.

    progress: whether one is wanted; None: unless *quiet*.
    """
    if not (not quiet if progress is None else progress):
        return None
    from crawler.bar import NotebookBar, TerminalBar, is_notebook  # noqa: PLC0415  # 60 ms of imports

    if is_notebook():
        return NotebookBar()
    if is_for_people(sys.stderr, os.environ):
        return TerminalBar(sys.stderr, in_loop=False)
    return None


class Listening:
    """Reads pipes to their ends. log: what both stdout and stderr come to; told: the pipe of a bar, or None.

    Lines of the log go to sys.stderr as it is at that moment (below the cell, above the bar), unless *quiet*.
    """

    def __init__(self, log: int, told: int | None, *, bar: Bar | None, quiet: bool) -> None:
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        self._bar = bar
        self._quiet = quiet
        self._begun: dict[int, bytes] = {}
        self._selector = selectors.DefaultSelector()
        for fd, take in ((log, self._take_line), (told, self._take_progress)):
            if fd is not None:
                self._selector.register(fd, selectors.EVENT_READ, take)

    def to_end(self) -> None:
        """Return when all is said. May be called again after an exception, and goes on."""
        while self._selector.get_map():
            for key, _ in self._selector.select():
                self._read(key.fd, key.data)

    def close(self) -> None:
        self._selector.close()

    def _read(self, fd: int, take: Callable[[bytes], None]) -> None:
        piece = os.read(fd, _PIECE_BYTES)
        *lines, self._begun[fd] = (self._begun.get(fd, b"") + piece).split(b"\n")
        if not piece:
            self._selector.unregister(fd)
            lines = [line for line in (self._begun[fd],) if line]
        for line in lines:
            take(line)

    def _take_line(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        self.last.append(text)
        if not self._quiet:
            sys.stderr.write(f"{text}\n")

    def _take_progress(self, line: bytes) -> None:
        if self._bar is not None:
            self._bar.show(from_json(line))
