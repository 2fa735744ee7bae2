"""`export`: each format read back by a tool of somebody else's, and equal to the ledger."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sqlite3
import subprocess
import sys
from base64 import b64decode
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import pytest
from warcio.archiveiterator import ArchiveIterator

from crawler.exceptions import ArgumentError, BodyError, StoreError
from crawler.export import Export, Options, find_format
from crawler.export.columns import MOST_OF_THE_LIST
from crawler.export.csv import defused
from crawler.items import Outcome
from crawler.sources import Shape
from crawler.store.reading import Chosen, reading
from tests.audit import audit
from tests.stored import NOT_FOUND, ORIGIN, SILENT, Answer, drive, make_plan, rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import ApiServer, Crawl, CrawlResult

BODIES = {
    "1": b'{"id": 1, "x": 1.0, "big": 123456789012345678901234567890}',
    "2": "grüß, «€»\n".encode(),
    "3": b"\xff\x00\xfe",
    "4": b"",
    "5": b'"=1+1"',
}
ANSWERS = {name: Answer(Outcome.OK, body, 200) for name, body in BODIES.items()} | {"6": NOT_FOUND, "7": SILENT}
META: list[dict[str, Any]] = [
    {"country": "=cmd|' /C calc'!A0", "rank": 1, "share": 1, "flag": True, "status": "a", "mixed": 1, "huge": 2**80},
    {"country": 'de,"at"\nch', "rank": -2, "share": 0.5, "flag": False, "status": None, "mixed": "x", "huge": 1},
    {"country": "-1", "share": None, "mixed": [1, {"a": "b"}], "list_status": "taken", "": "no name"},
    {},
    {"country": "?", "rank": 3, "=title": "+49 30 1234"},
]  # fmt: skip


def run(folder: Path, *, raw: bool = False, extra: dict[str, Any] | None = None) -> Path:
    """An output directory of a list with columns of its own."""
    lines = []
    for number, name in enumerate(ANSWERS):
        meta = META[number] if number < len(META) else extra or {}
        lines.append(json.dumps({"url": ORIGIN + name, "id": f"k{name}", "meta": meta}))
    lines += [lines[0], "{}"]
    (folder / "calls.jsonl").write_text("".join(f"{line}\n" for line in lines))
    identity = {"save": "raw" if raw else "envelope"}
    plan = make_plan(folder, urls=str(folder / "calls.jsonl"), shape=Shape(format="jsonl"), raw=raw, identity=identity)
    drive(plan, lambda name: ANSWERS[name])
    return folder / "out"


def export(out: Path, name: str, **options: Any) -> Path:
    """out/name, made by an export."""
    path = out.parent / name
    kind, packing = find_format(name, None)
    with reading(out) as opened:
        made = Export(opened, name, Options(format=kind, packing=packing, **options))
        made.write(path)
        assert made.broken == []
    return path


def ledger(out: Path, where: str = "1") -> list[dict[str, Any]]:
    """The view as it stands, in an export's order, objects as objects."""
    found = rows(out, f"SELECT * FROM records WHERE {where} ORDER BY line IS NULL, line")
    return [row | {name: json.loads(row[name]) if row[name] else {} for name in ("headers", "meta")} for row in found]


def check_body(row: dict[str, Any], expected: bytes | None) -> None:
    """A row has the body under one of its names, or none at all."""
    if row.get("body") is not None:
        assert row["body"].encode() == expected
    elif row.get("text") is not None:
        assert row["text"].encode(row["charset"]) == expected
    else:
        assert (row.get("base64") and b64decode(row["base64"])) == expected


def body_of(record: dict[str, Any]) -> bytes | None:
    return None if record["location"] is None else ANSWERS[record["url"].removeprefix(ORIGIN)].body


def duck(sql: str) -> list[Any]:
    table: Any = duckdb.sql(sql)
    found: list[Any] = table.fetchall()
    return found


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.ndjson.zst"])
@pytest.mark.parametrize("raw", [False, True], ids=["envelope", "raw"])
def test_json_lines_are_the_view_and_the_bodies(tmp_path: Path, name: str, *, raw: bool) -> None:
    out = run(tmp_path, raw=raw)
    records = ledger(out)
    columns = "{line: 'BIGINT', url: 'VARCHAR', meta: 'JSON', body: 'JSON', text: 'VARCHAR', sha256: 'VARCHAR'}"
    found = duck(f"select * from read_json('{export(out, name)}', columns={columns})")
    assert [row[:2] for row in found] == [(record["line"], record["url"]) for record in records]
    assert [row[5] for row in found] == [record["sha256"] for record in records]
    with_bodies = export(out, name, bodies=True)
    found = duck(f"select * from read_json('{with_bodies}', columns={columns})")
    assert json.loads(found[0][3]) == json.loads(BODIES["1"])
    assert found[1][4] == BODIES["2"].decode()
    if name == "x.jsonl":
        lines = with_bodies.read_bytes().splitlines()
        assert BODIES["1"] in lines[0]  # byte for byte
        for line, record in zip(lines, records, strict=True):
            document = json.loads(line)
            body = document.pop("body", None)
            assert body == (json.loads(body_of(record) or b"null") if body is not None else None)
            check_body(document, body_of(record) if body is None else None)
            for field in ("charset", "text", "base64"):
                document.pop(field, None)
            assert document == record


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))


