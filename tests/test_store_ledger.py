"""The ledger: what a row says to the world, what is found again, and that a transaction is all or nothing."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

import pytest

from crawler.exceptions import OtherListError, StoreError
from crawler.items import Outcome, Record, Ticket
from crawler.store import calls, schema
from crawler.store.ledger import NAME, Ledger
from crawler.store.resume import _FOLLOWED
from crawler.store.runs import _IN_STATE
from crawler.store.schema import State
from tests.stored import BROKEN, NOT_FOUND, OK, ORIGIN, SILENT, answered, rows, ticket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PUBLIC = [
    "run", "source", "line", "n", "uuid", "parent", "key", "method", "url", "host", "final_url", "redirects",
    "outcome", "status", "http_version", "ip", "location", "bytes", "sha256", "file_digest", "content_type",
    "headers", "etag", "last_modified", "attempts", "started_at", "elapsed_ms", "waited_ms", "not_before", "error",
    "meta",
]  # fmt: skip
"""The view's columns, as docs/output.md promises them."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path, durable=False)) as ledger:
        yield ledger


def write(ledger: Ledger, *records: Record) -> None:
    with ledger.transaction():
        for record in records:
            ledger.record(record, run=1, list_id=1, staged=False)


# The public view


def test_the_view_has_the_public_columns_in_their_order(tmp_path: Path, ledger: Ledger) -> None:
    write(ledger, answered(ticket("a")))
    assert list(rows(tmp_path)[0]) == PUBLIC


def test_a_record_comes_back_as_it_was(tmp_path: Path, ledger: Ledger) -> None:
    ledger.write("INSERT INTO lists (path) VALUES ('/lists/items.txt')")
    expected = {
        "line": 17, "n": 2, "key": "cust-42", "method": "POST", "url": ORIGIN + "a", "host": "api.test",
        "final_url": ORIGIN + "b", "redirects": 1, "status": 200, "http_version": "HTTP/2", "ip": "203.0.113.7",
        "location": "responses/a.json", "bytes": 12, "sha256": "0a" * 32, "file_digest": "fe" * 32,
        "content_type": "text/plain", "etag": '"x"', "last_modified": "Sun, 22 Nov 2026 15:04:05 GMT", "attempts": 3,
        "started_at": "2026-11-22T15:04:05.123Z", "elapsed_ms": 5, "waited_ms": 7,
        "not_before": "2026-11-22T15:05:05.123Z", "error": "none",
    }  # fmt: skip
    call = ticket("a", 17, n=2, method="POST", key="cust-42")
    record = answered(call)
    for name, value in expected.items():
        setattr(record, name, value)
    record.headers, record.meta = {"A": "b", "Set-Cookie": ["c", "d"]}, {"country": "dé", "big": 2**70}
    write(ledger, record)
    more = {
        "run": 1, "source": "/lists/items.txt", "uuid": record.uuid, "parent": None, "outcome": "ok",
        "headers": '{"A":"b","Set-Cookie":["c","d"]}', "meta": '{"country":"dé","big":1180591620717411303424}',
    }  # fmt: skip
    assert rows(tmp_path) == [expected | more]


def test_a_uuid_is_the_one_that_anybody_computes(tmp_path: Path, ledger: Ledger) -> None:
    write(ledger, answered(ticket("a")))
    assert rows(tmp_path)[0]["uuid"] == str(uuid5(NAMESPACE_URL, ORIGIN + "a"))


def test_lines_that_are_no_calls_have_rows_of_their_own(tmp_path: Path, ledger: Ledger) -> None:
    invalid = Record(outcome=Outcome.INVALID, line=1, url="!", error="no URL")
    duplicate = Record.of(ticket("a", 3), Outcome.DUPLICATE, "the same call as line 2")
    write(ledger, invalid, answered(ticket("a", 2)), duplicate)
    found = [(row["line"], row["outcome"], row["uuid"] is not None, row["method"]) for row in rows(tmp_path)]
    assert found == [(1, "invalid", False, "GET"), (2, "ok", True, "GET"), (3, "duplicate", True, "GET")]
    assert ledger.find(ticket("a").uuid).line == 2  # type: ignore[union-attr]


