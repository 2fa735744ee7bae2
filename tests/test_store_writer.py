"""What makes records durable: the order of body, barrier and row, what the disk refuses, what cannot be written.

The process by itself is test_store_process.py's.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import random
import socket
import threading
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from crawler.exceptions import StoreError
from crawler.items import Outcome, Prior, Record
from crawler.sources import Shape
from crawler.store import files as files_room
from crawler.store import process
from crawler.store.commit import Committer
from crawler.store.envelope import read_envelope
from crawler.store.files import Files
from crawler.store.ledger import Ledger
from crawler.store.mending import mend
from crawler.store.messages import (
    About,
    Answer,
    Committed,
    Failed,
    Frames,
    Message,
    Moved,
    Put,
    Second,
    Sent,
    Stored,
    frame,
)
from crawler.store.place import Place
from crawler.store.process import BATCH_BYTES, BATCH_RECORDS
from crawler.store.schema import State
from crawler.store.writer import Orders
from tests.stored import NOT_FOUND, OK, SILENT, answered, audit, drive, files, make_plan, rows, ticket

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from crawler.items import Ticket
    from crawler.store.files import Durability


class Store:
    """A committer over a directory. steps: what it did, in order."""

    def __init__(self, out: Path, durability: Durability, *, raw: bool = True) -> None:
        self.place = Place.take(out)
        self.files = Files(self.place, durability)
        self.ledger = Ledger(out, durable=durability != "process")
        self.committer = Committer(self.files, self.ledger, run=1, list_id=1, raw=raw)
        self.steps: list[str] = []
        for name in ("write", "barrier", "settle"):
            setattr(self.files, name, self._noting(name, getattr(self.files, name)))
        self.ledger._writer.set_trace_callback(self._note_statement)

    def _noting(self, name: str, method: Any) -> Any:
        def noting(*args: Any, **kwargs: Any) -> None:
            self.steps.append(name)
            method(*args, **kwargs)

        return noting

    def _note_statement(self, sql: str) -> None:
        if sql == "COMMIT":
            self.steps.append("commit")

    def close(self) -> None:
        self.ledger.close()
        self.place.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "out", "batch")) as store:
        yield store


# Body, barrier, row


def test_bodies_come_before_the_barrier_and_that_before_the_rows(store: Store) -> None:
    store.committer.commit([answered(ticket("a")), answered(ticket("b"))])
    assert store.steps == ["write", "write", "barrier", "commit"]


def test_without_bodies_there_is_nothing_to_wait_for(store: Store) -> None:
    store.committer.commit([answered(ticket("a"), SILENT), Record(outcome=Outcome.INVALID, line=2, url="!")])
    assert store.steps == ["commit"]


def test_a_replaced_file_is_moved_after_its_row_and_marked_so_after_another_barrier(store: Store) -> None:
    """A power cut between the two would leave a row that says more than the folder does."""
    store.committer.commit([answered(ticket("a"), NOT_FOUND)])
    store.steps.clear()
    store.committer.commit([answered(again(store, "a"))])
    assert store.steps == ["write", "barrier", "commit", "settle"]
    assert states(store) == [State.STAGED]
    store.steps.clear()
    store.committer.commit([])
    assert store.steps == ["barrier", "commit"]
    assert states(store) == [State.SETTLED]


def again(store: Store, name: str) -> Ticket:
    """The ticket of a call that the ledger has a row for."""
    call = ticket(name)
    call.prior = store.ledger.find(call.uuid)
    assert isinstance(call.prior, Prior)
    call.row = call.prior.id
    return call


def states(store: Store) -> list[int]:
    return [state for (state,) in store.ledger.query("SELECT state FROM calls")]


def test_a_record_learns_where_its_file_is_and_what_is_in_it(store: Store) -> None:
    record = answered(ticket("a"))
    store.committer.commit([record])
    data = files(store.place.directory)[record.location or ""]
    assert (record.bytes, data) == (2, b"{}")
    assert record.sha256 == record.file_digest == hashlib.sha256(data).hexdigest()


def test_an_envelope_holds_the_record_and_its_digest_is_of_the_whole_file(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "out", "process", raw=False)) as store:
        record = answered(ticket("a", 7, key="k", meta={"m": [1, 2**70]}))
        record.headers = {"Content-Type": "application/json"}
        store.committer.commit([record])
        data = files(store.place.directory)[record.location or ""]
    metadata, body = read_envelope(data)
    assert body == b"{}"
    assert record.file_digest == hashlib.sha256(data).hexdigest()
    assert metadata["sha256"] == record.sha256 == hashlib.sha256(body).hexdigest()
    assert (metadata["line"], metadata["key"], metadata["meta"]) == (7, "k", {"m": [1, 2**70]})
    assert "error" not in metadata


def test_an_ok_record_is_not_replaced_by_another(store: Store) -> None:
    store.committer.commit([answered(ticket("a"))])
    store.committer.commit([answered(again(store, "a"), NOT_FOUND)])
    store.committer.commit([])
    assert [row["outcome"] for row in rows(store.place.directory)] == ["ok"]
    audit(store.place.directory)


def test_a_duplicate_touches_nothing_of_the_call_it_repeats(store: Store) -> None:
    store.committer.commit([answered(ticket("a"))])
    store.committer.commit([Record.of(ticket("a", 2), Outcome.DUPLICATE)])
    assert [row["outcome"] for row in rows(store.place.directory)] == ["ok", "duplicate"]
    audit(store.place.directory)


# In the process


def serve(store: Store, messages: Sequence[Message]) -> list[Committed | Failed]:
    """What the process says when all *messages* wait for it."""
    engine, theirs = socket.socketpair()
    told: list[Committed | Failed] = []
    with engine, theirs:
        feeder = threading.Thread(target=_feed, args=(engine, messages, told))
        feeder.start()
        process.WriterProcess(theirs, store.committer, store.ledger, run=1, batch_records=BATCH_RECORDS).serve()
        theirs.shutdown(socket.SHUT_WR)
        feeder.join()
    return told


def _feed(engine: socket.socket, messages: Sequence[Message], told: list[Committed | Failed]) -> None:
    for message in messages:
        engine.sendall(frame(message))
    engine.shutdown(socket.SHUT_WR)
    frames = Frames(Answer)
    while data := engine.recv(1 << 16):
        told.extend(frames.feed(data))


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch waits until it is full or nothing more will come."""
    monkeypatch.setattr(process, "LINGER_S", 60.0)


