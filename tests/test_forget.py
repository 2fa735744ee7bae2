"""`forget`: what was erased is nowhere in the directory any more, is never fetched again, and is accounted for."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from crawler.accounting import ExitCode
from crawler.commands.forget import read_uuids
from crawler.exceptions import ArgumentError
from crawler.items import uuid_text
from crawler.report import page_of
from crawler.sources import Shape
from crawler.store import forgetting
from crawler.store.ledger import Ledger
from crawler.store.place import Place
from tests.stored import NOT_FOUND, OK, ORIGIN, Answer, Done, audit, drive, entry, files, make_plan, rows
from tests.test_checking import findings

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "jane.doe"
BODY = b'{"mail": "' + SECRET.encode() + b'@example.com"}'
CALLS: list[dict[str, Any]] = [
    {"url": f"{ORIGIN}a?who={SECRET}", "id": SECRET, "meta": {"name": SECRET}},
    {"url": f"{ORIGIN}b"},
    {"url": f"{ORIGIN}c?who={SECRET}", "method": "POST", "body": SECRET},
    {"url": f"{ORIGIN}a?who={SECRET}", "id": SECRET},
]


def run(folder: Path, calls: list[dict[str, Any]] = CALLS, **changes: Any) -> Done:
    (folder / "calls.jsonl").write_text("".join(json.dumps(call) + "\n" for call in calls))
    identity = {"save": "envelope"}
    plan = make_plan(
        folder, urls=str(folder / "calls.jsonl"), shape=Shape(format="jsonl"), raw=False, identity=identity, **changes
    )
    return drive(plan, lambda name: NOT_FOUND if name.startswith("c") else Answer(body=BODY) if SECRET in name else OK)


def names(out: Path) -> list[bytes]:
    found = rows(out, f"SELECT uuid FROM records WHERE url LIKE '%{SECRET}%' AND outcome != 'duplicate'")
    return [bytes.fromhex(row["uuid"].replace("-", "")) for row in found]


def forget(out: Path, uuids: list[bytes]) -> forgetting.Forgotten:
    place, ledger = Place.take(out), Ledger(out, durable=True)
    done = forgetting.forget(place, ledger, uuids, levels=1)
    ledger.close()
    place.close()
    return done


def holding(out: Path) -> list[str]:
    """The files in the directory that still hold it."""
    return [path.name for path in out.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_what_is_forgotten_is_nowhere_any_more_and_never_fetched_again(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert (first.equation["ok"], first.equation["failed"], first.equation["duplicate"]) == (2, 1, 1)
    out = tmp_path / "out"
    assert {"ledger.sqlite", "failed.jsonl"} < set(holding(out))
    uuids = names(out)
    (out / "responses" / "left.json.new").write_bytes(b"")
    unknown = entry("x").uuid
    done = forget(out, [*uuids, unknown, uuids[0]])
    assert (done.erased, done.files, done.unknown) == (2, 2, [uuid_text(unknown)])
    assert holding(out) == []
    (out / "responses" / "left.json.new").unlink()
    assert findings(out) == []
    audit(out)
    kept = {row["outcome"]: row for row in rows(out)}
    assert kept["erased"]["line"] is not None
    assert len(files(out)) == 1

    for redo in ("retryable", "all", "2xx,4xx"):
        again = run(tmp_path, redo=redo)
        assert [name for name in again.calls if SECRET in name] == [], redo
        assert again.code is ExitCode.DONE
        counted = {name: again.equation[name] for name in ("lines", "ok", "failed", "duplicate", "erased", "left")}
        assert counted == {"lines": 4, "ok": 1, "failed": 0, "duplicate": 1, "erased": 2, "left": 0}, redo
        assert holding(out) == [], redo
    said = re.sub(r"<[^>]*>", "", page_of(out))
    assert "4 lines = 1 ok + 0 failed + 0 invalid + 1 duplicate + 2 erased + 0 left" in said
    edited = run(tmp_path, [{"url": f"{ORIGIN}new"}, *CALLS], redo="all")  # each line is looked up
    assert sorted(edited.calls) == ["b", "new"]
    assert (edited.equation["erased"], edited.equation["duplicate"], edited.equation["left"]) == (2, 1, 0)
    assert holding(out) == []


def test_a_kill_in_the_middle_leaves_what_the_same_command_erases(tmp_path: Path) -> None:
    run(tmp_path)
    out = tmp_path / "out"
    uuids = names(out)
    for path in files(out):
        (out / path).unlink()  # a kill after the files, before the rows
    assert forget(out, uuids).erased == 2
    assert forget(out, uuids).erased == 2
    assert holding(out) == []


def test_the_file_itself_is_overwritten_and_no_link_is_followed(tmp_path: Path) -> None:
    run(tmp_path)
    out = tmp_path / "out"
    (a, c) = sorted(place for place in files(out) if SECRET.encode() in (out / place).read_bytes() or "errors" in place)
    (tmp_path / "name of mine").hardlink_to(out / c)
    (tmp_path / "elsewhere").write_bytes(BODY)
    (out / a).unlink()
    (out / a).symlink_to(tmp_path / "elsewhere")
    forget(out, names(out))
    assert set((tmp_path / "name of mine").read_bytes()) == {0}
    assert (tmp_path / "elsewhere").read_bytes() == BODY
    assert not (out / a).is_symlink()


def test_a_file_with_a_line_that_is_no_uuid_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "uuids.txt"
    path.write_text(f"{uuid_text(entry('a').uuid)}\n\n  {uuid_text(entry('b').uuid).upper()}\n")
    assert read_uuids(str(path)) == [entry("a").uuid, entry("b").uuid]
    path.write_text(f"{uuid_text(entry('a').uuid)}\nall of them\n")
    with pytest.raises(ArgumentError, match=r"expected a uuid in line 2, not 'all of them'"):
        read_uuids(str(path))
    with pytest.raises(ArgumentError, match=r"a uuid a line \(No such file or directory\)$"):
        read_uuids(str(tmp_path / "nowhere"))
    path.write_bytes(b"\xff")
    with pytest.raises(ArgumentError, match=r"\(it is no UTF-8\)$"):
        read_uuids(str(path))
