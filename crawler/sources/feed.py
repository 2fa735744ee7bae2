"""A blocking Source made awaitable: a daemon thread reads ahead by one batch, the event loop takes it.

A daemon, and no executor's thread: a read that blocks (a silent stdin) must not outlive SIGTERM.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crawler.items import BadLine, Entry
    from crawler.sources import Source

BATCH: Final = 64
"""Lines handed over at once: a thread switch costs as much as reading some 20 lines."""


class Feed:
    """Reads *source* in its own thread once `batches` is iterated."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ready: asyncio.Queue[list[Entry | BadLine] | Exception] = asyncio.Queue()
        self._wanted = threading.Semaphore(1)

    async def batches(self) -> AsyncIterator[list[Entry | BadLine]]:
        """Batches in the order of the list, until its end. Raises what the source raises (ListError)."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), name="apifetch-list", daemon=True).start()
        while batch := await self._ready.get():
            if isinstance(batch, Exception):
                raise batch
            self._wanted.release()
            yield batch

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        batch: list[Entry | BadLine] | Exception
        while True:
            self._wanted.acquire()
            try:
                batch = self._source.next_batch(BATCH)
            except Exception as exc:  # noqa: BLE001  # it is raised where the lines are awaited
                batch = exc
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._ready.put_nowait, batch)
            if not batch or isinstance(batch, Exception):
                return
