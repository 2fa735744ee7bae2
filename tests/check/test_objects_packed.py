"""`pack=jsonl` into a real object store: parts put whole, records acknowledged with them; killed, and found again."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import duckdb

from crawler.items import Shard
from crawler.store.parts import Spot, unpack
from tests.check.test_objects import items
from tests.prefix import count, wait_for_the_writer
from tests.weed import needs_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import ApiServer, Crawl, CrawlResult, Running
    from tests.prefix import Prefix

pytestmark = needs_store

PACK = {"pack": "jsonl"}


def audit(prefix: Prefix, folder: Path) -> list[dict[str, Any]]:
    """The rows of the copied ledger: each one's line is in its part, and no part is there that the ledger has not."""
    objects = prefix.objects()
    copy = folder / "copied.sqlite"
    copy.write_bytes(objects["ledger.sqlite"])
    with closing(sqlite3.connect(copy)) as db:
        db.row_factory = sqlite3.Row
        rows = [dict(row) for row in db.execute("select * from records")]
        known = {name: (size, closed) for name, size, closed in db.execute("select name, bytes, closed from packs")}
    parts = {name: data for name, data in objects.items() if name.startswith(("responses/", "errors/"))}
    assert {name: (len(data), 1) for name, data in parts.items()} == known
    for row in rows:
        if row["location"]:
            spot = Spot.parse(row["location"])
            lines = unpack(parts[spot.part][spot.at : spot.at + spot.size])
            line = lines[spot.line_at : spot.line_at + spot.line_size]
            assert hashlib.sha256(line).hexdigest() == row["file_digest"]
            assert spot.part.startswith("responses/") == (row["outcome"] == "ok")
    return rows


def test_a_list_is_a_few_parts_which_others_read_as_they_are(
    api: ApiServer, crawl: Crawl, prefix: Prefix, tmp_path: Path
) -> None:
    lines = [*items(api, 300), api.url("/status/404"), "no url", api.url("/items/1")]
    done: CrawlResult = prefix.fetch(lines, **PACK)
    assert done.returncode == 8
    assert len(audit(prefix, tmp_path)) == 303
    parts = sorted(name for name in prefix.objects() if "/" in name)
    assert [name.partition("/")[0] for name in parts] == ["errors", "responses"]  # nothing was waited for, but the end
    (tmp_path / "part.jsonl.zst").write_bytes(prefix.objects()[parts[1]])
    read = f"read_json('{tmp_path / 'part.jsonl.zst'}', format='newline_delimited', columns={{url: 'VARCHAR'}})"
    found = duckdb.sql(f"select count(distinct url) from {read}")
    assert found is not None
    assert found.fetchall() == [(300,)]

    def say(command: str, *words: object) -> tuple[int, bytes]:
        told = crawl.scrapy(command, prefix.url, *words, "-s", "APIFETCH_LOCAL=nothing", **prefix.environment)
        return told.returncode, told.stdout

    assert say("export", "--to", "out.jsonl", "--bodies")[0] == 0
    exported = [json.loads(line) for line in (crawl.cwd / "out.jsonl").read_text().splitlines()]
    assert sum(row["outcome"] == "ok" and row["body"] is not None for row in exported) == 300
    code, said = say("verify")
    assert code == 0, said
    asked = api.stats()["requests"]
    again: CrawlResult = prefix.fetch(lines, machine="elsewhere", **PACK)
    assert again.returncode == 8
    assert api.stats()["requests"] == asked
    redone: CrawlResult = prefix.fetch(lines, machine="elsewhere", redo="all", **PACK)
    assert redone.returncode == 8
    audit(prefix, tmp_path)
    code, said = say("verify")
    assert code == 0
    assert b"301 lines are older answers, which no row names" in said

    prefix.client.put("responses/00000000000abcd-00001.jsonl.zst", b"not of a run")
    damaged = bytearray(prefix.objects()[parts[0]])
    prefix.client.put(parts[0], bytes(damaged[: len(damaged) // 2]))  # of which no row points there any more
    code, said = say("verify")
    assert code == 9
    assert sorted(line.partition(b"\t")[0] for line in said.splitlines() if b"\t" in line) == [b"altered", b"orphan"]
    for command, *words in (("verify", "--repair"), ("forget", "--uuids", "/dev/null")):
        assert say(command, *words)[0] == 2


def test_what_is_not_in_the_store_is_not_acknowledged_and_a_kill_loses_nothing(
    api: ApiServer, prefix: Prefix, tmp_path: Path
) -> None:
    lines = items(api, 1200)
    often = {"APIFETCH_LEDGER_COPY_S": 0.2}
    running: Running = prefix.fetch(lines, workers=4, wait=False, settings=often, **PACK)
    running.wait_for(lambda: sum(api.seen("/items/").values()) > 300)
    running.kill()  # its writer hears of that, puts what has come as a part, and ends
    wait_for_writer_here(prefix)
    kept = done_here(prefix)
    assert kept > 200
    running = prefix.fetch(lines, workers=4, wait=False, settings=often, **PACK)
    running.wait_for(lambda: sum(api.seen("/items/").values()) > 700)
    running.kill()
    wait_for_writer_here(prefix)
    assert done_here(prefix) > kept
    prefix.let_the_lease_run_out()
    copied = prefix.copied()
    done: CrawlResult = prefix.fetch(lines, machine="empty", **PACK)
    assert done.returncode == 0
    assert prefix.summary()["run"]["calls"] == 1200 - copied
    rows = prefix.rows(tmp_path)
    assert sorted(row["line"] for row in rows if row["outcome"] == "ok") == list(range(1, 1201))


def test_parts_of_a_list_have_packs_of_their_own(api: ApiServer, prefix: Prefix, tmp_path: Path) -> None:
    lines = items(api, 200)
    running: list[Running] = [
        prefix.fetch(lines, machine=f"machine-{shard.number}", shard=str(shard), wait=False, **PACK)
        for shard in (Shard(1, 2), Shard(2, 2))
    ]
    assert [each.wait(300).returncode for each in running] == [0, 0]
    whole: CrawlResult = prefix.fetch(lines, machine="third", **PACK)
    assert whole.returncode == 0
    assert len(audit(prefix, tmp_path)) == 200
    assert set(api.seen("/items/").values()) == {1}


def done_here(prefix: Prefix) -> int:
    return count(prefix.machine("here"))


def wait_for_writer_here(prefix: Prefix) -> None:
    wait_for_the_writer(prefix.machine("here").out)
