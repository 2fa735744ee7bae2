"""`scrapy fleet` as a user runs it: several processes, one result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.harness import Output, write_list

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.harness import ApiServer, Crawl

FAST: Any = ("-s", "APIFETCH_DURABILITY=process")


def told(rows: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    names = ("line", "uuid", "outcome", "status", "location", "sha256", "error")
    return sorted(tuple(str(row[name]) for name in names) for row in rows)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_two_processes_leave_what_one_does(api: ApiServer, crawl: Crawl) -> None:
    lines = [api.url(f"/items/{n}") for n in range(30)]
    urls = write_list(crawl.cwd / "list.txt", [*lines, "http://[::1", lines[0], api.url("/missing/1")])
    alone = crawl(urls, out="alone", settings={"APIFETCH_DURABILITY": "process"})
    done = crawl.scrapy("fleet", urls, "-a", "out=out", "--processes", 2, *FAST)
    assert done.returncode == alone.returncode == 8
    assert b"scrapy fleet: 2 processes" in done.stderr
    out = Output(crawl.cwd / "out")
    assert told(out.rows()) == told(alone.rows())
    assert [path.name for path in out.files()] == [path.name for path in alone.files()]
    assert [each["body"] for each in out.envelopes()] == [each["body"] for each in alone.envelopes()]
    assert out.summary["equation"] == alone.summary["equation"]
    assert out.lines("failed.jsonl") == alone.lines("failed.jsonl")
    assert names(out.out) - names(alone.out) == {"run-1-of-2.log", "run-2-of-2.log", "ledger.lock"}
    assert names(alone.out) <= names(out.out)


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
