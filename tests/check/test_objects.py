"""An output in a real object store: SeaweedFS on loopback, stopped and started, left and found again from elsewhere."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import crawler
from tests.harness import PATIENCE_S, Output
from tests.weed import KEYS, needs_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import ApiServer, Crawl, CrawlResult, Running
    from tests.prefix import Prefix
    from tests.weed import Weed

pytest.importorskip("obstore", reason="pip install obstore")

from crawler.store.objects.client import AT_ONCE, Client
from crawler.store.objects.lease import NAME
from tests.prefix import alike, count, wait_for_the_writer
from tests.proofs.objects import Trial, run_trial

pytestmark = needs_store

BESIDE = {
    "ledger.sqlite", "lease.json", "output.json", "summary.json", "report.html", "failed.jsonl", "invalid.jsonl",
    "run.log",
}  # fmt: skip


def items(api: ApiServer, count: int) -> list[str]:
    return [api.url(f"/items/{n}") for n in range(count)]


def test_it_is_the_output_of_a_directory_and_stands_wherever_the_next_run_starts(
    api: ApiServer, crawl: Crawl, prefix: Prefix, tmp_path: Path
) -> None:
    lines = [*items(api, 300), api.url("/status/404"), "no url", api.url("/items/1")]
    done: CrawlResult = prefix.fetch(lines)
    assert done.returncode == 8
    objects = prefix.objects()
    rows = prefix.audit(tmp_path)
    assert {name for name in objects if "/" not in name} == BESIDE
    said = prefix.summary()
    assert (said["exit_code"], said["equation"]["ok"], said["equation"]["failed"]) == (8, 300, 1)
    assert KEYS["AWS_SECRET_ACCESS_KEY"].encode() not in b"".join(objects.values()) + done.stderr.encode()
    assert not [path for path in prefix.machine("here").out.rglob("*.json") if "responses" in path.parts]

    local = crawl(urls=tmp_path / "items.txt", out="local")
    assert alike(rows) == alike(local.rows())

    before = api.stats()["requests"]
    again: CrawlResult = prefix.fetch(lines, machine="elsewhere")
    assert again.returncode == 8
    assert api.stats()["requests"] == before
    assert "Nothing to do" in again.stderr

    # What is made again takes the other's place; a kill leaves nothing that no row names.
    redone: CrawlResult = prefix.fetch(lines, machine="elsewhere", redo="all")
    assert redone.returncode == 8
    assert alike(prefix.audit(tmp_path)) == alike(rows)
    back: CrawlResult = prefix.fetch(lines, machine="here")
    assert "Nothing to do" in back.stderr
    assert alike(Output(prefix.machine("here").out).rows()) == alike(rows)


def test_an_export_has_all_bodies_in_the_order_of_the_list(
    api: ApiServer, crawl: Crawl, prefix: Prefix, tmp_path: Path
) -> None:
    """Two times as many as are asked for at once, and one whose object somebody has taken away."""
    lines = items(api, 2 * AT_ONCE)
    assert prefix.fetch(lines).returncode == 0
    gone = prefix.machine("here").rows("select location from records where line = 3")[0]["location"]
    prefix.client.remove(gone)
    out = prefix.machine("here").out
    done = crawl.scrapy("export", out, "--to", tmp_path / "all.jsonl", "--bodies", **prefix.environment)
    assert done.returncode == 9
    assert f"{prefix.url}/{gone}: there is no such object" in done.stderr.decode()
    exported = [json.loads(line) for line in (tmp_path / "all.jsonl").read_bytes().splitlines()]
    assert [record["url"] for record in exported] == lines
    ids = [record["body"]["id"] for record in exported if "body" in record]
    assert ids == [str(number) for number in range(2 * AT_ONCE) if number != 2]


def test_a_table_with_bodies_has_many_of_them_asked_for_at_once(
    api: ApiServer, prefix: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is answered before all are asked for, and they come in the order of the list all the same."""
    lines = items(api, AT_ONCE)
    assert prefix.fetch(lines).returncode == 0
    all_asked_for = threading.Barrier(AT_ONCE, timeout=PATIENCE_S)
    get = Client.get

    def get_together(client: Client, name: str) -> tuple[bytes, str] | None:
        all_asked_for.wait()
        return get(client, name)

    monkeypatch.setattr(Client, "get", get_together)
    frame = crawler.results(prefix.machine("here").out).to_pandas(bodies=True)
    assert list(frame["url"]) == lines
    assert [json.loads(body)["id"] for body in frame["body"]] == [str(number) for number in range(AT_ONCE)]


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


def test_an_outage_and_two_kills_leave_what_a_directory_would_have(
    api: ApiServer, crawl: Crawl, prefix: Prefix, weed: Weed
) -> None:
    run_trial(Trial(lines=1200), api, prefix, weed, crawl)


def test_a_store_that_stays_away_ends_the_run_and_the_next_one_goes_on(
    api: ApiServer, prefix: Prefix, weed: Weed, tmp_path: Path
) -> None:
    lines = items(api, 1000)
    running: Running = prefix.fetch(lines, workers=5, settings={"APIFETCH_STORE_PATIENCE_S": 0.5}, wait=False)
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
    running: Running = prefix.fetch(lines, workers=5, settings=often, wait=False)
    running.wait_for(lambda: count(prefix.machine("here")) > 200)
    running.kill()
    wait_for_the_writer(prefix.machine("here").out)
    acknowledged = {row["url"] for row in prefix.machine("here").rows() if row["outcome"] == "ok"}
    running = prefix.fetch(lines, workers=5, settings=often, wait=False)
    running.wait_for(lambda: count(prefix.machine("here")) > len(acknowledged) + 200)
    seen = api.seen("/items/")
    assert all(seen[url.removeprefix(api.origin)] == 1 for url in acknowledged)
    running.wait_for(lambda: prefix.copied() > len(acknowledged))
    running.kill()
    wait_for_the_writer(prefix.machine("here").out)

    refused: CrawlResult = prefix.fetch(lines, machine="elsewhere")
    assert refused.returncode == 69
    assert prefix.terms().who in refused.stderr
    prefix.let_the_lease_run_out()
    kept = prefix.copied()
    done: CrawlResult = prefix.fetch(lines, machine="elsewhere")
    assert done.returncode == 0
    assert len(prefix.audit(tmp_path)) == 1500
    assert prefix.summary()["run"]["calls"] <= 1500 - kept

    # The first machine has an older ledger, and finds that out.
    back: CrawlResult = prefix.fetch(lines, machine="here")
    assert "Nothing to do" in back.stderr


def test_a_run_whose_lease_was_taken_stops(api: ApiServer, prefix: Prefix) -> None:
    running: Running = prefix.fetch(items(api, 5000), rate="50/s", wait=False)
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


def test_wrong_keys_are_told_at_once_and_never_shown(api: ApiServer, prefix: Prefix) -> None:
    prefix.environment["AWS_SECRET_ACCESS_KEY"] = "another-secret"
    refused: CrawlResult = prefix.fetch(items(api, 1))
    assert refused.returncode == 3
    assert "SignatureDoesNotMatch" in refused.stderr
    assert "another-secret" not in refused.stderr
    assert "Traceback" not in refused.stderr
