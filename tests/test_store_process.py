"""The writer's process, spoken to over its socket: batches, barriers, and what a broken engine leaves."""

from __future__ import annotations

import errno
import socket
import threading
from contextlib import closing
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import pytest

from crawler.items import Outcome, Prior
from crawler.store import packs, process
from crawler.store.commit import Committer
from crawler.store.files import Durability, Files, full_sync, write_all
from crawler.store.ledger import Ledger
from crawler.store.messages import About, Answer, Committed, Failed, Frames, Put, Sent, frame
from crawler.store.packs import Packs
from crawler.store.parts import PartReader
from crawler.store.place import Place
from crawler.store.process import BATCH_RECORDS, WriterProcess, serve
from crawler.store.schema import State
from crawler.store.writer import Orders
from tests.stored import Answer as Said
from tests.stored import answered, kill_after, rows, ticket

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from crawler.store.bodies import Body, Locations


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place.take(tmp_path / "out")
    yield place
    place.close()


def put(number: int) -> bytes:
    """An ok record, as the engine sends it."""
    return frame(Put.of(answered(ticket(f"items/{number}", number + 1))))


def commit_all(place: Place, durability: Durability, count: int) -> tuple[int, list[Committed]]:
    """Serve an engine that has sent everything before it is heard; barriers, and what it was told."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        ours.sendall(b"".join(map(put, range(count))))
        ours.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    files = Files(place, durability)
    with closing(Ledger(place.directory, durable=True)) as ledger, ours, theirs, pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "LINGER_S", 600.0)  # until all is there, or a batch is full
        sender.start()
        sender.join(5)  # whatever fits the socket is there at once
        committer = Committer(files, ledger, run=1, list_id=1, raw=True)
        batch = 1 if durability == "strict" else BATCH_RECORDS
        WriterProcess(theirs, committer, ledger, run=1, batch_records=batch).serve()
        theirs.shutdown(socket.SHUT_WR)
        told = b"".join(iter(lambda: ours.recv(1 << 16), b""))
    return files.barriers, list(Frames(Answer).feed(told))


@pytest.mark.parametrize("count", [1, BATCH_RECORDS, BATCH_RECORDS + 1, 3 * BATCH_RECORDS - 1])
def test_one_barrier_covers_a_batch(place: Place, count: int) -> None:
    """Counted, not timed: what is there at once is committed in batches that are full."""
    barriers, told = commit_all(place, "batch", count)
    assert barriers == ceil(count / BATCH_RECORDS) == len(told)
    assert sum(answer.messages for answer in told) == count == len(rows(place.directory))


def test_process_asks_the_disk_for_nothing(place: Place) -> None:
    barriers, told = commit_all(place, "process", 300)
    assert (barriers, len(told)) == (0, 2)


def test_strict_commits_each_record_by_itself(place: Place) -> None:
    barriers, told = commit_all(place, "strict", 5)
    assert barriers == 5
    assert [answer.messages for answer in told] == [1] * 5


def orders(place: Place) -> dict[str, Any]:
    return Orders("batch", run=1, list_id=1, raw=True, levels=1).at(place)


@pytest.mark.parametrize("cut", [1, 5, 100])
def test_what_came_whole_is_committed_when_the_engine_is_killed(place: Place, cut: int) -> None:
    """The rest of a message that was cut is nobody's."""
    ours, theirs = socket.socketpair()
    ours.sendall(put(1) + put(2) + put(3)[:-cut])
    ours.close()
    serve(theirs, orders(place))
    assert [row["line"] for row in rows(place.directory)] == [2, 3]


def test_a_disk_that_refuses_is_told_and_nothing_is_acknowledged(place: Place) -> None:
    (place.directory / "responses").write_text("a file in the way")
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(put(1))
        ours.shutdown(socket.SHUT_WR)
        serve(theirs, orders(place))
        (answer,) = Frames(Answer).feed(ours.recv(1 << 16))
    assert isinstance(answer, Failed)
    assert answer.disk
    assert "cannot write" in answer.error
    assert rows(place.directory) == []


# Packs: a batch is made while the one before it is written


def pack(place: Place, *messages: bytes) -> list[Committed | Failed]:
    """What a writer into packs says, two records a batch, to an engine that has sent all of it."""
    ours, theirs = socket.socketpair()
    with ours, pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "PACKED_RECORDS", 2)
        ours.sendall(b"".join(messages))
        ours.shutdown(socket.SHUT_WR)
        serve(theirs, Orders("batch", run=1, list_id=1, raw=False, levels=1, packed=True).at(place))
        return list(Frames(Answer).feed(b"".join(iter(lambda: ours.recv(1 << 16), b""))))


