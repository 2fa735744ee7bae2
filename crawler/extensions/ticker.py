"""The run's clock: who looks at it every so often, and tells people and programs how it goes.

On a terminal the bar (crawler.bar), elsewhere a line now and then; metrics.prom in any case, and a parent that asked.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Final, Self

from scrapy import signals
from scrapy.exceptions import NotConfigured

from crawler import gauges
from crawler.exceptions import StoreError
from crawler.extensions.cpu import Cpu
from crawler.extensions.told import ToldBar
from crawler.meter.progress import in_a_log, line
from crawler.store.exports import write_metrics
from crawler.telling import wants_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scrapy import Spider
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

    from crawler.meter import Bar, Progress
    from crawler.run import Run

logger = logging.getLogger("apifetch")

LOOK_S: Final = 0.25
"""How often it looks, and how often the bar changes at the most: faster than that nobody reads."""


class Ticker:
    """Looks at the spider's run from its opening until the engine has stopped.

    bars: who is shown each look. line_s: 0 for no lines; as_line: how they say it.
    """

    def __init__(
        self, *, bars: Sequence[Bar], line_s: float, as_line: Callable[[Progress], str], metrics_s: float
    ) -> None:
        self._bars = bars
        self._line_s = line_s
        self._as_line = as_line
        self._metrics_s = metrics_s
        self._run: Run | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._cpu = Cpu()
        self._is_over = False

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        settings = crawler.settings
        if not settings.get("APIFETCH_URLS"):
            raise NotConfigured  # no list: this spider is none of ours
        bar, shows = _bar(settings), settings["APIFETCH_PROGRESS"]
        line_s = 0.0 if bar or shows == "off" else settings["APIFETCH_PROGRESS_S"]
        ticker = cls(
            bars=[each for each in (bar, ToldBar.asked_for()) if each is not None],
            line_s=line_s,
            as_line=in_a_log if shows == "json" else line,
            metrics_s=settings["APIFETCH_METRICS_S"],
        )
        crawler.signals.connect(ticker.spider_opened, signal=signals.spider_opened)
        crawler.signals.connect(ticker.spider_closed, signal=signals.spider_closed)
        crawler.signals.connect(ticker.engine_stopped, signal=signals.engine_stopped)
        return ticker

    def spider_opened(self, spider: Spider) -> None:
        self._run = getattr(spider, "run", None)  # None: it was refused
        if self._run is not None:
            self._ticking = asyncio.ensure_future(self._tick(self._run))

    async def _tick(self, run: Run) -> None:
        now_s = time.monotonic()
        line_s, metrics_s = now_s + self._line_s, now_s
        while True:
            now_s = time.monotonic()
            if not self._is_over:
                moment = gauges.moment(run, cpu=self._cpu.share(), now_s=now_s)
                run.meter.look(moment, now_s)
            is_due = bool(self._line_s) and now_s >= line_s and not self._is_over
            if is_due:
                line_s = now_s + self._line_s
            self._tell(run, as_line=is_due)
            if now_s >= metrics_s and not self._is_over:
                metrics_s = now_s + self._metrics_s
                self._write_metrics(run)
            await asyncio.sleep(LOOK_S)

    def _tell(self, run: Run, *, as_line: bool) -> None:
        if not self._bars and not as_line:
            return
        at = gauges.progress(run, wall_s=time.time())
        for bar in self._bars:
            bar.show(at)
        if as_line:
            logger.info("%s", self._as_line(at))

    def _write_metrics(self, run: Run) -> None:
        """A disk that refuses this will refuse a record too, which is reported."""
        text = gauges.metrics(run, wall_s=time.time())
        try:
            write_metrics(run.plan.out, text, run.plan.shard)
        except StoreError as exc:
            logger.debug("%s", exc)

    def spider_closed(self) -> None:
        self._is_over = True  # the bar stays until the last record is on disk, and the log has said how it went

    def engine_stopped(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        if self._run is not None:  # what stays in a notebook, and what a fleet adds up, is the end
            self._tell(self._run, as_line=bool(self._line_s) and self._as_line is in_a_log)
        for bar in self._bars:
            bar.stop()


def _bar(settings: BaseSettings) -> Bar | None:
    """A terminal's; None where lines will do."""
    logs_to_file = bool(settings.get("LOG_FILE"))
    if not wants_bar(settings["APIFETCH_PROGRESS"], sys.stderr, os.environ, logs_to_file=logs_to_file):
        return None
    from crawler.bar import TerminalBar  # noqa: PLC0415  # 60 ms of imports, for terminals only

    return TerminalBar(sys.stderr)
