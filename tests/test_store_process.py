"""The writer's process, spoken to over its socket: batches, barriers, and what a broken engine leaves."""

from __future__ import annotations

import socket
import threading
from contextlib import closing
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest

from crawler.items import Outcome, Prior
from crawler.store import process
from crawler.store.commit import Committer
from crawler.store.files import Durability, Files
from crawler.store.ledger import Ledger
from crawler.store.messages import About, Answer, Committed, Failed, Frames, Put, Sent, frame
from crawler.store.place import Place
from crawler.store.process import BATCH_RECORDS, WriterProcess, serve
from crawler.store.schema import State
from crawler.store.writer import Orders
from tests.stored import answered, rows, ticket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
