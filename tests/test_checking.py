"""`verify`: everything that can be wrong with a file or a row is found, and nothing else is; and mended."""

from __future__ import annotations

import io
import os
import sqlite3
import tracemalloc
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from crawler.checking import Check, Finding, Kind, repair
from crawler.checking.directory import afar
from crawler.checking.unit import strays
from crawler.exceptions import OtherListError, StoreError
from crawler.items import Outcome
from crawler.sources import Shape, open_source
from crawler.store.ledger import Ledger
from crawler.store.place import Place
from crawler.store.tree import FileReader
from crawler.telling import Telling
from tests.stored import BROKEN, NOT_FOUND, OK, SILENT, Answer, audit, drive, files, kill_after, make_plan, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from crawler.items import BadLine, Entry

TEXT = Answer(Outcome.OK, "grüß".encode(), 200)
ANSWERS = {"ok": OK, "text": TEXT, "bytes": Answer(Outcome.OK, b"\xff\x00", 201), "gone": NOT_FOUND, "slow": SILENT}
NAMES = [*ANSWERS, "ok", "!bad line"]
IDENTITY = {"save": "envelope", "column": "url", "APIFETCH_FOLDER_LEVELS": "1"}
SAVES = pytest.mark.parametrize("raw", [False, True], ids=["envelope", "raw"])


def run(folder: Path, *, answers: dict[str, Answer] = ANSWERS, **changes: Any) -> Path:
    """An output directory with a record of each kind."""
    changes.setdefault("raw", False)
    identity = {"save": "raw" if changes["raw"] else "envelope", "column": "url"}
    identity["APIFETCH_FOLDER_LEVELS"] = str(changes.get("levels", 1))
    plan = make_plan(folder, NAMES, identity=identity, **changes)
    drive(plan, lambda name: answers[name])
    return folder / "out"


def findings(out: Path, jobs: int = 1) -> list[Finding]:
    return list(Check(out, jobs=jobs).findings())


def kinds(out: Path, *names: str) -> list[tuple[Kind, str | None]]:
    """names: look only where they belong."""
    return [(finding.kind, finding.location) for finding in Check(out, jobs=1).findings(names or None)]


def place_of(out: Path, name: str) -> str:
    (row,) = rows(out, f"SELECT * FROM records WHERE url LIKE '%/{name}' AND outcome != 'duplicate'")
    return str(row["location"])


def change(out: Path, sql: str) -> None:
    with closing(sqlite3.connect(out / "ledger.sqlite")) as db:
        assert db.execute(sql).rowcount == 1
        db.commit()


def mend(out: Path, found: list[Finding], names: Iterable[str] = ()) -> Any:
    """What `verify --repair` does before it crawls. names: of the lines the list has now."""
    (out.parent / "list.txt").write_text("".join(f"http://api.test/{name}\n" for name in names))

    def lines() -> list[Entry | BadLine]:
        with closing(open_source(str(out.parent / "list.txt"))) as source:
            return source.next_batch(100)

    place = Place.take(out)
    ledger = Ledger(out, durable=False)
    done = repair(place, ledger, found, lines)
    ledger.close()
    place.close()
    return done


@SAVES
@pytest.mark.parametrize("levels", [0, 1, 2])
def test_a_directory_as_a_run_leaves_it_is_as_its_ledger_says(tmp_path: Path, *, raw: bool, levels: int) -> None:
    out = run(tmp_path, raw=raw, levels=levels)
    check = Check(out)
    assert list(check.findings()) == []
    assert (check.progress.records, check.progress.files) == (5, 4)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@SAVES
def test_a_flipped_byte_is_found_wherever_it_is(tmp_path: Path, *, raw: bool) -> None:
    out = run(tmp_path, raw=raw)
    location = place_of(out, "text")
    data = (out / location).read_bytes()
    for at in range(len(data)):
        (out / location).write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        assert kinds(out, location[-41:]) == [(Kind.ALTERED, location)], at
    (out / location).write_bytes(data)
    assert kinds(out) == []


@SAVES
def test_a_cut_file_is_found_wherever_it_is_cut(tmp_path: Path, *, raw: bool) -> None:
    out = run(tmp_path, raw=raw)
    location = place_of(out, "text")
    data = (out / location).read_bytes()
    for size in range(0, len(data), 5):
        (out / location).write_bytes(data[:size])
        assert kinds(out, location[-41:]) == [(Kind.ALTERED, location)], size
    (out / location).write_bytes(data + b"\n")
    assert kinds(out) == [(Kind.ALTERED, location)]


