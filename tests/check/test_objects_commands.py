"""`verify`, `export`, `forget`, `report` on a prefix of a real object store: they say what they say of a directory."""

from __future__ import annotations

import itertools
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from crawler.checking import Check
from tests.check.test_objects import items
from tests.harness import PATIENCE_S
from tests.weed import needs_store

pytest.importorskip("obstore", reason="pip install obstore")

from crawler.store.objects.client import AT_ONCE, Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import ApiServer, Crawl, CrawlResult
    from tests.prefix import Prefix

pytestmark = needs_store

ANOTHER = "a0000000-0000-5000-8000-000000000001"


class Both:
    """One list, fetched into a prefix and into a directory; the prefix is looked at from a machine that has nothing."""

    def __init__(self, prefix: Prefix, crawl: Crawl, lines: list[str]) -> None:
        self.prefix, self.crawl = prefix, crawl
        done: CrawlResult = prefix.fetch(lines)
        self.local = crawl(urls=crawl.cwd / "items.txt", out="local")
        assert done.returncode == self.local.returncode

    def say(self, command: str, out: object, *words: object) -> tuple[int, list[str], str]:
        """Exit code, lines of the standard output in order of their text, and the standard error output."""
        local = ("-s", f"APIFETCH_LOCAL={self.crawl.cwd / 'nothing'}")
        done = self.crawl.scrapy(command, out, *words, *local, **self.prefix.environment)
        return done.returncode, sorted(done.stdout.decode().splitlines()), done.stderr.decode()

    def put(self, name: str, data: bytes) -> None:
        self.prefix.client.put(name, data)
        path = self.local.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, name: str) -> None:
        self.prefix.client.remove(name)
        (self.local.out / name).unlink()


@pytest.fixture
def both(prefix: Prefix, crawl: Crawl, api: ApiServer) -> Both:
    return Both(prefix, crawl, [*items(api, 120), api.url("/status/404"), "no url"])


def test_verify_finds_and_mends_what_it_finds_and_mends_in_a_directory(
    both: Both, api: ApiServer, tmp_path: Path
) -> None:
    url, local = both.prefix.url, both.local
    rows = [row for row in local.rows() if row["outcome"] == "ok"]
    code, said, _ = both.say("verify", url)
    assert (code, said) == both.say("verify", local.out)[:2]
    assert code == 0
    assert said[0].startswith("121 ")

    both.put(rows[0]["location"], b"{}")
    both.put(rows[1]["location"], (local.out / rows[2]["location"]).read_bytes())
    both.remove(rows[3]["location"])
    both.put(f"responses/a0/{ANOTHER}.json", b"{}")
    both.put("errors/strange/x", b"?")
    both.put(f"{rows[4]['location']}.new", b"{}")
    code, said, _ = both.say("verify", url)
    assert code == 9
    assert [line.partition("\t")[0] for line in said if "\t" in line] == [
        "altered", "altered", "missing", "orphan", "orphan", "orphan",
    ]  # fmt: skip
    found, expected, _ = both.say("verify", local.out)
    assert found == 9
    assert said == expected

    asked = api.stats()["requests"]
    code, said, error = both.say("verify", url, "--repair")
    assert code == 0, error
    assert api.stats()["requests"] == asked + 3
    assert "Rows restored from whole files: 0. Orphans removed: 3. Calls to be made again: 3." in said
    both.prefix.audit(tmp_path)
    assert both.say("verify", url)[0] == 0


