"""A run without Scrapy: the real Run, driven over a real list, with answers that the test makes up.

A kill is a store that refuses at a chosen step: from there on nothing is written, and the next run finds
what stands on the disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import sqlite3
import threading
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from crawler.accounting import ExitCode
from crawler.exceptions import StoreError
from crawler.items import Entry, Outcome, Record, Ticket
from crawler.plan import Plan
from crawler.run import Run
from crawler.sources import Shape
from crawler.store import process, writer
from crawler.store.files import Files
from crawler.store.ledger import NAME, Ledger
from crawler.store.packs import Packs
from crawler.values import REDO, TOLERANCE

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from crawler.exceptions import ApiFetchError
    from crawler.store.place import Place

MEMORY: Final = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where folders for many small runs lie: none of them needs a disk."""

ORIGIN: Final = "http://api.test/"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API says to a call. body: None when it says nothing. pages: names of calls it leads to."""

    outcome: Outcome = Outcome.OK
    body: bytes | None = b"{}"
    status: int | None = 200
    pages: tuple[str, ...] = ()
    etag: str | None = None


OK: Final = Answer()
NOT_FOUND: Final = Answer(Outcome.HTTP_ERROR, b"gone", 404)
BROKEN: Final = Answer(Outcome.HTTP_ERROR, b"oops", 500)
SILENT: Final = Answer(Outcome.TIMEOUT, None, None)


def entry(name: str, line: int | None = 1, **fields: Any) -> Entry:
    """A call of the made-up API."""
    return Entry(url=ORIGIN + name, target=ORIGIN + name, line=line, **fields)


def ticket(name: str, line: int | None = 1, **fields: Any) -> Ticket:
    """A call on its way that the ledger has not seen yet; fields: of the entry."""
    call = entry(name, line, **fields)
    return Ticket(entry=call, uuid=call.uuid, shown_url=call.url, attempts=1)


def answered(call: Ticket, answer: Answer = OK) -> Record:
    record = Record.of(call, answer.outcome)
    record.status, record.body, record.etag = answer.status, answer.body, answer.etag
    return record


def make_plan(folder: Path, names: list[str] | None = None, *, redo: str = "retryable", **changes: Any) -> Plan:
    """A run over folder/list.txt, which is written anew if *names* are given, into folder/out."""
    items = folder / "list.txt"
    if names is not None:
        items.write_text("".join(f"{name if name.startswith('!') else ORIGIN + name}\n" for name in names))
    values: dict[str, Any] = {
        "urls": str(items), "out": folder / "out", "shape": Shape(format="txt"), "limit": None, "raw": True,
        "redo": REDO.parse(redo), "redo_text": redo, "number_duplicates": False, "tolerance": TOLERANCE.parse("0"),
        "durability": "process", "levels": 1, "identity": {}, "arguments": {}, "versions": {},
    }  # fmt: skip
    return Plan(**(values | changes))


@dataclass(slots=True)
class Done:
    """How a driven run ended. calls: what it asked the API, in order. standing: lines known without a look."""

    code: ExitCode
    equation: dict[str, int | str]
    lines: Counter[Outcome]
    calls: list[str] = field(default_factory=list)
    standing: int = 0
    error: ApiFetchError | None = None


class InThread:
    """What `writer.spawn` starts, in a thread of this process."""

    def __init__(self, place: Place, orders: writer.Orders, their_socket: int) -> None:
        told = {**asdict(orders), "directory": str(place.directory), "lock": place.fd}
        engine = socket.socket(fileno=os.dup(their_socket))
        self._thread = threading.Thread(target=process.serve, args=(engine, told))
        self._thread.start()

    def wait(self) -> int:
        self._thread.join()
        return 0


def drive(plan: Plan, answer: Callable[[str], Answer] = lambda _: OK) -> Done:
    """Run to the end, or to where the store refuses. answer: told the name of a call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "LINGER_S", 0.0)  # a call at a time has no company to wait for
        patch.setattr(writer, "spawn", InThread)  # so that a test can blow its fuse
        return asyncio.run(_drive(plan, answer))


