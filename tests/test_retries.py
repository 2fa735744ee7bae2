"""The middleware in the place of Scrapy's: its settings, meta keys and stats, and when the next attempt may go."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request, Spider
from scrapy.exceptions import DownloadFailedError, DownloadTimeoutError, IgnoreRequest, NotConfigured
from scrapy.http import Response
from scrapy.utils.test import get_crawler

from crawler.items import HOST, NOT_BEFORE, REFUSALS
from crawler.pacing import MOST_EXCUSED, Cause, Ending, Policy, Traffic
from crawler.retries import RetryMiddleware

URL = "http://api.test/1"


def middleware(**settings: Any) -> tuple[RetryMiddleware, Any]:
    """Give one and its crawler's stats."""
    crawler = get_crawler(Spider, settings)
    crawler.spider = Spider.from_crawler(crawler, name="any")
    return RetryMiddleware.from_crawler(crawler), crawler.stats


def after(
    status: int, request: Request | None = None, headers: dict[str, str] | None = None, **settings: Any
) -> Request | None:
    """The next attempt after a response; None when there is none."""
    request = request or Request(URL)
    response = Response(URL, status, headers=headers)
    result = middleware(**settings)[0].process_response(request, response)
    if isinstance(result, Request):
        return result
    assert result is response
    return None


def rest_s(request: Request | None, since_s: float | None = None) -> float:
    """How long it rests from now on, or since then."""
    assert request is not None
    return float(request.meta[NOT_BEFORE]) - (time.monotonic() if since_s is None else since_s)


def test_with_retries_off_it_steps_aside() -> None:
    with pytest.raises(NotConfigured):
        middleware(RETRY_ENABLED=False)


@pytest.mark.parametrize("status", [200, 204, 301, 304, 400, 401, 403, 404, 501])
def test_an_answer_passes(status: int) -> None:
    assert after(status) is None


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 522, 524])
def test_what_may_pass_is_tried_again(status: int) -> None:
    again = after(status, Request(URL, priority=5, meta={"own": 1}), RETRY_PRIORITY_ADJUST=-1)
    assert again is not None
    assert (again.url, again.priority, again.dont_filter) == (URL, 4, True)
    assert (again.meta["retry_times"], again.meta["own"]) == (1, 1)


def test_what_the_user_lists_is_tried_again_redirects_included() -> None:
    assert after(404, RETRY_HTTP_CODES=[404]) is not None
    assert after(302, RETRY_HTTP_CODES=[302]) is not None
    assert after(500, RETRY_HTTP_CODES=[404]) is None


@pytest.mark.parametrize(
    ("meta", "settings", "retried"),
    [
        ({"dont_retry": True}, {}, False),
        ({"retry_times": 1}, {"RETRY_TIMES": 2}, True),
        ({"retry_times": 2}, {"RETRY_TIMES": 2}, False),
        ({"retry_times": 2, REFUSALS: 1}, {"RETRY_TIMES": 2}, True),
        ({"retry_times": 2, "max_retry_times": 3}, {"RETRY_TIMES": 2}, True),
        ({"max_retry_times": 0}, {"RETRY_TIMES": 2}, False),
        ({"max_retry_times": None}, {"RETRY_TIMES": 2}, True),
    ],
)
def test_scrapys_settings_and_keys_are_obeyed(meta: dict[str, Any], settings: dict[str, Any], *, retried: bool) -> None:
    assert (after(500, Request(URL, meta=meta), **settings) is not None) is retried


def test_the_rest_is_no_shorter_than_asked_and_grows_where_nothing_is_said() -> None:
    now_s = time.monotonic()
    assert rest_s(after(429, headers={"Retry-After": "70"}), now_s) >= 70
    assert rest_s(after(429, headers={"Retry-After": "junk"})) <= 1
    for times in range(4):
        most_s = 0.5 * 2**times
        request = Request(URL, meta={"retry_times": times, "max_retry_times": 9})
        now_s = time.monotonic()
        again = [after(500, request, APIFETCH_RETRY_BASE_S=0.5) for _ in range(50)]
        assert most_s / 4 < max(rest_s(each, now_s) for each in again)
        assert max(rest_s(after(500, request, APIFETCH_RETRY_BASE_S=0.5)) for _ in range(50)) <= most_s
    assert rest_s(after(500, APIFETCH_RETRY_BASE_S=0.01, APIFETCH_RETRY_CAP_S=0.01)) <= 0.01


