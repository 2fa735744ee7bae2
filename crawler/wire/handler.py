"""A thin handler around the real one: what is secret, or ours alone, is filled in on this way and on no other.

So `request.url`, `response.url`, logs, signals, stats and every middleware see the text with `${NAME}`
unfilled and `params` left out. It also counts who is on the wire: for pacing, at the moment at which a call goes
out and at that of its end, and so that a stopping run can end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from scrapy.core.downloader.handlers.base import BaseDownloadHandler
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
)
from scrapy.utils.misc import build_from_crawler, load_object

from crawler.credentials import REFUSING
from crawler.exceptions import ForbiddenAddressError, StoppedError
from crawler.items import HOST, REACH, Outcome
from crawler.pacing import Cause, Ending, read_ending
from crawler.values import host_of
from crawler.wire.doorkeeper import Doorkeeper, Trip, not_sent
from crawler.wire.filling import Filling
from crawler.wire.resolving import ATTEMPT

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from crawler.addresses import Attempt
    from crawler.run import Run

logger = logging.getLogger("apifetch")

CURL: Final = "crawler.wire.curl.handler.CurlDownloadHandler"
STOCK: Final = "scrapy.core.downloader.handlers.http11.HTTP11DownloadHandler"

OUT_OF_REACH: Final = (
    DownloadTimeoutError,
    DownloadFailedError,
    DownloadConnectionRefusedError,
    CannotResolveHostError,
    OSError,
)
"""What a handler raises when a host may be overloaded or gone. That a body is cut is the fault of one call."""

ITS_OWN: Final = frozenset({Outcome.TLS, Outcome.BAD_RESPONSE})
"""Outcomes of such exceptions that fewer calls would not change."""

NETWORK: Final = Ending(failed=Cause.NETWORK)
NOTHING: Final = Ending()

LOOK_S: Final = 0.1
"""How often a call that waits here looks whether it may go, where nobody knows the time: when another has ended."""


class FillingHandler(BaseDownloadHandler):
    """Fills in `${NAME}` and `params`, then lets the handler of APIFETCH_HTTP_HANDLER do the call."""

    lazy = False

    def __init__(self, crawler: Crawler, real: BaseDownloadHandler) -> None:
        super().__init__(crawler)
        settings = crawler.settings
        self._real = real
        self._checks_addresses = getattr(real, "checks_addresses", False)
        self._timeout_s = settings.getfloat("DOWNLOAD_TIMEOUT")
        self._filling = Filling(settings)
        self._window: int = settings["APIFETCH_REFUSED_WINDOW"] or 0
        self._refusing = REFUSING if self._window else frozenset()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler, build_from_crawler(_real_handler(crawler.settings.get("APIFETCH_HTTP_HANDLER")), crawler))

    async def download_request(self, request: Request) -> Response:
        run: Run | None = getattr(self.crawler.spider, "run", None)
        if run is None:
            return await self._real.download_request(request)
        trip = Trip(request, _host(request))
        if run.doors:
            return await self._past_doors(trip, run)
        response = await self._send(trip, run)
        return self._door(run).answer_of(trip, response) if response.status in self._refusing else response

    async def _past_doors(self, trip: Trip, run: Run) -> Response:
        """The answer of a call while credentials are, or were, refused. Raises WithheldError besides."""
        keeper = self._door(run)
        answer = keeper.withheld_answer(trip.request)
        if answer is not None:
            return answer
        try:
            return keeper.answer_of(trip, await self._send(trip, run))
        finally:
            keeper.ended(trip)

    def _door(self, run: Run) -> Doorkeeper:
        """The run's; the handlers of http and of https have one."""
        if run.doorkeeper is None:
            assert self.crawler.engine is not None
            run.doorkeeper = Doorkeeper(run, self._filling, self.crawler.engine.crawl, window=self._window)
        assert isinstance(run.doorkeeper, Doorkeeper)
        return run.doorkeeper

    async def _send(self, trip: Trip, run: Run) -> Response:
        """Make a call, once. Raises StoppedError, and what the real handler raises."""
        request, host = trip.request, trip.host
        if run.stopping.begun.is_set():
            raise not_sent(request, run)
        meta = request.meta
        meta.setdefault("download_timeout", self._timeout_s)
        attempt = None
        if not self._checks_addresses or meta.get("proxy"):
            attempt = _judge(request, run)
        traffic = run.traffic
        if traffic.may_go(host, time.monotonic(), request) is not None:
            await _turn(request, host, run)
        filled = self._filling.fill(request, run.plan.secrets)  # as they are when it goes
        task = asyncio.current_task()
        assert task is not None
        run.stopping.calls.add(task)
        ending = NOTHING
        trip.sent_s = time.monotonic()
        call = traffic.started(host, trip.sent_s, thing=request, retry="retry_times" in meta)
        try:
            response = await self._real.download_request(filled)
            ending = read_ending(response.status, response.headers, wall_s=time.time())
        except asyncio.CancelledError:
            if task not in run.stopping.given_up:
                raise
            task.uncancel()
            raise StoppedError("the run is stopping") from None
        except Exception as exc:
            if attempt is not None and attempt.refused and not attempt.passed:
                raise ForbiddenAddressError(attempt.refused) from exc
            ending = _ending_of(exc)
            # what it says of the request as it went out
            exc.args = tuple(self._filling.mask(arg) if isinstance(arg, str) else arg for arg in exc.args)
            raise
        finally:
            run.stopping.calls.discard(task)
            run.stopping.given_up.discard(task)
            traffic.ended(host, call, time.monotonic(), ending)
        return response if filled is request else _as_asked(request, filled, response)

    async def close(self) -> None:
        run: Run | None = getattr(self.crawler.spider, "run", None)
        if run is not None and run.doorkeeper is not None:
            await self._door(run).close()
        await self._real.close()


