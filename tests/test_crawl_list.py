"""Lists in, records out: each way to write a call goes out as written, and its answer is kept byte for byte."""

from __future__ import annotations

import gzip
import hashlib
import json
import signal
import subprocess
from base64 import b64decode, b64encode
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from crawler.store.envelope import read_envelope
from tests.audit import audit, by_url, outcomes

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl, CrawlResult


def echoed(result: CrawlResult) -> list[dict[str, Any]]:
    """What /echo says of each call, in the order of the list."""
    found = sorted(result.envelopes(), key=lambda envelope: int(envelope["line"]))
    return [envelope["body"] for envelope in found]


@pytest.mark.parametrize(("workers", "lines"), [(20, 300), (1, 40)])
def test_every_line_is_one_record_with_the_body_that_the_server_sent(
    api: ApiServer, crawl: Crawl, workers: int, lines: int
) -> None:
    paths = [f"/items/{n}?delay_ms=10" if n % 10 else f"/status/{404 + n % 3}?size=5000" for n in range(lines)]
    paths = list(dict.fromkeys(paths))
    result = crawl([api.url(path) for path in paths], workers=workers)
    summary = audit(result, 8)
    rows = result.rows()
    assert sorted(row["line"] for row in rows) == list(range(1, len(paths) + 1))
    sent = dict(api.log())
    for row in rows:
        path = paths[row["line"] - 1]
        data = (result.out / row["location"]).read_bytes()
        metadata, body = read_envelope(data)
        assert row["url"] == metadata["url"] == api.url(path)
        assert row["uuid"] == metadata["uuid"] == str(uuid5(NAMESPACE_URL, api.url(path)))
        assert hashlib.sha256(body).hexdigest() == row["sha256"] == metadata["sha256"] == sent[path]
        status = 200 if path.startswith("/items") else int(path[8:11])
        assert (row["status"], metadata["status"]) == (status, status)
        assert row["outcome"] == metadata["outcome"] == ("ok" if status == 200 else "http_error")
        assert row["bytes"] == len(body)
        assert row["attempts"] == 1
    assert summary["run"]["calls"] == len(paths) == api.stats()["requests"]
    assert 1 <= api.stats()["peak"] <= workers
    assert summary["run"]["bytes"] == sum(row["bytes"] for row in rows)
    assert result.rows("select sum(calls) as calls, sum(bytes) as bytes from timeline") == [
        {"calls": len(paths), "bytes": summary["run"]["bytes"]}
    ]


def test_raw_keeps_the_bytes_alone(api: ApiServer, crawl: Crawl) -> None:
    bodies = {"json": b' {"a": 1.0}\n', "nul": b"\x00\xff\r\n", "empty": b"", "html": "é".encode("latin-1")}
    urls = [api.put_bytes(name, body, "text/html; charset=latin-1") for name, body in bodies.items()]
    result = crawl(urls, save="raw")
    audit(result, 0)
    for name, body in bodies.items():
        row = by_url(result)[api.url(f"/bytes/{name}")]
        assert (result.out / row["location"]).read_bytes() == body
        assert row["sha256"] == row["file_digest"] == hashlib.sha256(body).hexdigest()
        assert row["content_type"] == "text/html; charset=latin-1"


def test_urls_go_out_as_written(api: ApiServer, crawl: Crawl) -> None:
    paths = [
        "/echo//a/../b/./c/", "/echo/%7e~%2F%2f", "/echo/a|b", "/echo?b=2&a=1&&b", "/echo?q=a+b%20c", "/echo/;x=[1]",
        "/echo/é?ö=ü", "/echo/a b", "/echo?to=http://x/?y#fragment", "/echo/$x/${HOME}", "/echo/%zz", "/echo?a='\"",
    ]  # fmt: skip
    result = crawl([api.url(path) for path in paths])
    audit(result, 0)
    assert [call["target"] for call in echoed(result)] == [
        "/echo//a/../b/./c/", "/echo/%7e~%2F%2f", "/echo/a%7Cb", "/echo?b=2&a=1&&b", "/echo?q=a+b%20c", "/echo/;x=[1]",
        "/echo/%C3%A9?%C3%B6=%C3%BC", "/echo/a%20b", "/echo?to=http://x/?y", "/echo/$x/${HOME}", "/echo/%25zz",
        "/echo?a='%22",
    ]  # fmt: skip
    assert [row["url"] for row in result.rows("select url from records order by line")] == [api.url(p) for p in paths]


CALLS: list[dict[str, Any]] = [
    {"id": "a", "meta": {"country": "MA", "deep": [1, {"x": None}]}},
    {"method": "POST", "body": {"q": 1.0, "big": 12345678901234567890}, "id": 7},
    {"method": "put", "body": "téxt", "headers": {"Content-Type": "text/plain", "X-Two": ["1", "2"]}},
    {"body_base64": b64encode(bytes(range(256))).decode()},
    {"method": "DELETE", "headers": {"X-Empty": "", "user-agent": "mine"}},
    {"method": "PATCH", "body": "", "headers": {"Accept": "text/csv"}},
]


