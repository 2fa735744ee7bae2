"""`pack=jsonl`: envelopes in parts, a line each, which lose nothing and which everybody reads."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from crawler.checking import Check, Kind, packed
from crawler.exceptions import BodyError, OtherListError, StoreError
from crawler.items import Shard
from crawler.store import packs, parts, schema
from crawler.store.bodies import Body
from crawler.store.envelope import envelope, read_envelope
from crawler.store.ledger import Ledger
from crawler.store.packs import Packs
from crawler.store.parts import PartReader, Spot
from crawler.store.place import Place
from crawler.store.reading import reading
from tests.harness import ROOT
from tests.stored import NOT_FOUND, OK, ORIGIN, SILENT, Answer, Done, drive, kill_after, make_plan, rows
from tests.test_checking import findings, mend
from tests.test_forget import forget

if TYPE_CHECKING:
    from pathlib import Path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

IDENTITY = {"save": "envelope", "pack": "jsonl", "column": "url"}
LONG = Answer(body=json.dumps({"text": "x" * 1000}).encode())
ANSWERS = {"ok": OK, "long": LONG, "text": Answer(body="grüß\n\tdich".encode()), "gone": NOT_FOUND, "slow": SILENT}


def run(folder: Path, answer: Answer | None = None, *names: str, **how: Any) -> Done:
    """names: of the calls; answer: to all of them. Else those of ANSWERS, each with its own."""
    how.setdefault("durability", "batch")
    how.setdefault("identity", IDENTITY)
    plan = make_plan(folder, [*names] or [*ANSWERS], raw=False, packed=True, **how)
    return drive(plan, lambda name: answer or ANSWERS[name])


def named(name: str) -> Answer:
    return Answer(body=json.dumps({"name": name}, indent=1).encode())


def lines(out: Path) -> list[dict[str, Any]]:
    """Everything that stands in parts, as somebody reads it who knows of no ledger."""
    found = sorted(out.glob("responses/*.zst")) + sorted(out.glob("errors/*.zst"))
    return [
        json.loads(line) for path in found for line in zstd.decompress(path.read_bytes()).splitlines() if line.strip()
    ]


def bodies(out: Path) -> dict[str, bytes | None]:
    """The body of each record, by the name of its call, as `export` and `crawler.results` read it."""
    with reading(out) as opened:
        return {record["url"].rpartition("/")[2]: opened.body(record) for record in opened.records()}


def parts_of(out: Path) -> list[Path]:
    return sorted(out.glob("responses/*")) + sorted(out.glob("errors/*"))


def ledger_of(out: Path) -> list[dict[str, Any]]:
    return rows(out, "SELECT * FROM packs ORDER BY name")


def test_each_record_is_a_line_and_errors_have_parts_of_their_own(tmp_path: Path) -> None:
    run(tmp_path)
    out = tmp_path / "out"
    assert [path.parent.name for path in parts_of(out)] == ["responses", "errors"]
    assert bodies(out) == {name: answer.body for name, answer in ANSWERS.items()}
    assert {line["url"].rpartition("/")[2] for line in lines(out)} == {"ok", "long", "text", "gone"}
    assert [(part["lines"], part["closed"]) for part in ledger_of(out)] == [(1, 1), (3, 1)]
    assert [part["bytes"] for part in ledger_of(out)] == [
        (out / part["name"]).stat().st_size for part in ledger_of(out)
    ]
    assert findings(out) == []


def test_duckdb_and_zstdcat_read_parts_as_they_are(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    for number in range(3):  # three parts, one frame each; and a frame that is passed over
        run(tmp_path, named(f"n{number}"), *(f"{at}" for at in range(number + 1)), redo="all")
    first, *_ = parts_of(tmp_path / "out")
    with first.open("ab") as file:
        file.write(parts.skipped(8) + parts.skipped(1000))
    glob = f"{tmp_path}/out/responses/*.jsonl.zst"
    found = duckdb.sql(f"SELECT body.name, count(*) FROM read_json('{glob}') GROUP BY 1 ORDER BY 1").fetchall()
    assert found == [("n0", 1), ("n1", 2), ("n2", 3)]
    if shutil.which("zstdcat"):
        said = subprocess.run(["zstdcat", *parts_of(tmp_path / "out")], stdout=subprocess.PIPE, check=True)
        assert Counter(json.loads(line)["body"]["name"] for line in said.stdout.splitlines()) == dict(found)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1}', b'{"a": 1}\n', b'{\n  "a": [1,\n  2]\n}', b'{\r\n  "a": 1\r\n}\r\n', b'\r{"a": 1}\r',
        b'{\n\t"a": 1\n}', b'{\n "a": 1\r\n}', b'\t{"a": 1}', b"two\nlines", b"\xff\n\x00", b"",
    ],
)  # fmt: skip
def test_an_envelope_of_one_line_gives_the_body_back_to_the_byte(body: bytes) -> None:
    data = envelope({"uuid": "u"}, body, None, one_line=True)
    assert data.count(b"\n") == 1
    assert b"\r" not in data
    json.loads(data)
    assert read_envelope(data) == ({"uuid": "u"}, body)


def test_a_pretty_body_is_still_json_to_those_who_read_parts() -> None:
    data = envelope({}, b'{\r\n  "a": 1\r\n}', None, one_line=True)
    assert json.loads(data) == {"line_break": "\r\n", "body": {"a": 1}}


def test_a_record_made_again_stands_in_a_new_place_and_its_row_points_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(tmp_path, LONG, "a", "b")
    before = {path: path.read_bytes() for path in parts_of(out)}
    run(tmp_path, OK, "a", "b", redo="all")
    assert bodies(out) == {"a": OK.body, "b": OK.body}
    assert {path: path.read_bytes() for path in before} == before
    assert len(lines(out)) == 4
    check = Check(out, jobs=1)
    assert list(check.findings()) == []
    assert check.progress.idle == 2


@pytest.mark.parametrize(("changed", "count"), [({}, 1), ({"PART_BYTES": 1}, 3), ({"PART_AGE_S": 0.0}, 3)])
def test_a_part_is_closed_by_its_size_and_by_its_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, float], count: int
) -> None:
    for name, value in changed.items():
        monkeypatch.setattr(packs, name, value)
    run(tmp_path, LONG, "a", "b", "c")
    assert [part["lines"] for part in ledger_of(tmp_path / "out")] == [3 // count] * count
    assert all(part["closed"] for part in ledger_of(tmp_path / "out"))
    assert len(parts_of(tmp_path / "out")) == count
    assert findings(tmp_path / "out") == []


def test_a_batch_of_small_bodies_is_a_frame_and_a_large_one_has_its_own(tmp_path: Path) -> None:
    place, ledger = Place.take(tmp_path / "out"), Ledger(tmp_path / "out", durable=False)
    with closing(place), closing(ledger), closing(Packs(place, ledger, "process")) as store:
        data = [b"%05d\n" % at for at in range(100)] + [bytes([65 + at]) * parts.FRAME_BYTES + b"\n" for at in (0, 1)]
        batch = [Body(f"u{at}", ok=at % 2 == 0, data=text) for at, text in enumerate(data)]
        locations = [location for location in store.put([*batch, Body("none", ok=True, data=None)])() if location]
        store.enter()
    assert len({Spot.parse(location)[:3] for location in locations}) == 4
    reader = PartReader(tmp_path / "out")
    assert [reader.read(location) for location in locations] == data


@pytest.mark.parametrize(
    "location",
    [
        "responses/../../etc/passwd#0+9/0+9", "responses/ab/240fd157-b8c9-5a00-a295-6a1176f51f9c.json",
        "responses/000000000000000-00001.jsonl.zst", "responses/000000000000000-00001.jsonl.zst#-1+9/0+9",
    ],
)  # fmt: skip
def test_a_location_leads_nowhere_but_into_a_part(tmp_path: Path, location: str) -> None:
    with pytest.raises(BodyError, match="no place in a part"):
        PartReader(tmp_path).read(location)


def test_a_frame_that_says_it_is_huge_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "responses").mkdir()
    name = "responses/000000000000000-00001.jsonl.zst"
    bomb = parts.pack([bytes(8 * parts.FRAME_BYTES)])
    (tmp_path / name).write_bytes(bomb)
    with pytest.raises(BodyError, match="says that it holds"):
        PartReader(tmp_path).read(str(Spot(name, 0, len(bomb), 0, 10)))


# Kills


def test_a_kill_at_any_step_loses_nothing_and_leaves_nothing_torn(tmp_path: Path) -> None:
    """Of a first run and of a redo, between any two steps."""
    steps = 0
    while True:
        folder = tmp_path / f"{steps}"
        folder.mkdir()
        run(folder, OK, "a", "b")
        with suppress(StoreError), kill_after(steps) as fuse:
            run(folder, LONG, "a", "b", "c", redo="all")
        done = run(folder, LONG, "a", "b", "c", redo="all")
        assert done.error is None
        assert bodies(folder / "out") == dict.fromkeys("abc", LONG.body), steps
        assert findings(folder / "out") == [], steps
        assert {part["name"] for part in ledger_of(folder / "out")} == {
            f"{path.parent.name}/{path.name}" for path in parts_of(folder / "out")
        }
        assert len(lines(folder / "out")) == sum(part["lines"] for part in ledger_of(folder / "out"))
        if not fuse.blown:
            break
        steps += 1
    assert steps > 15


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_torn_end_is_cut_back_to_what_the_ledger_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """The disk refuses in the middle of the second frame, or just behind it."""
    written = 0

    def tear(fd: int, data: bytes) -> None:
        nonlocal written
        written += 1
        if written > 1:
            os.write(fd, data[: int(len(data) * share)])
            raise OSError(errno.EIO, "torn")
        os.write(fd, data)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(packs, "write_all", tear)
        assert isinstance(run(tmp_path, LONG, "a", "b").error, StoreError)
    assert [(part["lines"], part["closed"]) for part in ledger_of(out)] == [(1, 0)]
    (part,) = parts_of(out)
    assert [finding.kind for finding in findings(out)] == ([Kind.TORN] if share else [])
    run(tmp_path, LONG, "a", "b")
    assert part.stat().st_size == ledger_of(out)[0]["bytes"]
    assert bodies(out) == dict.fromkeys("ab", LONG.body)
    assert [line["line"] for line in lines(out)] == [1, 2]
    assert findings(out) == []


def test_repair_cuts_a_torn_end_by_itself(tmp_path: Path) -> None:
    run(tmp_path, LONG, "a")
    (part,) = parts_of(tmp_path / "out")
    with part.open("ab") as file:
        file.write(b"torn")
    found = findings(tmp_path / "out")
    assert [finding.kind for finding in found] == [Kind.TORN]
    mend(tmp_path / "out", found)
    assert findings(tmp_path / "out") == []


# What verify finds, and repair


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("at", [0, 4, 12, 30, -1], ids=["magic", "header", "block", "data", "checksum"])
def test_a_flipped_byte_is_found_and_what_it_spoiled_is_fetched_again(tmp_path: Path, at: int) -> None:
    out = tmp_path / "out"
    run(tmp_path, LONG, "a")
    run(tmp_path, LONG, "a", "b")
    damaged, whole = parts_of(out)
    flip(damaged, at)
    found = findings(out)
    assert [(finding.kind, finding.url) for finding in found] == [(Kind.ALTERED, f"{ORIGIN}a")]
    assert mend(out, found, "ab").again == 1
    assert run(tmp_path, OK, "a", "b").calls == ["a"]
    assert bodies(out) == {"a": OK.body, "b": LONG.body}
    assert findings(out) == []
    assert whole.exists()
    assert [line["line"] for line in lines(out)] == [2, 1], "others read all parts again"


def test_a_flipped_byte_where_no_row_looks_is_found_too(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(tmp_path, LONG, "a")
    run(tmp_path, OK, "a", redo="all")
    flip(parts_of(out)[0], 30)
    found = findings(out)
    assert [(finding.kind, finding.row) for finding in found] == [(Kind.ALTERED, None)]
    mend(out, found)
    assert findings(out) == []
    assert len(lines(out)) == 1


def test_a_part_that_is_gone_or_nobodys_is_found(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(tmp_path, LONG, "a", "b")
    (part,) = parts_of(out)
    part.rename(out / "responses" / "somebody.jsonl.zst")
    found = findings(out)
    assert [finding.kind for finding in found] == [Kind.MISSING, Kind.MISSING, Kind.ORPHAN]
    assert mend(out, found, "ab").removed == 1
    assert run(tmp_path, OK, "a", "b").calls == ["a", "b"]
    assert bodies(out) == dict.fromkeys("ab", OK.body)
    assert findings(out) == []


def test_a_changed_row_is_found_and_restored_from_its_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(tmp_path, LONG, "a")
    with closing(sqlite3.connect(out / "ledger.sqlite")) as db:
        db.execute("UPDATE calls SET status = 404")
        db.commit()
    found = findings(out)
    assert [finding.kind for finding in found] == [Kind.CHANGED]
    assert mend(out, found).restored == 1
    assert findings(out) == []


def test_several_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    run(tmp_path, LONG, *"abcdefghij")
    flip(parts_of(out)[0], 30)
    monkeypatch.setattr(packed, "RANGE", 2)
    assert [finding.url for finding in findings(out, jobs=2)] == [f"{ORIGIN}a"]


# Forgetting


def test_what_is_forgotten_is_in_no_part_any_more_older_answers_included(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(tmp_path, Answer(body=b'{"who": "jane.doe"}'), "a", "b")
    run(tmp_path, Answer(body=b'{"who": "jane.doe again"}'), "a", redo="all")
    before = {path: path.stat().st_size for path in parts_of(out)}
    (uuid,) = [row["uuid"] for row in rows(out) if row["url"].endswith("/a")]
    done = forget(out, [bytes.fromhex(uuid.replace("-", ""))])
    assert (done.erased, done.lines) == (1, 2)
    assert [line["url"] for line in lines(out)] == [f"{ORIGIN}b"]
    assert {path: path.stat().st_size for path in parts_of(out)} == before, "nothing else has moved"
    assert bodies(out)["b"] == b'{"who": "jane.doe"}'
    assert findings(out) == []
    check = Check(out, jobs=1)
    list(check.findings())
    assert check.progress.idle == 0
    assert run(tmp_path, OK, "a", "b").calls == []


def test_the_old_bytes_of_what_is_forgotten_are_overwritten(tmp_path: Path) -> None:
    """Somebody who has the part open still sees zeros."""
    out = tmp_path / "out"
    run(tmp_path, LONG, "a")
    (part,) = parts_of(out)
    with part.open("rb") as open_since_before:
        size = part.stat().st_size
        forget(out, [bytes.fromhex(row["uuid"].replace("-", "")) for row in rows(out)])
        assert open_since_before.read() == bytes(size)
    assert lines(out) == []
    assert [path.name for path in parts_of(out)] == [part.name]


def test_nothing_is_forgotten_where_a_damaged_part_may_hold_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(tmp_path, LONG, "a")
    flip(parts_of(out)[0], 30)
    with pytest.raises(StoreError, match=r"is damaged, so nothing can be erased"):
        forget(out, [bytes.fromhex(row["uuid"].replace("-", "")) for row in rows(out)])
    assert rows(out)[0]["outcome"] == "ok"


# Whose directory it is


@pytest.mark.parametrize(("begun", "given"), [("jsonl", None), (None, "jsonl")])
def test_a_directory_remembers_how_its_bodies_are_kept(tmp_path: Path, begun: str | None, given: str | None) -> None:
    def crawl(pack: str | None) -> None:
        drive(make_plan(tmp_path, ["a"], raw=False, packed=pack is not None, identity={"pack": pack}))

    crawl(begun)
    was, now = (f"pack={said}" if said else "no pack" for said in (begun, given))
    with pytest.raises(OtherListError, match=f"begun with {was}, you gave {now}"):
        crawl(given)


def test_parts_of_a_list_have_parts_of_their_own_and_come_together(tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = [*"abcdefgh"]
    for number in (1, 2):
        with suppress(StoreError), kill_after(12):  # in the middle: whoever comes next cuts what it has left
            run(tmp_path, LONG, *names, shard=Shard(number, 2))
    assert run(tmp_path, OK, *names).error is None
    assert len({path.name for path in parts_of(out)}) == len(parts_of(out)) >= 3
    assert set(bodies(out)) == set(names)
    assert findings(out) == []
    assert len(lines(out)) == len(names)


def test_an_older_ledger_learns_of_parts(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db:
        db.executescript(f"{schema.TABLES.split('CREATE VIEW')[0]} {schema.CHANGES} PRAGMA user_version = 2")
    with closing(Ledger(tmp_path, durable=False)) as ledger:
        assert ledger.query("SELECT count(*) FROM packs") == [(0,)]


@pytest.mark.check
def test_the_measurement_of_packs_still_measures(tmp_path: Path) -> None:
    """The measurement itself, small: nothing about speed, which is the machine's; what comes out is counted in it."""
    command = [sys.executable, "-m", "tests.proofs.packed", "--records=300", "--rounds=1", f"--folder={tmp_path}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert "packs 1.00" in said.splitlines()[-1]
