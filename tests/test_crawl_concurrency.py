"""As many calls at once as `workers` and `per_host` say, counted by the server, and never one more."""

from __future__ import annotations

import itertools
import socket
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from tests.audit import audit
from tests.gate import ADDRESS, Gate
from tests.harness import STOCK_HANDLER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.harness import Crawl, CrawlResult

FILLINGS: Final = 3
"""How often the server waits until the limit is reached before it answers."""

MORE: Final = 50  # many times the workers

ONE_TRY: Final = {"RETRY_TIMES": 0}

LIBCURL: Final[dict[str, str]] = {}

either_handler = pytest.mark.parametrize(
    "handler", [pytest.param(LIBCURL, id="libcurl"), pytest.param(STOCK_HANDLER, id="stock", marks=pytest.mark.check)]
)


class Limit(NamedTuple):
    """What is asked for, and `full`: the requests that the server then holds at once."""

    workers: int
    per_host: int | None
    hosts: Sequence[str]
    full: int


def gate_for(limit: Limit, fillings: int = FILLINGS) -> Gate:
    return Gate(full=limit.full, fillings=fillings, addresses=limit.hosts)


def lines(gate: Gate, limit: Limit, paths: Sequence[str] = ("items",)) -> list[str]:
    """Enough for every filling, and for workers that wait for their host's turn; hosts and paths by turns."""
    origins, words = itertools.cycle(gate.origins), itertools.cycle(paths)
    enough = ((FILLINGS + 1) * limit.full + limit.workers) * len(gate.origins) * len(paths)
    return [f"{next(origins)}/{next(words)}/{n}" for n in range(enough)]


def check(gate: Gate, limit: Limit, result: CrawlResult, requests: int) -> None:
    assert gate.peak == limit.full  # reached, and never exceeded
    assert max(gate.peaks.values()) <= (limit.per_host or limit.workers)
    assert gate.requests.total() == requests
    assert gate.fillings_left == 0
    audit(result, 0)


@either_handler
@pytest.mark.parametrize("workers", [1, 2, 8, 64])
def test_the_server_holds_as_many_requests_as_there_are_workers(
    crawl: Crawl, workers: int, handler: dict[str, str]
) -> None:
    limit = Limit(workers, None, [ADDRESS], full=workers)
    with gate_for(limit) as gate:
        urls = lines(gate, limit)
        result = crawl(urls, workers=workers, settings={**ONE_TRY, **handler})
    check(gate, limit, result, len(urls))


THREE: Final = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


@either_handler
@pytest.mark.parametrize(
    "limit",
    [
        pytest.param(Limit(256, 64, [ADDRESS], full=64), id="64 of 256 on one host"),
        pytest.param(Limit(8, 2, [ADDRESS, ADDRESS], full=2), id="two ports are one host"),
        pytest.param(Limit(8, 2, THREE, full=6), id="each of three hosts has its own"),
        pytest.param(Limit(4, 3, THREE, full=4), id="three hosts share the workers"),
    ],
)
def test_no_host_holds_more_than_per_host(crawl: Crawl, limit: Limit, handler: dict[str, str]) -> None:
    require(limit.hosts)
    with gate_for(limit) as gate:
        urls = lines(gate, limit)
        result = crawl(urls, workers=limit.workers, per_host=limit.per_host, settings={**ONE_TRY, **handler})
    check(gate, limit, result, len(urls))


@either_handler
@pytest.mark.parametrize("path", ["flaky", "moved"])
def test_what_is_tried_again_or_sent_elsewhere_counts_where_it_goes(
    crawl: Crawl, path: str, handler: dict[str, str]
) -> None:
    """Lines of three hosts; every second one fails at first, or is redirected to the last of the hosts."""
    require(THREE)
    limit = Limit(8, 2, THREE, full=2)  # how many are held varies: two are always to be had
    with gate_for(limit, fillings=20) as gate:
        urls = lines(gate, limit, ["items", path])
        settings = {**ONE_TRY, "RETRY_TIMES": 1, **handler}
        result = crawl(urls, workers=limit.workers, per_host=limit.per_host, settings=settings)
    audit(result, 0)
    assert gate.fillings_left == 0
    assert gate.requests.total() == len(urls) + sum(f"/{path}/" in url for url in urls)
    assert gate.peaks == dict.fromkeys(THREE, limit.per_host)


