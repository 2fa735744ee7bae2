"""The program whose operations are recorded: the real Run, three times over a list, with answers made up.

    python -m tests.proofs.powercuts.history FOLDER --durability batch --lines 20 --seed 1

Rows of every kind come about: ok, error pages, no answer, followed pages, calls that may not be repeated; the second
run makes all of them again, the third finds lines that were added. What the store acknowledges is written to the
file `marks` at that moment, so that the record of operations has it in its place.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from crawler.items import Outcome, Ticket
from crawler.run import Run
from crawler.sources import Shape
from crawler.store import ledger, process, writer
from tests.stored import ORIGIN, Answer, InThread, answered, make_plan, ticket

if TYPE_CHECKING:
    from crawler.accounting import ExitCode
    from crawler.exceptions import ApiFetchError
    from crawler.items import Record
    from crawler.plan import Plan
    from crawler.store.files import Durability

MARKS: Final = "marks"
OUT: Final = "new/out"  # two folders that the first run makes
REDOS: Final = ("retryable", "all", "retryable")
CHECKPOINT_PAGES: Final = 25  # so that the ledger is folded back many times in a short history
LARGE: Final = 9000  # bytes: a body of several sectors and pages


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happens. lines: of the first two runs; the third has a quarter more. packed: `pack=jsonl`."""

    durability: Durability
    lines: int
    seed: int
    packed: bool = False

    def plan(self, folder: Path, run: int) -> Plan:
        lines = self.lines if run < len(REDOS) - 1 else self.lines * 5 // 4
        return make_plan(
            folder, redo=REDOS[run], durability=self.durability, urls=str(write_lines(folder, lines)),
            shape=Shape(format="jsonl"),
            out=folder / OUT, packed=self.packed, raw=not self.packed,
            identity={"pack": "jsonl"} if self.packed else {},
        )  # fmt: skip

    def answer(self, name: str, run: int) -> Answer:
        """The same in each repetition of that run."""
        rng = random.Random(f"{self.seed} {run} {name}")
        kind, body = rng.random(), json.dumps({"name": name, "run": run}).encode()
        if kind < 0.15:
            return Answer(Outcome.HTTP_ERROR, b"gone: " + body, 404)
        if kind < 0.3:
            return Answer(Outcome.TIMEOUT, None, None)
        pages = tuple(f"{name}/{page}" for page in range(rng.randint(1, 2))) if kind > 0.8 and may_lead_on(name) else ()
        if kind > 0.65:
            body = body.ljust(LARGE)
        return Answer(body=body, pages=pages)


def write_lines(folder: Path, count: int) -> Path:
    """A list in which every fifth call may not be repeated."""
    path = folder / "list.jsonl"
    calls = [{"url": f"{ORIGIN}{n}"} | ({"method": "POST"} if is_post(n) else {}) for n in range(count)]
    path.write_text("".join(json.dumps(call) + "\n" for call in calls))
    return path


def may_lead_on(name: str) -> bool:
    """Not a page, and not a call whose pages nobody asks for again if a kill swallows its answer."""
    return "/" not in name and not is_post(int(name))


def is_post(number: int) -> bool:
    return number % 5 == 0


def play(history: History, folder: Path, run: int, marks: int | None) -> ExitCode:
    """One run to its end. marks: a file for what is acknowledged."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "LINGER_S", 0.0)
        patch.setattr(ledger, "CHECKPOINT_PAGES", CHECKPOINT_PAGES)
        patch.setattr(writer, "spawn", InThread)  # where those constants hold
        return asyncio.run(_play(history.plan(folder, run), partial(_answers, history, run), marks))


def _answers(history: History, run: int, name: str) -> Answer:
    return history.answer(name, run)


async def _play(plan: Plan, answer: partial[Answer], marks: int | None) -> ExitCode:
    def refused(error: ApiFetchError) -> None:
        raise error

    run = Run(plan, on_disk_error=refused)
    if marks is not None:
        run.recording.listen(partial(_mark, marks))
    for number, call in enumerate([*run.followed()]):
        await _call(run, call, answer, marks)
        if number % 3 == 0:
            await _committed(run)
    sizes = random.Random(1)
    while batch := run.source.next_batch(sizes.randint(1, 6)):
        for line in batch:
            item = run.take(line)
            if isinstance(item, Ticket):
                await _call(run, item, answer, marks)
            elif item is not None:
                await run.recording.put(item)
        run.flush_moved()
        await _committed(run)
    run.count_lines(to_end=True)
    run.source.close()
    await run.finish()
    code = run.tally.exit_code(plan.tolerance, complete=True)
    run.close(lambda: run.summary(exit_code=code, stop_reason=None))
    run.leave()
    return code


async def _call(run: Run, call: Ticket, answer: partial[Answer], marks: int | None) -> None:
    name = call.entry.url.removeprefix(ORIGIN)
    if call.entry.method == "POST":
        await run.recording.sent(call)
        if marks is not None:
            os.write(marks, json.dumps(["sent", call.uuid.hex()]).encode() + b"\n")
    said = answer(name)
    record = answered(call, said)
    children: list[Ticket] = []
    others: list[Record] = []
    for page in said.pages:
        child = ticket(page, None)
        child.parent = call
        found = run.follow(child)
        if isinstance(found, Ticket):
            children.append(found)
        elif found is not None:
            others.append(found)
    record.children = children
    record.body = said.body
    for item in (record, *others):
        await run.recording.put(item)
    for found in children:
        await _call(run, found, answer, marks)


async def _committed(run: Run) -> None:
    await run.recording._committed(partial(run.recording._writer.moved, []))


def _mark(marks: int, record: Record) -> None:
    if record.ticket is not None and record.outcome is not Outcome.DUPLICATE and not record.kept:
        said = ["stored", record.ticket.uuid.hex(), record.outcome.value, record.file_digest]
        os.write(marks, json.dumps(said).encode() + b"\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--durability", default="batch")
    parser.add_argument("--lines", type=int, default=20)
    parser.add_argument("--packed", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    history = History(durability=given.durability, lines=given.lines, seed=given.seed, packed=given.packed)
    marks = os.open(given.folder / MARKS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for run in range(len(REDOS)):
        os.write(marks, json.dumps(["run", run]).encode() + b"\n")
        play(history, given.folder, run, marks)


if __name__ == "__main__":
    main()
