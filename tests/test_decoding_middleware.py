"""The middleware in the place of Scrapy's: what it asks for, what it passes on, what it asks for again."""

from __future__ import annotations

import asyncio
import base64
import gc
import gzip
import hashlib
import json
import os
import sys
import threading
import weakref
import zlib
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

import brotli  # type: ignore[import-untyped]  # it has no types
import pytest
from scrapy import Request, Spider
from scrapy.exceptions import NotConfigured
from scrapy.http import HtmlResponse, JsonResponse, Response, TextResponse
from scrapy.utils.test import get_crawler

from crawler.exceptions import CallError, DecodeError, TooLargeError, TruncatedError, UnknownCodingError
from crawler.wire.decompression import INLINE_BYTES, INLINE_CODED_BYTES, DecodingMiddleware
from tests.audit import audit, by_url

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from tests.harness import ApiServer, Crawl

BODY: Final = json.dumps({"id": 1, "text": "é" * 200}, ensure_ascii=False).encode()
GZIP: Final = gzip.compress(BODY, mtime=0)
CUT: Final = GZIP[:-1]
DAMAGED: Final = GZIP[:-8] + bytes(8)
BOMB: Final = gzip.compress(bytes(20_000_000))
MIB: Final = 1024 * 1024
URL: Final = "http://api.test/items/1"


def crawler_with(**settings: Any) -> Crawler:
    crawler = get_crawler(Spider, settings)
    crawler.spider = Spider.from_crawler(crawler, name="any")
    return crawler


def middleware(**settings: Any) -> DecodingMiddleware:
    return DecodingMiddleware.from_crawler(crawler_with(**settings))


def coded(
    body: bytes, coding: str | list[str] = "gzip", *, status: int = 200, content_type: str = "application/json"
) -> Response:
    """A response as a download handler makes it."""
    headers = {"Content-Encoding": coding, "Content-Type": content_type, "Content-Length": str(len(body))}
    return Response(URL, status, headers=headers, body=body, protocol="HTTP/1.1")


def passed(
    response: Response, request: Request | None = None, by: DecodingMiddleware | None = None
) -> Request | Response:
    """What the middleware makes of a response."""

    async def process() -> Request | Response:
        result = (by or middleware()).process_response(request or Request(URL), response)
        return await result if isawaitable(result) else result

    return asyncio.run(process())


# What is asked for


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({}, b"gzip"),
        ({"Accept-Encoding": "br"}, b"br"),
        ({"accept-encoding": ""}, b""),
        ({"Range": "bytes=0-99"}, b"identity"),
        ({"Range": "bytes=0-99", "Accept-Encoding": "gzip"}, b"gzip"),
    ],
)
def test_only_the_coding_that_shows_all_damage_is_asked_for(headers: dict[str, str], sent: bytes) -> None:
    request = Request(URL, headers=headers)
    middleware().process_request(request)
    assert request.headers.getlist("Accept-Encoding") == [sent]


def test_with_compression_off_it_steps_aside() -> None:
    with pytest.raises(NotConfigured):
        middleware(COMPRESSION_ENABLED=False)


# What is passed on


def test_a_decoded_response_is_the_one_that_an_uncoded_body_would_have_made() -> None:
    response = coded(GZIP)
    response.flags.append("kept")
    decoded = passed(response)
    assert isinstance(decoded, JsonResponse)
    assert decoded.body == BODY
    assert decoded.json()["id"] == 1
    assert (decoded.url, decoded.status, decoded.protocol, decoded.flags) == (URL, 200, "HTTP/1.1", ["kept"])
    length = str(len(GZIP))
    assert decoded.headers.to_unicode_dict() == {"Content-Type": "application/json", "Content-Length": length}


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        ("text/html; charset=latin-1", "<p>é</p>".encode("latin-1"), HtmlResponse),
        ("text/plain", b"text", TextResponse),
        ("image/png", b"\x89PNG\r\n\x1a\n\0", Response),
    ],
)
def test_the_class_follows_the_type_of_what_was_encoded(content_type: str, body: bytes, kind: type[Response]) -> None:
    decoded = passed(coded(gzip.compress(body), content_type=content_type))
    assert type(decoded) is kind
    if isinstance(decoded, HtmlResponse):
        assert decoded.text == "<p>é</p>"


