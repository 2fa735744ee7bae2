"""The scheduler: requests in, the next one out, nothing on disk.

The list is the queue: what waits here are the few requests that `start()` has just made, retries,
redirects and followed pages, and those stand in the ledger. So there is no fingerprint, no pickle and no
JOBDIR. Highest priority first, then first come, first served, as Scrapy documents it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self

from scrapy.core.scheduler import BaseScheduler

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler


class ListScheduler(BaseScheduler):
    """A queue per priority, in memory; in practice one or two."""

    def __init__(self) -> None:
        self._queues: dict[int, deque[Request]] = {}
        self._drained: asyncio.Future[None] | None = None
        self._low = 0

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:  # noqa: ARG003  # Scrapy's signature
        return cls()

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def has_pending_requests(self) -> bool:
        return bool(self._queues)

    def enqueue_request(self, request: Request) -> bool:
        queue = self._queues.get(request.priority)
        if queue is None:
            queue = self._queues[request.priority] = deque()
        queue.append(request)
        return True

    def next_request(self) -> Request | None:
        if not self._queues:
            return None
        highest = max(self._queues)
        queue = self._queues[highest]
        request = queue.popleft()
        if not queue:
            del self._queues[highest]
        if self._drained is not None and len(self) <= self._low:
            if not self._drained.done():  # whoever waited may have been cancelled
                self._drained.set_result(None)
            self._drained = None
        return request

    async def drained(self, low: int) -> None:
        """Return when at most *low* requests wait. For one caller: who makes the requests."""
        self._low = low
        if len(self) > low:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained
