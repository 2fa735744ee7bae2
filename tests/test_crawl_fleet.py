"""`scrapy fleet` as a user runs it: several processes, one result, whoever is killed."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Self

import pytest

from crawler.exceptions import OtherRunError
from crawler.items import Shard
from crawler.store.place import Place
from tests.harness import write_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.harness import Crawl

LINES: Final = 40
PASSES: Final = 12
"""Requests that the dam lets through before it holds: then both parts are in the midst, for as long as a test wants."""

SLOW_S: Final = 300.0
"""Only so that a test that waits for what never comes ends."""

FAST: Final = ("-s", "APIFETCH_DURABILITY=process")


class Dam(ThreadingHTTPServer):
    """Answers PASSES requests, and holds the others until it is opened."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.is_open = threading.Event()
        self.requests: list[str] = []
        self.origin = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.is_open.set()
        self.shutdown()
        self.server_close()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Dam

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        if len(self.server.requests) > PASSES:
            self.server.is_open.wait()
        body = json.dumps({"path": self.path}).encode()
        with suppress(OSError):  # who asked was killed
            self.send_response(404 if self.path.startswith("/missing") else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Nothing."""


@pytest.fixture
def dam() -> Iterator[Dam]:
    with Dam() as dam:
        yield dam


def told(rows: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    names = ("line", "uuid", "outcome", "status", "location", "sha256", "error")
    return sorted(tuple(str(row[name]) for name in names) for row in rows)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def pid_of(out: Path, number: int, count: int) -> int:
    return int(json.loads((out / f"summary-{number}-of-{count}.json").read_bytes())["pid"])


def await_end(out: Path, shard: Shard) -> None:
    """Return when nobody holds the part any more: a process that was told to end has."""
    while True:
        with suppress(OtherRunError), closing(Place.take(out, shard)):
            return


def test_two_processes_leave_what_one_does_though_one_is_killed(dam: Dam, crawl: Crawl) -> None:
    lines = [f"{dam.origin}/items/{n}" for n in range(LINES)]
    urls = write_list(crawl.cwd / "list.txt", [*lines, "http://[::1", lines[0], f"{dam.origin}/missing"])
    options = ["-a", "out=out", "-a", "workers=4", "-a", "timeout=600", "-a", "retries=0", *FAST]
    options += ["-s", "APIFETCH_PROGRESS_S=0.1"]
    fleet = crawl.start_scrapy("fleet", urls, "--processes", 2, *options, out="out")
    fleet.wait_for(lambda: len(dam.requests) == PASSES + 4, SLOW_S)  # of workers=4, two each
    fleet.wait_for(lambda: len(fleet.output.files()) == PASSES, SLOW_S)
    fleet.wait_for(lambda: "4 of 4 workers; " in fleet.stderr, SLOW_S)
    os.kill(pid_of(crawl.cwd / "out", 1, 2), signal.SIGKILL)
    fleet.wait_for(lambda: "part 1/2 killed by signal 9; it is started again" in fleet.stderr, SLOW_S)
    dam.is_open.set()
    done = fleet.wait(SLOW_S)
    alone = crawl(urls, out="alone", retries=0, settings={"APIFETCH_DURABILITY": "process"})
    assert done.returncode == alone.returncode == 8
    assert len(dam.requests) <= 2 * (LINES + 1) + 2  # what the killed one had on the wire
    assert told(done.rows()) == told(alone.rows())
    assert [path.name for path in done.files()] == [path.name for path in alone.files()]
    assert [each["body"] for each in done.envelopes()] == [each["body"] for each in alone.envelopes()]
    assert done.summary["equation"] == alone.summary["equation"]
    assert done.lines("failed.jsonl") == alone.lines("failed.jsonl")
    assert names(done.out) - names(alone.out) == {"run-1-of-2.log", "run-2-of-2.log", "ledger.lock"}
    assert names(alone.out) <= names(done.out)
    assert done.summary["fleet"]["processes"] == 2
    assert done.summary["fleet"]["restarts"] >= 1  # the killed one's writer may hold its part for a while
    page = (done.out / "report.html").read_text("utf-8")
    (sums,) = done.rows("select sum(calls) calls, (select max(id) from runs) last from timeline")
    assert f"All parts together. {sums['calls']:,} calls, " in page
    assert f", brought together by run {sums['last']} " in page


def test_what_one_process_finds_out_at_the_beginning_stops_all(dam: Dam, crawl: Crawl) -> None:
    dam.is_open.set()
    urls = write_list(crawl.cwd / "list.txt", [f"{dam.origin}/missing?n={n}" for n in range(400)])
    options = ("-a", "out=out", "-a", "workers=2", "-s", "APIFETCH_FAIL_EARLY=5", *FAST)
    fleet = crawl.start_scrapy("fleet", urls, "--processes", 2, *options, out="out").wait(SLOW_S)
    assert fleet.returncode == 75
    assert len(dam.requests) < 400
    assert fleet.stderr.count("The first 5 calls have all failed alike: http_error (HTTP status 404)") == 1
    assert fleet.stderr.count("ended with exit code 75, as the others would: all stop") == 1


@pytest.mark.check
def test_it_stops_in_good_order_and_another_number_goes_on(dam: Dam, crawl: Crawl) -> None:
    urls = write_list(crawl.cwd / "list.txt", [f"{dam.origin}/items/{n}" for n in range(LINES)])
    options = ("-a", "out=out", "-a", "workers=4", "-a", "timeout=600", "-s", "APIFETCH_DRAIN_S=0", *FAST)
    fleet = crawl.start_scrapy("fleet", urls, "--processes", 2, *options, out="out")
    fleet.wait_for(lambda: len(dam.requests) == PASSES + 4, SLOW_S)
    fleet.wait_for(lambda: len(fleet.output.files()) == PASSES, SLOW_S)
    fleet.signal(signal.SIGINT)
    stopped = fleet.wait(SLOW_S)
    assert stopped.returncode == 75
    assert "is in parts; the same command again goes on" in stopped.stderr
    for number in (1, 2):
        summary = json.loads((stopped.out / f"summary-{number}-of-2.json").read_bytes())
        assert (summary["exit_code"], summary["stop_reason"]) == (75, "shutdown")
    told = crawl.scrapy("report", "out")
    assert told.returncode == 2
    assert b"out is in 2 parts: 0 complete\n  part 1/2 was stopped (shutdown): " in told.stdout
    plans = [json.loads(crawl.scrapy("plan", urls, "-a", "out=out", "-a", f"shard={number}/2", "--json").stdout)
             for number in (1, 2)]  # fmt: skip
    assert [plan["lines"] + plan["elsewhere"] for plan in plans] == [LINES, LINES]
    assert sum(plan["stands"] for plan in plans) == PASSES
    assert sum(plan["calls"] for plan in plans) == LINES - PASSES

    killed = crawl.start_scrapy("fleet", urls, "--processes", 3, *options, out="out")
    killed.wait_for(lambda: len(dam.requests) == PASSES + 4 + 4, SLOW_S)
    killed.kill()
    for number in (1, 2, 3):
        await_end(killed.output.out, Shard(number, 3))
    dam.is_open.set()
    done = crawl.start_scrapy("fleet", urls, "--processes", 2, *options, out="out").wait(SLOW_S)
    assert done.returncode == 0
    assert done.summary["equation"]["ok"] == LINES
    assert len(dam.requests) == LINES + 4 + 4


def test_what_cannot_be_done_is_refused_before_anything_is_started(crawl: Crawl) -> None:
    urls = write_list(crawl.cwd / "list.txt", ["http://127.0.0.1:1/"])
    for words, said in (
        ((urls, "--processes", "many"), "--processes='many': expected auto, or a whole number"),
        ((urls, "-a", "shard=1/2"), "shard='1/2': expected none, since a fleet gives each process its own"),
        (("-",), "urls='-': expected a list that every process can read"),
        (("none.txt",), "none.txt"),
    ):
        done = crawl.scrapy("fleet", *words)
        assert done.returncode == 2
        assert said in done.stderr.decode()
        assert not (crawl.cwd / "out").exists()