def test_the_charset_that_the_coded_bytes_seemed_to_have_is_forgotten() -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/html; charset=utf-8"}
    decoded = passed(TextResponse(URL, headers=headers, body=gzip.compress("<p>é</p>".encode()), encoding="cp1252"))
    assert isinstance(decoded, HtmlResponse)
    assert decoded.text == "<p>é</p>"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", GZIP),
        ("X-GZIP", GZIP),
        ("deflate", zlib.compress(BODY)),
        ("br", brotli.compress(BODY)),
        ("zstd", zstd.compress(BODY)),
        ("gzip, br", brotli.compress(GZIP)),
        (["gzip", "br"], brotli.compress(GZIP)),
        ("identity", BODY),
        ("", BODY),
    ],
)
def test_every_coding_is_undone(coding: str | list[str], body: bytes) -> None:
    decoded = passed(coded(body, coding))
    assert isinstance(decoded, JsonResponse)
    assert decoded.body == BODY
    assert "Content-Encoding" not in decoded.headers


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 205), ("GET", 206), ("GET", 304)])
def test_what_has_no_whole_body_is_left_alone(method: str, status: int) -> None:
    response = coded(b"" if status != 206 else GZIP[5:20], status=status)
    assert passed(response, Request(URL, method=method)) is response


def test_a_response_without_a_coding_is_left_alone() -> None:
    response = TextResponse(URL, body=BODY)
    assert passed(response) is response


@pytest.mark.parametrize("body", [CUT, DAMAGED, b"", b"Too many requests", BOMB], ids=len)
@pytest.mark.parametrize("status", [301, 404, 429, 503, 799])
def test_an_error_page_that_cannot_be_decoded_still_says_its_status(status: int, body: bytes) -> None:
    """Retries and Retry-After go by the status; they must not lose it to a broken page."""
    response = coded(body, status=status)
    assert passed(response, by=middleware(DOWNLOAD_MAXSIZE=MIB)) is response


def test_an_error_page_that_can_be_decoded_is() -> None:
    decoded = passed(coded(GZIP, status=503))
    assert isinstance(decoded, Response)
    assert (decoded.status, decoded.body) == (503, BODY)


def test_bodies_are_counted_as_scrapy_counts_them() -> None:
    crawler = crawler_with()
    passed(coded(GZIP), by=DecodingMiddleware.from_crawler(crawler))
    assert crawler.stats.get_value("httpcompression/response_count") == 1
    assert crawler.stats.get_value("httpcompression/response_bytes") == len(BODY)


# What fails, and what is asked for again

FAILURES: Final = [
    (coded(CUT), TruncatedError),
    (coded(b""), TruncatedError),
    (coded(DAMAGED), DecodeError),
    (coded(BODY), DecodeError),
    (coded(GZIP, "nonsense"), UnknownCodingError),
    (coded(GZIP, "gzip, gzip, gzip"), UnknownCodingError),
    (coded(BOMB), TooLargeError),
]


@pytest.mark.parametrize(("response", "error"), FAILURES)
def test_a_failure_brings_what_came(response: Response, error: type[CallError]) -> None:
    with pytest.raises(error) as caught:
        passed(response, by=middleware(RETRY_ENABLED=False, DOWNLOAD_MAXSIZE=2 * MIB))
    assert caught.type is error
    assert caught.value.response is response
    assert "Content-Encoding" in response.headers