@pytest.mark.usefixtures("_patient")
def test_large_bodies_make_small_batches(store: Store) -> None:
    size = BATCH_BYTES // 4
    told = serve(store, [Put.of(answered(ticket(str(n)), NOT_FOUND)) for n in range(8)])
    assert len(told) == 1
    messages = [Put.of(answered(ticket(f"large {n}"), replace(OK, body=bytes(size)))) for n in range(8)]
    told = serve(store, messages)
    assert [answer.messages for answer in told if isinstance(answer, Committed)] == [4, 4]


@pytest.mark.parametrize(("durability", "commits"), [("strict", 5), ("batch", 1), ("process", 1)])
def test_strict_is_a_commit_for_each_record(tmp_path: Path, durability: Durability, commits: int) -> None:
    engine, theirs = socket.socketpair()
    with closing(Place.take(tmp_path / "out")) as place, engine:
        engine.sendall(b"".join(frame(Put.of(answered(ticket(str(n))))) for n in range(5)))
        engine.shutdown(socket.SHUT_WR)
        process.serve(theirs, Orders(durability, run=1, list_id=1, raw=True, levels=1).at(place))
        told_us = list(Frames(Answer).feed(engine.recv(1 << 16)))
    assert [answer.messages for answer in told_us] == [5 // commits] * commits
    audit(tmp_path / "out")


def test_pages_know_their_parent_whether_it_came_in_their_batch_or_before(store: Store) -> None:
    parent, first, second = ticket("p"), ticket("p/2", None), ticket("p/3", None)
    first.parent, second.parent = parent, first
    record = answered(parent)
    page = answered(first)
    record.children, page.children = [first], [second]
    serve(store, [Put.of(record)])
    serve(store, [Put.of(page), Put.of(answered(second))])
    found = {row["url"][-3:]: row for row in rows(store.place.directory)}
    assert found["p/2"]["parent"] == found["t/p"]["uuid"]
    assert found["p/3"]["parent"] == found["p/2"]["uuid"]
    assert [row["outcome"] for row in found.values()] == ["ok"] * len(found)


# Errors


def fails(number: int) -> Any:
    def syncfs(_fd: int) -> int:
        ctypes.set_errno(number)
        return -1

    return lambda: syncfs


def test_nothing_of_a_batch_whose_barrier_failed_is_acknowledged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.files._syncfs = fails(errno.EIO)()
    with pytest.raises(StoreError, match=r"cannot sync .*: Input/output error"):
        store.committer.commit([answered(ticket("a"))])
    assert rows(store.place.directory) == []


@pytest.mark.parametrize("durability", ["batch", "strict"])
def test_a_disk_that_cannot_sync_ends_the_run_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability
) -> None:
    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(files_room, "_find_syncfs", fails(errno.EIO))
        patch.setattr(files_room, "full_sync", fail)
        done = drive(make_plan(tmp_path, ["a", "b"], durability=durability))
    assert isinstance(done.error, StoreError)
    assert "Input/output error" in str(done.error)
    assert done.calls == ["a"]
    assert done.equation["ok"] == 0
    assert rows(tmp_path / "out") == []
    done = drive(make_plan(tmp_path, durability=durability))
    assert (done.error, done.equation["ok"]) == (None, 2)
    audit(tmp_path / "out")