def test_csv_has_the_lists_own_columns_and_no_formula(tmp_path: Path) -> None:
    out = run(tmp_path)
    found, records = read_csv(export(out, "x.csv", bodies=True)), ledger(out)
    assert len(found) == len(records)
    for row, record in zip(found, records, strict=True):
        for name in ("line", "uuid", "outcome", "status", "key", "url", "sha256", "bytes"):
            assert row[name] == ("" if record[name] is None else str(record[name])), name
        check_body({name: row[name] or None for name in ("body", "charset", "text", "base64")}, body_of(record) or None)
    one, two, three, _, five = found[:5]
    assert one["country"] == "'=cmd|' /C calc'!A0"
    assert (one["rank"], one["share"], one["flag"], one["mixed"]) == ("1", "1", "true", "1")
    assert (one["huge"], one["list_status"], three["list_list_status"]) == (str(2**80), "a", "taken")
    assert three[""] == "no name"
    assert (two["country"], two["rank"], two["mixed"]) == ('de,"at"\nch', "-2", "x")
    assert (three["country"], three["mixed"]) == ("-1", '[1,{"a":"b"}]')
    assert (five["country"], five["'=title"]) == ("?", "'+49 30 1234")
    kept = read_csv(export(out, "x.csv", keep_formulas=True))
    assert (kept[0]["country"], kept[4]["=title"]) == ("=cmd|' /C calc'!A0", "+49 30 1234")
    assert "body" not in kept[0]


@pytest.mark.parametrize("text", ["=1+1", "+1-2", "-1+2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "-", "+1 555"])
def test_a_cell_that_a_spreadsheet_would_run_is_defused(text: str) -> None:
    assert defused(text) == "'" + text


@pytest.mark.parametrize("text", ["", "a=1", "-1", "+1.5", "-2e10", "{}", " =1", "'=1"])
def test_every_other_cell_stays_as_it_is(text: str) -> None:
    assert defused(text) == text


def test_parquet_is_typed_and_read_by_duckdb_and_pandas(tmp_path: Path) -> None:
    out = run(tmp_path)
    path, records = export(out, "x.parquet", bodies=True), ledger(out)
    table: Any = duckdb.sql(f"select * from read_parquet('{path}')")
    types = dict(zip(table.columns, map(str, table.types), strict=True))
    assert {types[name] for name in ("line", "status", "bytes", "rank")} == {"BIGINT"}
    assert (types["share"], types["flag"], types["mixed"], types["huge"]) == ("DOUBLE", "BOOLEAN", "VARCHAR", "VARCHAR")
    assert types["started_at"].startswith("TIMESTAMP")
    found = [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]
    for row, record in zip(found, records, strict=True):
        for name in ("line", "uuid", "outcome", "status", "key", "url", "sha256", "bytes", "error"):
            assert row[name] == record[name], name
        check_body(row, body_of(record))
    assert [row["rank"] for row in found[:5]] == [1, -2, None, None, 3]
    frame = pd.read_parquet(path)
    assert list(frame["uuid"].dropna()) == [record["uuid"] for record in records if record["uuid"]]


def test_what_is_chosen_is_exported_and_nothing_else(tmp_path: Path) -> None:
    out = run(tmp_path)
    choices = {
        Chosen(frozenset({"ok"})): "outcome = 'ok'",
        Chosen(frozenset({"ok", "timeout"})): "outcome IN ('ok', 'timeout')",
        Chosen(statuses=frozenset(range(400, 500))): "status = 404",
        Chosen(frozenset({"ok"}), frozenset({404})): "0",
    }
    for chosen, where in choices.items():
        lines = export(out, "x.jsonl", chosen=chosen).read_bytes().splitlines()
        assert [json.loads(line) for line in lines] == ledger(out, where)


def test_a_list_with_very_many_columns_keeps_them_in_one(tmp_path: Path) -> None:
    out = run(tmp_path, extra={f"c{n}": n for n in range(MOST_OF_THE_LIST)})
    found = read_csv(export(out, "x.csv"))
    assert "c1" not in found[0]
    assert json.loads(found[5]["meta"])["c7"] == 7


def test_an_altered_body_is_left_out_and_told(tmp_path: Path) -> None:
    out = run(tmp_path)
    record = ledger(out)[0]
    (out / record["location"]).write_bytes(b"{}")
    with reading(out) as opened:
        made = Export(opened, "x.jsonl", Options(format="jsonl", bodies=True))
        made.write(tmp_path / "x.jsonl")
    assert len(made.broken) == 1
    first = json.loads((tmp_path / "x.jsonl").read_bytes().splitlines()[0])
    assert (first["url"], "body" in first) == (record["url"], False)


@pytest.mark.parametrize("name", ["x", "x.json", "x.parquet.gz", "x.warc.zst", "x.csv.bz2"])
def test_a_name_that_says_no_format_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError):
        find_format(name, None)


def test_a_failed_export_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = run(tmp_path)
    path = export(out, "x.jsonl")
    before = path.read_bytes()
    monkeypatch.setattr("crawler.export.jsonl.json_line", lambda _values: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(out, "x.jsonl")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".x")] == []


