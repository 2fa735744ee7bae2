"""The download handler: Scrapy's Request in, Scrapy's Response or exception out, libcurl in between."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pycurl
from scrapy import signals
from scrapy.core.downloader.handlers.base import BaseDownloadHandler
from scrapy.exceptions import UnsupportedURLSchemeError
from scrapy.http import Response
from scrapy.responsetypes import responsetypes
from scrapy.utils.httpobj import urlparse_cached

from crawler.exceptions import ForbiddenAddressError
from crawler.heard import is_heard, receivers
from crawler.items import IDEMPOTENT, REACH, STRANGER
from crawler.wire.curl.failures import failure, stalled
from crawler.wire.curl.flow import BUDGET_BYTES, Flow
from crawler.wire.curl.guarding import guard_redirect, guard_sockets, refusal
from crawler.wire.curl.multi import CurlLoop
from crawler.wire.curl.options import Options, add_special, header_lines, is_special, once
from crawler.wire.curl.peers import Peers, warn_about_key_log
from crawler.wire.curl.transfer import Inbox, Transfer
from crawler.wire.curl.version import require

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler

    from crawler.addresses import Guard
    from crawler.run import Run
    from crawler.wire.curl.head import Head

require()

logger = logging.getLogger(__name__)

STALL_CHECK_S: Final = 1.0
"""How often transfers are looked at for progress: a stall is found at most this much late."""


UNANSWERED: Final = frozenset({52, 55, 56})
"""Codes of a connection that ended before an answer began: got nothing, and errors of sending and receiving."""

MOST_BROKEN: Final = 1_000
"""Hosts that are remembered for that; one that is forgotten costs a few requests more."""

ON_ARRIVAL: Final = frozenset({signals.headers_received, signals.bytes_received})
NOBODY: Final = (False, False)


class CurlDownloadHandler(BaseDownloadHandler):
    """http and https by libcurl, in the event loop's own thread, with connections kept for the next call."""

    lazy = False
    checks_addresses = True
    """Whether every connection is judged by the run's guard."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        settings = crawler.settings
        self._options = Options.from_settings(settings)
        self._max_bytes = settings.getint("DOWNLOAD_MAXSIZE")
        self._warn_bytes = settings.getint("DOWNLOAD_WARNSIZE")
        self._timeout_s = settings.getfloat("DOWNLOAD_TIMEOUT")
        self._stall_s = settings.getfloat("APIFETCH_STALL_S", 15.0)
        self._fail_on_data_loss = settings.getbool("DOWNLOAD_FAIL_ON_DATALOSS")
        self._warned_of_data_loss = False
        self._connections = settings.getint("CONCURRENT_REQUESTS") or 100
        self._budget_bytes = settings.get("APIFETCH_BODIES_IN_FLIGHT_BYTES", BUDGET_BYTES)
        self._loop: CurlLoop | None = None
        self._flow = Flow(self._budget_bytes, lambda: 0)
        self._guard: Guard | None = None
        self._idle: list[pycurl.Curl] = []
        self._inboxes: dict[pycurl.Curl, Inbox] = {}
        self._running: dict[pycurl.Curl, tuple[Transfer, asyncio.Future[tuple[int, str]]]] = {}
        self._stall_timer: asyncio.TimerHandle | None = None
        self._peers = Peers()
        self._multiplexing: set[str] = set()  # hosts and ports that answered in HTTP/2
        self._broken: dict[str, float] = {}  # host and port of which a connection ended without an answer: when
        self._classes: dict[bytes | None, type[Response]] = {}
        warn_about_key_log()

    async def download_request(self, request: Request) -> Response:
        if not request.url.lower().startswith(("http://", "https://")):
            raise UnsupportedURLSchemeError(f"no http or https URL: {request.url}")
        if self._loop is None:
            self._loop = CurlLoop(connections=self._connections)
            run: Run | None = getattr(self.crawler.spider, "run", None)
            self._guard = run.guard if run is not None else None
            self._flow = Flow(self._budget_bytes, run.recording.queued_bytes if run is not None else lambda: 0)
        meta = request.meta
        timeout_s = meta.get("download_timeout") or self._timeout_s
        listens = self._listens() if is_heard(self.crawler, ON_ARRIVAL) else NOBODY
        transfer = Transfer(
            self.crawler, request, self._flow,
            timeout_ms=max(round(timeout_s * 1000), 1),
            max_bytes=meta.get("download_maxsize", self._max_bytes),
            warn_bytes=meta.get("download_warnsize", self._warn_bytes),
            listens=listens,
        )  # fmt: skip
        fresh = bool(self._broken) and urlparse_cached(request).netloc in self._broken
        special = is_special(request) or listens[0] or fresh
        handle = self._prepare(request, transfer, special=special)
        if fresh:
            # What was kept may be dead too, and libcurl would send this on one after the other, five times more.
            handle.setopt(pycurl.FRESH_CONNECT, 1)
        ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self._running[handle] = transfer, ended
        started_s = time.monotonic()
        try:
            self._loop.start(handle, partial(_resolve, ended))
            self._watch_stalls()
            result = await ended
            if self._broken or result[0] in UNANSWERED:
                self._note_broken(request, transfer, result[0], started_s)
            return self._response(request, transfer, handle, result, timeout_s)
        finally:
            meta["download_latency"] = time.monotonic() - started_s
            del self._running[handle]
            self._loop.cancel(handle)  # if it still runs: this call was cancelled
            self._flow.leave(transfer)
            transfer.release()
            self._give_back(handle, special=special)

    async def close(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        self._flow.close()
        if self._loop is not None:
            self._loop.close()
        for handle in self._idle:
            handle.close()
        self._idle.clear()
        self._inboxes.clear()

    def _listens(self) -> tuple[bool, bool]:
        heard = [receivers(self.crawler, signal) > 0 for signal in (signals.headers_received, signals.bytes_received)]
        return heard[0], heard[1]

    # Handles

    def _prepare(self, request: Request, transfer: Transfer, *, special: bool) -> pycurl.Curl:
        if self._idle:
            handle = self._idle.pop()
        else:
            handle = pycurl.Curl()
            self._set_up(handle)
        if special and STRANGER in request.meta:
            handle.reset()  # an option that is set cannot be taken back alone
            self._set_up(handle, stranger=True)
        handle.setopt(pycurl.URL, request.url.partition("#")[0])
        handle.setopt(pycurl.HTTPHEADER, header_lines(request))
        handle.setopt(pycurl.TIMEOUT_MS, transfer.timeout_ms)
        if self._multiplexing:
            # Rather wait for a stream of a connection that is being made than make another. Where HTTP/1.1 is what
            # they will agree on, libcurl would not go on before the first call is answered.
            handle.setopt(pycurl.PIPEWAIT, int(urlparse_cached(request).netloc in self._multiplexing))
        if special:
            add_special(handle, request, self._options)
            if REACH in request.meta and self._guard is not None:
                repeats = request.method in IDEMPOTENT
                guard_redirect(handle, self._guard, transfer, once=None if repeats else once())
        transfer.attach(handle, self._inboxes[handle], pycurl.HEADERFUNCTION)
        return handle

    def _give_back(self, handle: pycurl.Curl, *, special: bool) -> None:
        if special:
            handle.reset()
            self._set_up(handle)
        self._idle.append(handle)

    def _set_up(self, handle: pycurl.Curl, *, stranger: bool = False) -> None:
        self._options.set_up(handle, stranger=stranger)
        self._inboxes[handle] = Inbox(handle, pycurl.WRITEFUNCTION, pycurl.HEADERFUNCTION)
        if self._guard is not None:
            guard_sockets(handle, self._guard, lambda: self._running[handle][0])

    def _note_broken(self, request: Request, transfer: Transfer, code: int, started_s: float) -> None:
        """Whether the connections to a host may all be dead: after one was, until one that began later is not."""
        netloc = urlparse_cached(request).netloc
        if code in UNANSWERED and not transfer.progress:
            if len(self._broken) < MOST_BROKEN:
                self._broken[netloc] = time.monotonic()
        elif not code and started_s > self._broken.get(netloc, math.inf):
            del self._broken[netloc]

    # Responses

    def _response(
        self, request: Request, transfer: Transfer, handle: pycurl.Curl, result: tuple[int, str], timeout_s: float
    ) -> Response:
        code, message = result
        if transfer.stop is not None:
            response = self._make(request, transfer, handle, ["download_stopped"])
            if transfer.stop.fail:
                transfer.stop.response = response
                raise transfer.stop
            return response
        if transfer.broken is not None:
            raise transfer.broken
        if code:
            if (refused := refusal(transfer, code)) is not None:
                raise ForbiddenAddressError(refused)
            lost = transfer.lost(code, message)
            if lost is None:
                raise failure(code, message, request.url, timeout_s)
            if request.meta.get("download_fail_on_dataloss", self._fail_on_data_loss):
                self._warn_of_data_loss(request)
                raise lost
            return self._make(request, transfer, handle, ["dataloss"])
        transfer.check_whole()
        return self._make(request, transfer, handle, None)

    def _make(self, request: Request, transfer: Transfer, handle: pycurl.Curl, flags: list[str] | None) -> Response:
        head = transfer.head
        chunks = transfer.chunks
        body = bytes(chunks[0]) if len(chunks) == 1 else b"".join(chunks)
        response = self._class(head, request.url, body)(
            url=request.url,
            status=head.status,
            body=body,
            flags=flags,
            certificate=self._peers.certificate(request.url, handle),
            ip_address=self._peers.address(handle),
            protocol=head.protocol,
        )
        if head.protocol == "HTTP/2.0":
            self._multiplexing.add(urlparse_cached(request).netloc)
        response.headers = head.headers  # the constructor would copy them, at the cost of all the rest
        return response

    def _class(self, head: Head, url: str, body: bytes) -> type[Response]:
        """The class that Scrapy would choose; by Content-Type alone it is looked up once."""
        headers = head.headers
        if dict.__contains__(headers, b"Content-Encoding"):
            return responsetypes.from_args(headers=headers, url=url, body=body)
        kind = headers.get(b"Content-Type")
        known = self._classes.get(kind)
        if known is None:
            known = responsetypes.from_args(headers=headers, url=url, body=body)
            if kind is not None and responsetypes.from_content_type(kind) is known is not Response:
                self._classes[kind] = known
        return known

    def _warn_of_data_loss(self, request: Request) -> None:
        if not self._warned_of_data_loss:
            self._warned_of_data_loss = True
            logger.warning(
                "Got data loss in %s. If you want to process broken responses set the setting "
                "DOWNLOAD_FAIL_ON_DATALOSS = False -- This message won't be shown in further requests",
                request.url,
            )

    # Stalls

    def _watch_stalls(self) -> None:
        if self._stall_timer is None and self._stall_s:
            loop = asyncio.get_running_loop()
            progress = {ended: (transfer.progress, loop.time()) for transfer, ended in self._running.values()}
            self._stall_timer = loop.call_later(STALL_CHECK_S, self._end_stalls, progress)

    def _end_stalls(self, before: dict[Any, tuple[int, float]]) -> None:
        """End transfers that had begun to arrive and brought nothing for APIFETCH_STALL_S.

        A server that has not begun yet may be thinking: for it, `timeout` alone counts.
        """
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        progress: dict[Any, tuple[int, float]] = {}
        for handle, (transfer, ended) in self._running.items():
            size, since_s = before.get(ended, (-1, now_s))
            is_still = size == transfer.progress and not self._flow.is_paused(transfer)
            progress[ended] = (size, since_s) if is_still else (transfer.progress, now_s)
            if is_still and size > 0 and now_s - since_s >= self._stall_s and not ended.done():
                ended.set_exception(stalled(handle.errstr(), transfer.url, self._stall_s))
        self._stall_timer = loop.call_later(STALL_CHECK_S, self._end_stalls, progress) if self._running else None


def _resolve(ended: asyncio.Future[tuple[int, str]], code: int, message: str) -> None:
    if not ended.done():
        ended.set_result((code, message))
