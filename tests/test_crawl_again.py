"""The same command again: what is done stays done, whatever happened to the list; a redo loses nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.audit import audit, by_url, outcomes, refused
from tests.harness import write_list

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl

NO_RETRY = {"RETRY_TIMES": 0}


def test_what_is_done_is_not_fetched_again_and_is_said_so(api: ApiServer, crawl: Crawl) -> None:
    urls = [api.url("/items/1"), "nonsense", api.url("/missing/1"), api.url("/items/1")]
    first = crawl(urls)
    audit(first, 8)
    rows = first.rows()
    requests = api.stats()["requests"]
    again = crawl("items.txt")
    summary = audit(again, 8)
    assert api.stats()["requests"] == requests
    assert again.rows() == rows
    assert summary["equation"] == first.summary["equation"]
    assert "Nothing to do" in again.stderr
    assert summary["run"]["records"] == 0


@pytest.mark.parametrize("duplicates", ["skip", "fetch"])
def test_duplicates_through_resumed_and_edited_lists(api: ApiServer, crawl: Crawl, duplicates: str) -> None:
    """skip: one call. fetch: as many calls as lines. Either way each line has its record, and keeps it."""
    one, two, three = (api.url(f"/items/{n}") for n in range(3))
    lists = [
        [one, two, one, one, two],
        [one, two, one, one, two, three, one],  # appended to
        [two, one, three, one, one, one],  # another order, one less of the second
        [one],
    ]
    most: dict[str, int] = {}
    for urls in lists:
        result = crawl(urls, duplicates=duplicates)
        equation = audit(result, 0)["equation"]
        for url in set(urls):
            most[url] = max(most.get(url, 0), urls.count(url) if duplicates == "fetch" else 1)
        calls = len(urls) if duplicates == "fetch" else len(set(urls))
        assert equation == {
            "lines": len(urls), "followed": 0, "ok": calls, "failed": 0, "invalid": 0, "left": 0,
            "duplicate": len(urls) - calls, "erased": 0,
        }  # fmt: skip
        assert sum(api.seen().values()) == sum(most.values())
    assert sum(row["outcome"] == "ok" for row in result.rows()) == sum(most.values())


def test_an_edited_list_costs_only_what_is_new(api: ApiServer, crawl: Crawl) -> None:
    urls = [api.url(f"/items/{n}") for n in range(20)]
    audit(crawl(urls), 0)
    edits = {
        "sorted": sorted(urls, reverse=True),
        "inserted": [*urls[:5], api.url("/items/new"), *urls[5:]],
        "deleted": urls[3:],
        "appended": [*urls, api.url("/items/more"), "# a comment", ""],
        "with bad lines": ["bad one", *urls, "bad two"],
        "emptied": [],
        "as it was": urls,
    }
    for name, lines in edits.items():
        result = crawl(lines)
        equation = audit(result, 65 if "bad" in name else 0)["equation"]
        counted = [line for line in lines if line and not line.startswith("#")]
        assert (equation["lines"], equation["ok"]) == (len(counted), len([u for u in counted if "bad" not in u])), name
    assert sorted(api.seen().values()) == [1] * 22
    lines_now = {row["url"]: row["line"] for row in result.rows("select url, line from records where line is not null")}
    assert [lines_now[url] for url in urls] == list(range(1, 21))
    assert result.lines("invalid.jsonl") == []


def test_a_directory_belongs_to_its_list_and_arguments(api: ApiServer, crawl: Crawl) -> None:
    audit(crawl([api.url("/items/1")], out="mine"), 0)
    before = {path: path.read_bytes() for path in (crawl.cwd / "mine").rglob("*") if path.is_file()}
    write_list(crawl.cwd / "other.txt", [api.url("/items/2")])
    write_list(crawl.cwd / "table.csv", ["url", api.url("/items/2")])
    refused(crawl("other.txt", out="mine"), 2, "items.txt", "other.txt", "out=")
    refused(crawl("items.txt", out="mine", save="raw"), 2, "save=envelope", "save=raw", "out=")
    refused(crawl("items.txt", out="mine", params='{"b": 1, "a": 2}'), 2, "params=", "a,b", "out=")
    refused(crawl("items.txt", out="mine", duplicates="fetch"), 2, "duplicates=skip", "duplicates=fetch")
    refused(crawl("items.txt", out="mine", settings={"APIFETCH_FOLDER_LEVELS": 2}), 2, "APIFETCH_FOLDER_LEVELS=1")
    result = crawl("items.txt", out="mine", settings={"FEEDS": "{}"})
    audit(result, 0)
    assert api.seen() == {"/items/1": 1}
    after = {path: path.read_bytes() for path in before}
    changed = {path.name for path in before if before[path] != after[path]}
    assert changed <= {"ledger.sqlite", "metrics.prom", "report.html", "run.log", "summary.json"}


def test_redo_decides_what_is_fetched_again(api: ApiServer, crawl: Crawl) -> None:
    paths = ["/items/1", "/missing/1", "/fail/1?times=1&status=500", "/status/429", "/cut/1"]
    urls = [api.url(path) for path in paths]
    fetched = dict.fromkeys(paths, 1)
    audit(crawl(urls, settings=NO_RETRY), 4)
    redos = {
        "none": [],
        "404": ["/missing/1"],
        "200,4xx": ["/items/1", "/missing/1", "/status/429"],
        "retryable": ["/fail/1?times=1&status=500", "/status/429", "/cut/1"],
        "failed": ["/missing/1", "/status/429", "/cut/1"],
        "all": paths,
    }
    for redo, again in redos.items():
        result = crawl("items.txt", redo=redo, settings=NO_RETRY)
        audit(result, 4)
        fetched.update({path: fetched[path] + 1 for path in again})
        assert api.seen() == fetched, redo
    assert outcomes(result) == {"ok": 2, "http_error": 2, "truncated": 1}


def test_a_failed_call_that_succeeds_moves_to_the_responses(api: ApiServer, crawl: Crawl) -> None:
    urls = [api.url("/fail/1?times=2"), api.url("/items/1")]
    first = crawl(urls, settings=NO_RETRY)
    audit(first, 8)
    (failed,) = first.files("errors")
    assert crawl("items.txt", settings=NO_RETRY).returncode == 8  # fails once more, in place
    result = crawl("items.txt")
    audit(result, 0)
    assert result.files("errors") == []
    assert failed.name in [path.name for path in result.files()]
    assert result.lines("failed.jsonl") == []
    assert by_url(result)[urls[0]]["error"] is None


@pytest.mark.parametrize("save", ["envelope", "raw"])
def test_an_ok_record_is_replaced_only_by_an_ok_one(api: ApiServer, crawl: Crawl, save: str) -> None:
    url = api.put_bytes("x", b"1")
    (crawl.cwd / "items.txt").write_text(f"{url}\n{api.url('/items/1')}\n")
    first = crawl("items.txt", save=save)
    audit(first, 0)
    file = first.out / by_url(first)[url]["location"]
    data, row = file.read_bytes(), by_url(first)[url]
    api.reset()  # now it is a 404
    kept = crawl("items.txt", save=save, redo="all")
    summary = audit(kept, 0)
    assert file.read_bytes() == data
    assert by_url(kept)[url] == row
    assert summary["run"]["kept"] == 1
    assert "1 earlier ok records stand" in kept.stderr
    api.put_bytes("x", b"2")
    renewed = crawl("items.txt", save=save, redo="all")
    audit(renewed, 0)
    assert file.read_bytes() != data
    assert by_url(renewed)[url]["sha256"] != row["sha256"]


FAILING: list[dict[str, Any]] = [
    {"url": "/fail/a?times=1", "method": "POST", "headers": {"X-Y": ["1", "2"]}, "body": "å", "id": "k"},
    {"url": "/fail/b?times=1", "meta": {"c": [1]}},
    {"url": "/missing/c", "method": "PUT", "body_base64": "/w=="},
    {"url": "/items/d"},
]


def test_failed_jsonl_belongs_to_its_directory_and_is_a_list_anywhere(api: ApiServer, crawl: Crawl) -> None:
    lines = [{**line, "url": api.url(line["url"])} for line in FAILING]
    (crawl.cwd / "calls.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "{}\n")
    first = crawl("calls.jsonl", settings=NO_RETRY)
    audit(first, 8)
    failed = first.lines("failed.jsonl")
    assert [line.pop("_error") for line in failed] == [
        "http_error 500 HTTP status 500", "http_error 500 HTTP status 500", "http_error 404 HTTP status 404",
    ]  # fmt: skip
    names = {row["uuid"] for row in first.rows() if row["outcome"] == "http_error"}
    assert [{**line, "headers": {}} for line in failed] == [
        {**line, "headers": {}, "method": line["method"]} if "method" in line else {**line, "headers": {}}
        for line in lines[:3]
    ]
    assert failed[0]["headers"] == {"X-Y": ["1", "2"]}

    elsewhere = crawl(first.out / "failed.jsonl", out="elsewhere")
    equation = audit(elsewhere, 8)["equation"]
    assert elsewhere.out == crawl.cwd / "elsewhere"
    assert (equation["lines"], equation["ok"], equation["failed"]) == (3, 2, 1)
    assert {row["uuid"] for row in elsewhere.rows()} == names

    at_home = crawl(first.out / "failed.jsonl", redo="failed")
    equation = audit(at_home, 8)["equation"]
    assert (equation["lines"], equation["ok"], equation["failed"]) == (3, 2, 1)
    assert outcomes(at_home) == {"ok": 3, "http_error": 1, "invalid": 1}
    lines_of = {row["uuid"]: row["line"] for row in at_home.rows() if row["uuid"]}
    assert sorted(row["line"] for row in at_home.rows()) == [1, 2, 3, 4, 5]
    assert all(lines_of[file["uuid"]] == file["line"] for file in (*at_home.envelopes(), *at_home.envelopes("errors")))
    assert audit(crawl("calls.jsonl"), 8)["equation"]["invalid"] == 1
    assert sum(api.seen("/items").values()) == 1


def test_a_list_may_be_named_in_any_way_and_lie_below_its_results(api: ApiServer, crawl: Crawl) -> None:
    """Only a list that the directory does not belong to, as failed.jsonl, counts as a part of another one."""
    folder = crawl.cwd / "all" / "lists"
    folder.mkdir(parents=True)
    write_list(folder / "items.txt", [api.url("/items/1"), api.url("/missing/1")])
    assert crawl("all/lists/items.txt", out="all").returncode == 8
    (crawl.cwd / "link").symlink_to(folder)
    for path in (folder / "items.txt", "all/../all/lists/items.txt", "link/items.txt"):
        result = crawl(path, out="all")
        assert "2 lines of this list that stand: 1 ok, 1 failed" in result.stderr
        assert result.returncode == 8
    assert set(api.seen().values()) == {1}


def test_a_failed_line_that_is_removed_from_the_list_leaves_failed_jsonl(api: ApiServer, crawl: Crawl) -> None:
    items = write_list(crawl.cwd / "items.txt", [api.url("/items/1"), api.url("/missing/1"), api.url("/missing/2")])
    assert [line["url"] for line in crawl(items).lines("failed.jsonl")] == [api.url(f"/missing/{n}") for n in (1, 2)]
    write_list(items, [api.url("/items/1"), api.url("/missing/2")])
    assert [line["url"] for line in crawl(items).lines("failed.jsonl")] == [api.url("/missing/2")]