def test_what_has_no_body_has_no_digest(tmp_path: Path, ledger: Ledger) -> None:
    """NULL, as every other column that is not known: not an empty text, which SQLite makes of it by itself."""
    write(ledger, answered(ticket("a"), SILENT))
    assert [(row["bytes"], row["sha256"], row["file_digest"]) for row in rows(tmp_path)] == [(None, None, None)]


@pytest.mark.parametrize("text", ["a\0b", "é\u2028😀", "'; DROP TABLE calls; --", "", "x" * 100_000])
def test_odd_text_comes_back_whole(tmp_path: Path, ledger: Ledger, text: str) -> None:
    record = answered(ticket("a", key=text, meta={"m": text}), NOT_FOUND)
    record.error, record.headers = text, {"H": text}
    write(ledger, record)
    row = rows(tmp_path)[0]
    assert (row["key"], row["error"]) == (text, text)
    found = ledger.request(1)
    assert found is not None
    assert found[0]["meta"] == {"m": text}


def test_a_reader_beside_a_run_sees_whole_batches(tmp_path: Path, ledger: Ledger) -> None:
    seen, ended = set(), threading.Event()

    def read() -> None:
        with closing(sqlite3.connect(tmp_path / NAME)) as connection:
            while not ended.is_set():
                seen.add(connection.execute("SELECT count(*) FROM records").fetchone()[0])

    reader = threading.Thread(target=read)
    reader.start()
    for batch in range(20):
        write(ledger, *(answered(ticket(f"{batch}/{n}")) for n in range(10)))
    ended.set()
    reader.join()
    assert seen <= set(range(0, 201, 10))


# Finding again


def test_a_call_is_found_once_it_is_committed(ledger: Ledger) -> None:
    call = ticket("a", 7)
    with ledger.transaction():
        ledger.record(answered(call, NOT_FOUND), run=3, list_id=2, staged=False)
        assert ledger.find(call.uuid) is None
    found = ledger.find(call.uuid)
    assert found is not None
    assert (found.id, found.uuid, found.outcome, found.status) == (call.row, call.uuid, Outcome.HTTP_ERROR, 404)
    assert (found.checked, found.state, found.list, found.line, found.parent) == (3, State.SETTLED, 2, 7, None)
    assert ledger.find(ticket("b").uuid) is None


def test_calls_whose_names_begin_alike_are_told_apart(ledger: Ledger) -> None:
    """The index holds half a uuid; the other half decides."""
    one, other, third = (replace(ticket("a"), uuid=bytes(range(8)) + bytes([n] * 8)) for n in range(3))
    write(ledger, answered(one), answered(other))
    assert ledger.find(one.uuid).id == one.row  # type: ignore[union-attr]
    assert ledger.find(other.uuid).id == other.row  # type: ignore[union-attr]
    assert ledger.find(third.uuid) is None


def test_rows_come_by_condition_in_order_of_writing(ledger: Ledger) -> None:
    write(ledger, *(answered(ticket(str(n), n), NOT_FOUND if n % 2 else OK) for n in range(10)))
    assert [prior.line for prior in ledger.rows("outcome != ?", ("ok",))] == [1, 3, 5, 7, 9]
    assert [prior.line for prior in ledger.rows("outcome != ?", ("ok",), limit=2)] == [1, 3]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM calls WHERE uuid8 = ?",
        f"SELECT 1 FROM calls WHERE {_FOLLOWED.replace('<= ?', '<= 9')} ORDER BY id",
        f"SELECT 1 FROM calls WHERE {_IN_STATE}",
        "DELETE FROM calls WHERE uuid8 IS NULL AND list != ?",
    ],
)
def test_what_every_start_asks_never_reads_all_rows(ledger: Ledger, sql: str) -> None:
    plan = " ".join(step[3] for step in ledger.query(f"EXPLAIN QUERY PLAN {sql}", (1,)))
    assert "USING INDEX calls_" in plan or "USING COVERING INDEX calls_" in plan


# What it takes to ask again


