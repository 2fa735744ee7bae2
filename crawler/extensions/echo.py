"""`echo=status`: the status of each call as it completes, one per line on the standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from scrapy import signals
from scrapy.exceptions import NotConfigured

from crawler.items import NOT_A_CALL

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.crawler import Crawler

    from crawler.items import Record


class Echo:
    """Prints the HTTP status, or the outcome where there was no response, once the record is durable."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if crawler.settings.get("APIFETCH_ECHO") != "status":
            raise NotConfigured
        echo = cls()
        crawler.signals.connect(echo.spider_opened, signal=signals.spider_opened)
        return echo

    def spider_opened(self, spider: Spider) -> None:
        run = getattr(spider, "run", None)  # None: it was refused
        if run is not None:
            run.recording.listen(self._print)

    def _print(self, record: Record) -> None:
        if record.outcome not in NOT_A_CALL:
            sys.stdout.write(f"{record.status or record.outcome.value}\n")
            sys.stdout.flush()
