"""A user's own code around ours: whatever it drops, breaks, adds or follows, each line keeps its one record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.audit import audit, by_url

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl

SETTINGS = """
from crawler.settings import *

SPIDER_MODULES = ["crawler.spiders", "mine"]
ITEM_PIPELINES = {"mine.Pipeline": 100}
DOWNLOADER_MIDDLEWARES = {"mine.Ignorer": 100}
SPIDER_MIDDLEWARES = {"mine.Filter": 100}
EXTENSIONS = {"mine.Scheduling": 100}
"""

COMPONENTS = """
import copy
import dataclasses
import json

from scrapy import Request, signals
from scrapy.exceptions import DropItem, IgnoreRequest

from crawler.items import Outcome, Record
from crawler.spiders.apifetch import ApiFetchSpider


class Pipeline:
    def process_item(self, item):
        url = item.url if isinstance(item, Record) else ""
        if "pipeline-drops" in url:
            raise DropItem("not wanted")
        if "pipeline-raises" in url:
            raise ValueError("no good")
        if "pipeline-dict" in url:
            return {"url": url}
        if "pipeline-copy" in url:
            return copy.copy(item)
        if "pipeline-deepcopy" in url:
            return copy.deepcopy(item)
        if "pipeline-replaces" in url:
            return dataclasses.replace(item)
        if "pipeline-none" in url:
            return None
        if not isinstance(item, Record):
            with open("items.seen", "a") as file:
                file.write(json.dumps(item) + "\\n")
        return item


class Ignorer:
    def process_request(self, request):
        if "middleware-ignores" in request.url:
            raise IgnoreRequest("never mind")
        if "middleware-raises" in request.url:
            raise RuntimeError("broken middleware")

    def process_response(self, request, response):
        if "response-ignored" in request.url:
            raise IgnoreRequest("seen enough")
        return response


class Filter:
    def process_spider_output(self, response, result):
        for item in result:
            if not (isinstance(item, Record) and "filtered" in item.url):
                yield item

    async def process_spider_output_async(self, response, result):
        async for item in result:
            if not (isinstance(item, Record) and "filtered" in item.url):
                yield item


class Scheduling:
    @classmethod
    def from_crawler(cls, crawler):
        self = cls()
        crawler.signals.connect(self.request_scheduled, signal=signals.request_scheduled)
        return self

    def request_scheduled(self, request, spider):
        if "unscheduled" in request.url:
            raise IgnoreRequest("not today")
"""


def mine(crawl: Crawl, spider: str = "") -> dict[str, Any]:
    """Put a spider called `mine` beside the components above. Returns how to run it."""
    (crawl.cwd / "mine.py").write_text(COMPONENTS + (spider or "\n\nclass Mine(ApiFetchSpider):\n    name = 'mine'\n"))
    (crawl.cwd / "my_settings.py").write_text(SETTINGS)
    return {"spider": "mine", "settings_module": "my_settings"}


OUTCOMES = {
    "/items/pipeline-drops": ("rejected", "a pipeline dropped it: not wanted"),
    "/items/pipeline-raises": ("rejected", "a pipeline failed: ValueError: no good"),
    "/items/pipeline-replaces": ("rejected", "a pipeline returned a copy of the record"),
    "/items/pipeline-dict": ("rejected", "a component dropped it without a word"),
    "/items/pipeline-none": ("rejected", "a component dropped it without a word"),
    "/items/middleware-ignores": ("rejected", "a middleware ignored it: never mind"),
    "/items/middleware-raises": ("rejected", "RuntimeError: broken middleware"),
    "/items/response-ignored": ("rejected", "a middleware ignored it: seen enough"),
    "/items/filtered": ("rejected", "a component dropped it without a word"),
    "/items/unscheduled": ("rejected", "a component dropped it without a word"),
    "/missing/pipeline-drops": ("http_error", "HTTP status 404"),  # what failed stays what it was
    "/items/pipeline-copy": ("ok", ""),
    "/items/pipeline-deepcopy": ("ok", ""),
    "/items/fine": ("ok", ""),
}


def test_what_a_component_takes_away_is_rejected_with_the_reason(api: ApiServer, crawl: Crawl) -> None:
    lines = [api.url(path) for path in OUTCOMES]
    lines += ["pipeline-dict", "filtered", "pipeline-drops", api.url("/items/fine"), api.url("/items/pipeline-dict")]
    result = crawl(lines, **mine(crawl))
    audit(result, 8, tracebacks=2)  # one for each exception of the pipeline, none of ours
    rows = {row["line"]: row for row in result.rows()}
    for line, (path, (outcome, error)) in enumerate(OUTCOMES.items(), start=1):
        assert (path, rows[line]["outcome"]) == (path, outcome)
        assert error in (rows[line]["error"] or "")
    assert [rows[line]["outcome"] for line in range(15, 20)] == ["invalid"] * 3 + ["duplicate"] * 2
    assert len(result.rows()) == len(lines)
    again = crawl("items.txt", redo="all", **mine(crawl))
    audit(again, 8, tracebacks=2)
    assert [row["outcome"] for row in again.rows("select outcome from records order by line")] == [
        rows[line]["outcome"] for line in sorted(rows)
    ]


# parse

PARSES = """

