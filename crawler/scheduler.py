"""The scheduler: requests in, the next one that may go out, nothing on disk.

The list is the queue: what waits here are the few requests that `start()` has just made, retries, redirects
and followed pages, and those stand in the ledger. So there is no fingerprint, no pickle and no JOBDIR. A
request that rests, or whose host may not be called now, waits here, where it takes no worker's place; which
one is the next is decided in crawler.pacing. Highest priority first, then first come, first served, as Scrapy
documents it, but before them what is tried again.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Self

from scrapy.core.scheduler import BaseScheduler

from crawler.items import HOST, NOT_BEFORE, PUT_BACK
from crawler.pacing import Policy, Traffic
from crawler.values import host_of
from crawler.waking import wake

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler

TELLS = "tells_of_leaving"
"""Attribute of a downloader: whether it tells the run's Traffic of each request that is done with."""

ANY_NUMBER = 1_000_000
"""Calls at once to a host, of a spider that has no run: the downloader's limits are the only ones."""


class ListScheduler(BaseScheduler):
    """Translates between the engine and the run's Traffic, and wakes the engine when something may go."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._traffic: Traffic[Request] = Traffic(Policy(per_host=ANY_NUMBER))
        self._is_bound = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0
        self._room: asyncio.Future[None] | None = None
        self._low = 0

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def __len__(self) -> int:
        return len(self._traffic)

    def has_pending_requests(self) -> bool:
        return len(self._traffic) > 0

    def enqueue_request(self, request: Request) -> bool:
        if not self._is_bound:
            self._bind()
        meta = request.meta
        host = meta.get(HOST)
        if host is None:
            host = meta[HOST] = host_of(request.url)
        if meta.pop(PUT_BACK, None):
            self._traffic.put_back(host, request, request.priority)
            return True
        rests_until_s = meta.pop(NOT_BEFORE, None)
        if rests_until_s is None:
            self._traffic.push(host, request, request.priority)
        else:
            self._traffic.rest(host, request, rests_until_s)
        return True

    def next_request(self) -> Request | None:
        request = self._traffic.pop(time.monotonic())
        if request is None:
            self._arm()
        if self._room is not None and self._has_room(self._low):
            if not self._room.done():  # whoever waited may have been cancelled
                self._room.set_result(None)
            self._room = None
        return request

    def close(self, reason: str) -> None:  # noqa: ARG002  # Scrapy's signature
        if self._timer is not None:
            self._timer.cancel()
        self._traffic.changed = lambda: None

    # For who makes the requests

    async def drained(self, low: int) -> None:
        """Return when at most *low* requests wait for nothing but a worker, and not too many for their hosts."""
        self._low = low
        if not self._has_room(low):
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def _has_room(self, low: int) -> bool:
        return self._traffic.ready <= low and not self._traffic.is_full

    # Waking the engine

    def _bind(self) -> None:
        """Work for the spider's run, if it has one: it is there as soon as there are requests."""
        self._is_bound = True
        run = getattr(self._crawler.spider, "run", None)
        if run is not None:
            self._traffic = run.traffic
        self._traffic.changed = self._soon
        engine = self._crawler.engine
        self._traffic.reserves = bool(engine and getattr(engine.downloader, TELLS, False))

    def _arm(self) -> None:
        """Come back when something may go."""
        at_s = self._traffic.next_at()
        if at_s is None or (self._timer is not None and self._timer_s <= at_s):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = at_s
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at_s - time.monotonic()), self._wake)

    def _soon(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = 0.0
        self._timer = asyncio.get_running_loop().call_later(0, self._wake)

    def _wake(self) -> None:
        self._timer = None
        if self._crawler.engine is not None:
            wake(self._crawler.engine)