def test_a_request_is_kept_until_its_record_is_ok(ledger: Ledger) -> None:
    headers, meta = (("Accept", "*/*"), ("Accept", "x/y")), {"country": "de"}
    call = ticket("a", method="POST", headers=headers, body=b"\xff\0", key="k", meta=meta)
    write(ledger, answered(call, BROKEN))
    assert call.row is not None
    asked = {
        "url": ORIGIN + "a", "method": "POST", "headers": [list(header) for header in headers], "id": "k", "meta": meta,
    }  # fmt: skip
    assert ledger.request(call.row) == (asked, b"\xff\0")
    write(ledger, answered(call))
    assert ledger.request(call.row) is None
    assert ledger.query("SELECT count(*) FROM calls") == [(1,)]


def test_a_page_whose_row_does_not_tell_its_request_keeps_it(ledger: Ledger) -> None:
    """So that a repair can make it again without the page that led to it."""
    plain, named, posted, masked = (ticket(name, None, **how) for name, how in FOLLOWED.items())
    named.callback = "parse_page"
    masked.shown_url = "***"
    for call in (plain, named, posted, masked):
        with ledger.transaction():
            ledger.open_call(call, run=1, list_id=None, state=State.PENDING)
            ledger.record(answered(call), run=1, list_id=None, staged=False)
    assert [ledger.request(call.row or 0) is not None for call in (plain, named, posted, masked)] == [
        False, True, True, True,
    ]  # fmt: skip


FOLLOWED: dict[str, dict[str, str]] = {"plain": {}, "named": {}, "posted": {"method": "POST"}, "masked": {}}


def test_an_ok_record_that_stands_gives_up_what_its_redo_wrote_down(ledger: Ledger) -> None:
    call = ticket("a", method="POST")
    write(ledger, answered(call))
    with ledger.transaction():
        ledger.open_call(call, run=2, list_id=1, state=State.SENT)
    assert ledger.request(call.row or 0) is not None
    with ledger.transaction():
        ledger.keep(call, run=2)
    assert ledger.request(call.row or 0) is None
    found = ledger.find(call.uuid)
    assert found is not None
    assert (found.outcome, found.checked, found.state) == (Outcome.OK, 2, State.SETTLED)


def test_pages_are_pending_from_their_parents_commit_on(tmp_path: Path, ledger: Ledger) -> None:
    parent = ticket("p")
    child = Ticket(
        entry=ticket("p/2", None).entry, uuid=ticket("p/2").uuid, shown_url=ORIGIN + "p/2", parent=parent,
        callback="parse_page", errback="failed", cb_kwargs={"page": 2}, request_meta={"proxy": "http://proxy"},
    )  # fmt: skip
    record = answered(parent)
    record.children = [child]
    write(ledger, record)
    found = [(row["url"], row["outcome"], row["parent"], row["line"]) for row in rows(tmp_path)]
    assert found == [(ORIGIN + "p", "ok", None, 1), (ORIGIN + "p/2", "pending", record.uuid, None)]
    request, _ = ledger.request(child.row or 0) or ({}, b"")
    assert (request["callback"], request["errback"]) == ("parse_page", "failed")
    assert (request["cb_kwargs"], request["request_meta"]) == ({"page": 2}, {"proxy": "http://proxy"})
    write(ledger, answered(child))
    assert [row["outcome"] for row in rows(tmp_path)] == ["ok", "ok"]
    assert rows(tmp_path)[1]["parent"] == record.uuid


def test_a_call_that_may_not_be_repeated_shows_as_sent(tmp_path: Path, ledger: Ledger) -> None:
    call = ticket("a", 5, method="POST", key="k")
    with ledger.transaction():
        ledger.open_call(call, run=1, list_id=None, state=State.SENT)
    row = rows(tmp_path)[0]
    assert (row["line"], row["outcome"], row["method"], row["key"]) == (5, "sent", "POST", "k")


# Transactions


def test_a_failing_statement_takes_the_whole_batch_back(tmp_path: Path, ledger: Ledger) -> None:
    write(ledger, answered(ticket("a")))
    broken = answered(ticket("c"))
    broken.method = None  # type: ignore[assignment]
    with pytest.raises(StoreError, match=f"ledger {tmp_path}/{NAME}: NOT NULL constraint failed"):
        write(ledger, answered(ticket("b")), broken)
    assert [row["url"] for row in rows(tmp_path)] == [ORIGIN + "a"]
    write(ledger, answered(ticket("b")))
    assert len(rows(tmp_path)) == 2


