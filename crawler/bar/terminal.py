"""How the bar is painted at the bottom of a terminal, with the log scrolling above it.

Owns: every byte that goes to the terminal while the bar is there. The painting is ours, since rich's Live moves up by
the lines it once wrote, which a narrower window has wrapped to more. Here the cursor rests at the beginning of the
first line, where it stays whatever the window does: to paint is to write from there.
"""

from __future__ import annotations

import asyncio
import atexit
import io
import logging
import os
import select
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TextIO

from rich.console import Console

from crawler.bar.lines import lines_of

if TYPE_CHECKING:
    from crawler.meter import Progress

HIDE = "\x1b[?25l"
SHOW = "\x1b[?25h"
ERASE_LINE = "\x1b[K"
ERASE_DOWN = "\x1b[J"  # from the cursor to the end of the screen
CUT = "\x1b[?7l"
WRAP = "\x1b[?7h"  # what is too long: a window is often narrower for a moment before we are told
BEGIN = "\x1b[?2026h"
END = "\x1b[?2026l"  # what lies between appears at once, where the terminal knows how

ROWS: Final = 8
"""A window of fewer rows gets the first line only: the log matters more."""


class TerminalBar:
    """Shows a Progress on *terminal*, and lets what is logged or printed go above it, until stop().

    in_loop: whether it is an event loop that shows it, which then hears of Ctrl-Z; else the main thread itself.
    """

    def __init__(self, terminal: TextIO, *, in_loop: bool = True) -> None:
        self._terminal = terminal
        self._in_loop = in_loop
        self._console = _console(terminal)
        self._ascii_only = not (terminal.encoding or "").lower().startswith("utf")
        self._painted = ""
        self._above = _Above(self, terminal)
        self._handlers: list[logging.StreamHandler[Any]] = []
        self._streams: list[tuple[str, TextIO]] = []
        self._is_on = False
        self._hears_suspend = False

    def show(self, progress: Progress) -> None:
        """Paint it, if the terminal is ours now and takes more: Ctrl-S must not stop the run."""
        if not self._is_on:
            self._start()
        if not self._is_in_front:
            self._painted = ""
            return
        columns, rows = _window(self._terminal)
        painted = self._rendered(progress, columns, rows)
        if select.select([], [self._terminal], [], 0)[1]:
            self._painted = painted
            self._write(f"{BEGIN}\r{painted}{END}")

    def above(self, text: str) -> None:
        """Write whole lines, and the bar again below them."""
        if self._is_on and self._painted:
            self._write(f"{BEGIN}\r{ERASE_DOWN}{text}{self._painted}{END}")
        else:
            self._write(text)

    def stop(self) -> None:
        """Erase the bar and give the terminal back as it was. Any number of times."""
        if not self._is_on:
            return
        self._is_on = False
        for handler in self._handlers:
            handler.setStream(self._terminal)
        for name, stream in self._streams:
            setattr(sys, name, stream)
        self._write(f"\r{ERASE_DOWN}{self._above.begun}{SHOW}")
        if not self._in_loop:  # this Python goes on, and Ctrl-Z is its own again
            self._leave_suspend()
        atexit.unregister(self.stop)

    def _start(self) -> None:
        self._is_on = True
        atexit.register(self.stop)  # a second Ctrl-C, an exception: the cursor must come back
        self._handlers = [
            handler
            for handler in logging.root.handlers
            if isinstance(handler, logging.StreamHandler) and handler.stream is self._terminal
        ]
        for handler in self._handlers:
            handler.setStream(self._above)
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is self._terminal or stream.isatty():  # what goes to a file or a pipe stays as it is
                self._streams.append((name, stream))
                setattr(sys, name, self._above)
        self._hears_suspend = signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL and (
            self._in_loop or threading.current_thread() is threading.main_thread()  # no other may say what is done
        )
        self._hear_suspend()

    def _hear_suspend(self) -> None:
        if not self._hears_suspend:
            return
        if self._in_loop:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTSTP, self._suspend)
        else:
            signal.signal(signal.SIGTSTP, lambda _number, _frame: self._suspend())

    def _leave_suspend(self) -> None:
        if not self._hears_suspend:
            return
        if self._in_loop:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGTSTP)
        else:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)

    def _suspend(self) -> None:
        """Ctrl-Z: give the terminal back for as long as the process is stopped."""
        self._write(f"\r{ERASE_DOWN}{SHOW}")
        self._leave_suspend()
        os.kill(os.getpid(), signal.SIGTSTP)  # comes back here when it goes on
        self._hear_suspend()
        self._painted = ""

    @property
    def _is_in_front(self) -> bool:
        """Whether the terminal is ours, and not the shell's or another program's that runs while we go on behind it."""
        try:
            return os.tcgetpgrp(self._terminal.fileno()) == os.getpgrp()
        except (OSError, ValueError):  # it is nobody's: of a session without a terminal of its own
            return True

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the window was closed; SIGHUP says so
            self._terminal.write(text)
            self._terminal.flush()

    def _rendered(self, progress: Progress, columns: int, rows: int) -> str:
        """The lines, and the way back to the beginning of the first one."""
        lines = list(lines_of(progress, columns, ascii_only=self._ascii_only))
        if rows < ROWS:
            del lines[1:]
        self._console.width = columns
        with self._console.capture() as capture:
            for text in lines:
                self._console.print(text, no_wrap=True, overflow="ellipsis", crop=True)
        painted = capture.get().removesuffix("\n").replace("\n", f"{ERASE_LINE}\n")
        up = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
        return f"{HIDE}{CUT}{painted}{ERASE_DOWN}\r{up}{WRAP}"


class _Above(io.TextIOBase):
    """Stands in for stdout, stderr and the log's stream: whole lines go above the bar."""

    def __init__(self, bar: TerminalBar, terminal: TextIO) -> None:
        self._bar = bar
        self._terminal = terminal
        self.begun = ""

    def write(self, text: str) -> int:
        whole, newline, self.begun = (self.begun + text).rpartition("\n")
        if newline:
            self._bar.above(whole + newline)
        return len(text)

    def flush(self) -> None:
        """Nothing: the beginning of a line waits for its end, since the bar stands where it would."""

    def close(self) -> None:
        """Nothing: it is not ours."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._terminal.fileno()

    @property
    def buffer(self) -> Any:  # a feed to stdout asks for it
        return self._terminal.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._terminal.encoding


def _window(terminal: TextIO) -> tuple[int, int]:
    """Columns and rows, as they are now."""
    try:
        columns, rows = os.get_terminal_size(terminal.fileno())
    except (OSError, ValueError):
        columns = rows = 0
    return columns or 80, rows or 24  # a terminal that does not know says 0


def _console(terminal: TextIO) -> Console:
    """A console that makes text for *terminal*: with the colours it has, none with NO_COLOR."""
    colours: Any = Console(file=terminal).color_system
    return Console(file=io.StringIO(), force_terminal=True, color_system=colours, highlight=False, emoji=False,
                   markup=False, legacy_windows=False)  # fmt: skip