def test_the_command_exports_what_a_crawl_left(api: ApiServer, crawl: Crawl) -> None:
    urls = [api.url(path) for path in ("/items/1", "/headers/1", "/missing/1", "/redirect/1?to=/items/2", "/drop/1")]
    result = crawl([*urls, "bad line"], retries=0, options=["-O", "feed.csv"])
    audit(result, 4)
    feed = read_csv(crawl.cwd / "feed.csv")  # Scrapy's own, which has no bodies
    assert sorted(row["uuid"] or "" for row in feed) == sorted(row["uuid"] or "" for row in result.rows())
    assert "body" not in feed[0]

    piped = crawl.scrapy("export", "out/items", "--to", "-", "--format", "csv", "--outcome=ok", "--status=2xx")
    assert piped.returncode == 0
    assert len(list(csv.DictReader(io.StringIO(piped.stdout.decode())))) == 3
    refused = crawl.scrapy("export", "out/items", "--to", "x.csv", "--outcome=okay")
    assert refused.returncode == 2
    assert b"--outcome='okay': expected ok, http_error" in refused.stderr
    assert crawl.scrapy("export", "out/items", "--to", "y.warc.gz").returncode == 0

    for path in (crawl.cwd / "y.warc.gz", export(result.out, "x.warc")):
        check = [sys.executable, "-m", "warcio.cli", "check", "-v", str(path)]
        done = subprocess.run(check, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout
        assert b"digest pass" in done.stdout
        check_warc(path, result)


def check_warc(path: Path, result: CrawlResult) -> None:
    answered = {row["final_url"] or row["url"]: row for row in result.rows() if row["status"] is not None}
    seen = {}
    with path.open("rb") as file:
        for record in ArchiveIterator(file):
            if record.rec_type == "warcinfo":
                continue
            assert record.rec_type == "response"
            uri = record.rec_headers.get_header("WARC-Target-URI")
            row = seen[uri] = answered[uri]
            assert hashlib.sha256(record.content_stream().read()).hexdigest() == row["sha256"]
            assert record.http_headers.get_statuscode() == str(row["status"])
            assert record.http_headers.get_header("Content-Length") == str(row["bytes"])
            assert record.rec_headers.get_header("WARC-IP-Address") == row["ip"]
            when = datetime.fromisoformat(record.rec_headers.get_header("WARC-Date"))
            assert when >= datetime.fromisoformat(row["started_at"])
            names = [name for name, _ in record.http_headers.headers]
            for name, value in json.loads(row["headers"]).items():
                if name != "Content-Length":
                    assert names.count(name) == (len(value) if isinstance(value, list) else 1)
    assert seen == answered
    assert len(answered) == 4


def test_records_of_a_ledger_that_leads_elsewhere_have_no_body(tmp_path: Path) -> None:
    out = run(tmp_path)
    (tmp_path / "secret.json").write_text("{}")
    with reading(out) as opened:
        record = next(opened.records())
        for location in ("../secret.json", "responses/../../secret.json", "ledger.sqlite"):
            [(_, answer)] = opened.answers([{**record, "location": location}])
            assert isinstance(answer, BodyError)


def test_answers_are_read_by_the_order_of_the_list(tmp_path: Path) -> None:
    out = run(tmp_path)
    with reading(out) as opened:
        lines = [record["line"] for record in opened.records()]
        assert lines == sorted(lines)
        assert opened.count() == len(lines) == len(ANSWERS) + 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("update about set value = 'no JSON' where name = 'identity'", "what the directory was begun with is no JSON"),
        ("update about set value = '[1]' where name = 'identity'", "what the directory was begun with is no JSON obj"),
        ("update calls set headers = '{' where line = 1", r"the row of http://api.test/1 is damaged \(headers: "),
        ("update calls set uuid = 'text' where line = 1", r"the row of http://api.test/1 is damaged \(uuid: "),
        ("update calls set sha256 = 5 where line = 1", r"the row of http://api.test/1 is damaged \(sha256: "),
    ],
)
def test_a_ledger_that_no_run_wrote_so_is_told_in_a_line(tmp_path: Path, change: str, says: str) -> None:
    out = run(tmp_path)
    with closing(sqlite3.connect(out / "ledger.sqlite")) as db:
        db.execute(change)
        db.commit()
    with pytest.raises(StoreError, match=says):
        export(out, "x.jsonl")