def test_a_jsonl_line_says_method_headers_body_id_and_meta(api: ApiServer, crawl: Crawl) -> None:
    lines = [json.dumps({"url": api.url(f"/echo/{n}"), **call}, ensure_ascii=False) for n, call in enumerate(CALLS)]
    (crawl.cwd / "calls.jsonl").write_text("\n".join(lines))
    result = crawl("calls.jsonl", headers='{"X-All": "each"}', params='{"page": 2}')
    audit(result, 0)
    calls = echoed(result)
    assert [call["method"] for call in calls] == ["GET", "POST", "PUT", "POST", "DELETE", "PATCH"]
    bodies = [b64decode(call["body_base64"]) for call in calls]
    assert bodies == [
        b"", b'{"q":1.0,"big":12345678901234567890}', "téxt".encode(), bytes(range(256)), b"", b"",
    ]  # fmt: skip
    assert [call["target"] for call in calls] == [f"/echo/{n}?page=2" for n in range(len(CALLS))]
    headers = [[(name.lower(), value) for name, value in call["headers"]] for call in calls]
    assert all(("x-all", "each") in sent for sent in headers)
    assert ("content-type", "application/json") in headers[1]
    assert [value for name, value in headers[2] if name in {"content-type", "x-two"}] == ["text/plain", "1", "2"]
    assert ("x-empty", "") in headers[4]
    assert [value for name, value in headers[4] if name == "user-agent"] == ["mine"]
    assert [value for name, value in headers[5] if name == "accept"] == ["text/csv"]
    rows = result.rows("select * from records order by line")
    assert [row["key"] for row in rows] == ["a", "7", None, None, None, None]
    assert json.loads(rows[0]["meta"]) == CALLS[0]["meta"]
    assert rows[0]["uuid"] == str(uuid5(NAMESPACE_URL, api.url("/echo/0")))
    assert [row["url"] for row in rows] == [api.url(f"/echo/{n}") for n in range(len(CALLS))]


def test_a_table_passes_its_other_columns_through(api: ApiServer, crawl: Crawl) -> None:
    table = f'id;,link,note\nk1,{api.url("/items/1")},"a, ""b"""\nk2,not a url,x\n\nk3,{api.url("/items/3")},\n'
    (crawl.cwd / "table.csv").write_text(table)
    result = crawl("table.csv", column="link")
    summary = audit(result, 65)
    assert summary["equation"]["lines"] == 3
    first = min(result.envelopes(), key=lambda envelope: int(envelope["line"]))
    assert (first["key"], first["meta"]) == (None, {"id;": "k1", "note": 'a, "b"'})
    assert [line["line"] for line in result.lines("invalid.jsonl")] == [3]
    assert outcomes(result) == {"ok": 2, "invalid": 1}


def test_a_gzipped_list_and_one_without_a_name(api: ApiServer, crawl: Crawl) -> None:
    urls = [api.url(f"/items/{n}") for n in range(5)]
    (crawl.cwd / "few.txt.gz").write_bytes(gzip.compress("\n".join(urls).encode()))
    audit(crawl("few.txt.gz", out="one"), 0)
    (crawl.cwd / "few.txt.gz").rename(crawl.cwd / "few")
    audit(crawl("few", out="two", format="txt.gz"), 0)
    result = crawl("-", stdin="\ufeff{}\r\n".format("\r\n".join(urls)).encode())
    audit(result, 0)
    assert result.out.name == "stdin"
    assert [row["url"] for row in result.rows("select url from records order by line")] == urls


def test_a_pipe_is_read_line_by_line(api: ApiServer, crawl: Crawl) -> None:
    """The first lines are fetched while the writer of the list is still at it."""
    running = crawl("-", wait=False, stdin=subprocess.PIPE, settings={"APIFETCH_LIMIT": 4})
    assert running.process.stdin is not None

    def fetched(lines: int) -> bool:
        return len(running.output.rows()) == lines

    for n in range(4):
        running.process.stdin.write(f"{api.url(f'/items/{n}')}\n".encode())
        running.process.stdin.flush()
        running.wait_for(partial(fetched, n + 1))
    result = running.wait()
    audit(result, 0)


def test_echo_prints_a_status_per_call_and_limit_takes_the_first_lines(api: ApiServer, crawl: Crawl) -> None:
    paths = ["/items/1", "/missing/2", "/cut/3", "/items/1", "/status/204", "/items/6"]
    urls = ["# a comment", *(api.url(path) for path in paths)]
    result = crawl(urls, echo="status", limit=5, retries=0, workers=1)
    assert audit(result, 4)["equation"]["lines"] == 5
    assert sorted(result.stdout.split()) == ["200", "204", "404", "truncated"]  # as they complete
    rest = crawl("items.txt", retries=0, redo="none")
    assert audit(rest, 4)["equation"]["lines"] == 6
    assert rest.stdout == ""
    assert api.seen("/items") == {"/items/1": 1, "/items/6": 1}


AHEAD = """
from crawler.settings import *

EXTENSIONS = {"ahead.Ahead": 999}
"""

AHEAD_EXTENSION = """
from scrapy import signals


class Ahead:
    @classmethod
    def from_crawler(cls, crawler):
        self = cls()
        self.crawler, self.scheduled = crawler, 0
        crawler.signals.connect(self.scheduled_one, signal=signals.request_scheduled)
        crawler.signals.connect(self.reached, signal=signals.request_reached_downloader)
        return self

    def scheduled_one(self, request, spider):
        self.scheduled += 1

    def reached(self, request, spider):
        print(self.scheduled, flush=True)
"""


def test_requests_are_made_when_they_can_be_sent(api: ApiServer, crawl: Crawl) -> None:
    """Whatever the list's length; made ahead they would fill memory, and keep their place in line."""
    (crawl.cwd / "ahead.py").write_text(AHEAD_EXTENSION)
    (crawl.cwd / "my_settings.py").write_text(AHEAD)
    urls = [api.url(f"/hang/{n}") for n in range(20_000)]
    running = crawl(urls, wait=False, workers=5, settings_module="my_settings", settings={"APIFETCH_DRAIN_S": 0})
    running.wait_for(lambda: api.stats()["held"] == 5)
    running.signal(signal.SIGTERM)
    result = running.wait()
    audit(result, 75)
    assert api.stats()["requests"] == 5
    assert max(map(int, result.stdout.split())) <= 10
