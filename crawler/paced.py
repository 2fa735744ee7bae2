"""Pacing for spiders that are not ours: a scheduler that filters duplicates, and the turn of each call.

A run of ours has its Traffic in `spider.run`, and tells it of calls from its download handler. Here the scheduler owns
it, and a middleware tells it: so any download handler, downloader and spider will do.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, Final, Self

from scrapy.exceptions import IgnoreRequest
from scrapy.utils.misc import build_from_crawler, load_object

from crawler.items import HOST
from crawler.machine import shared
from crawler.pacing import RATE, Cause, Ending, Policy, Traffic, backoffs, outage, read_ending, shut_out
from crawler.scheduler import ListScheduler

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from scrapy.dupefilters import BaseDupeFilter
    from scrapy.http import Response
    from scrapy.settings import BaseSettings

    from crawler.pacing import Call

CALL: Final = "apifetch_call"
"""``request.meta`` key: the Call that is on its way."""

LOOK_S: Final = 0.1
"""How often a call that waits here looks whether it may go, where nobody knows the time: when another has ended."""


class PacedScheduler(ListScheduler):
    """Our scheduler with Scrapy's DUPEFILTER_CLASS, in memory: no JOBDIR."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._traffic = Traffic(policy_of(crawler.settings))
        self._seen: BaseDupeFilter = build_from_crawler(load_object(crawler.settings["DUPEFILTER_CLASS"]), crawler)

    @property
    def traffic(self) -> Traffic[Any]:
        """What waits and what is on its way."""
        return self._traffic

    def open(self, spider: Spider) -> Any:  # noqa: ARG002  # Scrapy's signature
        return self._seen.open()

    def close(self, reason: str) -> Any:
        super().close(reason)
        return self._seen.close(reason)

    def enqueue_request(self, request: Request) -> bool:
        if not request.dont_filter and self._seen.request_seen(request):
            self._seen.log(request, self._crawler.spider)  # type: ignore[arg-type]  # there is one by now
            return False
        return super().enqueue_request(request)


class TurnMiddleware:
    """Lets a call go when its host may be called, and tells how it ended."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    @property
    def _traffic(self) -> Traffic[Any] | None:
        """None with another scheduler: then calls go as they come."""
        engine = self._crawler.engine
        return getattr(getattr(engine, "scheduler", None), "traffic", None)

    async def process_request(self, request: Request) -> None:
        traffic, host = self._traffic, request.meta.get(HOST)
        if traffic is None or host is None:
            return
        while (at_s := traffic.may_go(host, now_s := time.monotonic(), request)) is not None:
            if not self._crawler.crawling:
                raise IgnoreRequest("the spider is closing")
            await asyncio.sleep(min(at_s - now_s, LOOK_S))
        request.meta[CALL] = traffic.started(host, now_s, thing=request, retry="retry_times" in request.meta)

    def process_response(self, request: Request, response: Response) -> Response:
        self._ended(request, read_ending(response.status, response.headers, wall_s=time.time()))
        return response

    def process_exception(self, request: Request, exception: Exception) -> None:
        self._ended(request, Ending() if isinstance(exception, IgnoreRequest) else Ending(failed=Cause.NETWORK))

    def _ended(self, request: Request, ending: Ending) -> None:
        call: Call | None = request.meta.pop(CALL, None)
        if call is not None and self._traffic is not None:
            self._traffic.ended(request.meta[HOST], call, time.monotonic(), ending)


def policy_of(settings: BaseSettings) -> Policy:
    """What a project's settings say. Raises ValueError for a rate that is none."""
    base_s, cap_s = settings.getfloat("APIFETCH_RETRY_BASE_S", 1.0), settings.getfloat("APIFETCH_RETRY_CAP_S", 60.0)
    rate = settings.get("APIFETCH_RATE")
    is_alone = rate is None or settings.get("APIFETCH_SHARED_RATE") == "off"
    return Policy(
        per_host=settings.getint("CONCURRENT_REQUESTS_PER_DOMAIN") or settings.getint("CONCURRENT_REQUESTS") or 1_000,
        auto=bool(settings.getint("APIFETCH_WORKERS_MAX")),
        rate=None if rate is None else RATE.parse(rate),
        shared=None if is_alone else shared(os.environ),
        backoffs=backoffs(base_s, cap_s),
        outage=outage(base_s, cap_s),
        shut_out=shut_out(base_s, cap_s),
    )
