"""The short way of a call through Scrapy's engine: no Deferred, no task, no generator, no signal for nobody.

Scrapy spends 0.2 ms of CPU on carrying a request from the scheduler to the downloader, its response to the
callback and the item to the pipelines: a dozen Deferreds, three tasks, five generators and four signals,
whoever listens. Here the same steps are plain calls. Whatever needs more goes Scrapy's own way from where
it stands: another downloader, spider middlewares, other pipelines, receivers of a signal, coroutines,
generators, failures.

Owns what is replaced inside the engine, for which there are no settings. It comes with the ITEM_PROCESSOR:
with Scrapy's own in its place the whole way is Scrapy's. Which texts of Scrapy's are repeated here stands in
REPEATED; a test fails when one of them changes.
"""

# ruff: noqa: SLF001  # what is private to the engine is reached here and nowhere else

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from scrapy import Request, signals
from scrapy.core.engine import ExecutionEngine
from scrapy.core.scraper import Scraper
from scrapy.extensions.corestats import CoreStats
from scrapy.http import Response
from scrapy.pipelines import ItemPipelineManager
from scrapy.utils.defer import deferred_from_coro, ensure_awaitable
from scrapy.utils.log import logformatter_adapter
from scrapy.utils.reactor import CallLaterOnce
from scrapy.utils.spider import iterate_spider_output
from twisted.python.failure import Failure

from crawler.heard import receivers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from scrapy.crawler import Crawler
    from twisted.internet.defer import Deferred

AT_ONCE: Final = "take_at_once"
"""Method of a pipeline: takes an item and says True, or says False, and `process_item` is to be called."""

FETCH_TO: Final = "fetch_to"
"""Method of a downloader: as `fetch`, but what it returns or raises goes to a function, as Deferreds have it."""

NOTE_S: Final = 0.5
"""How late the stats may be while the spider is open: those who show them do so every minute."""

SPIDER_HOOKS: Final = ("process_spider_input", "process_spider_output", "process_spider_exception")

REPEATED: Final = (
    ExecutionEngine._start_scheduled_request,
    ExecutionEngine._start_scheduled_requests,
    ExecutionEngine._start_request_processing,
    ExecutionEngine._process_start_next,
    ExecutionEngine.crawl,
    ExecutionEngine._download,
    ExecutionEngine._handle_downloader_output,
    ExecutionEngine._remove_request,
    ExecutionEngine._schedule_request,
    Scraper.enqueue_scrape,
    Scraper._scrape,
    Scraper._process_spidermw_output_async,
    Scraper.start_itemproc_async,
    CallLaterOnce,
    CoreStats,
)
"""What does here, in fewer steps, the same as there."""

logger = logging.getLogger("scrapy.core.engine")  # whose lines these would be


class DirectPipelines(ItemPipelineManager):
    """The item pipelines, and the short way to them where nothing else is to be asked."""

    async def open_spider_async(self) -> None:
        await super().open_spider_async()
        assert self.crawler is not None
        self._short_way = ShortWay(self.crawler, self)
        self._short_way.open()

    async def close_spider_async(self) -> None:
        self._short_way.note_counts()
        await super().close_spider_async()