def test_a_missing_file_is_found_and_whatever_stands_in_its_place(tmp_path: Path) -> None:
    out = run(tmp_path)
    location = place_of(out, "ok")
    path = out / location
    data = path.read_bytes()
    path.unlink()
    assert kinds(out) == [(Kind.MISSING, location)]
    (tmp_path / "elsewhere").write_bytes(data)
    path.symlink_to(tmp_path / "elsewhere")
    assert kinds(out) == [(Kind.ALTERED, location)]
    path.unlink()
    os.mkfifo(path)
    assert kinds(out) == [(Kind.ALTERED, location)]
    path.unlink()
    path.mkdir()
    assert kinds(out) == [(Kind.MISSING, location)]


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_an_orphan_is_found_wherever_it_lies(tmp_path: Path, levels: int) -> None:
    out = run(tmp_path, levels=levels)
    location = place_of(out, "ok")
    folder = location.rpartition("/")[0]
    lost = [
        location.replace("responses", "errors"), f"{location}.new", f"{location}.tmp", f"{folder}/note",
        "responses/note", "errors/zz/deep/note", f"{folder}/deeper/{location.rpartition('/')[2]}",
    ]  # fmt: skip
    for stray in lost:
        (out / stray).parent.mkdir(parents=True, exist_ok=True)
        (out / stray).write_bytes(b"{}")
    assert sorted(kinds(out)) == sorted((Kind.ORPHAN, stray) for stray in set(lost))
    assert mend(out, findings(out)).removed == len(set(lost))
    assert kinds(out) == []


def test_folders_that_no_run_makes_are_told(tmp_path: Path) -> None:
    out = run(tmp_path)
    with closing(sqlite3.connect(out / "ledger.sqlite")) as db:
        db.execute("update about set value = json_set(value, '$.APIFETCH_FOLDER_LEVELS', 'x') where name = 'identity'")
        db.commit()
    with pytest.raises(StoreError, match="files in 'x' levels of folders, which are 0, 1 or 2"):
        findings(out)


def test_a_folder_of_all_files_is_gone_through_without_holding_their_names(tmp_path: Path) -> None:
    (tmp_path / "responses").mkdir()
    for n in range(2000):
        (tmp_path / f"responses/{n:x}.json").touch()
    tracemalloc.start()
    assert list(strays(FileReader(tmp_path), levels=0)) == []
    most_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most_bytes < 2000 * 50  # a name takes 100


CHANGED = [
    "url = 'http://api.test/other'", "method = 'PUT'", "status = 204", "outcome = 'http_error'", "outcome = 'nonsense'",
    "key = 'k'", "attempts = 7", "elapsed_ms = 1", "headers = '{\"A\": \"b\"}'", "headers = '{'", "meta = '{\"a\": 1}'",
    "bytes = 3", "sha256 = zeroblob(32)", "error = 'x'",
    "uuid = zeroblob(16)", "uuid8 = 1", "uuid = 'text'", "location = NULL", "location = '../../secret'",
    "location = replace(location, 'responses', 'errors')",
]  # fmt: skip


def test_a_changed_row_is_found_and_restored_from_its_whole_file(tmp_path: Path) -> None:
    restore_each(run(tmp_path), CHANGED)


def test_what_a_raw_file_proves_of_its_row_is_found_and_restored(tmp_path: Path) -> None:
    raw = ("bytes = 3", "sha256 = zeroblob(32)", "uuid = zeroblob(16)", "uuid8 = 1", "location = NULL")
    restore_each(run(tmp_path, raw=True), [*raw, "outcome = 'http_error'"])


def restore_each(out: Path, changes: Iterable[str]) -> None:
    before, units = rows(out), ("00", place_of(out, "text")[-41:])
    for sql in changes:
        change(out, f"UPDATE calls SET {sql} WHERE uuid8 IS NOT NULL AND url LIKE '%/text'")
        (finding,) = Check(out, jobs=1).findings(units)
        assert finding.kind is Kind.CHANGED, sql
        done = mend(out, [finding])
        assert (done.restored, done.again, done.lost) == (1, 0, []), sql
        assert rows(out) == before, sql
        assert kinds(out, *units) == [], sql


def test_a_row_whose_digest_is_lost_has_a_file_that_nothing_proves(tmp_path: Path) -> None:
    out = run(tmp_path)
    change(out, "UPDATE calls SET file_digest = NULL WHERE uuid8 IS NOT NULL AND url LIKE '%/text'")
    assert kinds(out) == [(Kind.ALTERED, place_of(out, "text"))]


def test_what_is_broken_is_open_again_until_a_run_has_fetched_it(tmp_path: Path) -> None:
    out = run(tmp_path)
    damaged = {name: place_of(out, name) for name in ("ok", "text", "gone")}
    (out / damaged["ok"]).unlink()
    (out / damaged["text"]).write_bytes(b"{")
    (out / damaged["gone"]).write_bytes(b"{")
    found = findings(out)
    assert sorted(kinds(out)) == sorted(
        [(Kind.MISSING, damaged["ok"]), (Kind.ALTERED, damaged["text"]), (Kind.ALTERED, damaged["gone"])]
    )
    done = mend(out, found)  # the list is empty by now: their names prove what they asked for
    assert (done.again, done.lost) == (3, [])
    assert findings(out) == []
    assert {row["url"][16:] for row in rows(out) if row["outcome"] == "pending"} == set(damaged)
    plan = make_plan(
        tmp_path, NAMES, raw=False, identity={"save": "envelope", "column": "url", "APIFETCH_FOLDER_LEVELS": "1"}
    )
    again = drive(plan, lambda name: BROKEN if name == "gone" else ANSWERS[name])
    assert sorted(again.calls) == ["gone", "ok", "slow", "text"]  # a timeout is always fetched again
    assert again.equation["left"] == 0
    assert findings(out) == []
    audit(out)


