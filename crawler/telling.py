"""One line that says how far a command has come: renewed on a terminal, now and then a new one elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

RENEWED_S: Final = 0.1
"""As often as an eye can follow."""

LINE_S: Final = 30.0
"""Between lines where nobody watches: in a log a day is 2,880 of them."""


def is_for_people(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether somebody looks at it, on a terminal that can move its cursor."""
    return stream.isatty() and environ.get("TERM") != "dumb"


def wants_bar(shows: str, stream: TextIO, environ: Mapping[str, str], *, logs_to_file: bool) -> bool:
    """Whether a bar is shown there. shows: APIFETCH_PROGRESS."""
    return shows == "bar" or (shows == "auto" and is_for_people(stream, environ) and not logs_to_file)


class Telling:
    """Says what it is told, but not more often than somebody can read. A context; leaving it clears the line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._every_s = RENEWED_S if self._is_terminal else LINE_S
        self._next_s = time.monotonic() + self._every_s
        self._shown = 0

    def say(self, text: Callable[[], str]) -> None:
        """Show a text, made only when its time has come."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + self._every_s
        line = text()
        if self._is_terminal:
            self._stream.write(f"\r{line}{' ' * (self._shown - len(line))}")
            self._shown = len(line)
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Make room for a line of something else."""
        if self._shown:
            self._stream.write(f"\r{' ' * self._shown}\r")
            self._stream.flush()
            self._shown = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.clear()
