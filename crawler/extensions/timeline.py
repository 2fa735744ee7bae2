"""The ledger's `timeline`: a row per second in which something happened, for reports on how a run went."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Self

from scrapy import signals
from scrapy.exceptions import NotConfigured

from crawler.meter import Second

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.crawler import Crawler

    from crawler.items import Record
    from crawler.run import Run


class Timeline:
    """Sums records by the second, where the run's meter sees them, and notes each second in the ledger."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self._at = 0
        self._second = Second()
        self._rests = self._refused = 0  # up to the last row

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if not crawler.settings.get("APIFETCH_URLS"):
            raise NotConfigured  # no list: this spider is none of ours
        timeline = cls()
        crawler.signals.connect(timeline.spider_opened, signal=signals.spider_opened)
        return timeline

    def spider_opened(self, spider: Spider) -> None:
        self._run = getattr(spider, "run", None)
        if self._run is not None:
            self._run.recording.listen(self._add, at_end=self._flush)

    def _add(self, record: Record) -> None:
        now = int(time.time())
        if now != self._at:
            self._flush()
            assert self._run is not None
            self._at, self._second = now, self._run.meter.begin(now)
            asyncio.get_running_loop().call_later(1.5, self._flush_past)  # the last second of a burst has no successor
        self._second.add(record)

    def _flush_past(self) -> None:
        if int(time.time()) != self._at:  # a second is written once: the next would replace it
            self._flush()

    def _flush(self) -> None:
        run, at, second = self._run, self._at, self._second
        if run is None or run.recording.error is not None or not second.calls:
            return
        self._at, self._second = 0, Second()
        rests, self._rests = run.traffic.rests - self._rests, run.traffic.rests
        refused, self._refused = run.traffic.refused - self._refused, run.traffic.refused
        run.recording.second(
            run.begun.run, at, second.calls, second.ok, refused, second.retries, rests, second.bytes,
            json.dumps(dict(sorted(second.latency.items()))), run.traffic.limit(run.plan.workers),
        )  # fmt: skip