def test_verify_lists_many_folders_at_once(api: ApiServer, prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first are answered when all of them are asked for, and every folder is looked at once."""
    assert prefix.fetch([*items(api, AT_ONCE), api.url("/status/404")]).returncode == 8
    together = threading.Barrier(AT_ONCE, timeout=PATIENCE_S)
    numbers, listed = itertools.count(), []
    below = Client.below

    def below_together(client: Client, folder: str) -> Iterator[str]:
        listed.append(folder)
        if next(numbers) < AT_ONCE:
            together.wait()
        return below(client, folder)

    monkeypatch.setattr(Client, "below", below_together)
    check = Check(prefix.machine("here").out)
    assert list(check.findings()) == []
    assert (check.progress.records, check.progress.files) == (AT_ONCE + 1, AT_ONCE + 1)
    assert sorted(listed) == [f"{tree}/{n:02x}" for tree in ("errors", "responses") for n in range(256)]


def test_export_and_report_read_it_from_a_machine_that_has_nothing(both: Both, tmp_path: Path) -> None:
    exported: dict[str, list[dict[str, Any]]] = {}
    for name, out in (("remote", both.prefix.url), ("local", both.local.out)):
        code, _, error = both.say("export", out, "--to", f"{name}.jsonl", "--bodies")
        assert code == 0, error
        lines = (both.crawl.cwd / f"{name}.jsonl").read_text().splitlines()
        exported[name] = [json.loads(line) for line in lines]
    same = ("line", "uuid", "outcome", "status", "location", "sha256", "body")
    assert [[row.get(name) for name in same] for row in exported["remote"]] == [
        [row.get(name) for name in same] for row in exported["local"]
    ]
    assert len(exported["remote"]) == 122
    altered = exported["local"][0]["location"]
    both.put(altered, b"{}")
    for out in (both.prefix.url, both.local.out):
        code, _, error = both.say("export", out, "--to", "altered.jsonl", "--bodies")
        assert code == 9
        assert f"without its body: {out}/{altered} is not what the ledger says" in error
    both.prefix.client.remove("report.html")
    code, said, _ = both.say("report", both.prefix.url)
    assert (code, said) == (0, [f"{both.prefix.url}/report.html"])
    assert b"</html>" in both.prefix.objects()["report.html"]
    assert not (both.crawl.cwd / "nothing").exists()  # who reads leaves nothing


def test_what_is_forgotten_is_gone_from_the_store(both: Both, tmp_path: Path) -> None:
    rows = [row for row in both.local.rows() if row["outcome"] == "ok"][:2]
    uuids = tmp_path / "uuids.txt"
    uuids.write_text("".join(f"{row['uuid']}\n" for row in rows) + f"{ANOTHER}\n")
    before = both.prefix.objects()
    code, said, error = both.say("forget", both.prefix.url, "--uuids", uuids)
    assert (code, said) == (9, ["Erased: 2 calls, 2 files"])
    assert f"{ANOTHER} is not in the ledger" in error
    objects = both.prefix.objects()
    assert set(before) - set(objects) == {"report.html", *(row["location"] for row in rows)}
    for row in rows:
        assert row["url"].encode() + b"\n" not in objects["ledger.sqlite"]
        assert row["sha256"] not in objects["ledger.sqlite"].hex()
    assert sorted(row["outcome"] for row in both.prefix.audit(tmp_path))[:2] == ["erased", "erased"]
    assert both.say("verify", both.prefix.url)[0] == 0


def test_what_is_no_whole_output_is_told_by_its_url(prefix: Prefix, crawl: Crawl, api: ApiServer) -> None:
    def refused(command: str, *words: object) -> str:
        done = crawl.scrapy(command, prefix.url, *words, **prefix.environment)
        assert done.returncode == 2
        assert b"Traceback" not in done.stderr
        return done.stderr.decode()

    commands: tuple[tuple[object, ...], ...] = (("verify",), ("export", "--to", "x.csv"), ("report",))
    for command, *words in commands:
        assert f"{prefix.url}: expected an output" in refused(str(command), *words)
    stopped: CrawlResult = prefix.fetch(items(api, 40), shard="1/2", max_calls=3)
    assert stopped.returncode == 75
    for command, *words in commands:
        assert f"{prefix.url} is in parts (shard=1/2" in refused(str(command), *words)
    told = crawl.scrapy("report", prefix.url, **prefix.environment)
    assert f"{prefix.url} is in 2 parts: 0 complete".encode() in told.stdout
    assert b"part 2/2 never ran" in told.stdout
    assert b"part 1/2 was stopped (max_calls)" in told.stdout
    assert "a directory, or s3://bucket/prefix" in crawl.scrapy("verify", "s3://key:word@bucket/x").stderr.decode()
