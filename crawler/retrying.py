"""One more attempt: the same request again, counted as Scrapy counts it, to rest as pacing says.

For every component that sees a call fail. Translates between Scrapy's retry settings, meta keys and stats
and the decisions of crawler.pacing; knows no component.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.exceptions import CannotResolveHostError, DownloadConnectionRefusedError

from crawler.items import HOST, IDEMPOTENT, NOT_BEFORE, REFUSALS, TICKET, Outcome
from crawler.pacing import MOST_EXCUSED, AgainRule, Cause, Ending, backoffs

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler

    from crawler.items import Ticket
    from crawler.values import KeyHeader

_NOTHING_SENT: Final = frozenset({Outcome.DNS, Outcome.CONNECT, Outcome.TLS})


class Retrying:
    """Gives requests for another attempt."""

    def __init__(self, crawler: Crawler) -> None:
        settings = crawler.settings
        self._crawler = crawler
        self._is_on = settings.getbool("RETRY_ENABLED")
        self._most = settings.getint("RETRY_TIMES")
        self.statuses = frozenset(map(int, settings.getlist("RETRY_HTTP_CODES")))
        self._rule = AgainRule(
            statuses=self.statuses,
            methods=IDEMPOTENT | frozenset(settings.get("APIFETCH_RETRY_METHODS") or ()),
        )
        self._key_header: KeyHeader | None = settings.get("APIFETCH_IDEMPOTENCY_KEY")
        self._backoffs = backoffs(
            settings.getfloat("APIFETCH_RETRY_BASE_S", 1.0), settings.getfloat("APIFETCH_RETRY_CAP_S", 60.0)
        )

    def again(self, request: Request, ending: Ending, reason: str | Exception) -> Request | None:
        """Give the request for another attempt; None when it has to do with what it got.

        A call that may not be repeated, and is, stands in the ledger as one that is still to be made.
        """
        meta = request.meta
        if not self._is_on or meta.get("dont_retry"):
            return None
        most = meta.get("max_retry_times")
        refusals = meta.get(REFUSALS, 0)
        is_excused = (
            ending.is_pushback and not ending.is_refusal and refusals < MOST_EXCUSED and self._is_excused(request)
        )
        refusals += is_excused
        is_keyed = self._key_header is not None and self._key_header.is_in(request.headers)
        most = self._rule.most(
            ending, method=request.method, arrived=not is_keyed and not _is_unsent(reason),
            most=self._most if most is None else most, refusals=refusals,
        )  # fmt: skip
        if most is None:
            return None
        assert self._crawler.spider is not None
        again = get_retry_request(
            request, spider=self._crawler.spider, reason=reason, max_retry_times=most,
            priority_adjust=meta.get("priority_adjust"), give_up_log_level=meta.get("give_up_log_level"),
        )  # fmt: skip
        if again is None:
            return None
        if ending.is_refusal or is_excused:
            again.meta[REFUSALS] = refusals + ending.is_refusal
        backoff = self._backoffs[ending.cause or Cause.SERVER]
        attempt = 1 if is_excused else again.meta["retry_times"]  # its host rests for longer, as long as it must
        again.meta[NOT_BEFORE] = time.monotonic() + backoff.rest_s(attempt, ending.asked_s)
        ticket: Ticket | None = meta.get(TICKET)
        if ticket is not None and ticket.is_noted and not is_keyed:  # a kill is no matter then
            self._crawler.spider.run.recording.unsent(ticket)  # type: ignore[attr-defined]  # a ticket has a run
        return again

    def _is_excused(self, request: Request) -> bool:
        """Whether its host is out of order: then a call that fails uses up none of its retries."""
        run = getattr(self._crawler.spider, "run", None)
        host = request.meta.get(HOST)
        return run is not None and host is not None and run.traffic.excuses(host)


def _is_unsent(reason: str | Exception) -> bool:
    """Whether the failure came before anything was sent."""
    if isinstance(reason, CannotResolveHostError | DownloadConnectionRefusedError):
        return True
    return getattr(reason, "outcome", None) in _NOTHING_SENT