def _as_asked(request: Request, filled: Request, response: Response) -> Response:
    """The response, as that of the request that everybody knows."""
    if "download_latency" in filled.meta:
        request.meta["download_latency"] = filled.meta["download_latency"]
    return response.replace(url=request.url)


def _ending_of(exc: Exception) -> Ending:
    return NETWORK if isinstance(exc, OUT_OF_REACH) and getattr(exc, "outcome", None) not in ITS_OWN else NOTHING


def _judge(request: Request, run: Run) -> Attempt | None:
    """Have the call judged by its host's name, and by what Twisted's resolver finds. Raises ForbiddenAddressError.

    Returns None for a call through a proxy, which looks the name up itself.
    """
    host, reach = host_of(request.url), request.meta.get(REACH)
    refused = run.guard.refusal_of_name(host, reach)
    if refused is not None:
        raise ForbiddenAddressError(refused)
    attempt = None if request.meta.get("proxy") else run.guard.attempt(host, reach)
    ATTEMPT.set(attempt)
    return attempt


def _host(request: Request) -> str:
    return request.meta.get(HOST) or host_of(request.url)


async def _turn(request: Request, host: str, run: Run) -> None:
    """Return at the moment at which the host may be called: for what came past our scheduler. Raises StoppedError."""
    while (at_s := run.traffic.may_go(host, time.monotonic(), request)) is not None:
        if run.traffic.is_short:
            raise not_sent(request, run, "the calls are used up")
        with suppress(TimeoutError):
            await asyncio.wait_for(run.stopping.begun.wait(), min(at_s - time.monotonic(), LOOK_S))
        if run.stopping.begun.is_set():
            raise not_sent(request, run)


def _real_handler(path: str | None) -> Any:
    """The class that does the calls: the one that is asked for, else libcurl's, else Scrapy's own."""
    if path is not None:
        return load_object(path)
    try:
        return load_object(CURL)
    except ImportError as exc:
        logger.warning("pycurl cannot be imported (%s): Scrapy's own handler serves, slower and less strict", exc)
        return load_object(STOCK)