def test_a_batch_is_made_while_the_one_before_it_is_written(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    second = threading.Event()

    def begin(store: Packs, batch: Sequence[Body]) -> Locations:
        steps.append("begin")
        if len(steps) == 2:
            second.set()
        return put_all(store, batch)

    def commit(store: Packs) -> None:
        steps.append("commit")
        enter(store)

    def sync(fd: int) -> None:
        assert second.wait(60), "the first batch waits for the disk, and nobody makes the second"
        full_sync(fd)

    put_all, enter = Packs.put, Packs.enter
    monkeypatch.setattr(Packs, "put", begin)
    monkeypatch.setattr(Packs, "enter", commit)
    monkeypatch.setattr(packs, "full_sync", sync)
    assert pack(place, *map(put, range(7))) == [Committed(count, ANY) for count in (2, 2, 2, 1)]
    assert steps[:6] == ["begin", "begin", "commit", "begin", "commit", "commit"]  # one ahead, if it is a whole one
    assert [row["line"] for row in rows(place.directory)] == [*range(1, 8)]


def test_a_page_in_the_batch_that_is_being_written_is_known_to_the_next(place: Place) -> None:
    page = answered(ticket("page", 1))
    twin = answered(ticket("twin", None), Said(Outcome.DUPLICATE, None, None))
    assert twin.ticket is not None
    twin.ticket.parent = page.ticket
    pack(place, put(7), frame(Put.of(page)), frame(Put.of(twin)), put(8))
    found = {row["url"].rpartition("/")[2]: row for row in rows(place.directory)}
    assert found["twin"]["parent"] == found["page"]["uuid"]


def test_a_disk_that_refuses_the_second_batch_keeps_the_first(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, data: bytes) -> None:
        if Path(f"/dev/fd/{fd}").stat().st_size:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_all(fd, data)

    monkeypatch.setattr(packs, "write_all", refuse)
    first, failed = pack(place, *map(put, range(6)))
    assert first == Committed(2, ANY)
    assert isinstance(failed, Failed)
    assert failed.disk
    assert "cannot write" in failed.error
    assert [row["line"] for row in rows(place.directory)] == [1, 2]
    assert rows(place.directory, "SELECT closed FROM packs") == [{"closed": 0}]  # the next run cuts what is behind it


def test_a_kill_between_any_two_steps_of_two_batches_loses_nothing(tmp_path: Path) -> None:
    steps = 0
    while True:
        place = Place.take(tmp_path / f"{steps}")
        with kill_after(steps) as fuse:
            told = pack(place, *map(put, range(6)))
        known = sum(answer.messages for answer in told if isinstance(answer, Committed))
        kept = [row["line"] for row in rows(place.directory)]
        assert known <= len(kept) == max(kept, default=0), steps  # nothing that was acknowledged is missing
        with closing(Ledger(place.directory, durable=True)) as ledger, closing(Packs(place, ledger, "batch")) as store:
            store.recover()
        pack(place, *map(put, range(len(kept), 6)))
        with closing(PartReader(place.directory)) as parts:
            for row in rows(place.directory):
                data = parts.read(row["location"])
                assert sha256(data).hexdigest() == row["file_digest"], steps
        size = rows(place.directory, "SELECT sum(bytes) AS size, min(closed) AS closed FROM packs")
        found = sum(path.stat().st_size for path in (place.directory / "responses").glob("*"))
        assert size == [{"size": found, "closed": 1}], steps
        place.close()
        if not fuse.blown:
            break
        steps += 1
    assert steps > 8


def sent(number: int, *, again: bool = False, prior: Prior | None = None) -> bytes:
    """Word that a call goes out, or is to go out again."""
    call = ticket(f"items/{number}", number + 1)
    call.prior, call.row = prior, prior.id if prior else None
    return frame(Sent.of(call, 1, again=again))


def test_a_call_that_waits_to_be_on_disk_does_not_wait_for_company(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits already goes along; the engine says nothing more until it is told."""
    monkeypatch.setattr(process, "LINGER_S", 600.0)
    ours, theirs = socket.socketpair()
    serving = threading.Thread(target=serve, args=(theirs, orders(place)), daemon=True)
    with ours:
        ours.settimeout(60)
        ours.sendall(put(1) + sent(2))
        serving.start()
        (answer,) = Frames(Answer).feed(ours.recv(1 << 16))
        assert answer.messages == 2
        ours.shutdown(socket.SHUT_WR)
        serving.join(240)
    assert not serving.is_alive()


def test_a_call_that_is_to_be_made_again_is_open_unless_it_had_an_outcome(place: Place) -> None:
    """It is the next run's to make: not one whose answer was swallowed."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(put(1))
        ours.shutdown(socket.SHUT_WR)
        serve(theirs, orders(place))
    (row,) = rows(place.directory, "SELECT id, uuid FROM calls")
    prior = Prior(id=row["id"], uuid=row["uuid"], outcome=Outcome.HTTP_ERROR, status=500, checked=0, state=0)
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(sent(1, prior=prior) + sent(2) + sent(3))
        ours.sendall(sent(1, prior=prior, again=True) + sent(2, again=True))
        ours.shutdown(socket.SHUT_WR)
        serve(theirs, orders(place))
    found = rows(place.directory, "SELECT state FROM calls ORDER BY id")
    assert [row["state"] for row in found] == [State.SETTLED, State.PENDING, State.SENT]


def test_what_the_next_run_has_to_know_replaces_what_was_known(place: Place) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(frame(About("pacing", "old")) + frame(About("pacing", "new")))
        ours.shutdown(socket.SHUT_WR)
        serve(theirs, orders(place))
    assert rows(place.directory, "SELECT value FROM about WHERE name = 'pacing'") == [{"value": "new"}]


def test_frames_are_cut_right_wherever_the_stream_breaks() -> None:
    stream = b"".join(frame(Committed(number, [])) for number in range(300))
    for size in (1, 3, 4, 7, 1000):
        frames = Frames(Answer)
        found = [answer for at in range(0, len(stream), size) for answer in frames.feed(stream[at : at + size])]
        assert [answer.messages for answer in found] == list(range(300))
