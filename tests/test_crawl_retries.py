"""What is tried again, when and how often: the whole command, against a server that writes down what it hears."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from datetime import datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.audit import audit, by_url
from tests.scripted import HANG_UP, OK, Heard, Says, Scripted

if TYPE_CHECKING:
    from tests.harness import Crawl

ASKED_S: Final = 2
"""What the server asks for: long beside the retries' own rests, which the tests keep below 0.1 s."""

HOUR: Final = {"Retry-After": "3600"}


def first_time(says: Says) -> Any:
    """Say that to the first request for a path, and 200 to the next."""
    return lambda heard: says if heard.times == 1 else OK


def calls(crawl: Crawl, server: Scripted, paths: list[str], method: str = "GET") -> str:
    """Write a list of calls; give its name."""
    lines = [json.dumps({"url": server.url(path), "method": method}) + "\n" for path in paths]
    (crawl.cwd / "calls.jsonl").write_text("".join(lines))
    return "calls.jsonl"


def http_date() -> str:
    """A time that is ASKED_S away at the least, in whole seconds."""
    return formatdate(time.time() + ASKED_S + 1, usegmt=True)


ASKING: Final[dict[str, tuple[int, Any]]] = {
    "429 in seconds": (429, lambda: {"Retry-After": str(ASKED_S)}),
    "429 as a date": (429, lambda: {"Retry-After": http_date(), "Date": formatdate(time.time(), usegmt=True)}),
    "503 in seconds": (503, lambda: {"Retry-After": str(ASKED_S)}),
    "500 in seconds": (500, lambda: {"Retry-After": str(ASKED_S)}),
    "403 in seconds": (403, lambda: {"Retry-After": str(ASKED_S)}),
    "403 with a reset": (403, lambda: {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(ASKED_S)}),
    "429 with a reset": (429, lambda: {"RateLimit": f'"default";r=0;t={ASKED_S}'}),
    "429 of two": (429, lambda: {"Retry-After": str(ASKED_S), "X-RateLimit-Reset": "1"}),
}


@pytest.mark.parametrize(("status", "headers"), ASKING.values(), ids=ASKING)
def test_a_call_is_not_tried_again_earlier_than_the_server_asks(crawl: Crawl, status: int, headers: Any) -> None:
    with Scripted(lambda heard: Says(status, headers()) if heard.times == 1 else OK) as server:
        result = crawl([server.url("/a")])
    summary = audit(result, 0)
    first_s, second_s = server.at_s("/a")
    assert second_s - first_s >= ASKED_S
    assert (summary["run"]["calls"], summary["run"]["retries"], summary["run"]["rests"]) == (2, 1, 1)
    assert result.rows("select sum(retries) r, sum(rests) s from timeline") == [{"r": 1, "s": 1}]


@pytest.mark.parametrize("value", ["soon", "-1", "", "1e9", "99999999999999999999"])
def test_what_cannot_be_read_is_waited_for_as_if_nothing_was_said(crawl: Crawl, value: str) -> None:
    with Scripted(first_time(Says(429, {"Retry-After": value}))) as server:
        audit(crawl([server.url("/a")]), 0)
    assert server.times("/a") == 2


def test_a_resting_line_delays_nobody_even_with_one_worker(crawl: Crawl) -> None:
    """Its own host may not be called either, so the others are another's."""
    others = [f"/{n}" for n in range(30)]
    asks = first_time(Says(500, {"Retry-After": str(ASKED_S)}))
    with Scripted(lambda heard: asks(heard) if heard.path == "/rests" else OK, addresses=TWO) as server:
        urls = [server.url("/rests"), *(server.url(path, 1) for path in others)]
        audit(crawl(urls, workers=1), 0)
    order = [heard.path for heard in server.heard]
    assert order == ["/rests", *others, "/rests"]


TWO: Final = ["127.0.0.1", "127.0.0.2"]

METHODS: Final[list[tuple[str, Says, dict[str, Any], int, str]]] = [
    ("POST", Says(429), {}, 2, "ok"),
    ("POST", Says(503, {"Retry-After": "1"}), {}, 2, "ok"),
    ("POST", Says(403, {"Retry-After": "1"}), {}, 2, "ok"),
    ("POST", Says(403), {}, 1, "http_error"),
    ("POST", Says(503), {}, 1, "http_error"),
    ("POST", Says(500), {}, 1, "http_error"),
    ("POST", HANG_UP, {}, 1, "unknown"),
    ("POST", HANG_UP, {"APIFETCH_RETRY_METHODS": "post"}, 2, "ok"),
    ("PUT", HANG_UP, {}, 2, "ok"),
    ("DELETE", Says(500), {}, 2, "ok"),
    ("GET", Says(404), {}, 1, "http_error"),
    ("GET", Says(501), {}, 1, "http_error"),
    ("GET", Says(429), {"RETRY_HTTP_CODES": "500"}, 1, "http_error"),
    ("GET", Says(429), {"RETRY_ENABLED": False}, 1, "http_error"),
    ("GET", Says(429), {"RETRY_TIMES": 0}, 1, "http_error"),
    ("GET", HANG_UP, {"RETRY_EXCEPTIONS": "builtins.KeyError"}, 1, "reset"),
]


@pytest.mark.parametrize(("method", "says", "settings", "times", "outcome"), METHODS)
def test_what_was_refused_is_repeated_and_what_may_have_been_done_is_not(
    crawl: Crawl, method: str, says: Says, settings: dict[str, Any], times: int, outcome: str
) -> None:
    with Scripted(first_time(says)) as server:
        result = crawl(calls(crawl, server, ["/a"], method), settings=settings)
    assert [row["outcome"] for row in result.rows()] == [outcome]
    assert server.times("/a") == times


