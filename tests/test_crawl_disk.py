"""Where records go: a disk that is full or forbidden ends the run cleanly, feeds stand beside the files."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from tests.audit import audit, outcomes, refused

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import ApiServer, Crawl
    from tests.mounts import Mount


SMALL = {"APIFETCH_MIN_FREE_BYTES": 0, "APIFETCH_MIN_FREE_INODES": 0}
"""What lets a run begin on a disk on which it will be refused."""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("size_kb", [40, 140, 700, 1300])
def test_a_full_disk_loses_nothing_and_the_same_command_goes_on(
    api: ApiServer, crawl: Crawl, mount: Mount, size_kb: int
) -> None:
    """Too small for a ledger, for a body, for the first batch, for a later one."""
    out = crawl.cwd / "out" / "items"
    out.mkdir(parents=True)
    mount(out, f"size={size_kb}k")
    result = crawl([api.url(f"/items/{n}") for n in range(150)], settings={**SMALL, "APIFETCH_FOLDER_LEVELS": 0})
    refused(result, 3, "full" if size_kb == 40 else "No space left on device")
    if size_kb > 40:
        ended = result.summary["state"] == "stopped"  # unless there was no room even for that
        acknowledged = {row["location"]: row["file_digest"] for row in result.rows()}
        assert not ended or (result.summary["exit_code"], result.summary["equation"]["ok"]) == (3, len(acknowledged))
        whole = {str(path.relative_to(out)): digest(path) for path in result.files()}
        assert acknowledged.items() <= whole.items()
    mount(out, "size=64m")
    again = crawl("items.txt", settings={**SMALL, "APIFETCH_FOLDER_LEVELS": 0})
    audit(again, 0)
    assert outcomes(again) == {"ok": 150}
    if size_kb > 40:
        assert acknowledged.items() <= {row["location"]: row["file_digest"] for row in again.rows()}.items()


def test_a_disk_that_refuses_at_the_very_end_is_told_too(api: ApiServer, crawl: Crawl) -> None:
    """Something stands in the way of failed.jsonl; then it is gone."""
    way = crawl.cwd / "out" / "items" / "failed.jsonl"
    way.mkdir(parents=True, mode=0o700)
    way.parent.chmod(0o700)
    result = crawl([api.url("/items/1")])
    refused(result, 3, "failed.jsonl", "Exit code 3:")
    assert (result.summary["exit_code"], result.summary["stop_reason"]) == (3, "disk")
    way.rmdir()
    audit(crawl("items.txt"), 0)
    assert api.stats()["requests"] == 1


def test_what_is_in_the_way_of_the_files_ends_the_run(api: ApiServer, crawl: Crawl) -> None:
    out = crawl.cwd / "out" / "items"
    out.mkdir(parents=True, mode=0o700)
    (out / "responses").write_text("mine")
    result = crawl([api.url(f"/items/{n}") for n in range(3)])
    refused(result, 3, "responses")
    assert result.rows() == []
    (out / "responses").unlink()
    out.chmod(0o700)
    audit(crawl("items.txt"), 0)


def test_a_disk_that_may_not_be_written_is_refused_at_once(api: ApiServer, crawl: Crawl, mount: Mount) -> None:
    audit(crawl([api.url("/items/1")]), 0)
    requests = api.stats()["requests"]
    out = crawl.cwd / "out"
    mount(out, "size=1m,ro")
    refused(crawl("items.txt"), 3, "out/items", "Read-only file system")
    assert api.stats()["requests"] == requests


def test_a_feed_has_the_records_without_bodies_and_never_replaces_one(api: ApiServer, crawl: Crawl) -> None:
    urls = [api.url("/items/1"), api.url("/missing/1"), "nonsense", api.url("/items/1")]
    feed = crawl.cwd / "feed.jsonl"
    result = crawl(urls, options=["-O", "feed.jsonl", "-O", "feed.csv"])
    audit(result, 8)
    assert len((crawl.cwd / "feed.csv").read_text().splitlines()) == 1 + len(urls)
    items = [json.loads(line) for line in feed.read_text().splitlines()]
    assert sorted(item["outcome"] for item in items) == ["duplicate", "http_error", "invalid", "ok"]
    assert feed.stat().st_size < 5000
    assert "readings" not in feed.read_text()
    before = feed.read_bytes()
    refused(crawl("items.txt", options=["-O", "feed.jsonl"]), 2, "-O", "-o feed.jsonl")
    assert feed.read_bytes() == before
    audit(crawl("items.txt", options=["-o", "feed.jsonl"], redo="all"), 8)
    assert len(feed.read_text().splitlines()) > len(items)