@pytest.mark.parametrize(("response", "error"), FAILURES)
def test_only_what_may_come_whole_the_next_time_is_asked_for_again(response: Response, error: type[CallError]) -> None:
    request = Request(URL, headers={"Accept-Encoding": "gzip"}, priority=5)
    by = middleware(DOWNLOAD_MAXSIZE=2 * MIB, RETRY_TIMES=1)
    if error in {UnknownCodingError, TooLargeError}:
        with pytest.raises(error):
            passed(response, request, by)
        return
    again = passed(response, request, by)
    assert isinstance(again, Request)
    assert (again.url, again.meta["retry_times"], again.dont_filter, again.priority) == (URL, 1, True, 4)
    assert again.headers["Accept-Encoding"] == b"gzip"
    with pytest.raises(error):
        passed(response, again, by)


@pytest.mark.parametrize(
    ("meta", "settings", "retried"),
    [
        ({}, {}, True),
        ({"dont_retry": True}, {}, False),
        ({"retry_times": 1}, {"RETRY_TIMES": 2}, True),
        ({"retry_times": 2}, {"RETRY_TIMES": 2}, False),
        ({"retry_times": 2, "max_retry_times": 3}, {"RETRY_TIMES": 2}, True),
        ({"max_retry_times": 0}, {}, False),
        ({}, {"RETRY_ENABLED": False}, False),
    ],
)
def test_scrapys_retry_settings_and_keys_are_obeyed(
    meta: dict[str, Any], settings: dict[str, Any], *, retried: bool
) -> None:
    request = Request(URL, meta=meta)
    by = middleware(**settings)
    if retried:
        assert isinstance(passed(coded(CUT), request, by), Request)
    else:
        with pytest.raises(TruncatedError):
            passed(coded(CUT), request, by)


# Size, and where the work is done


@pytest.mark.parametrize(
    ("setting", "meta", "fits"),
    [
        (len(BODY), {}, True),
        (len(BODY) - 1, {}, False),
        (0, {}, True),
        (1, {"download_maxsize": len(BODY)}, True),
        (1, {"download_maxsize": 0}, True),
        (0, {"download_maxsize": len(BODY) - 1}, False),
    ],
)
def test_the_limit_is_the_requests_or_the_settings(setting: int, meta: dict[str, Any], *, fits: bool) -> None:
    by = middleware(DOWNLOAD_MAXSIZE=setting)
    if fits:
        decoded = passed(coded(GZIP), Request(URL, meta=meta), by)
        assert isinstance(decoded, Response)
        assert decoded.body == BODY
    else:
        with pytest.raises(TooLargeError):
            passed(coded(GZIP), Request(URL, meta=meta), by)


@pytest.mark.parametrize(
    ("body", "aside"),
    [
        (gzip.compress(bytes(INLINE_BYTES)), False),
        (gzip.compress(bytes(INLINE_BYTES + 1)), True),
        (gzip.compress(os.urandom(INLINE_CODED_BYTES - 1000)), False),
        (gzip.compress(os.urandom(INLINE_CODED_BYTES)), True),
    ],
    ids=["1 MiB", "1 MiB and a byte", "256 KiB coded", "more than that"],
)
def test_small_bodies_are_decoded_at_once_and_large_ones_aside(body: bytes, *, aside: bool) -> None:
    async def process() -> None:
        result: Any = middleware().process_response(Request(URL), coded(body))
        assert isawaitable(result) is aside
        decoded = await result if aside else result
        assert decoded.body == gzip.decompress(body)

    asyncio.run(process())


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "apifetch-decoder"]


def test_large_bodies_take_a_few_threads_that_nobody_waits_for_at_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    by = middleware(DOWNLOAD_MAXSIZE=0)
    slow = brotli.compress(bytes(64 * MIB), quality=1)  # some 200 ms: brotli is the slowest with zeros

    async def process() -> None:
        work = []
        for _ in range(4):
            result: Any = by.process_response(Request(URL), coded(slow, "br"))
            work.append(asyncio.ensure_future(result))
        await asyncio.sleep(0)
        threads = decoders()  # on a machine that stalls they may have ended
        assert len(threads) <= 2
        assert all(thread.daemon for thread in threads)
        for task in work:
            task.cancel()
        ended = await asyncio.gather(*work, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended)

    asyncio.run(process())
    for thread in decoders():  # they tell a loop that is closed; what a thread does not catch fails the test
        thread.join()


