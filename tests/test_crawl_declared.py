"""Declared success: a 200 that says otherwise inside is `rejected`, kept apart, and asked again if wanted."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.audit import audit, outcomes, refused
from tests.scripted import OK, Heard, Says, Scripted

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl


def test_an_answer_that_is_not_what_was_declared_is_rejected(api: ApiServer, crawl: Crawl) -> None:
    """Whatever its status; a failure stays what it is. The reason stands in the record, the body in errors/."""
    bodies = {"good": b'{"error": null}', "bad": b'{"error": "quota"}', "html": b"<html>sorry</html>", "empty": b""}
    urls = [api.put_bytes(name, body) for name, body in bodies.items()]
    result = crawl([*urls, api.url("/missing/1")], expect="json", ok_if="error == null")
    summary = audit(result, 8)
    rows = {row["url"].rpartition("/")[2]: row for row in result.rows()}
    assert {name: (row["outcome"], row["status"], row["error"]) for name, row in rows.items()} == {
        "good": ("ok", 200, None),
        "bad": ("rejected", 200, "not ok_if=error == null"),
        "html": ("rejected", 200, "expect=json: the body is none"),
        "empty": ("rejected", 200, "expect=json: there is no body"),
        "1": ("http_error", 404, "HTTP status 404"),
    }
    assert summary["arguments"]["ok_if"] == "error == null"
    by_url = {envelope["url"]: envelope for envelope in result.envelopes("errors")}
    assert by_url[urls[1]]["body"] == {"error": "quota"}
    assert by_url[urls[2]]["text"] == "<html>sorry</html>"
    # a rejected answer stands until somebody says redo
    before = api.seen("/bytes")
    audit(crawl("items.txt", expect="json", ok_if="error == null"), 8)
    assert api.seen("/bytes") == before
    api.put_bytes("bad", b"{}")
    audit(crawl("items.txt", expect="json", ok_if="error == null", redo="failed"), 8)
    assert outcomes(result) == Counter(ok=2, rejected=2, http_error=1)


def test_a_rejected_answer_is_asked_for_again_when_that_is_said(crawl: Crawl) -> None:
    """As a failure of the server's: so often as `retries` says, and only what may be repeated."""

    def answer(heard: Heard) -> Says:
        bad = heard.path == "/never" or heard.times == 1
        return Says(body=b'{"error": "busy"}') if bad else OK

    with Scripted(answer) as server:
        calls = [("GET", "/soon"), ("GET", "/never"), ("POST", "/posted")]
        lines = [json.dumps({"url": server.url(path), "method": method}) + "\n" for method, path in calls]
        (crawl.cwd / "calls.jsonl").write_text("".join(lines))
        result = crawl("calls.jsonl", ok_if="error == null", retries=2, settings={"APIFETCH_RETRY_REJECTED": "on"})
        audit(result, 8)
        assert {path: server.times(path) for _, path in calls} == {"/soon": 2, "/never": 3, "/posted": 1}
    assert outcomes(result) == Counter(ok=1, rejected=2)


@pytest.mark.check
def test_a_spider_sees_only_what_was_declared(api: ApiServer, crawl: Crawl) -> None:
    """`parse` gets no rejected answer, and with Scrapy's own parts it is the same."""
    (crawl.cwd / "myspiders.py").write_text(
        "from crawler.spiders.apifetch import ApiFetchSpider\n\n\n"
        "class Mine(ApiFetchSpider):\n"
        "    name = 'mine'\n\n"
        "    def parse(self, response):\n"
        "        print('parsed', response.json()['error'])\n"
    )
    urls = [api.put_bytes("good", b'{"error": null}'), api.put_bytes("bad", b'{"error": "quota"}')]
    for number, parts in enumerate(({}, {"DOWNLOADER": "scrapy.core.downloader.Downloader"})):
        result = crawl(
            urls, spider="mine", ok_if="error == null", out=f"out/{number}",
            settings={"SPIDER_MODULES": "myspiders", **parts},
        )  # fmt: skip
        audit(result, 8)
        assert result.stdout == "parsed None\n"


def test_a_bad_condition_is_refused_by_its_place(api: ApiServer, crawl: Crawl) -> None:
    refused(crawl([api.url("/items/1")], ok_if="error = null"), 2, "ok_if='error = null'", "character 7", "JMESPath")
    assert api.stats()["requests"] == 0