class Mine(ApiFetchSpider):
    name = "mine"

    def parse(self, response, **kwargs):
        kind = response.url.rpartition("/")[2].partition("?")[0]
        return getattr(self, kind)(response)

    def nothing(self, response):
        return None

    def one(self, response):
        return {"one": response.json()["id"]}

    def listed(self, response):
        return [{"listed": 1}, None, {"listed": 2}]

    def changes(self, response):
        record = response.meta["record"]
        record.meta = {**record.meta, "id": response.json()["id"]}
        record.key = "mine"
        yield record
        yield {"changes": record.bytes}

    async def coroutine(self, response):
        return [{"coroutine": 1}]

    async def asynchronous(self, response):
        yield {"asynchronous": 1}

    def raises(self, response):
        yield {"raises": 1}
        raise KeyError("end")

    async def raises_later(self, response):
        yield {"raises_later": 1}
        raise KeyError("end")

    def rejects(self, response):
        response.meta["record"].outcome = Outcome.REJECTED
        response.meta["record"].error = "not what it says"

    def spoils_meta(self, response):
        response.meta["record"].meta["when"] = object()

    def spoils_key(self, response):
        response.meta["record"].key = ["a", "b"]

    def spoils_outcome(self, response):
        response.meta["record"].outcome = "fine"

    def says_it_plainly(self, response):
        response.meta["record"].outcome = "rejected"
        response.meta["record"].error = "so be it"

    def copies(self, response):
        yield copy.copy(response.meta["record"])

    def lambda_callback(self, response):
        yield response.follow("/items/x", callback=lambda response: None)

    def object_argument(self, response):
        yield response.follow("/items/x", cb_kwargs={"seen": {1, 2}})

    def object_meta(self, response):
        yield response.follow("/items/x", meta={"when": object()})

    def bad_scheme(self, response):
        yield Request("ftp://127.0.0.1/x")
"""

PARSED = {
    "nothing": "", "one": "", "listed": "", "changes": "", "coroutine": "", "asynchronous": "",
    "raises": "parse: KeyError: 'end'", "raises_later": "KeyError: 'end'", "rejects": "not what it says",
    "copies": "change the one in response.meta", "lambda_callback": "callback=",
    "object_argument": "cb_kwargs['seen']", "object_meta": "meta['when']", "bad_scheme": "ftp",
    "spoils_meta": "meta", "spoils_key": "key", "spoils_outcome": "outcome", "says_it_plainly": "so be it",
}  # fmt: skip


def test_parse_may_be_of_any_kind_and_its_errors_are_the_records(api: ApiServer, crawl: Crawl) -> None:
    how = mine(crawl, PARSES)
    feed = crawl.cwd / "feed.jsonl"
    urls = [api.url(f"/items/{name}?size=50") for name in PARSED] + [api.url("/missing/nothing")]
    result = crawl(urls, options=["-o", str(feed)], **how)
    audit(result, 8, tracebacks=7 + result.stderr.count("The above exception was"))
    rows = by_url(result)
    for name, error in PARSED.items():
        row = rows[api.url(f"/items/{name}?size=50")]
        assert (name, row["outcome"]) == (name, "rejected" if error else "ok")
        assert error in (row["error"] or ""), row["error"]
    changed = rows[api.url("/items/changes?size=50")]
    assert (changed["key"], json.loads(changed["meta"])) == ("mine", {"id": "changes"})
    assert rows[api.url("/missing/nothing")]["outcome"] == "http_error"
    items = [json.loads(line) for line in feed.read_text().splitlines()]
    mine_only = sorted(str(item) for item in items if "outcome" not in item)
    assert mine_only == sorted(
        ["{'one': 'one'}", "{'listed': 1}", "{'listed': 2}", "{'coroutine': 1}", "{'asynchronous': 1}",
         "{'raises': 1}", "{'raises_later': 1}", "{'changes': None}"]
    )  # fmt: skip
    assert len(items) - len(mine_only) == len(urls)
    assert sorted(str(json.loads(line)) for line in (crawl.cwd / "items.seen").read_text().splitlines()) == mine_only


def test_a_spider_that_closes_itself_keeps_what_it_has(api: ApiServer, crawl: Crawl) -> None:
    closes = """
from scrapy.exceptions import CloseSpider


class Mine(ApiFetchSpider):
    name = "mine"
    arguments = frozenset({"last"})

    def parse(self, response):
        yield {"id": response.json()["id"]}
        if response.json()["id"] == self.last:
            raise CloseSpider("enough")
"""
    how = mine(crawl, closes)
    result = crawl([api.url(f"/items/{n}") for n in range(100)], workers=1, last=3, _job="of scrapyd", **how)
    assert audit(result, 75)["stop_reason"] == "enough"
    assert api.url("/items/3") in by_url(result)
    audit(crawl("items.txt", last=-1, **how), 0)
    assert set(api.seen().values()) == {1}
