"""The run's owner: opens it with the spider, stops it when it must stop, closes it and says how it went.

Translates between Scrapy's signals and the Run; what a run is, and what its end means, is decided there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING, Any, Final, Self

from scrapy import signals
from scrapy.exceptions import CloseSpider, DontCloseSpider, NotConfigured

from crawler.accounting import EARLY, ExitCode
from crawler.credentials import REFUSING
from crawler.descriptors import leave_no_core
from crawler.exceptions import (
    ApiFetchError,
    ArgumentError,
    InterruptError,
    ListError,
    OtherListError,
    OtherRunError,
    SecretError,
    StoreError,
)
from crawler.extensions.planning import bare_names, plan_of
from crawler.extensions.runlog import RunLog
from crawler.extensions.words import ending, opening
from crawler.items import TICKET, Outcome, Record
from crawler.run import Run
from crawler.sources import SharedAddress, is_shared
from crawler.store.exports import RUN_LOG
from crawler.store.runs import now as in_future

if TYPE_CHECKING:
    from pathlib import Path

    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from twisted.python.failure import Failure

    from crawler.plan import Plan
    from crawler.sources import Opens

logger = logging.getLogger("apifetch")

WATCH_S: Final = 0.2
"""How often we look whether Scrapy is stopping: it has no signal for the moment a stop begins."""

NOTE_S: Final = 5.0
"""How often the ledger is told how far the limits of hosts are used up."""

EXIT_CODE: Final = "apifetch/exit_code"
"""The stat that carries the exit code to the `crawl` command."""

DISK: Final = "disk"
"""The reason of a stop when the disk refuses, or has no room for more."""

_REFUSALS: Final = (
    (OtherRunError, ExitCode.OTHER_RUN, "other_run"),
    (InterruptError, ExitCode.STOPPED, "shutdown"),
    (ListError, ExitCode.USAGE, "bad_list"),
    (OtherListError, ExitCode.USAGE, "other_list"),
    (ArgumentError, ExitCode.USAGE, "bad_argument"),
    (SecretError, ExitCode.USAGE, "no_secret"),
    (StoreError, ExitCode.DISK, DISK),
)


class RunKeeper:
    """Opens, watches and closes `spider.run`."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._run: Run | None = None
        self._log: RunLog | None = None
        self._watch: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()
        self._is_closing = False
        self._drain_s = crawler.settings.getfloat("APIFETCH_DRAIN_S")

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if not crawler.settings.get("APIFETCH_URLS"):
            raise NotConfigured  # no list: this spider is none of ours
        keeper = cls(crawler)
        for handler, signal in (
            (keeper.spider_opened, signals.spider_opened),
            (keeper.spider_idle, signals.spider_idle),
            (keeper.item_dropped, signals.item_dropped),
            (keeper.item_error, signals.item_error),
            (keeper.request_dropped, signals.request_dropped),
            (keeper.spider_closed, signals.spider_closed),
            (keeper.engine_stopped, signals.engine_stopped),
        ):
            crawler.signals.connect(handler, signal=signal)
        return keeper

    # Opening

    def spider_opened(self, spider: Spider) -> None:
        os.umask(self._crawler.settings["APIFETCH_UMASK"])  # what a run writes is its owner's only
        leave_no_core()
        try:
            plan = plan_of(self._crawler.settings)
            self._run = Run(plan, on_disk_error=self._disk_refused, shared=_shared_list(plan))
        except ApiFetchError as exc:
            self._refuse(exc)
            raise
        if self._run.is_shared:
            logger.warning("Every user of this computer may change what is in %s: chmod o-w it", plan.out)
        for name in bare_names(self._crawler.settings):
            logger.warning("$%s in headers or params is sent as it stands; ${%s} would be filled in", name, name)
        self._log = RunLog(plan.out / plan.shard.file(RUN_LOG), self._crawler.settings, plan.secrets)
        spider.run = self._run  # type: ignore[attr-defined]  # where spider, pipeline and middlewares find it
        for line in opening(self._run, self._where(self._run)):
            logger.info("%s", line)
        self._watch = asyncio.ensure_future(self._watch_for_stop())

    def _where(self, run: Run) -> str:
        """Where the results are, as it is to be named."""
        return run.plan.remote.url if run.plan.remote is not None else str(self._shown(run.plan.out))

    def _shown(self, out: Path) -> Path:
        """The output directory as the log names it; who reads a log file need not know where the run was started."""
        return out.absolute() if self._crawler.settings["LOG_FILE"] else out

    def _refuse(self, exc: ApiFetchError) -> None:
        """Raise CloseSpider with the exit code that this means; return for what no run should ever raise."""
        logger.error("%s", exc)
        for kind, code, reason in _REFUSALS:
            if isinstance(exc, kind):
                self._crawler.stats.set_value(EXIT_CODE, int(code))
                if self._crawler.settings["LOG_FILE"]:  # whose readers do not see how the process ends
                    logger.error("Exit code %d: nothing was requested", code)
                raise CloseSpider(reason) from exc

    # Stopping

    async def _watch_for_stop(self) -> None:
        """Once Scrapy stops, give calls on the wire APIFETCH_DRAIN_S, then leave them for the next run."""
        assert self._run is not None
        note_s = time.monotonic() + NOTE_S
        # there is no event to wait for
        while self._crawler.crawling and not self._is_closing and self._run.recording.error is None:
            await asyncio.sleep(WATCH_S)
            self._run.aside.look(time.monotonic())
            self._look_for_reasons_to_stop(self._run)
            if self._run.source.is_dry and not self._run.traffic.in_flight and not len(self._run.traffic):
                self._run.let_go()  # who waits for others would wait for entries that another worker holds
            if time.monotonic() >= note_s and self._run.recording.error is None:
                note_s = time.monotonic() + NOTE_S
                self._run.note_pacing()
        self._run.stopping.begin()
        deadline_s = time.monotonic() + (self._drain_s if self._run.recording.error is None else 0.0)
        while self._run.stopping.calls and time.monotonic() < deadline_s:  # noqa: ASYNC110  # see WATCH_S
            await asyncio.sleep(WATCH_S)
        while True:  # a call that was queued when the others were given up still comes by
            self._run.stopping.give_up_calls()
            await asyncio.sleep(WATCH_S)

    def _look_for_reasons_to_stop(self, run: Run) -> None:
        if self._is_closing:
            return
        reason = _reason_to_stop(run)
        if reason is None and (shortage := run.shortage()) is not None:
            logger.error("%s: stopping. Make room, then run the same command again", shortage)
            reason = DISK
        if reason is not None:
            self._is_closing = True
            asyncio.ensure_future(self._crawler.engine.close_spider_async(reason=reason))  # noqa: RUF006  # the engine holds it

    def _disk_refused(self, error: ApiFetchError) -> None:
        if isinstance(error, OtherRunError):
            logger.error("%s: stopping", error)
        else:
            remote = self._run is not None and self._run.plan.remote is not None
            first = "See to the store" if remote else "Make room"
            logger.error("%s; nothing of that batch counts as done. %s, then run the same command again", error, first)
        asyncio.ensure_future(self._crawler.engine.close_spider_async(reason=DISK))  # noqa: RUF006  # the engine holds it

    # What would otherwise vanish

    def item_dropped(self, item: Any, exception: BaseException) -> None:
        if not isinstance(exception.__cause__, StoreError):
            self._reject(item, f"a pipeline dropped it: {exception}")

    def item_error(self, item: Any, failure: Failure) -> None:
        self._reject(item, f"a pipeline failed: {type(failure.value).__name__}: {failure.value}")

    def request_dropped(self, request: Request) -> None:
        self._lost(request, "the scheduler dropped it")

    def spider_idle(self) -> None:
        """All is done, so what was issued and has no record now will never have one: give it one."""
        if self._run is None or self._run.recording.error is not None:
            return
        if (reason := _reason_to_stop(self._run)) is not None:
            raise CloseSpider(reason)
        if self._run.let_go():
            raise DontCloseSpider
        for ticket in [ticket for ticket in self._run.in_flight.values() if not ticket.recorded]:
            self._run.recording.put_nowait(Record.of(ticket, Outcome.REJECTED, "a component dropped it without a word"))
        for record in list(self._run.recording.no_calls.values()):
            self._run.recording.put_nowait(record)

    def _lost(self, request: Request, error: str) -> None:
        ticket = request.meta.get(TICKET)
        if self._run is not None and ticket is not None and not ticket.recorded:
            self._run.recording.put_nowait(Record.of(ticket, Outcome.REJECTED, error))

    def _reject(self, item: Any, error: str) -> None:
        """Only what was ok becomes `rejected`: who drops a failure must not hide it from the next run."""
        if self._run is None or not isinstance(item, Record) or (item.ticket is not None and item.ticket.recorded):
            return
        if item.ok:
            item.outcome, item.error = Outcome.REJECTED, error
        self._run.recording.put_nowait(item)

    # Closing

    async def spider_closed(self, reason: str) -> None:
        run = self._run
        if run is None:
            return
        await run.finish()
        run.count_lines(to_end=run.tally.read_to_end)
        if self._watch is not None:
            self._watch.cancel()
        refused = run.recording.error
        summary = run.close(lambda: _conclusion(run, reason))
        if run.recording.error is not refused:
            logger.error("%s", run.recording.error)
        self._crawler.stats.set_value(EXIT_CODE, int(summary["exit_code"]))
        for line in ending(summary, self._where(run)):
            logger.info("%s", line)
        if run.without_report is not None:
            logger.warning("No report.html (%s): scrapy report %s writes it", run.without_report, run.plan.out)
        if self._log is not None:
            self._log.close()
        run.leave(run.plan.shard.file(RUN_LOG))
        self._closed.set()

    async def engine_stopped(self) -> None:
        """A signal that comes while the spider closes lets Scrapy end before that is over: wait for it."""
        if self._run is not None:
            await self._closed.wait()


