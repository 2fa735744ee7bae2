"""The bar in a notebook: an output of the cell that is replaced about once a second. IPython is there, or it is not."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import TYPE_CHECKING, Any, Final

from crawler.bar.lines import lines_of

if TYPE_CHECKING:
    from crawler.meter import Progress

COLUMNS: Final = 100  # a cell is about as wide; its window wraps nothing

EVERY_S: Final = 1.0
"""Seconds between two of them: each is a message to the browser, and stays in the notebook's file until the next."""


def is_notebook() -> bool:
    """Whether this Python is a notebook's kernel: what is displayed appears below a cell."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it
    shell: Any = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class NotebookBar:
    """Shows a Progress below the cell that runs; the last one stays there."""

    def __init__(self) -> None:
        self._display: Any = sys.modules["IPython"].display
        self._handle: Any = None
        self._last: Progress | None = None
        self._due_s = 0.0

    def show(self, progress: Progress) -> None:
        self._last = progress
        if time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + EVERY_S
            self._show(progress)

    def stop(self) -> None:
        """Show the last one, however soon it came."""
        if self._last is not None:
            self._show(self._last)
            self._last = None

    def _show(self, progress: Progress) -> None:
        text = "\n".join(line.plain.rstrip() for line in lines_of(progress, COLUMNS))
        # line-height: or the strip of the first line would be torn from the next in some themes
        said = {"text/plain": text, "text/html": f'<pre style="line-height: 1.4">{escape(text)}</pre>'}
        if self._handle is None:
            self._handle = self._display.display(said, raw=True, display_id=True)
        else:
            self._handle.update(said, raw=True)
