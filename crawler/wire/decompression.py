"""Strict content decoding in the place of Scrapy's HttpCompressionMiddleware, which passes half a body as a whole one.

Translates between Scrapy's responses and `decode`, and decides where the work is done: small bodies at once,
others in a thread of their own. What a body must look like is decided in crawler.wire.decoding.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from scrapy.exceptions import NotConfigured
from scrapy.http import TextResponse
from scrapy.responsetypes import responsetypes

from crawler.exceptions import CallError, DecodeError, TooLargeError, TruncatedError, UnknownCodingError
from crawler.pacing import Cause, Ending
from crawler.retrying import Retrying
from crawler.wire.decoding import decode, parse_codings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

ACCEPTED: Final = b"gzip"
"""The one coding in which every damaged byte is found. Others are decoded where a server sends them anyway, or where
the request asks for them."""

NOT_CODED: Final = frozenset({204, 205, 206, 304})
"""Statuses without a body (RFC 9110, 15.3.5, 15.3.6, 15.4.5), and 206: a part of a coded body cannot be decoded."""

INLINE_CODED_BYTES: Final = 256 * 1024
INLINE_BYTES: Final = 1024 * 1024
"""A body up to this, before and after decoding, is decoded in the event loop: 2 to 5 ms. A bomb is found out at
INLINE_BYTES and starts again in a thread."""


class DecodingMiddleware:
    """Undo the Content-Encoding of every response, or fail the call with `decode`, `truncated` or `too_large`.

    What was cut or damaged is asked for again, as Scrapy's retry settings and meta keys say (Scrapy shows a
    middleware's own failure to no other one), and still in gzip: without its checksum the next answer would
    only look whole. An error page that cannot be decoded stays as it came, for its status says enough.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._max_bytes = crawler.settings.getint("DOWNLOAD_MAXSIZE")
        self._retrying = Retrying(crawler)
        self._places = asyncio.Semaphore(os.cpu_count() or 1)  # a thread for each worker would only take turns

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if not crawler.settings.getbool("COMPRESSION_ENABLED"):
            raise NotConfigured
        return cls(crawler)

    def process_request(self, request: Request) -> None:
        if not dict.__contains__(request.headers, b"Accept-Encoding"):  # its own way normalises the name each time
            request.headers[b"Accept-Encoding"] = b"identity" if b"Range" in request.headers else ACCEPTED

    def process_response(
        self, request: Request, response: Response
    ) -> Request | Response | Awaitable[Request | Response]:
        """The response decoded, or a request to ask again; awaitable when the body is large."""
        if (
            not dict.__contains__(response.headers, b"Content-Encoding")
            or request.method == "HEAD"
            or response.status in NOT_CODED
        ):
            return response
        codings = parse_codings(response.headers.getlist(b"Content-Encoding"))
        max_bytes = request.meta.get("download_maxsize", self._max_bytes)
        work = partial(decode, response.body, codings)
        if len(response.body) > INLINE_CODED_BYTES:
            return self._decode_aside(request, response, partial(work, max_bytes=max_bytes))
        try:
            body = work(max_bytes=min(max_bytes or INLINE_BYTES, INLINE_BYTES))
        except TooLargeError:
            return self._decode_aside(request, response, partial(work, max_bytes=max_bytes))
        except CallError as exc:
            return self._failed(request, response, exc)
        return self._decoded(response, body)

    async def _decode_aside(
        self, request: Request, response: Response, work: Callable[[], bytes]
    ) -> Request | Response:
        run, waiting_bytes = getattr(self._crawler.spider, "run", None), len(response.body)
        if run is not None:
            run.recording.waiting_bytes += waiting_bytes  # else all workers' bodies could be here, beside the budget
        try:
            async with self._places:
                body = await _in_daemon_thread(work)
        except CallError as exc:
            return self._failed(request, response, exc)
        finally:
            if run is not None:
                run.recording.waiting_bytes -= waiting_bytes
        return self._decoded(response, body)

    def _decoded(self, response: Response, body: bytes) -> Response:
        self._crawler.stats.inc_value("httpcompression/response_bytes", len(body))
        self._crawler.stats.inc_value("httpcompression/response_count")
        del response.headers[b"Content-Encoding"]
        kind = responsetypes.from_args(headers=response.headers, url=response.url, body=body)
        changed: dict[str, Any] = {"body": body}
        if issubclass(kind, TextResponse):
            changed["encoding"] = None  # found out anew: that of the coded bytes means nothing
        return response.replace(cls=kind, **changed)

    def _failed(self, request: Request, response: Response, exc: CallError) -> Request | Response:
        if not 200 <= response.status < 300:
            return response
        again = self._retry(request, exc)
        if again is not None:
            return again
        exc.response = response
        raise exc

    def _retry(self, request: Request, exc: CallError) -> Request | None:
        if isinstance(exc, DecodeError | TruncatedError) and not isinstance(exc, UnknownCodingError):
            return self._retrying.again(request, Ending(failed=Cause.NETWORK), exc)
        return None


async def _in_daemon_thread(work: Callable[[], bytes]) -> bytes:
    """What *work* returns or raises. A daemon, and no executor's thread: those outlive SIGTERM."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()
    threading.Thread(target=_run, args=(work, loop, done), name="apifetch-decoder", daemon=True).start()
    try:
        return await done
    finally:
        del done  # an error's traceback holds the frames here; held by them, it would keep the body until gc comes by


def _run(work: Callable[[], bytes], loop: asyncio.AbstractEventLoop, done: asyncio.Future[bytes]) -> None:
    result: bytes | Exception
    try:
        result = work()
    except Exception as exc:  # noqa: BLE001  # it is raised where the body is awaited
        result = exc
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(_settle, done, result)
    del result, done  # as above


def _settle(done: asyncio.Future[bytes], result: bytes | Exception) -> None:
    if done.done():  # cancelled: nobody waits any more
        return
    if isinstance(result, Exception):
        done.set_exception(result)
    else:
        done.set_result(result)