def test_only_refusals_are_counted_as_such() -> None:
    refused, failed = after(429), after(500)
    assert refused is not None
    assert failed is not None
    assert (refused.meta[REFUSALS], REFUSALS in failed.meta) == (1, False)


def test_an_outage_excuses_a_call_so_often_and_no_more() -> None:
    """The last call of a list that always fails looks like an outage: nothing is left that could succeed."""
    by, _ = middleware(RETRY_TIMES=2)
    traffic: Traffic[Request] = Traffic(Policy(per_host=20))
    for number in range(10):
        call = traffic.started("api.test", number, thing=Request(URL), retry=False)
        traffic.ended("api.test", call, number + 0.1, Ending(failed=Cause.NETWORK) if number else Ending(status=200))
    assert traffic.excuses("api.test")
    by._retrying._crawler.spider.run = SimpleNamespace(traffic=traffic)  # type: ignore[union-attr]
    request: Request | None = Request(URL, meta={HOST: "api.test"})
    tries = 0
    while request is not None:
        tries += 1
        request = by.process_exception(request, DownloadFailedError("the connection was reset"))
    assert tries == 1 + MOST_EXCUSED + 2


def test_the_stats_are_scrapys() -> None:
    by, stats = middleware(RETRY_TIMES=1)
    again = by.process_response(Request(URL), Response(URL, 503))
    assert isinstance(again, Request)
    assert isinstance(by.process_response(again, Response(URL, 503)), Response)
    assert by.process_exception(Request(URL), DownloadTimeoutError()) is not None
    found = {name: value for name, value in stats.get_stats().items() if name.startswith("retry/")}
    assert found == {
        "retry/count": 2,
        "retry/max_reached": 1,
        "retry/reason_count/503 Service Unavailable": 1,
        "retry/reason_count/scrapy.exceptions.DownloadTimeoutError": 1,
    }


@pytest.mark.parametrize(
    ("exception", "settings", "retried"),
    [
        (DownloadTimeoutError(), {}, True),
        (DownloadFailedError(), {}, True),
        (OSError(), {}, True),
        (IgnoreRequest(), {}, False),
        (ValueError(), {}, False),
        (ValueError(), {"RETRY_EXCEPTIONS": ["builtins.ValueError"]}, True),
        (ValueError(), {"RETRY_EXCEPTIONS": [ValueError]}, True),
        (OSError(), {"RETRY_EXCEPTIONS": [ValueError]}, False),
    ],
)
def test_the_exceptions_are_those_of_the_setting(
    exception: Exception, settings: dict[str, Any], *, retried: bool
) -> None:
    again = middleware(**settings)[0].process_exception(Request(URL), exception)
    assert (again is not None) is retried


def test_a_post_is_tried_again_only_if_it_did_not_arrive_or_was_refused() -> None:
    post = Request(URL, method="POST")
    assert after(500, post) is None
    assert after(500, post, APIFETCH_RETRY_METHODS=("POST",)) is not None
    assert after(429, post) is not None
    by = middleware()[0]
    assert by.process_exception(post, DownloadTimeoutError()) is None
    unsent = DownloadFailedError()
    unsent.outcome = "tls"  # type: ignore[attr-defined]  # as crawler.wire.curl.failures says it
    assert by.process_exception(post, unsent) is not None


def test_what_nobody_has_imported_is_not_loaded_for_its_exception() -> None:
    """Scrapy's default list names one of a handler that takes a tenth of a second to import."""
    program = (
        "import sys\n"
        "from scrapy import Request, Spider\n"
        "from scrapy.utils.test import get_crawler\n"
        "from crawler.retries import RetryMiddleware\n"
        "crawler = get_crawler(Spider)\n"
        "crawler.spider = Spider.from_crawler(crawler, name='any')\n"
        "by = RetryMiddleware.from_crawler(crawler)\n"
        "by.process_exception(Request('http://api.test/'), OSError())\n"
        "name = 'scrapy.core.downloader.handlers.http11'\n"
        "assert name not in sys.modules\n"
        "from scrapy.core.downloader.handlers.http11 import TunnelError\n"
        "assert by.process_exception(Request('http://api.test/'), TunnelError()) is not None\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
