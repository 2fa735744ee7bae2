"""Per-call log lines that say nothing: the ledger has the row, and a run of a million lines a log of its own."""
# ruff: noqa: ARG002  # the methods' signatures are Scrapy's

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from scrapy.logformatter import LogFormatter

from crawler.items import Record

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.http import Response
    from scrapy.logformatter import LogFormatterResult
    from twisted.python.failure import Failure


class QuietLogFormatter(LogFormatter):
    """Scrapy's messages without those that come once a call; a user's own items are logged as ever."""

    def crawled(self, request: Request, response: Response, spider: Spider) -> LogFormatterResult:
        return None  # type: ignore[return-value]  # documented: None omits the line

    def scraped(self, item: Any, response: Response | Failure | None, spider: Spider) -> LogFormatterResult:
        if isinstance(item, Record):
            return None  # type: ignore[return-value]
        return super().scraped(item, response, spider)

    def dropped(
        self, item: Any, exception: BaseException, response: Response | Failure | None, spider: Spider
    ) -> LogFormatterResult:
        if isinstance(item, Record):
            return None  # type: ignore[return-value]  # the record says who dropped it and why
        return super().dropped(item, exception, response, spider)

    def item_error(
        self, item: Any, exception: BaseException, response: Response | Failure | None, spider: Spider
    ) -> LogFormatterResult:
        if isinstance(item, Record):
            return {
                "level": logging.ERROR,
                "msg": "A pipeline failed on the record of line %(line)s",
                "args": {"line": item.line},
            }
        return super().item_error(item, exception, response, spider)