def test_a_bug_in_the_writer_is_told_from_a_disk_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_args: object) -> None:
        raise ValueError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(Committer, "commit", fail)
        done = drive(make_plan(tmp_path, ["a"]))
    assert done.error is not None
    assert not isinstance(done.error, StoreError)
    assert "the writer failed: a bug" in str(done.error)
    assert "Traceback" in capfd.readouterr().err


# The wire


def test_messages_survive_being_cut_anywhere() -> None:
    record = answered(ticket("a", 3, key="k\0é", meta={"big": 2**70, "deep": [{"x": None}]}, body=b"\xff\0"))
    record.headers = {"A": ["b", "c"]}
    put = Put.of(record)
    told = put.ticket
    assert told is not None
    sent: list[Message] = [
        Put(put.record, b"\0" * 3000, told, told.uuid, [told]), Put(put.record, b"", told, None, []),
        Put(put.record, None, None, None, []), Sent(told, None, 4, again=True), Moved([(1, None, 3)]),
        Second([1, 2.5, "x", None]), About("a", "{}"),
    ]  # fmt: skip
    stream = b"".join(map(frame, sent))
    for seed in range(20):
        rng, frames, at = random.Random(seed), Frames(Message), 0
        got: list[Message] = []
        while at < len(stream):
            size = rng.choice((1, 2, 7, 100, 5000))
            got += frames.feed(stream[at : at + size])
            at += size
        assert got == sent


def test_answers_survive_the_wire() -> None:
    sent: list[Committed | Failed] = [
        Committed(3, [Stored("responses/x.json", 1, "a", "b"), Stored(None, None, None, None)]),
        Failed("é", True),
    ]
    assert list(Frames(Answer).feed(b"".join(frame(answer) for answer in sent))) == sent


# What cannot be written


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [
        ("meta", {"x": object()}, {}),
        ("meta", {"x": "\ud800"}, {}),
        ("meta", None, {}),
        ("headers", {"x": {1, object()}}, {}),
        ("status", "200", None),
        ("elapsed_ms", 2**63, None),
        ("url", None, ""),
    ],
)
def test_what_cannot_be_written_is_taken_out_and_makes_the_record_rejected(
    name: str, value: object, left: object
) -> None:
    record = answered(ticket("a"))
    setattr(record, name, value)
    mend(record)
    assert (record.outcome, getattr(record, name)) == (Outcome.REJECTED, left)
    assert record.error is not None
    assert name in record.error
    frame(Put.of(record))


def test_a_lone_surrogate_in_a_text_becomes_a_question_mark(store: Store) -> None:
    record = answered(ticket("a"))
    record.error, record.key = "x\ud800y", "é"
    mend(record)
    store.committer.commit([record])
    row = rows(store.place.directory)[0]
    assert (row["outcome"], row["error"], row["key"]) == ("ok", "x?y", "é")


def test_whatever_a_list_may_hold_is_stored(tmp_path: Path) -> None:
    """JSON knows no largest integer, and a text may hold any character."""
    meta = {"big": 2**100, "nul": "a\0b", "float": 1e-300, "nested": {"é": [None, True]}}
    line = {"url": "http://api.test/a", "id": "k\0", "meta": meta}
    items = tmp_path / "list.jsonl"
    items.write_text(json.dumps(line) + "\n")
    done = drive(make_plan(tmp_path, urls=str(items), shape=Shape(format="jsonl"), raw=False), lambda _: OK)
    assert (done.error, done.equation["ok"]) == (None, 1)
    row = rows(tmp_path / "out")[0]
    assert (json.loads(row["meta"]), row["key"]) == (meta, "k\0")
    assert read_envelope(files(tmp_path / "out")[row["location"]])[0]["meta"] == meta
