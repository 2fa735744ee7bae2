"""The downloader: at most so many calls at once, in all and per host, exactly; one task for each.

Scrapy's own counts a request only when its task first runs, so that its limit per domain does not bind,
and takes two tasks, four coroutines and four signals a call. This one keeps every hook of the downloader
middlewares, and the signals that somebody receives. What it has no part in (delays, DOWNLOAD_SLOTS,
AutoThrottle) it leaves to Scrapy's.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from scrapy import Request, signals
from scrapy.core.downloader import Downloader
from scrapy.http import Response
from scrapy.utils.python import global_object_name
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from crawler.downloader.hooks import download, hook_of
from crawler.heard import is_heard
from crawler.values import host_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.crawler import Crawler

SLOWED: Final = ("DOWNLOAD_DELAY", "DOWNLOAD_SLOTS", "AUTOTHROTTLE_ENABLED", "CONCURRENT_REQUESTS_PER_IP")
"""Settings that need Scrapy's slots: with one of them on, its own downloader does the work."""


ON_THE_WAY: Final = frozenset(
    {signals.request_reached_downloader, signals.response_downloaded, signals.request_left_downloader}
)

IN_ALL: Final = "*"
"""The name, beside those of hosts, of what all share."""


class LeanDownloader(Downloader):
    """CONCURRENT_REQUESTS in all, CONCURRENT_REQUESTS_PER_DOMAIN per host (`download_slot` in meta), as a promise."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._is_slowed = any(crawler.settings.get(name) for name in SLOWED)
        self._per_host = self.domain_concurrency
        self._on_wire: defaultdict[str, int] = defaultdict(int)
        self._waiting: defaultdict[str, deque[asyncio.Future[None]]] = defaultdict(deque)
        self._tasks: dict[Request, asyncio.Task[None]] = {}  # the loop itself holds none
        self._hooks: dict[str, list[Callable[..., Any]]] | None = None

    @property
    def tells_of_leaving(self) -> bool:
        """Whether the run's Traffic hears of every request that is done with (crawler.scheduler)."""
        return not self._is_slowed

    def fetch(self, request: Request, spider: Any = None) -> Deferred[Response | Request]:  # noqa: ARG002  # Scrapy's signature
        if self._is_slowed:
            return super().fetch(request)
        fetched: Deferred[Response | Request] = Deferred()
        self._begin(request, fetched.callback)  # a Failure there is an error to it
        return fetched

    def fetch_to(self, request: Request, done: Callable[[Response | Request | Failure], None]) -> None:
        """The same without a Deferred: what it would have fired with is given to *done* (crawler.shortway)."""
        if self._is_slowed:
            super().fetch(request).addBoth(done)
        else:
            self._begin(request, done)

    def _begin(self, request: Request, done: Callable[[Response | Request | Failure], None]) -> None:
        self.active.add(request)
        self._tasks[request] = asyncio.get_running_loop().create_task(self._fetch(request, done))

    async def _fetch(self, request: Request, done: Callable[[Response | Request | Failure], None]) -> None:
        result: Response | Request | Failure
        try:
            result = await self._through_middlewares(request)
        except Exception:  # noqa: BLE001  # it is the errback's
            result = Failure()  # type: ignore[no-untyped-call]
        self.active.remove(request)
        del self._tasks[request]
        run = getattr(self.crawler.spider, "run", None)
        if run is not None:
            run.traffic.left(request)
        try:
            done(result)
        finally:
            del result  # a Failure holds this frame, and would be held by it: the body with it, until gc comes by

    # The middlewares' hooks, in Scrapy's order

    async def _through_middlewares(self, request: Request) -> Response | Request:
        hooks = self._hooks or self._find_hooks()
        result: Response | Request | None = None
        try:
            for hook in hooks["process_request"]:
                result = hook(request=request)
                if result is not None and isawaitable(result):
                    result = await result
                if result is not None:
                    _check(hook, result, Response, Request)
                    break
            else:
                result = await self._download_in_turn(request)
        except Exception as exc:  # noqa: BLE001  # a middleware may know what to do about it
            result = await self._exception_hooks(hooks["process_exception"], request, exc)
        if isinstance(result, Response):
            for hook in hooks["process_response"]:
                result = hook(request=request, response=result)
                if isinstance(result, Response):
                    continue
                if isawaitable(result):
                    result = await result
                if not isinstance(result, Response):
                    _check(hook, result, Request)
                    return result
        return result

    async def _exception_hooks(
        self, hooks: list[Callable[..., Any]], request: Request, exc: Exception
    ) -> Response | Request:
        result: Response | Request | None
        for hook in hooks:
            result = hook(request=request, exception=exc)
            if isawaitable(result):
                result = await result
            if result is not None:
                _check(hook, result, Response, Request)
                return result
        raise exc

    def _find_hooks(self) -> dict[str, list[Callable[..., Any]]]:
        """Once, at the first request: all middlewares are there then."""
        hooks = {
            name: [hook_of(hook, self.crawler.spider) for hook in self.middleware.methods[name] if hook is not None]
            for name in ("process_request", "process_response", "process_exception")
        }
        self._hooks = hooks
        return hooks

    # On the wire

    async def _download_in_turn(self, request: Request) -> Response:
        host = request.meta.get(self.DOWNLOAD_SLOT)
        if host is None:
            host = request.meta[self.DOWNLOAD_SLOT] = host_of(request.url)
        heard = is_heard(self.crawler, ON_THE_WAY)
        if heard:
            self._tell(signals.request_reached_downloader, request=request)
        if not self._has_place(host, self._per_host):
            await self._turn(host)
        try:
            # The engine asks `needs_backout` before it sends what is scheduled, but not for `download_async`.
            if not self._has_place(IN_ALL, self.total_concurrency):
                await self._turn(IN_ALL)
            try:
                response = await download(self.handlers, request)
            finally:
                self._leave(IN_ALL)
                heard = is_heard(self.crawler, ON_THE_WAY)
            if heard:
                self._tell(signals.response_downloaded, response=response, request=request)
            return response
        finally:
            self._leave(host)
            if heard:
                self._tell(signals.request_left_downloader, request=request)

    def _has_place(self, name: str, most: int) -> bool:
        """Take a place, if one is free. most: 0 for no limit."""
        if most and self._on_wire[name] >= most:
            return False
        self._on_wire[name] += 1
        return True

    async def _turn(self, name: str) -> None:
        """Wait for a place: whoever leaves hands its own on, so that no third request can take it."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[name].append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(name)
            raise

    def _leave(self, name: str) -> None:
        waiting = self._waiting.get(name)
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._on_wire[name] -= 1
        if not self._on_wire[name]:  # a list may have a million hosts
            del self._on_wire[name]
            self._waiting.pop(name, None)

    def _tell(self, signal: object, **what: Any) -> None:
        self.signals.send_catch_log(signal, spider=self.crawler.spider, **what)


def _check(hook: Callable[..., Any], result: object, *kinds: type) -> None:
    if not isinstance(result, kinds):
        raise TypeError(f"{global_object_name(hook)} must return None, Response or Request, got {type(result)}")
