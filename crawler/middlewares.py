"""Downloader middlewares: redirects that carry nothing of the user's away, and the count of attempts."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urljoin

from scrapy.exceptions import NotConfigured

from crawler.exceptions import BadRedirectError, BadURLError, StoppedError
from crawler.items import HOST, IDEMPOTENT, NOT_BEFORE, PUT_BACK, REACH, STRANGER, TICKET
from crawler.sources import check_url

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from crawler.items import Ticket
    from crawler.run import Run
    from crawler.sources import Target

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NO_HOST: Final = re.compile(rb"\s*https?://(?:[/?#]|\s*$)", re.IGNORECASE)  # RFC 9110, 4.2.1; a path to urljoin
_OF_THE_BODY: Final = ("Content-Type", "Content-Length", "Content-Encoding", "Content-Language", "Content-Location")
_OF_THE_PROXY: Final = ("proxy", "_auth_proxy", "_scheme_proxy")  # HttpProxyMiddleware sets them anew per scheme


class RedirectMiddleware:
    """Follow at most REDIRECT_MAX_TIMES redirects (RFC 9110, section 15.4).

    To another origin goes the bare URL: no header, cookie, credential or body of the user's. From https
    to http it is not followed, nor to what is no http URL: the outcome is `bad_redirect`. Unlike Scrapy's
    own, it keeps the URL as the server wrote it. `dont_redirect` and `handle_httpstatus_all` in meta work.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._max_times = crawler.settings.getint("REDIRECT_MAX_TIMES")
        self._priority_adjust = crawler.settings.getint("REDIRECT_PRIORITY_ADJUST")

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if not crawler.settings.getbool("REDIRECT_ENABLED"):
            raise NotConfigured
        return cls(crawler)

    def process_response(self, request: Request, response: Response) -> Request | Response:
        try:
            return self._follow(request, response)
        except BadRedirectError as exc:
            exc.response = response
            raise

    def _follow(self, request: Request, response: Response) -> Request | Response:
        if response.status not in _REDIRECTS or _is_wanted(request, response.status):
            return response
        location = response.headers.get("Location")
        if location is None:
            return response
        hops = request.meta.get("redirect_times", 0) + 1
        if hops > self._max_times:
            raise BadRedirectError(f"more than {self._max_times} redirects")
        if _NO_HOST.match(location):
            raise BadRedirectError("it leads to a URL without a host")
        here = check_url(request.url)
        try:
            there = check_url(urljoin(request.url, location.decode("utf-8", "surrogateescape").strip()))
        except (BadURLError, ValueError) as exc:
            raise BadRedirectError(f"it leads to no URL: {exc}") from exc
        if there.authorization is not None:
            raise BadRedirectError("it leads to a URL with credentials")
        redirected = _redirected(request, response.status, here, there)
        redirected.priority = request.priority + self._priority_adjust  # while its connection is kept
        redirected.meta.update(
            redirect_times=hops,
            redirect_urls=[*request.meta.get("redirect_urls", ()), request.url],
            redirect_reasons=[*request.meta.get("redirect_reasons", ()), response.status],
        )
        run: Run | None = getattr(self._crawler.spider, "run", None)
        if run is not None:
            # What a proxy is connected to, only the proxy knows.
            address = None if request.meta.get("proxy") else response.ip_address
            reach = run.guard.reach(here.host, address)
            redirected.meta[REACH] = min(int(reach), request.meta.get(REACH, reach))
        return redirected


def _is_wanted(request: Request, status: int) -> bool:
    """Whether the request's own meta asks for the redirect itself."""
    meta = request.meta
    wanted = meta.get("dont_redirect") or meta.get("handle_httpstatus_all")
    return bool(wanted) or status in meta.get("handle_httpstatus_list", ())


def _redirected(request: Request, status: int, here: Target, there: Target) -> Request:
    if here.scheme == "https" and there.scheme == "http":
        raise BadRedirectError("it leads from https to http")
    becomes_get = (status in {301, 302} and request.method == "POST") or (
        status == 303 and request.method not in {"GET", "HEAD"}
    )
    redirected = request.replace(url=there.target)
    if becomes_get:
        redirected = redirected.replace(method="GET", body=b"")
        for name in _OF_THE_BODY:
            redirected.headers.pop(name, None)
    redirected.headers.pop("Referer", None)
    if here.scheme != there.scheme:
        redirected.headers.pop("Proxy-Authorization", None)
        for name in _OF_THE_PROXY:
            redirected.meta.pop(name, None)
    if here.origin != there.origin:
        if redirected.body or redirected.method not in {"GET", "HEAD"}:
            raise BadRedirectError(f"it asks to send {redirected.method} to another origin, {there.host}")
        redirected.headers.clear()
        redirected.cookies = {}
        redirected.meta[STRANGER] = True
        redirected.meta.pop("download_slot", None)  # the downloader's word for the host that it left
    return redirected


class AttemptMiddleware:
    """Count what goes out, and have it on disk before it does that a call may not be repeated.

    What goes out too early goes back to our scheduler; what another one gave out waits here, with its worker.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def process_request(self, request: Request) -> Awaitable[Request | None] | None:
        run: Run | None = getattr(self._crawler.spider, "run", None)
        ticket: Ticket | None = request.meta.get(TICKET)
        if run is not None and (
            (ticket is not None and request.method not in IDEMPOTENT and not ticket.is_noted)
            or NOT_BEFORE in request.meta
            or _came_too_early(request, run)
        ):
            return self._prepare(request, ticket, run)
        if ticket is not None:
            _count(ticket)
        return None

    async def _prepare(self, request: Request, ticket: Ticket | None, run: Run) -> Request | None:
        """Do what takes time. Returns the request when it has to go back to the scheduler."""
        rests_until_s = request.meta.pop(NOT_BEFORE, None)
        if rests_until_s is not None:
            await _wait(rests_until_s, run)
        was_noted = ticket is not None and ticket.is_noted
        if ticket is not None and request.method not in IDEMPOTENT and not was_noted:
            if _came_too_early(request, run):
                return _put_back(request)
            await run.recording.sent(ticket)
        if _came_too_early(request, run):
            if ticket is not None and ticket.is_noted and not was_noted:
                run.recording.unsent(ticket)
            return _put_back(request)
        if ticket is not None:
            _count(ticket)
        return None


def _came_too_early(request: Request, run: Run) -> bool:
    """Whether the scheduler let it go, but meanwhile its host may not be called."""
    traffic = run.traffic
    return traffic.is_given(request) and traffic.may_go(request.meta[HOST], time.monotonic(), request) is not None


def _put_back(request: Request) -> Request:
    request.meta[PUT_BACK] = True
    return request


def _count(ticket: Ticket) -> None:
    ticket.attempts += 1
    if ticket.sent_s is None:
        ticket.sent_s = time.time()


async def _wait(until_s: float, run: Run) -> None:
    """Wait until then, by the monotonic clock. Raises StoppedError when the run stops."""
    while (left_s := until_s - time.monotonic()) > 0:
        with suppress(TimeoutError):
            await asyncio.wait_for(run.stopping.begun.wait(), left_s)
        if run.stopping.begun.is_set():
            raise StoppedError("the run is stopping")
