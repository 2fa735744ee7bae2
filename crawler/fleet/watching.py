"""One bar for a whole fleet, or a line now and then where nobody watches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from crawler.meter.progress import line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crawler.fleet.engine import Look
    from crawler.fleet.sums import Sums
    from crawler.meter import Bar


class Watching:
    """Takes what the fleet saw, every look. bar: None for lines, every *line_s* seconds; 0 for none."""

    def __init__(self, sums: Sums, *, bar: Bar | None, line_s: float, tell: Callable[[str], None]) -> None:
        self._sums, self._bar, self._tell = sums, bar, tell
        self._line_s = line_s
        self._next_s = time.monotonic() + line_s

    def show(self, looks: Sequence[Look], *, is_stopping: bool) -> None:
        now_s = time.monotonic()
        at = self._sums.see(looks, is_stopping=is_stopping)
        if self._bar is not None:
            self._bar.show(at)
        elif self._line_s and at.limit and now_s >= self._next_s:
            self._next_s = now_s + self._line_s
            self._tell(line(at))

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
