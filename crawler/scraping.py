"""The short way from a response to its record: no task, no generator, no signal that nobody receives.

Scrapy takes three tasks and five generators to hand one response to a callback and one item to a pipeline:
a third of the engine's CPU a call. Here a callback that gives a tuple, and a pipeline that can take a record
at once, are called one after the other. Whatever needs more goes Scrapy's own way from where it stands:
spider middlewares, other pipelines, receivers of `item_scraped`, coroutines, generators, failures.

Owns the replacement of `engine.scraper.enqueue_scrape`, for which Scrapy has no setting; it comes with the
ITEM_PROCESSOR, so that with Scrapy's own in its place the whole way is Scrapy's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy import Request, signals
from scrapy.extensions.corestats import CoreStats
from scrapy.http import Response
from scrapy.pipelines import ItemPipelineManager
from scrapy.utils.defer import deferred_from_coro, ensure_awaitable
from scrapy.utils.spider import iterate_spider_output
from twisted.python.failure import Failure

from crawler.heard import receivers

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.core.scraper import Scraper
    from scrapy.crawler import Crawler
    from twisted.internet.defer import Deferred

AT_ONCE = "take_at_once"
"""Method of a pipeline: takes an item and says True, or says False, and `process_item` is to be called."""

SPIDER_HOOKS = ("process_spider_input", "process_spider_output", "process_spider_exception")


class DirectPipelines(ItemPipelineManager):
    """The item pipelines, and the short way to them where nothing else is to be asked."""

    async def open_spider_async(self) -> None:
        await super().open_spider_async()
        assert self.crawler is not None
        scraper = self.crawler.engine.scraper
        hooks = [hook for name in SPIDER_HOOKS for hook in scraper.spidermw.methods[name] if hook is not None]
        take = getattr(self.middlewares[0], AT_ONCE, None) if len(self.middlewares) == 1 else None
        if take is not None and not hooks:
            short_way = ShortWay(self.crawler, scraper, take)
            scraper.enqueue_scrape = short_way.enqueue_scrape  # type: ignore[method-assign, assignment]


class ShortWay:
    """Scrapes responses at once as far as that goes. take: the pipeline's method."""

    def __init__(self, crawler: Crawler, scraper: Scraper, take: Callable[[Any], bool]) -> None:
        self._crawler = crawler
        self._scraper = scraper
        self._take = take
        self._long_way = scraper.enqueue_scrape
        self._counters = int(crawler.get_extension(CoreStats) is not None)

    def enqueue_scrape(self, result: Response | Failure, request: Request) -> Deferred[Any] | None:
        """What Scraper.enqueue_scrape does; None when all is done on return."""
        if not isinstance(result, Response) or result.request is None or result.request.callback is None:
            return self._long_way(result, request)
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
            self._crawler.engine.crawl(item)
            return True
        if receivers(self._crawler, signals.item_scraped) > self._counters or not self._take(item):
            return False
        if self._counters:
            self._crawler.stats.inc_value("item_scraped_count")  # as CoreStats does at the signal
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