async def _drive(plan: Plan, answer: Callable[[str], Answer]) -> Done:
    run = Run(plan, on_disk_error=lambda _error: None)
    calls: list[str] = []
    try:
        for call in run.followed():
            await _call(run, call, answer, calls)
        while batch := run.source.next_batch(8):
            for line in batch:
                item = run.take(line)
                if isinstance(item, Ticket):
                    await _call(run, item, answer, calls)
                elif item is not None:
                    await run.recording.put(item)
            run.flush_moved()
        run.count_lines(to_end=True)
    except StoreError:
        pass
    run.source.close()
    await run.finish()
    run.count_lines(to_end=run.tally.read_to_end)
    code = ExitCode.BUG

    def conclude() -> dict[str, Any]:
        nonlocal code
        code = run.tally.exit_code(plan.tolerance, complete=run.recording.error is None)
        return run.summary(exit_code=code, stop_reason=None if run.recording.error is None else "disk")

    run.close(conclude)
    run.leave()
    return Done(code, run.tally.equation(), run.tally.lines, calls, run.standing.lines.total(), run.recording.error)


async def _call(run: Run, call: Ticket, answer: Callable[[str], Answer], calls: list[str]) -> None:
    """Make a call and those it leads to, each committed by itself before the next goes out."""
    name = call.entry.url.removeprefix(ORIGIN)
    calls.append(name)
    call.attempts += 1
    if call.entry.method == "POST":
        await run.recording.sent(call)
    said = answer(name)
    record = answered(call, said)
    duplicates, children = [], []
    for page in said.pages:
        child = ticket(page, None)
        child.parent = call
        found = run.follow(child)
        if isinstance(found, Ticket):
            children.append(found)
        elif found is not None:
            duplicates.append(found)
    record.children = children
    for item in (record, *duplicates):
        await run.recording.put(item)
    await run.recording._committed(partial(run.recording._writer.moved, []))
    if run.recording.error is not None:
        raise StoreError
    for found in children:
        await _call(run, found, answer, calls)


class Fuse:
    """Lets the store take so many steps on the disk, then refuses: what a kill there leaves. taken: so far."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.taken = 0

    @property
    def blown(self) -> bool:
        return self.taken > self.steps

    def step(self) -> None:
        self.taken += 1
        if self.blown:
            raise StoreError("killed")


@contextmanager
def kill_after(steps: int) -> Iterator[Fuse]:
    """Kill whatever runs inside after that many steps of the store: files, barriers, commits."""
    fuse = Fuse(steps)
    with pytest.MonkeyPatch.context() as patch:
        for room, name in (
            (Files, "write"), (Files, "barrier"), (Files, "settle"), (Files, "discard"), (Ledger, "transaction"),
            (Packs, "_begin"), (Packs, "_write"), (Packs, "barrier"), (Packs, "enter"), (Packs, "close"),
        ):  # fmt: skip
            patch.setattr(room, name, _fused(getattr(room, name), fuse))
        yield fuse


def _fused(method: Callable[..., Any], fuse: Fuse) -> Callable[..., Any]:
    def fused(*args: Any, **kwargs: Any) -> Any:
        fuse.step()
        return method(*args, **kwargs)

    return fused


def rows(out: Path, sql: str = "SELECT * FROM records") -> list[dict[str, Any]]:
    """What a user's own program reads."""
    with closing(sqlite3.connect(out / NAME)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


def files(out: Path) -> dict[str, bytes]:
    """Path below *out* -> content of every file in both trees, whatever it is called."""
    found = [path for tree in ("responses", "errors") for path in (out / tree).rglob("*") if path.is_file()]
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def audit(out: Path, *, litter: bool = False) -> None:
    """Every row's file is there, whole and in the right tree, and no other is. litter: a kill may leave more."""
    found = files(out)
    located = {row["location"]: row for row in rows(out) if row["location"]}
    assert set(found) >= set(located)
    assert litter or set(found) == set(located)
    for location, row in located.items():
        assert hashlib.sha256(found[location]).hexdigest() == row["file_digest"], location
        assert location.startswith("responses/") == (row["outcome"] == "ok"), location
