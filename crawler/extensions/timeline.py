"""The ledger's `timeline`: a row per second in which something happened, for reports on how a run went."""

from __future__ import annotations

import asyncio
import json
import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from scrapy import signals
from scrapy.exceptions import NotConfigured

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.crawler import Crawler

    from crawler.items import Record
    from crawler.run import Run

BOUNDS_MS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
"""Upper bounds of the latency histogram: three a decade, enough to read percentiles to a third."""

REFUSED: Final = frozenset({429, 503})


@dataclass(slots=True)
class Second:
    """What became durable in one second of wall-clock time."""

    calls: int = 0
    ok: int = 0
    refused: int = 0
    retries: int = 0
    bytes: int = 0
    latency: Counter[int] = field(default_factory=Counter)


class Timeline:
    """Sums records by the second and notes each second in the ledger when it is over."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._run: Run | None = None
        self._at = 0
        self._second = Second()
        self._rests = 0  # up to the last row

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if not crawler.settings.get("APIFETCH_URLS"):
            raise NotConfigured  # no list: this spider is none of ours
        timeline = cls(crawler.settings.getint("CONCURRENT_REQUESTS"))
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
            self._at = now
            asyncio.get_running_loop().call_later(1.5, self._flush)  # the last second of a burst has no successor
        second = self._second
        second.calls += record.attempts
        second.ok += record.ok
        second.refused += record.status in REFUSED
        second.retries += max(record.attempts - 1 - record.redirects, 0)
        second.bytes += record.bytes or 0
        if record.elapsed_ms is not None:
            second.latency[BOUNDS_MS[min(bisect_left(BOUNDS_MS, record.elapsed_ms), len(BOUNDS_MS) - 1)]] += 1

    def _flush(self) -> None:
        run, at, second, self._second = self._run, self._at, self._second, Second()
        if run is None or run.recording.error is not None or not second.calls:
            return
        rests, self._rests = run.traffic.rests - self._rests, run.traffic.rests
        run.recording.second(
            run.begun.run, at, second.calls, second.ok, second.refused, second.retries, rests, second.bytes,
            json.dumps(dict(sorted(second.latency.items()))), run.traffic.limit(self._workers),
        )  # fmt: skip
