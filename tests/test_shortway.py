"""The short way through the engine: whoever listens hears the same, and Scrapy's text is still what was read."""

from __future__ import annotations

import hashlib
import inspect
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from crawler import shortway
from crawler.downloader import hooks

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl

READ: Final = {
    "ExecutionEngine._start_scheduled_request": "92e88b0d07c0249c",
    "ExecutionEngine._start_scheduled_requests": "667c213bbbeaf197",
    "ExecutionEngine._start_request_processing": "4fa182f2d7083737",
    "ExecutionEngine._process_start_next": "c3d1877cbaecdd7f",
    "ExecutionEngine.crawl": "cd20c383f5de19fd",
    "ExecutionEngine._download": "c058b362cce44dab",
    "ExecutionEngine._handle_downloader_output": "5457d73c802cf4e7",
    "ExecutionEngine._remove_request": "82e86f8751677b88",
    "ExecutionEngine._schedule_request": "524abda6f29c746b",
    "Scraper.enqueue_scrape": "13797600d476b240",
    "Scraper._scrape": "72f0901d7c0dbe07",
    "Scraper._process_spidermw_output_async": "94488bf929eb2348",
    "Scraper.start_itemproc_async": "7c63d9dcc74a8f5a",
    "CallLaterOnce": "b8996637092651a0",
    "CoreStats": "341a8c1eb9856ccc",
    "DefaultHeadersMiddleware.process_request": "b8524557aebee688",
    "UserAgentMiddleware.process_request": "810ef5a530c962a4",
    "HttpProxyMiddleware.process_request": "2df171aa78a554b3",
    "HttpProxyMiddleware._set_proxy_and_creds": "9ffe2b952f375e68",
    "DownloadHandlers.download_request_async": "9fd46ac136e94ff3",
    "DownloadHandlers._load_handler": "db4be0c723aa59c6",
}
"""SHA-256 of each text of Scrapy's that shortway.py and downloader/hooks.py repeat, as it was when it was read."""


def test_scrapy_does_what_the_short_way_repeats() -> None:
    """Else read what changed there, do the same here, and note the new text above."""
    found = {
        thing.__qualname__: hashlib.sha256(inspect.getsource(thing).encode()).hexdigest()[:16]
        for thing in (*shortway.REPEATED, *hooks.REPEATED)
    }
    assert found == READ


SIGNALS: Final = (
    "request_scheduled", "request_reached_downloader", "response_downloaded", "response_received",
    "request_left_downloader", "item_scraped", "item_dropped",
)  # fmt: skip

LISTENER: Final = """
import json
from collections import Counter

from scrapy import signals


class Listener:
    @classmethod
    def from_crawler(cls, crawler):
        self = cls()
        self.heard = Counter()
        self.crawler = crawler
        self.receivers = []
        for name in crawler.settings.getlist("HEARD"):
            self.receivers.append(self.receiver(name))
            crawler.signals.connect(self.receivers[-1], signal=getattr(signals, name))
        crawler.signals.connect(self.spider_closed, signal=signals.spider_closed)
        return self

    def receiver(self, name):
        def receive(**_):
            self.heard[name] += 1

        return receive

    def spider_closed(self):
        stats = {name: value for name, value in self.crawler.stats.get_stats().items() if name.endswith("_count")}
        with open("heard.json", "w") as file:
            json.dump({"heard": self.heard, "stats": stats}, file)


class Nothing:
    def process_item(self, item):
        return item
"""


def listen(crawl: Crawl, api: ApiServer, **settings: Any) -> dict[str, Any]:
    """What a listener of HEARD counts, and the stats, of a run with calls of every kind."""
    (crawl.cwd / "listener.py").write_text(LISTENER)
    run = len(list(crawl.cwd.glob("out/*")))  # what fails once fails in each run
    paths = [*(f"/items/{n}" for n in range(30)), "/missing/1", f"/flaky/{run}", "/redirect?to=/items/99", "/items/3"]
    result = crawl(
        [*(api.url(path) for path in paths), "no url"],
        out=f"out/{run}",
        settings={"EXTENSIONS": {"listener.Listener": 900}, **settings},
        workers=4,
    )
    assert result.returncode == 8, result.stderr
    found: dict[str, Any] = json.loads((crawl.cwd / "heard.json").read_text())
    return found


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"ITEM_PIPELINES": {"listener.Nothing": 100}},
        {"DOWNLOADER": "scrapy.core.downloader.Downloader"},
    ],
    ids=["all of it", "another pipeline", "another downloader"],
)
def test_the_stats_are_those_of_the_long_way(api: ApiServer, crawl: Crawl, more: dict[str, Any]) -> None:
    long = listen(crawl, api, ITEM_PROCESSOR="scrapy.pipelines.ItemPipelineManager")
    assert {"item_scraped_count", "response_received_count"} <= long["stats"].keys()
    assert listen(crawl, api, HEARD=[], **more)["stats"] == long["stats"]


def test_who_listens_to_a_signal_hears_it_as_often(api: ApiServer, crawl: Crawl) -> None:
    """One at a time: each is what makes that step go Scrapy's own way."""
    long = listen(crawl, api, HEARD=SIGNALS, ITEM_PROCESSOR="scrapy.pipelines.ItemPipelineManager")
    short = [listen(crawl, api, HEARD=[name]) for name in SIGNALS]
    assert {name: heard["heard"].get(name) for name, heard in zip(SIGNALS, short, strict=True)} == {
        name: long["heard"].get(name) for name in SIGNALS
    }
    assert [heard["stats"] for heard in short] == [long["stats"]] * len(SIGNALS)
    assert {name for name in SIGNALS if not long["heard"].get(name)} == {"item_dropped"}


def test_an_empty_scheduler_and_an_idle_spider_are_heard_of(api: ApiServer, crawl: Crawl) -> None:
    names = ["scheduler_empty", "spider_idle"]
    assert listen(crawl, api, HEARD=names)["heard"].keys() == {*names}
