"""The spider: list -> Request, Response or Failure -> Record. Thin: what to do is decided by the Run.

Subclass it to read what the API says: `parse` sees every ok response, may yield items, Requests to
follow (each becomes a record of its own), and may change the record in `response.meta`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any, ClassVar, Self

from scrapy import Request, Spider, signals
from scrapy.exceptions import CloseSpider
from scrapy.settings import SETTINGS_PRIORITIES

from crawler.arguments import ARGUMENTS, SETTINGS, Configured, read_arguments
from crawler.descriptors import workers_that_fit
from crawler.exceptions import ListError, StoppedError, StoreError, WithheldError
from crawler.items import IDEMPOTENT, STRANGER, TICKET, Outcome, Record, Ticket, uuid_text
from crawler.sources import check_url
from crawler.sources.feed import Feed
from crawler.spiders.following import RECORD, bounds, child_of, no_record, outputs
from crawler.spiders.outcomes import outcome_of_exception, outcome_of_response
from crawler.spiders.records import make_record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from scrapy.settings import BaseSettings
    from twisted.python.failure import Failure

    from crawler.run import Run
    from crawler.values import Hosts, KeyHeader

logger = logging.getLogger("apifetch")

WORKERS = "CONCURRENT_REQUESTS"  # a number to Scrapy, and to us whether it is one that is found

AHEAD = 100
"""Requests that may wait for a worker. Answers come many at a time; whoever has no request then idles for two turns of
the loop, and to make them one by one costs a tenth of a call more."""


class ApiFetchSpider(Spider):
    """Fetch every call of a list. Arguments: docs/arguments.md."""

    name = "apifetch"
    arguments: ClassVar[frozenset[str]] = frozenset()
    """Names of the arguments that a subclass adds; they become attributes, as in any spider."""

    run: Run  # set when the spider is opened, by the RunKeeper extension
    headers: tuple[tuple[str, str], ...]
    hosts: Hosts | None
    key_header: KeyHeader | None

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        """Check the arguments and make settings of them. Raises ArgumentError."""
        settings = crawler.settings
        for name, value in cls.read_arguments(settings, kwargs).items():
            settings.set(name, value, priority="cmdline")  # what -s said of it is the same, or refused
        workers: int = settings[WORKERS]
        if workers > (fitting := workers_that_fit(workers)):
            logger.warning("Too few open files are allowed (ulimit -n) for %d workers: %d", workers, fitting)
            settings.set(WORKERS, type(workers)(fitting), priority="cmdline")  # `auto` stays what it is
        own = {argument.name for argument in ARGUMENTS}
        spider = super().from_crawler(crawler, *args, **{name: kwargs[name] for name in kwargs if name not in own})
        spider.headers = settings["APIFETCH_HEADERS"] or ()
        spider.hosts = settings["APIFETCH_HOSTS"]
        spider.key_header = settings["APIFETCH_IDEMPOTENCY_KEY"]
        return spider

    @classmethod
    def read_arguments(cls, settings: BaseSettings, given: Mapping[str, str]) -> dict[str, Any]:
        """Settings, typed, from arguments and what the settings hold already. Raises ArgumentError."""
        configured = {}
        for row in (*ARGUMENTS, *SETTINGS):
            priority = settings.getpriority(row.setting) or 0
            if priority > SETTINGS_PRIORITIES["default"]:
                explicit = priority >= SETTINGS_PRIORITIES["cmdline"]
                configured[row.setting] = Configured(settings[row.setting], explicit)
        return read_arguments(given, configured, environ=os.environ, declared=cls.arguments)

    async def start(self) -> AsyncIterator[Any]:
        run = self.run
        try:
            async for item in self._calls(run):
                if isinstance(item, Ticket):
                    await self._free_worker()
                    yield self._request(item)
                else:
                    yield item
        except ListError as exc:
            self.logger.error("%s", exc)  # noqa: TRY400  # the message is for a person, who needs no traceback
            raise CloseSpider("bad_list") from exc
        except StoreError:
            if run.recording.error is None:
                raise
            return  # the disk refused, or the writer is gone: that is said, and the run closes already
        run.count_lines(to_end=True)

    async def _calls(self, run: Run) -> AsyncIterator[Ticket | Record]:
        """What is to be fetched, and the records of lines that need no call: pages first, then the list."""
        for ticket in run.followed():
            yield ticket
        async for batch in Feed(run.source).batches():
            await run.recording.room()
            for line in batch:
                item = self._checked(run.take(line))
                if item is not None:
                    yield item
            run.flush_moved(at_least=1000)
            await asyncio.sleep(0)  # lines that are done already must not starve the loop

    async def _free_worker(self) -> None:
        """Return when a worker is free, or fewer requests than there are workers, AHEAD at the most, wait for one.

        But not while too many rest, or wait for hosts that may not be called now.
        """
        engine = self.crawler.engine
        scheduler: Any = engine.scheduler
        ahead = min(engine.downloader.total_concurrency or AHEAD, AHEAD)
        traffic = self.run.traffic
        if hasattr(scheduler, "drained"):
            while traffic.is_full or (engine.needs_backout() and traffic.ready >= ahead):
                await scheduler.drained(ahead // 2)
        else:
            while engine.needs_backout() and len(scheduler) >= ahead:
                await self.crawler.signals.wait_for(signals.scheduler_empty)

    def _checked(self, item: Ticket | Record | None) -> Ticket | Record | None:
        """Turn a ticket for a host that `hosts` does not name into its record."""
        if self.hosts is None or not isinstance(item, Ticket):
            return item
        target = check_url(item.entry.target)
        scheme = item.entry.target.partition(":")[0].lower()
        if self.hosts.allows(target.host, target.port, scheme):
            return item
        return Record.of(item, Outcome.FORBIDDEN_HOST, f"{target.host} is not among hosts={self.hosts}")

    def _request(self, ticket: Ticket) -> Request:
        entry = ticket.entry
        headers: Sequence[tuple[str, str]] = () if STRANGER in ticket.request_meta else self.headers
        if entry.headers or entry.authorization is not None or self.key_header is not None:
            headers = self._own_headers(ticket, headers)
        if ticket.conditions:
            own = {name.lower() for name, _ in headers}
            headers = [*headers, *(header for header in ticket.conditions if header[0].lower() not in own)]
        meta: dict[str, Any] = {**ticket.request_meta, TICKET: ticket, "verbatim_url": True}
        return Request(
            entry.target,
            callback=self._answered,
            errback=self._failed,
            method=entry.method,
            headers=headers,
            body=entry.body,
            meta=meta,
            cb_kwargs=dict(ticket.cb_kwargs),
            dont_filter=True,
        )

    def _own_headers(self, ticket: Ticket, common: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        entry, key = ticket.entry, self.key_header
        own = {name.lower() for name, _ in entry.headers}
        headers = [header for header in common if header[0].lower() not in own]
        headers += entry.headers
        if entry.authorization is not None and "authorization" not in own:
            headers.append(("Authorization", entry.authorization))
        if key is not None and entry.method not in IDEMPOTENT and key.name.lower() not in own:
            headers.append((key.name, key.value(uuid_text(ticket.uuid))))
        return headers

    def parse(self, response: Response, **kwargs: Any) -> Any:  # noqa: ARG002  # the signature of every callback
        """What a subclass makes of an ok response; nothing here."""
        return ()

    def _answered(self, response: Response, **cb_kwargs: Any) -> Any:
        request = response.request
        assert request is not None
        ticket: Ticket = request.meta[TICKET]
        outcome, error = outcome_of_response(response, ranged=dict.__contains__(request.headers, b"Range"))
        record = make_record(ticket, request, outcome, response=response, error=error)
        if outcome is not Outcome.OK:
            return (record,)
        callback = getattr(self, ticket.callback or "parse")
        if getattr(callback, "__func__", None) is ApiFetchSpider.parse:
            record.untouched = True
            return (record,)
        request.meta[RECORD] = record
        return self._parsed(record, callback, response, cb_kwargs)

    def _failed(self, failure: Failure) -> Any:
        request: Request = failure.request  # type: ignore[attr-defined]  # Scrapy sets it
        exc = failure.value
        assert exc is not None
        if isinstance(exc, (StoppedError, StoreError, WithheldError)):
            return ()  # not finished: it comes back, or stays for the next run
        ticket: Ticket = request.meta[TICKET]
        is_keyed = self.key_header is not None and self.key_header.is_in(request.headers)
        outcome, error = outcome_of_exception(exc, may_repeat=is_keyed or request.method in IDEMPOTENT)
        response = getattr(exc, "response", None)
        record = make_record(ticket, request, outcome, response=response, error=error)
        if ticket.errback is None:
            exc.__traceback__ = None  # its frames hold the error and the body, and would until gc comes by
            return (record,)
        return self._parsed(record, getattr(self, ticket.errback), failure, {})

    async def _parsed(self, record: Record, callback: Any, result: Any, cb_kwargs: dict[str, Any]) -> list[Any]:
        """Run the user's callback; the record and its children first, then what else it yields."""
        items: list[Any] = []
        requests: list[Request] = []
        late: list[Record] = []
        children: list[Ticket] = []
        try:
            async for item in outputs(callback(result, **cb_kwargs)):
                if not isinstance(item, Request):
                    if item is not record:
                        items.append(no_record(item))
                    continue
                page = child_of(item, result.request, record, self)
                page.request_meta = {**page.request_meta, **bounds(item, result.request, record, self)}
                child = self._checked(self.run.follow(page))
                if isinstance(child, Ticket):
                    children.append(child)
                    requests.append(self._request(child))
                elif child is not None:
                    late.append(child)
        except CloseSpider as exc:  # not raised: the record, and the pages that it led to, would be lost
            closing = self.crawler.engine.close_spider_async(reason=exc.reason or "cancelled")
            self._closing = asyncio.ensure_future(closing)
        except asyncio.CancelledError:
            raise
        except Exception as exc:
            self.logger.exception("%s failed on line %s", callback.__name__, record.line)
            record.outcome, record.error = Outcome.REJECTED, f"{callback.__name__}: {type(exc).__name__}: {exc}"
        record.children = children
        return [record, *late, *items, *requests]
