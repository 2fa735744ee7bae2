"""Filling a shared list: the lines of any list become its entries, each once, however often they are added.

A name that was ever in the list is never added again, so that a command that was killed is simply run again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from crawler.distributed.envelope import encode, name_of
from crawler.distributed.server import GoneError
from crawler.exceptions import ListError
from crawler.items import BadLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.distributed.server import Server
    from crawler.sources import Source

STEP: Final = 500
STEP_BYTES: Final = 1 << 20
"""Entries that are added in one step, at the most: 5 ms of Redis's only thread, in which nobody else is served."""


@dataclass(slots=True)
class Filled:
    """lines: that count. added: entries that were new. bad: lines that are no call, which are entries too."""

    lines: int = 0
    added: int = 0
    bad: int = 0


def fill(server: Server, source: Source, *, name: str | None, told: Callable[[Filled], None]) -> Filled:
    """Add all lines. name: of the file they are from, where they do not say. told: called now and then.

    Raises ListError; what was added by then stays.
    """
    filled = Filled()
    step: list[tuple[bytes, bytes]] = []
    held_bytes = 0
    try:
        while batch := source.next_batch(STEP):
            for line in batch:
                if line.source is None:
                    line = replace(line, source=name)  # noqa: PLW2901  # the same line
                filled.bad += isinstance(line, BadLine)
                entry = name_of(line), encode(line)
                step.append(entry)
                held_bytes += len(entry[1])
                if len(step) >= STEP or held_bytes >= STEP_BYTES:
                    _add(server, step, filled)
                    step, held_bytes = [], 0
            filled.lines = source.count
            told(filled)
        if step:
            _add(server, step, filled)
    except GoneError as exc:
        raise ListError(
            f"{server.address}: Redis does not answer any more ({exc}), after {filled.added:,} entries: "
            "run the same command again, which adds what is missing"
        ) from exc
    filled.lines = source.count
    return filled


def _add(server: Server, step: list[tuple[bytes, bytes]], filled: Filled) -> None:
    added = server.add(step)
    if added is None:
        raise ListError(f"{server.address}: the list is closed, and workers may have left: --open opens it again")
    filled.added += added
