"""`redo=changed`: the second run asks what has changed, keeps what has not, and says so; a kill loses none of it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from crawler.accounting import Beginning, ExitCode
from crawler.exceptions import StoreError
from crawler.items import Outcome, Prior, Ticket
from crawler.run import Run
from crawler.store import schema
from crawler.store.ledger import Ledger
from tests.audit import audit as audit_crawl
from tests.stored import (
    BROKEN,
    NOT_FOUND,
    OK,
    SILENT,
    Answer,
    answered,
    audit,
    drive,
    entry,
    files,
    kill_after,
    make_plan,
    ticket,
)
from tests.test_checking import findings
from tests.test_crawl_follow import follower

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.harness import ApiServer, Crawl

THEN = {
    "same": OK, "other": OK, "kept": Answer(etag='"1"'), "gone": OK, "deleted": OK, "silent": OK, "failed": BROKEN,
    "missing": NOT_FOUND,
}  # fmt: skip
NOW = {
    "same": OK, "other": Answer(body=b"[]"), "kept": Answer(Outcome.HTTP_ERROR, b"", 304), "gone": NOT_FOUND,
    "deleted": Answer(Outcome.HTTP_ERROR, b"", 410), "silent": SILENT, "failed": OK, "missing": NOT_FOUND, "added": OK,
}  # fmt: skip
EXPECTED = {
    "same": "unchanged", "other": "changed", "kept": "unchanged", "gone": "gone", "deleted": "gone", "failed": "new",
    "added": "new",
}  # fmt: skip


def changes(out: Path) -> dict[str, str]:
    """URL's name -> change, of the lines of changes.jsonl, each of which is there once."""
    lines = [json.loads(line) for line in (out / "changes.jsonl").read_bytes().splitlines()]
    assert len({line["uuid"] for line in lines}) == len(lines)
    return {line["url"].removeprefix("http://api.test/"): line["change"] for line in lines}


def begun(folder: Path) -> Path:
    drive(make_plan(folder, list(THEN)), lambda name: THEN[name])
    return folder / "out"


def test_a_second_run_tells_what_is_new_changed_unchanged_and_gone(tmp_path: Path) -> None:
    out = begun(tmp_path)
    before = files(out)
    done = drive(make_plan(tmp_path, [*THEN, "added"], redo="changed"), lambda name: NOW[name])
    assert done.calls == [*THEN, "added"]
    assert changes(out) == EXPECTED
    assert (done.code, done.equation["ok"], done.equation["failed"]) == (ExitCode.NOT_OK, 8, 1)
    audit(out)
    after = files(out)
    changed = [name for name in before if after.get(name) != before[name]]
    assert len(changed) == 2  # the other body, and the error page of what failed then
    summary = json.loads((out / "summary.json").read_text())
    assert summary["changes"] == dict(Counter(EXPECTED.values()))
    assert (summary["run"]["unchanged"], summary["run"]["kept"]) == (1, 3)
    lines = {line["change"]: line for line in map(json.loads, (out / "changes.jsonl").read_bytes().splitlines())}
    assert lines["changed"]["sha256"] != lines["changed"]["sha256_before"]

    later = NOW | {"same": SILENT}
    tomorrow = drive(make_plan(tmp_path, redo="changed"), lambda name: later[name])  # finished, so it begins anew
    assert len(tomorrow.calls) == len(NOW)
    assert changes(out) == dict.fromkeys(("gone", "deleted"), "gone") | dict.fromkeys(
        ("other", "kept", "failed", "added"), "unchanged"
    )


def test_a_kill_at_any_step_is_continued_and_every_change_told_once(tmp_path: Path) -> None:
    steps, ended = 0, False
    while not ended:
        folder = tmp_path / str(steps)
        folder.mkdir()
        out = begun(folder)
        plan = make_plan(folder, [*THEN, "added"], redo="changed")
        with kill_after(steps) as fuse, suppress(StoreError):  # a kill before the run has begun
            drive(plan, lambda name: NOW[name])
        ended = not fuse.blown
        if not ended:
            drive(plan, lambda name: NOW[name])
        assert changes(out) == EXPECTED, steps
        audit(out)
        steps += 5  # of some 60: each is a commit, a barrier or a file


