"""Ctrl-C where no event loop hears it: while a command starts or ends, and while the run waits for a list on the web.

Knows signals and the interpreter's hook for what nobody catches.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


def say_nothing_of_ctrl_c() -> None:
    """Leave out the traceback of a Ctrl-C that nothing catches; the process dies of it all the same (130)."""
    if getattr(sys.excepthook, "is_silent", False):
        return
    other = sys.excepthook

    def silent(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            other(kind, value, trace)

    silent.is_silent = True  # type: ignore[attr-defined]
    sys.excepthook = silent


@contextmanager
def interrupted_at_once() -> Iterator[None]:
    """Have SIGINT and SIGTERM raise InterruptError here; afterwards they mean what they meant.

    For what blocks the event loop: a handler that only tells the loop would not be heard before it ends.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone hears signals
        yield
        return
    former = [(number, signal.signal(number, _interrupt)) for number in STOPPING]
    try:
        yield
    finally:
        for number, handler in former:
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    from crawler.exceptions import InterruptError  # noqa: PLC0415  # a command that starts needs its hook at once

    raise InterruptError(f"stopped by {signal.Signals(number).name}; the same command again begins")
