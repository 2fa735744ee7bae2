"""`scrapy verify` over what the real crawl left, and `--repair` through the real crawl."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from crawler.store.ledger import Ledger
from crawler.store.place import Place
from tests.audit import audit, audit_files, by_url
from tests.test_crawl_follow import follower

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl

FOUND = 9


def test_verify_finds_what_is_broken_and_repair_mends_it_all(api: ApiServer, crawl: Crawl) -> None:
    how = follower(crawl)
    headers = {"Authorization": "Bearer secret-of-mine"}
    lines = [
        {"url": api.url("/pages/x/1?last=4"), "id": "k"},
        {"url": api.url("/echo/1"), "method": "POST", "body": "å", "headers": {"X-Y": ["1", "2"]}},
        {"url": api.url("/items/1?token=of-another")},
        {"url": api.url("/items/2")},
        {"url": api.url("/missing/3")},
        {"url": api.url("/items/4")},
    ]
    (crawl.cwd / "calls.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    first = crawl("calls.jsonl", headers=headers, **how)
    audit(first, 8)
    assert crawl.scrapy("verify", "out/calls").returncode == 0
    before = by_url(first)

    changed = next(url for url in before if url.endswith("/items/4"))
    emptied, *removed = [row["location"] for url, row in before.items() if url != changed]
    (first.out / emptied).write_bytes(b"")
    for location in removed:
        (first.out / location).unlink()
    with closing(sqlite3.connect(first.out / "ledger.sqlite")) as db:
        db.execute("UPDATE calls SET status = 299, content_type = 'x' WHERE url LIKE '%/items/4'")
        db.commit()
    (first.out / "responses" / "stray.json").write_text("{}")

    found = crawl.scrapy("verify", "out/calls")
    assert found.returncode == FOUND
    shown = [line.split("\t")[:2] for line in found.stdout.decode().splitlines()[:-1]]
    assert sorted(shown) == sorted(
        [
            ["orphan", "responses/stray.json"], ["changed", before[changed]["location"]], ["altered", emptied],
            *(["missing", location] for location in removed),
        ]
    )  # fmt: skip
    assert crawl.scrapy("verify", "out/calls", "--repair").returncode == 2  # whose headers?

    words = ("--repair", "--spider", "follower", "-a", f"headers={json.dumps(headers)}")
    repaired = crawl.scrapy("verify", "out/calls", *words, SCRAPY_SETTINGS_MODULE="my_settings")
    assert repaired.returncode == 8, repaired.stdout  # the missing one is missing still
    assert "secret-of-mine" not in repaired.stdout.decode() + repaired.stderr.decode()
    audit_files(first)
    after = by_url(first)
    assert not (first.out / "repair.jsonl").exists()
    for url, row in before.items():
        same = {
            name: row[name]
            for name in ("uuid", "outcome", "status", "key", "line", "meta", "parent", "method", "sha256")
        }
        assert same.items() <= after[url].items(), url
        calls = 1 if url == changed else 2
        assert api.seen(url.removeprefix(api.origin).replace("***", "of-another")).popitem()[1] == calls, url
    assert crawl.scrapy("verify", "out/calls").returncode == 0
    summary = audit(crawl("calls.jsonl", headers=headers, **how), 8)
    assert summary["run"]["calls"] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "say which output directory"),
        (("nowhere",), "expected an output directory"),
        (("nowhere", "--jobs=0"), "--jobs=0: expected a whole number"),
    ],
)
def test_what_cannot_be_verified_is_refused_in_a_line(crawl: Crawl, words: tuple[str, ...], says: str) -> None:
    done = crawl.scrapy("verify", *words)
    assert done.returncode == 2
    assert says in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert not (crawl.cwd / "nowhere").exists()


def test_a_directory_that_a_run_holds_is_not_verified(crawl: Crawl) -> None:
    Ledger(crawl.cwd, durable=False).close()
    with closing(Place.take(crawl.cwd)):
        done = crawl.scrapy("verify", ".")
    assert done.returncode == 69
    assert b"another run holds ." in done.stderr
