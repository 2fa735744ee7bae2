"""Stops a run that begins with nothing but failures of one kind: a wrong address, key or parameter, most likely.

Looks at records as they are made; whether they are alike is decided in crawler.accounting.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Self

from scrapy import signals
from scrapy.exceptions import NotConfigured

from crawler.accounting import EARLY, Beginning
from crawler.items import Outcome

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.crawler import Crawler

    from crawler.items import Record
    from crawler.run import Run

logger = logging.getLogger("apifetch")

SHOWN_CHARS: Final = 500
"""Of a body, in the log: enough for what an API says in JSON, and for a page's title."""


class FailEarly:
    """most: so many of them, at the beginning of a list of which nothing is ok."""

    def __init__(self, crawler: Crawler, most: int) -> None:
        self._crawler = crawler
        self._beginning = Beginning(most)
        self._run: Run | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        most = crawler.settings.get("APIFETCH_FAIL_EARLY")
        if not most or not crawler.settings.get("APIFETCH_URLS"):
            raise NotConfigured
        early = cls(crawler, most)
        crawler.signals.connect(early.spider_opened, signal=signals.spider_opened)
        return early

    def spider_opened(self, spider: Spider) -> None:
        self._run = getattr(spider, "run", None)  # None: it was refused
        if self._run is not None and not self._run.inside:  # a list of failures fails, as a rule
            # durable they are 256 at a time, which is too late
            self._run.recording.overhear = self._handed_in

    def _handed_in(self, record: Record) -> None:
        beginning, run = self._beginning, self._run
        assert run is not None
        beginning.add(record)
        if not beginning.is_alike and not beginning.is_mixed:
            return
        run.recording.overhear = None
        is_all = run.tally.read_to_end and not len(run.traffic)  # then there is nothing to be saved
        stands = run.tally.outcomes[Outcome.OK] - run.tally.kept  # what a redo could not replace is not from now
        if beginning.is_alike and not is_all and not stands:
            self._stop(beginning)

    def _stop(self, beginning: Beginning) -> None:
        first = beginning.first
        assert first is not None
        logger.error(
            "The first %d calls have all failed alike: %s (%s). The run stops, so that the rest need not; "
            "-s APIFETCH_FAIL_EARLY=0 goes on all the same", beginning.count, first.outcome, first.error,
        )  # fmt: skip
        if first.body:
            logger.error("The answer to the first of them, line %s: %s", first.line, _shown(first.body))
        assert self._crawler.engine is not None
        asyncio.ensure_future(self._crawler.engine.close_spider_async(reason=EARLY))  # noqa: RUF006  # the engine holds it


def _shown(body: bytes) -> str:
    """A body in one line, shortened; what is secret is masked where logs are written."""
    text = body[: 4 * SHOWN_CHARS].decode(errors="replace")
    words = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return words if len(words) <= SHOWN_CHARS else f"{words[:SHOWN_CHARS]}..."