class ShortWay:
    """The engine's and the scraper's steps for one crawl."""

    def __init__(self, crawler: Crawler, pipelines: ItemPipelineManager) -> None:
        assert crawler.engine is not None
        self._crawler = crawler
        self._engine: Any = crawler.engine
        self._scraper = scraper = crawler.engine.scraper
        self._long_schedule = self._engine._schedule_request
        self._long_scrape = scraper.enqueue_scrape
        self._fetch_to = getattr(crawler.engine.downloader, FETCH_TO, None)
        self._take: Callable[[Any], bool] | None = None
        if len(pipelines.middlewares) == 1 and not any(filter(None, map(scraper.spidermw.methods.get, SPIDER_HOOKS))):
            self._take = getattr(pipelines.middlewares[0], AT_ONCE, None)
        self._core_stats = int(crawler.get_extension(CoreStats) is not None)  # the receiver that only counts
        self._counts: Counter[str] = Counter()
        self._noting: asyncio.Handle | None = None
        self._next_call: asyncio.Handle | None = None

    def open(self) -> None:
        """Take the place of the engine's methods, as far as this crawl's components allow."""
        if self._fetch_to is not None:
            self._engine._start_scheduled_request = self.start_scheduled_request
            self._engine._start_scheduled_requests = self.start_scheduled_requests
            self._engine._schedule_request = self.schedule_request
            self._engine._start = self.start(self._engine._start)
        self._engine._slot.nextcall.schedule = self.schedule_next_call
        if self._take is not None:
            self._scraper.enqueue_scrape = self.enqueue_scrape  # type: ignore[method-assign, assignment]

    def _is_heard(self, signal: object, counted_as: str | None = None) -> bool:
        """Whether *signal* must be sent. counted_as: the stat that CoreStats would count; counted here if not."""
        counters = self._core_stats if counted_as is not None else 0
        if receivers(self._crawler, signal) > counters:
            return True
        if counters:
            self._count(counted_as)  # type: ignore[arg-type]  # not None
        return False

    def _count(self, stat: str) -> None:
        """The stats collector is told now and then: that costs 20 times as much as counting."""
        self._counts[stat] += 1
        if self._noting is None:
            self._noting = asyncio.get_running_loop().call_later(NOTE_S, self.note_counts)

    def note_counts(self) -> None:
        self._noting = None
        for stat, count in self._counts.items():
            self._crawler.stats.inc_value(stat, count)
        self._counts.clear()

    # The engine's steps

    async def start(self, outputs: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """What `start()` yields; requests are scheduled, and sent if a worker is free, before the next is asked for.

        The engine would take them one by one, and wait for a turn of the event loop after each.
        """
        engine = self._engine
        async for output in outputs:
            if isinstance(output, Request) and engine.spider is not None:
                engine._schedule_request(output)
                self.start_scheduled_requests()
            else:
                yield output

    def start_scheduled_requests(self) -> None:
        engine = self._engine
        slot = engine._slot
        if slot is None or slot.closing is not None or engine.paused:
            return
        while not engine.needs_backout():
            if not self.start_scheduled_request():
                break
        if slot.close_if_idle and engine.spider_is_idle():
            engine._spider_idle()

    def schedule_request(self, request: Request) -> None:
        if self._is_heard(signals.request_scheduled):
            self._long_schedule(request)
        elif not self._engine.scheduler.enqueue_request(request):
            self._engine.signals.send_catch_log(signals.request_dropped, request=request, spider=self._engine.spider)

    def schedule_next_call(self, delay: float = 0) -> None:
        """As CallLaterOnce.schedule: that one asks first which loop it is, each time."""
        if self._next_call is None:
            self._next_call = asyncio.get_running_loop().call_later(delay, self._call_next)

    def _call_next(self) -> None:
        self._next_call = None
        if self._engine._slot is not None:
            self._engine._slot.nextcall()

    def start_scheduled_request(self) -> bool:
        engine = self._engine
        request = engine.scheduler.next_request()
        if request is None:
            if self._is_heard(signals.scheduler_empty):
                engine.signals.send_catch_log(signals.scheduler_empty)
            return False
        engine._slot.add_request(request)
        self._fetch_to(request, lambda result: self._fetched(request, result))  # type: ignore[misc]  # not None
        return True

    def _fetched(self, request: Request, result: Response | Request | Failure) -> None:
        try:
            if isinstance(result, Request):
                self._engine.crawl(result)
            else:
                if isinstance(result, Response):
                    self._received(request, result)
                scraped = self._scraper.enqueue_scrape(result, request)
                if scraped is not None:
                    scraped.addBoth(lambda _: self._left(request))
                    self.start_scheduled_requests()  # the worker is free, whatever the callback waits for
                    return
        except Exception:
            logger.exception("Error while handling downloader output", extra={"spider": self._engine.spider})
        self._left(request)

    def _received(self, request: Request, response: Response) -> None:
        spider = self._engine.spider
        if response.request is None:
            response.request = request
        line = self._engine.logformatter.crawled(response.request, response, spider)
        if line is not None:
            logger.log(*logformatter_adapter(line), extra={"spider": spider})
        if self._is_heard(signals.response_received, "response_received_count"):
            self._engine.signals.send_catch_log(
                signals.response_received, response=response, request=response.request, spider=spider
            )

    def _left(self, request: Request) -> None:
        """At once the next one, if there is one: the engine would have itself called by the reactor for it."""
        self._engine._slot.remove_request(request)
        self.start_scheduled_requests()

    # The scraper's

    def enqueue_scrape(self, result: Response | Failure, request: Request) -> Deferred[Any] | None:
        """What Scraper.enqueue_scrape does; None when all is done on return."""
        if not isinstance(result, Response) or result.request is None or result.request.callback is None:
            return self._long_scrape(result, request)
        try:
            output = result.request.callback(result, **result.request.cb_kwargs)
        except Exception:  # noqa: BLE001  # it is the spider's: logged and counted
            self._scraper.handle_spider_error(Failure(), request, result)  # type: ignore[no-untyped-call]
            return None
        if type(output) is tuple:
            for at, item in enumerate(output):
                if not self._taken(item):
                    return self._go_on(output[at:], result, request)
            return None
        return self._go_on(output, result, request)

    def _taken(self, item: Any) -> bool:
        if isinstance(item, Request):
            self._engine.crawl(item)
            return True
        if receivers(self._crawler, signals.item_scraped) > self._core_stats or not self._take(item):  # type: ignore[misc]
            return False
        if self._core_stats:
            self._count("item_scraped_count")
        return True

    def _go_on(self, output: Any, response: Response, request: Request) -> Deferred[Any]:
        """Scrapy's way for what is left, counted as it counts what is in progress."""
        slot = self._scraper.slot
        assert slot is not None
        slot.add_response_request(response, request)
        slot.next_response_request_deferred()
        return deferred_from_coro(self._handle(output, response, request))

    async def _handle(self, output: Any, response: Response, request: Request) -> None:
        try:
            try:
                outputs = await ensure_awaitable(iterate_spider_output(output))
            except Exception:  # noqa: BLE001  # as above
                self._scraper.handle_spider_error(Failure(), request, response)  # type: ignore[no-untyped-call]
            else:
                await self._scraper.handle_spider_output_async(outputs, request, response)
        finally:
            assert self._scraper.slot is not None
            self._scraper.slot.finish_response(response, request)
