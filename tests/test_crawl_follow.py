"""Pages that a subclass follows: each is a record of its own, none is lost, doubled or forgotten."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.audit import audit, by_url, outcomes

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl

SPIDER = """
from crawler.spiders.apifetch import ApiFetchSpider


class Follower(ApiFetchSpider):
    name = "follower"

    def parse(self, response, **kwargs):
        if "/pages/" in response.url:
            page = response.json()
            yield {"page": page["page"], "chain": page["chain"]}
            if page["next"]:
                yield response.follow(page["next"], callback=self.parse_page, cb_kwargs={"above": [page["page"]]})
        elif "/items/away" in response.url:
            away = response.url.replace("127.0.0.1", "localhost").replace("/items/away", "/echo/away")
            yield response.follow(away, meta=response.meta)
            yield response.follow("/echo/home")
        elif "/items/fork" in response.url:
            for path in ("/items/a", "/items/b", "/items/a", "/fail/c?times=1", "/items/d?q=%7e#x"):
                yield response.follow(path, callback=self.parse_leaf, errback=self.leaf_failed)

    def parse_page(self, response, above):
        page = response.json()
        response.meta["record"].meta["above"] = above
        if page["next"]:
            yield response.follow(page["next"], callback=self.parse_page, cb_kwargs={"above": [*above, page["page"]]})

    def parse_leaf(self, response):
        response.meta["record"].key = "leaf"

    def leaf_failed(self, failure):
        self.crawler.stats.inc_value("leaves_failed")
        return {"failed": failure.request.url}
"""

SETTINGS = """
from crawler.settings import *

SPIDER_MODULES = ["crawler.spiders", "follower"]
"""


def follower(crawl: Crawl) -> dict[str, Any]:
    """Put a spider that follows pages into the crawl's folder. Returns how to run it."""
    (crawl.cwd / "follower.py").write_text(SPIDER)
    (crawl.cwd / "my_settings.py").write_text(SETTINGS)
    return {"spider": "follower", "settings_module": "my_settings"}


def test_a_chain_of_pages_is_followed_with_its_arguments(api: ApiServer, crawl: Crawl) -> None:
    how = follower(crawl)
    first = crawl([api.url(f"/pages/{chain}/1?last=4") for chain in "xy"], options=["-o", "feed.jsonl"], **how)
    equation = audit(first, 0)["equation"]
    assert (equation["lines"], equation["followed"], equation["ok"]) == (2, 6, 8)
    rows = by_url(first)
    for chain in "xy":
        for page in range(2, 5):
            row = rows[api.url(f"/pages/{chain}/{page}?last=4")]
            assert row["parent"] == rows[api.url(f"/pages/{chain}/{page - 1}?last=4")]["uuid"]
            assert (row["line"], row["meta"]) == (None, json.dumps({"above": [*range(1, page)]}, separators=(",", ":")))
    assert (crawl.cwd / "feed.jsonl").read_text().count('"chain": ') == 2
    before = first.rows()
    again = crawl("items.txt", **how)
    assert audit(again, 0)["equation"] == equation
    assert again.rows() == before
    assert set(api.seen().values()) == {1}
    everything = crawl("items.txt", redo="all", **how)
    assert audit(everything, 0)["equation"] == equation
    assert set(api.seen().values()) == {2}
    assert len(everything.rows()) == 8


def test_a_link_to_another_origin_takes_no_headers_and_params_there(api: ApiServer, crawl: Crawl) -> None:
    """Unless `hosts` names it. What became of the page, a redirect here, is not the next one's."""
    how = {**follower(crawl), "headers": '{"X-Mine": "mine"}', "params": '{"pin": "mine"}', "save": "raw"}
    found = []
    for out, hosts in (("bare", None), ("named", f"{api.netloc},{api.netloc.replace('127.0.0.1', 'localhost')}")):
        result = crawl([api.url("/redirect/1?to=/items/away")], out=out, hosts=hosts, **how)
        audit(result, 0)
        assert [row["redirects"] for row in result.rows()] == [1, 0, 0]
        calls = [json.loads(path.read_bytes()) for path in result.files()]
        found.append({call["target"]: dict(call["headers"]).get("X-Mine") for call in calls if "target" in call})
    bare, named = found
    assert bare == {"/echo/away": None, "/echo/home?pin=mine": "mine"}
    assert named == {"/echo/away?pin=mine": "mine", "/echo/home?pin=mine": "mine"}


def test_a_page_that_failed_goes_on_where_it_stopped(api: ApiServer, crawl: Crawl) -> None:
    how = follower(crawl)
    page = {"page": 1, "chain": "c", "next": "/bytes/pages/2"}
    first = crawl([api.put_bytes("pages/1", json.dumps(page).encode())], **how)
    equation = audit(first, 8)["equation"]
    assert (equation["ok"], equation["failed"], equation["followed"]) == (1, 1, 1)
    api.put_bytes("pages/2", json.dumps({**page, "page": 2, "next": "/bytes/pages/3"}).encode())
    api.put_bytes("pages/3", json.dumps({**page, "page": 3, "next": None}).encode())
    result = crawl("items.txt", redo="failed", **how)
    equation = audit(result, 0)["equation"]
    assert (equation["ok"], equation["failed"], equation["followed"]) == (3, 0, 2)
    assert json.loads(by_url(result)[api.url("/bytes/pages/3")]["meta"]) == {"above": [1, 2]}
    assert api.seen()["/bytes/pages/1"] == 1


def test_a_call_that_a_page_leads_to_once_more_is_a_duplicate(api: ApiServer, crawl: Crawl) -> None:
    """From the same page, from two pages, and one that is a line of the list itself."""
    how = follower(crawl)
    urls = [api.url(path) for path in ("/items/fork/1", "/items/fork/2", "/items/b", "/items/fork/1")]
    result = crawl(urls, settings={"RETRY_TIMES": 0}, workers=1, **how)
    equation = audit(result, 8)["equation"]
    assert equation == {
        "lines": 4, "followed": 10, "ok": 5, "failed": 1, "invalid": 0, "duplicate": 8, "erased": 0, "left": 0,
    }  # fmt: skip
    assert len(result.rows()) == 14
    assert sum(api.seen().values()) == 6
    leaf = by_url(result)[api.url("/items/d?q=%7e#x")]
    assert (leaf["outcome"], leaf["key"]) == ("ok", "leaf")
    again = crawl("items.txt", **how)
    equation = audit(again, 0)["equation"]
    assert (equation["ok"], equation["followed"], equation["duplicate"]) == (6, 10, 8)
    assert by_url(again)[api.url("/fail/c?times=1")]["key"] == "leaf"
    everything = crawl("items.txt", redo="all", **how)
    assert audit(everything, 0)["equation"] == equation
    assert len(everything.rows()) == 14
    assert sum(api.seen().values()) == 7 + 6


def test_a_killed_run_forgets_no_page_and_none_of_its_arguments(api: ApiServer, crawl: Crawl) -> None:
    how = follower(crawl)
    running = crawl([api.url("/pages/x/1?last=5&delay_ms=600")], wait=False, **how)
    running.wait_for(lambda: outcomes(running.output).get("ok", 0) >= 2)
    running.kill()
    result = crawl("items.txt", **how)
    assert audit(result, 0)["equation"]["followed"] == 4
    assert json.loads(by_url(result)[api.url("/pages/x/5?last=5&delay_ms=600")]["meta"]) == {"above": [1, 2, 3, 4]}
    assert outcomes(result) == {"ok": 5}
