"""Ctrl-C where no event loop hears it: while a command starts or ends, and while the run waits for a list to come.

Knows signals and the interpreter's hook for what nobody catches.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

T = TypeVar("T")

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


def heard_meanwhile(do: Callable[[], T]) -> T:
    """What *do* gives, or raises, called in a thread: for what blocks in a library that lets no signal through.

    After a signal nobody waits for that thread any more, nor does the end of the process.
    """
    done: SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = SimpleQueue()

    def call() -> None:
        try:
            done.put((do(), None))
        except BaseException as exc:  # noqa: BLE001  # it is raised where it is waited for
            done.put((None, exc))

    threading.Thread(target=call, name="heard-meanwhile", daemon=True).start()
    value, error = done.get()
    if error is not None:
        raise error
    return cast("T", value)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    from crawler.exceptions import InterruptError  # noqa: PLC0415  # a command that starts needs its hook at once

    raise InterruptError(f"stopped by {signal.Signals(number).name}; the same command again begins")
