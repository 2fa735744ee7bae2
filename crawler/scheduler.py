"""The scheduler: requests in, the next one out, nothing on disk.

The list is the queue: what waits here are the few requests that `start()` has just made, retries,
redirects and followed pages, and those stand in the ledger. So there is no fingerprint, no pickle and no
JOBDIR. Highest priority first, then first come, first served, as Scrapy documents it.
"""

from __future__ import annotations

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
        return request