def _shared_list(plan: Plan) -> Opens | None:
    """What opens the list, where several machines share it. Raises ListError."""
    if not is_shared(plan.urls):
        return None
    from crawler.distributed.source import shared_source  # noqa: PLC0415  # for those who need it

    address = SharedAddress.of(plan.urls).filled(plan.secrets.values)
    return shared_source(address, ca_file=plan.ca_file, patience_s=plan.shared_patience_s, lease_s=plan.lease_s)


def _conclusion(run: Run, reason: str) -> dict[str, Any]:
    """The summary of a run that ended for Scrapy's *reason*."""
    stop_reason = DISK if run.recording.error is not None else None if reason == "finished" else reason
    return run.summary(exit_code=_exit_code(run, stop_reason), stop_reason=stop_reason)


def _reason_to_stop(run: Run) -> str | None:
    """Why going on makes no sense before `resume_at`; None as long as it does."""
    if any(door.is_dead for door in run.doors.values()):
        return "credentials"
    now_s = time.monotonic()
    stop = run.traffic.stop(now_s, read_to_end=run.tally.read_to_end or run.source.is_dry)
    if stop is None:
        return None
    run.resume_at = None if stop.at_s is None else in_future(stop.at_s - now_s)
    return stop.reason


def _exit_code(run: Run, stop_reason: str | None) -> ExitCode:
    if stop_reason == DISK:
        return ExitCode.DISK
    if stop_reason == "bad_list":
        return ExitCode.USAGE
    if stop_reason == "start_error":
        return ExitCode.BUG
    code = run.tally.exit_code(run.plan.tolerance, complete=stop_reason is None)
    if stop_reason == "credentials" or (code is ExitCode.NOT_OK and run.is_refused):
        return ExitCode.CREDENTIALS
    if stop_reason == EARLY and set(run.tally.statuses) <= REFUSING:
        return ExitCode.CREDENTIALS  # there are none
    return code