ASKING: Final = """
from scrapy import Request

from crawler.spiders.apifetch import ApiFetchSpider


class Asking(ApiFetchSpider):
    name = "asking"
    arguments = frozenset({"origin"})

    async def parse(self, response, n=0):
        await self.crawler.engine.download_async(Request(f"{self.origin}/asked/{response.meta['apifetch'].entry.line}"))
"""


@either_handler
def test_what_a_callback_downloads_itself_counts_among_the_workers(crawl: Crawl, handler: dict[str, str]) -> None:
    """`engine.download_async` to another host, while the workers go on with the list."""
    require(THREE[:2])
    (crawl.cwd / "mine.py").write_text(ASKING)
    (crawl.cwd / "my_settings.py").write_text(
        "from crawler.settings import *\n\nSPIDER_MODULES = ['crawler.spiders', 'mine']\n"
    )
    limit = Limit(4, None, THREE[:2], full=4)
    with gate_for(limit, fillings=20) as gate:
        here, there = gate.origins
        urls = [f"{here}/items/{n}" for n in range(100)]
        result = crawl(
            urls, spider="asking", settings_module="my_settings", workers=limit.workers, origin=there,
            settings={**ONE_TRY, **handler},
        )  # fmt: skip
    audit(result, 0)
    assert (gate.peak, gate.fillings_left) == (limit.full, 0)
    assert gate.requests.total() == 2 * len(urls)


def require(addresses: Sequence[str]) -> None:
    """Linux has all of 127.0.0.0/8; elsewhere its other addresses must be set up."""
    for address in addresses:
        with socket.socket() as probe:
            try:
                probe.bind((address, 0))
            except OSError as exc:
                pytest.skip(f"this system has no loopback address {address}: {exc}")


# Requests that are no line of the list

ADDING: Final = """
from scrapy import Request

from crawler.spiders.apifetch import ApiFetchSpider


class Adding(ApiFetchSpider):
    name = "adding"
    arguments = frozenset({"origin", "more"})

    async def start(self):
        for n in range(int(self.more)):
            yield self.another("before", n)
        n = 0
        async for item in super().start():
            yield item
            yield self.another("between", n)
            n += 1
        for n in range(int(self.more)):
            yield self.another("after", n)

    def another(self, when, n):
        return Request(f"{self.origin}/{when}/{n}", callback=self.own)

    def own(self, response):
        return None


class Plain(ApiFetchSpider):
    name = "plain"
    arguments = frozenset({"origin", "more"})

    def own(self, response):
        return None


class AddingMiddleware:
    @classmethod
    def from_crawler(cls, crawler):
        self = cls()
        self.crawler = crawler
        return self

    async def process_start(self, start):
        spider = self.crawler.spider
        for n in range(int(spider.more)):
            yield Request(f"{spider.origin}/before/{n}", callback=spider.own)
        n = 0
        async for item in start:
            yield item
            yield Request(f"{spider.origin}/between/{n}", callback=spider.own)
            n += 1
        for n in range(int(spider.more)):
            yield Request(f"{spider.origin}/after/{n}", callback=spider.own)
"""

SETTINGS: Final = """
from crawler.settings import *

SPIDER_MODULES = ["crawler.spiders", "adding"]
"""

THROUGH_MIDDLEWARE: Final = """
SPIDER_MIDDLEWARES = {"adding.AddingMiddleware": 500}
"""


@either_handler
@pytest.mark.parametrize(
    ("spider", "settings"), [("adding", ""), ("plain", THROUGH_MIDDLEWARE)], ids=["start", "process_start"]
)
def test_requests_that_a_user_adds_count_as_any_other(
    crawl: Crawl, spider: str, settings: str, handler: dict[str, str]
) -> None:
    """From a subclass's own start(), or from a spider middleware's process_start()."""
    (crawl.cwd / "adding.py").write_text(ADDING)
    (crawl.cwd / "my_settings.py").write_text(SETTINGS + settings)
    limit = Limit(8, None, [ADDRESS], full=8)
    how: dict[str, Any] = {"spider": spider, "settings_module": "my_settings"}
    with gate_for(limit) as gate:
        urls = lines(gate, limit)
        arguments: dict[str, Any] = {"workers": limit.workers, "origin": gate.origins[0], "more": MORE}
        result = crawl(urls, settings={**ONE_TRY, **handler}, **arguments, **how)
    check(gate, limit, result, 2 * len(urls) + 2 * MORE)