def test_conditions_are_those_of_the_answer_that_is_kept(tmp_path: Path) -> None:
    """Not where the file is gone, not for what failed, not for a page that led to others."""
    out = begun(tmp_path)
    ledger = Ledger(out, durable=False)
    ledger.write("UPDATE calls SET etag = '\"1\"', last_modified = 'then' WHERE url NOT LIKE '%other'")
    parent = ledger.find(entry("silent").uuid)
    assert parent is not None
    ledger.write("UPDATE calls SET parent = ? WHERE url LIKE '%missing'", (parent.id,))
    row = ledger.find(entry("gone").uuid)
    ledger.close()
    assert row is not None
    assert row.location is not None
    (out / row.location).unlink()

    async def conditions(redo: str) -> dict[str, Any]:
        run = Run(make_plan(tmp_path, redo=redo), on_disk_error=lambda _error: None)
        taken = [run.take(line) for line in run.source.next_batch(20)]
        await run.finish()
        run.source.close()
        run._ledger.close()
        run._place.close()
        return {item.entry.url[16:]: item.conditions for item in taken if isinstance(item, Ticket)}

    both = (("If-None-Match", '"1"'), ("If-Modified-Since", "then"))
    asked = asyncio.run(conditions("changed"))
    assert {name for name, found in asked.items() if found} == {"same", "kept", "deleted"}
    assert asked["same"] == both
    assert set(asyncio.run(conditions("all")).values()) == {()}


def test_a_ledger_of_the_first_version_learns_of_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "VERSION", 1)
        patch.setattr(schema, "CHANGES", "")
        patch.setattr(schema, "PACKS", "")
        out = begun(tmp_path)
    drive(make_plan(tmp_path, [*THEN, "added"], redo="changed"), lambda name: NOW[name])
    assert changes(out) == EXPECTED


def test_answers_that_are_all_unchanged_are_no_reason_to_stop() -> None:
    records = [answered(ticket("kept"), NOW["kept"]) for _ in range(3)]
    for record in records:
        assert record.ticket is not None
        record.ticket.prior = Prior(id=1, uuid=b"", outcome=Outcome.OK, status=200, checked=1, state=0)
    beginning, without = Beginning(3), Beginning(3)
    for record in records:
        beginning.add(record)
        without.add(answered(ticket("kept"), NOW["kept"]))
    assert (beginning.is_alike, without.is_alike) == (False, True)


def test_the_real_crawl_asks_with_the_validators_of_the_last_time(api: ApiServer, crawl: Crawl) -> None:
    body = api.put_bytes("x", b"1")
    urls = [api.url("/headers/1"), body, api.url("/items/2"), api.url("/pages/a/1?last=2")]
    how = follower(crawl)
    audit_crawl(crawl(urls, **how), 0)
    api.put_bytes("x", b"2")
    urls.append(api.url("/items/3"))
    result = crawl(urls, redo="changed", **how)
    summary = audit_crawl(result, 0)
    assert summary["run"]["statuses"] == {"200": 5, "304": 1}
    found = {json.loads(line)["url"].removeprefix(api.origin): json.loads(line) for line in changed_lines(result.out)}
    assert {url: line["change"] for url, line in found.items()} == {
        "/headers/1": "unchanged", "/bytes/x": "changed", "/items/2": "unchanged", "/items/3": "new",
        "/pages/a/1?last=2": "unchanged", "/pages/a/2?last=2": "unchanged",
    }  # fmt: skip
    assert "Since the last time:" in result.stderr
    assert "Not ok" not in result.stderr
    assert findings(result.out) == []


def changed_lines(out: Path) -> list[bytes]:
    return (out / "changes.jsonl").read_bytes().splitlines()