def test_a_refusal_costs_no_retry_but_does_not_go_on_for_ever(crawl: Crawl) -> None:
    """Five refusals, then a failure: with one retry it still gets its answer. Who refuses for ever is given up."""

    def answer(heard: Heard) -> Says:
        if heard.path == "/for-ever":
            return Says(429)
        return Says(429) if heard.times <= 5 else Says(500) if heard.times == 6 else OK

    with Scripted(answer) as server:
        result = crawl([server.url("/a"), server.url("/for-ever")], retries=1)
    audit(result, 8)
    assert (server.times("/a"), server.times("/for-ever")) == (7, 20)
    rows = by_url(result)
    assert (rows[server.url("/for-ever")]["status"], rows[server.url("/for-ever")]["attempts"]) == (429, 20)


def test_a_failure_that_stays_costs_retries_and_is_recorded(crawl: Crawl) -> None:
    with Scripted(lambda heard: Says(500) if heard.path == "/a" else HANG_UP) as server:
        result = crawl([server.url("/a"), server.url("/b")], retries=3)
    summary = audit(result, 4)
    budget = summary["run"]["retry_budget"]
    assert (budget["per_success"], budget["per_s"], budget["reserve"]) == (0.2, 10.0, 100.0)
    assert 94 <= budget["lowest"] <= 99
    # what dies on a kept connection is sent once more by the handlers themselves
    assert [row["attempts"] for row in result.rows()] == [4, 4]
    assert server.times("/a") == 4
    assert Counter(row["outcome"] for row in result.rows()) == {"http_error": 1, "reset": 1}
    assert result.stderr.count("Gave up retrying") == 2


# Waits that are too long


def test_a_wait_that_is_too_long_is_left_for_a_later_run(crawl: Crawl) -> None:
    """All else is done first; the line is not failed, and the summary says when to come back."""
    asks = first_time(Says(503, HOUR))
    with Scripted(lambda heard: asks(heard) if heard.path == "/later" else OK, addresses=TWO) as server:
        urls = [server.url("/later"), *(server.url(f"/{n}", 1) for n in range(50))]
        began_s = time.time()
        result = crawl(urls, workers=2)
        summary = audit(result, 75)
        assert (summary["stop_reason"], summary["equation"]["left"], summary["equation"]["ok"]) == ("waits", 1, 50)
        resume_s = datetime.fromisoformat(summary["resume_at"]).timestamp()
        assert 3600 <= resume_s - began_s <= 3600 + 400
        assert f"at {summary['resume_at']}" in result.stderr
        assert result.lines("failed.jsonl") == []
        again = crawl("items.txt", settings={"APIFETCH_MAX_WAIT": 0})
    assert again.summary["equation"]["lines"] == 51


def test_a_wait_is_too_long_by_the_setting(crawl: Crawl) -> None:
    with Scripted(first_time(Says(429, {"Retry-After": "5"}))) as server:
        result = crawl([server.url("/a")], settings={"APIFETCH_MAX_WAIT": 1})
    assert audit(result, 75)["equation"]["left"] == 1
    assert server.times("/a") == 1


# Stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_which_all_rests(crawl: Crawl, number: signal.Signals) -> None:
    paths = [f"/{n}" for n in range(5)]
    with Scripted(lambda _: Says(429, {"Retry-After": "290"})) as server:
        running = crawl([server.url(path) for path in paths], wait=False)
        running.wait_for(lambda: len(server.heard) >= 1 and not running.output.rows())
        running.signal(number)
        result = running.wait()  # which is not as patient as the rest
    assert audit(result, 75)["stop_reason"] == "shutdown"
    assert result.rows() == []


@pytest.mark.parametrize(
    ("method", "end"),
    [
        ("GET", "signal"),
        ("POST", "kill -9"),
        pytest.param("GET", "kill -9", marks=pytest.mark.check),
        pytest.param("POST", "signal", marks=pytest.mark.check),
    ],
)
def test_what_rests_when_a_run_ends_is_fetched_by_the_next(crawl: Crawl, end: str, method: str) -> None:
    """A refused POST as well: it was not carried out, and the ledger knows it."""
    is_over = False

    def answer(heard: Heard) -> Says:
        return OK if is_over or heard.path != "/refused" else Says(429, {"Retry-After": "6"})

    with Scripted(answer, addresses=TWO) as server:
        urls = [(server.url("/refused"), method), (server.url("/a", 1), "GET")]
        lines = "".join(json.dumps({"url": url, "method": how}) + "\n" for url, how in urls)
        (crawl.cwd / "calls.jsonl").write_text(lines)
        running = crawl("calls.jsonl", wait=False)
        running.wait_for(lambda: server.times("/refused") == 1 and _is_taken_back(running, method))
        if end == "signal":
            running.signal(signal.SIGTERM)
            audit(running.wait(), 75)
        else:
            running.kill()
        is_over = True
        result = crawl("calls.jsonl")
    audit(result, 0)
    assert (server.times("/refused"), server.times("/a")) == (2, 1)


def _is_taken_back(running: Any, method: str) -> bool:
    """Whether the other call is recorded, and the ledger says of a refused POST that it is to be made."""
    outcomes = Counter(row["outcome"] for row in running.output.rows())
    return outcomes["ok"] == 1 and (method == "GET" or outcomes["pending"] == 1)


# Scrapy's scheduler


def test_with_scrapys_scheduler_a_retry_waits_with_its_worker(crawl: Crawl) -> None:
    with Scripted(first_time(Says(429, {"Retry-After": str(ASKED_S)}))) as server:
        result = crawl([server.url("/a")], settings={"SCHEDULER": "scrapy.core.scheduler.Scheduler"})
    audit(result, 0)
    first_s, second_s = server.at_s("/a")
    assert second_s - first_s >= ASKED_S