def test_a_page_and_the_one_that_led_to_it_are_each_fetched_once(tmp_path: Path) -> None:
    answers = {"a": Answer(pages=("p", "q")), "p": Answer(pages=("r",)), "q": OK, "r": OK}
    drive(make_plan(tmp_path, ["a"], raw=False, identity={}), lambda name: answers[name])
    out = tmp_path / "out"
    for location in files(out):
        (out / location).unlink()
    assert mend(out, findings(out)).again == 4
    plan = make_plan(tmp_path, urls=str(out / "repair.jsonl"), shape=Shape(format="jsonl"), raw=False, redo="none")
    done = drive(plan, lambda name: answers[name])
    assert sorted(done.calls) == sorted(answers)
    assert (done.equation["lines"], done.equation["followed"], done.equation["left"]) == (4, 0, 0)
    assert [row["outcome"] for row in rows(out)] == ["ok"] * 4
    assert findings(out) == []
    audit(out)


def test_a_list_inside_that_leads_to_a_page_that_had_failed_counts_it(tmp_path: Path) -> None:
    answers = {"a": Answer(pages=("p",)), "p": BROKEN}
    drive(make_plan(tmp_path, ["a"]), lambda name: answers[name])
    (tmp_path / "out" / "again.txt").write_text("http://api.test/a\n")
    done = drive(make_plan(tmp_path, urls=str(tmp_path / "out" / "again.txt"), redo="all"), lambda name: answers[name])
    assert (done.equation["followed"], done.equation["left"]) == (1, 0)


def test_a_kill_at_any_step_leaves_no_file_broken(tmp_path: Path) -> None:
    """At most orphans, which no record names; what is committed and not yet moved into place is whole."""
    steps, blown = 0, True
    while blown:
        folder = tmp_path / str(steps)
        folder.mkdir()
        out = run(folder)
        with kill_after(steps) as fuse, suppress(StoreError):
            drive(make_plan(folder, raw=False, redo="all", identity=IDENTITY), lambda _name: TEXT)
        blown = fuse.blown
        assert [finding for finding in findings(out) if finding.kind is not Kind.ORPHAN] == [], steps
        steps += 3


def test_a_call_that_its_row_does_not_tell_comes_from_the_list_or_is_lost(tmp_path: Path) -> None:
    answers = {"ok?token=secret-of-mine": OK}
    plan = make_plan(tmp_path, list(answers), raw=False, identity={"save": "envelope", "column": "url"})
    drive(plan, lambda name: answers[name])
    out = tmp_path / "out"
    for path in files(out):
        (out / path).unlink()
    found = findings(out)
    assert mend(out, found).lost == found
    assert mend(out, found, answers).again == 1
    assert "secret-of-mine" in (out / "repair.jsonl").read_text()


def test_many_processes_find_what_one_finds(tmp_path: Path) -> None:
    out = run(tmp_path)
    for name in ("ok", "text"):
        (out / place_of(out, name)).write_bytes(b"")
    assert findings(out, jobs=2) == findings(out)
    assert len(findings(out)) == 2


@pytest.mark.parametrize(
    ("records", "units"), [(0, 256), (10_000, 256), (100_000, 25), (5_000_000, 1), (50_000_000, 1)]
)
def test_in_a_store_many_units_are_checked_at_once_and_their_names_fit_into_memory(records: int, units: int) -> None:
    assert afar(256, records) == units


def test_a_damaged_ledger_is_found(tmp_path: Path) -> None:
    out = run(tmp_path)
    with closing(sqlite3.connect(out / "ledger.sqlite")) as db:
        db.execute("PRAGMA writable_schema = 1")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, '(list)', '(line)') WHERE name = 'calls_derived'")
        db.commit()
    assert Kind.LEDGER in {finding.kind for finding in findings(out)}


def test_a_folder_that_is_no_output_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OtherListError, match="expected an output directory"):
        findings(tmp_path)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_a_line_is_renewed_on_a_terminal_and_rare_elsewhere(
    stream: Callable[[], io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    shown = stream()
    with Telling(shown) as telling:
        for second in range(61):
            clock[0] = second
            telling.say(lambda: f"{clock[0]:g} done")
    if isinstance(shown, Terminal):
        assert shown.getvalue().startswith("\r1 done\r2 done")
        assert shown.getvalue().endswith("\r60 done\r       \r")
    else:
        assert shown.getvalue() == "30 done\n60 done\n"