def test_a_body_that_nobody_waits_for_any_more_is_dropped_without_a_word() -> None:
    complaints: list[Any] = []

    async def process() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        result: Any = middleware().process_response(Request(URL), coded(BOMB))
        task = asyncio.ensure_future(result)
        await asyncio.sleep(0)
        threads = decoders()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for thread in threads:
            thread.join()
        await asyncio.sleep(0)  # what the thread asked the loop to do is done now

    asyncio.run(process())
    assert complaints == []


def test_a_large_body_that_is_cut_is_asked_for_again_too() -> None:
    whole = gzip.compress(os.urandom(2 * INLINE_CODED_BYTES))
    assert isinstance(passed(coded(whole[:-1])), Request)


# The whole way


def test_what_a_crawl_records_is_the_whole_body_or_why_not(api: ApiServer, crawl: Crawl) -> None:
    large = json.dumps(list(range(400_000))).encode()
    bodies = {
        "gzip": ("gzip", GZIP, "ok", BODY, 1),
        "br": ("br", brotli.compress(BODY), "ok", BODY, 1),
        "deflate": ("deflate", zlib.compress(BODY), "ok", BODY, 1),
        "zstd": ("zstd", zstd.compress(BODY), "ok", BODY, 1),
        "large": ("gzip", gzip.compress(large), "ok", large, 1),
        "cut": ("gzip", CUT, "truncated", CUT, 2),
        "cut_br": ("br", brotli.compress(BODY)[:-1], "truncated", brotli.compress(BODY)[:-1], 2),
        "empty": ("gzip", b"", "truncated", b"", 2),
        "damaged": ("gzip", DAMAGED, "decode", DAMAGED, 2),
        "unknown": ("nonsense", BODY, "decode", BODY, 1),
        "bomb": ("gzip", BOMB, "too_large", BOMB, 1),
    }
    urls = {
        name: f"{api.put_bytes(name, body)}?header=Content-Encoding:{coding}"
        for name, (coding, body, *_) in bodies.items()
    }
    settings = {"RETRY_TIMES": 1, "DOWNLOAD_MAXSIZE": 4 * MIB}
    result = crawl([*urls.values(), api.url("/echo")], settings=settings)
    audit(result, 4)
    rows = by_url(result)
    for name, (_, _, outcome, stored, attempts) in bodies.items():
        row = rows[urls[name]]
        assert (row["outcome"], row["status"], row["attempts"]) == (outcome, 200, attempts), name
        assert (row["bytes"], row["sha256"]) == (len(stored), hashlib.sha256(stored).hexdigest()), name
        assert bool(row["error"]) is (outcome != "ok"), name
    echo = json.loads((result.out / rows[api.url("/echo")]["location"]).read_bytes())
    assert ["Accept-Encoding", "gzip"] in echo["body"]["headers"]
    kept = json.loads((result.out / rows[urls["damaged"]]["location"]).read_bytes())
    assert base64.b64decode(kept["base64"]) == DAMAGED


@pytest.mark.parametrize("body", [CUT, gzip.compress(os.urandom(2 * INLINE_CODED_BYTES))[:-1], BOMB])
def test_an_error_that_is_done_with_holds_no_body(body: bytes) -> None:
    """Frames and errors that hold each other would keep it until the collector comes by: gigabytes, in a bad hour."""
    by = middleware(RETRY_ENABLED=False, DOWNLOAD_MAXSIZE=MIB)

    def failed() -> weakref.ref[Response]:
        response = coded(body)
        try:
            passed(response, by=by)
        except CallError as exc:
            exc.__traceback__ = None  # as the spider does
        return weakref.ref(response)

    gc.collect()
    gc.disable()
    try:
        left = failed()
        for thread in decoders():
            thread.join()
        assert left() is None
    finally:
        gc.enable()
