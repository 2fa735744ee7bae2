"""A parent that is told how far the run is: whoever starts a crawl with a pipe gets each Progress as a line.

`crawler.fetch` shows it as a bar, `scrapy fleet` adds up those of its parts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from crawler.meter.progress import TELL, as_json

if TYPE_CHECKING:
    from crawler.meter import Progress


class ToldBar:
    """A Bar, that tells a pipe, and waits for nobody: what does not fit is left out, and the next one is newer."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_blocking(fd, False)
        os.set_inheritable(fd, False)

    @classmethod
    def asked_for(cls) -> Self | None:
        """None when nobody asked. What this process starts is not asked."""
        fd = os.environ.pop(TELL, "")
        return cls(int(fd)) if fd.isdecimal() else None

    def show(self, progress: Progress) -> None:
        try:
            os.write(self._fd, f"{as_json(progress)}\n".encode())  # shorter than PIPE_BUF: whole, or not at all
        except OSError:
            return  # it is full, or nobody reads any more: the run goes on

    def stop(self) -> None:
        """Nothing: whoever shows it sees the end of the pipe."""