def test_moved_rows_have_their_new_list_and_line(ledger: Ledger) -> None:
    call = ticket("a", 7)
    write(ledger, answered(call))
    with ledger.transaction():
        ledger.move([(2, 70, call.row or 0)])
    found = ledger.find(call.uuid)
    assert found is not None
    assert (found.list, found.line) == (2, 70)


# The file


@pytest.mark.parametrize(("durable", "synchronous"), [(True, 2), (False, 1)])
def test_commits_are_synced_where_they_must_survive_a_power_cut(
    tmp_path: Path, durable: bool, synchronous: int
) -> None:
    with closing(Ledger(tmp_path, durable=durable)) as ledger:
        assert ledger._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert ledger._writer.execute("PRAGMA synchronous").fetchone() == (synchronous,)


def test_closing_leaves_one_file(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path, durable=True)) as ledger:
        write(ledger, answered(ticket("a")))
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_an_older_ledger_is_lifted_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Ledger(tmp_path, durable=False)) as ledger:
        write(ledger, answered(ticket("a")))
    now = schema.VERSION
    steps = {now: "ALTER TABLE runs ADD COLUMN host TEXT", now + 1: "ALTER TABLE runs ADD COLUMN user TEXT"}
    monkeypatch.setattr(schema, "VERSION", now + 2)
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    for _ in range(2):
        with closing(Ledger(tmp_path, durable=False)) as ledger:
            assert ledger.query("PRAGMA user_version") == [(now + 2,)]
            assert ledger.query("SELECT host, user FROM runs") == []
            assert ledger.find(ticket("a").uuid) is not None


def test_a_step_that_fails_leaves_the_older_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger(tmp_path, durable=False).close()
    now = schema.VERSION
    with monkeypatch.context() as patch:
        patch.setattr(schema, "VERSION", now + 1)
        patch.setattr(schema, "MIGRATIONS", {now: "CREATE TABLE more (x); SELECT * FROM missing"})
        with pytest.raises(StoreError, match="no such table: missing"):
            Ledger(tmp_path, durable=False)
    with closing(Ledger(tmp_path, durable=False)) as ledger:
        assert ledger.query("PRAGMA user_version") == [(now,)]
        assert ledger.query("SELECT 1 FROM sqlite_master WHERE name = 'more'") == []


def test_there_is_a_step_from_every_older_version() -> None:
    assert set(schema.MIGRATIONS) == set(range(1, schema.VERSION))


def test_a_newer_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / NAME)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(OtherListError, match=r"made by a newer version \(ledger 99"):
        Ledger(tmp_path, durable=False)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=f"ledger {tmp_path}/{NAME}: file is not a database"):
        Ledger(tmp_path, durable=False)


def test_a_planted_link_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="it is a link"):
        Ledger(tmp_path, durable=False)
    assert not (tmp_path / "elsewhere").exists()


def test_every_column_of_a_row_is_written() -> None:
    """The private table and what is inserted stand in two places."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema.tables_sql())
        columns = [row[1] for row in connection.execute("PRAGMA table_info(calls)")]
    assert columns == ["id", *calls.COLUMNS]


def test_a_statement_is_given_no_none() -> None:
    """It says NULL itself, since sqlite3 takes its time over each None; what a row had and has no more is NULL, too."""
    full: list[object] = list(range(len(calls.COLUMNS)))
    needed = {"run", "checked", "state", "n", "method", "url"}
    bare = [value if name in needed else None for name, value in zip(calls.COLUMNS, full, strict=True)]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema.tables_sql())
        for sql, given in (calls.insert(bare), calls.insert(full), calls.update(bare, 2)):
            assert None not in given
            connection.execute(sql, given)
        found, replaced = connection.execute(f"SELECT {', '.join(calls.COLUMNS)} FROM calls ORDER BY id")
    kept = {"uuid8", "uuid", "list", "line", "n", "parent"}
    expected = [value if name in needed | kept else None for name, value in zip(calls.COLUMNS, full, strict=True)]
    assert [value if value is None else int(value) for value in found] == bare
    assert [value if value is None else int(value) for value in replaced] == expected
