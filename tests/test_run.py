"""A run as a whole, without Scrapy: every kill point, every edit of the list, and the books always balance."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.accounting import ExitCode
from crawler.exceptions import StoreError
from crawler.items import Outcome, Ticket
from crawler.run import Run
from crawler.store.space import Floor
from tests.stored import (
    BROKEN,
    MEMORY,
    NOT_FOUND,
    OK,
    ORIGIN,
    SILENT,
    Answer,
    Done,
    answered,
    audit,
    drive,
    files,
    kill_after,
    make_plan,
    rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crawler.plan import Plan


EXAMPLES = int(os.environ.get("HISTORIES", "25"))
"""Histories to make up; HISTORIES=1000 after a change of resume.py or run.py."""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that needs no disk: many runs wait for it otherwise."""
    with TemporaryDirectory(dir=MEMORY) as directory:
        yield Path(directory)


def line_rows(folder: Path) -> dict[int, str]:
    """Line -> outcome, of the latest list. Raises AssertionError when a line has two."""
    found = rows(
        folder / "out", "SELECT line, outcome FROM calls WHERE list = (SELECT max(id) FROM lists) AND parent IS NULL"
    )
    assert len({row["line"] for row in found}) == len(found), found
    return {row["line"]: row["outcome"] for row in found}


def test_a_second_run_of_a_finished_list_calls_nothing(tmp_path: Path) -> None:
    first = drive(make_plan(tmp_path, ["a", "b", "!", "a"]))
    assert (first.code, first.calls) == (ExitCode.INVALID, ["a", "b"])
    second = drive(make_plan(tmp_path))
    assert (second.code, second.calls, second.standing) == (ExitCode.INVALID, [], 4)
    assert second.equation == first.equation
    audit(tmp_path / "out")


REDONE: dict[str, tuple[str, Answer, Answer]] = {
    "ok again": ("all", Answer(body=b"old"), Answer(body=b"new")),
    "ok, then an error": ("all", OK, NOT_FOUND),
    "ok, then silence": ("all", OK, SILENT),
    "an error, then ok": ("failed", NOT_FOUND, OK),
    "an error, then another": ("failed", NOT_FOUND, BROKEN),
    "an error, then silence": ("failed", NOT_FOUND, SILENT),
    "silence, then ok": ("failed", SILENT, OK),
    "silence, then an error": ("failed", SILENT, NOT_FOUND),
    "silence, then silence": ("failed", SILENT, SILENT),
}


@pytest.mark.parametrize(("redo", "before", "after"), REDONE.values(), ids=REDONE)
def test_a_redo_killed_at_any_step_is_mended_by_the_same_command(
    tmp_path: Path, redo: str, before: Answer, after: Answer
) -> None:
    """After each kill ledger and files agree, and no ok record was lost; then the redo ends as if none had been."""
    steps, killed = 0, True
    while killed:
        folder = tmp_path / str(steps)
        folder.mkdir()
        drive(make_plan(folder, ["a", "b"]), lambda _: before)
        with kill_after(steps) as fuse:
            attempt(make_plan(folder, redo=redo), lambda _: after)
        killed, steps = fuse.blown, steps + 1
        drive(make_plan(folder, redo="none"))  # whoever looks now finds one truth
        audit(folder / "out", litter=True)
        if before is not SILENT and before.outcome is Outcome.OK:
            assert {row["outcome"] for row in rows(folder / "out")} == {"ok"}
        done = drive(make_plan(folder, redo=redo), lambda _: after)
        assert done.equation["left"] == 0
        audit(folder / "out")
        stands = before if before.outcome is Outcome.OK is not after.outcome else after
        assert [row["outcome"] for row in rows(folder / "out")] == [stands.outcome] * 2
        assert set(files(folder / "out").values()) == ({stands.body} if stands.body is not None else set())
    assert steps > 6


@pytest.mark.parametrize("later", [OK, NOT_FOUND, SILENT], ids=["ok", "an error", "silence"])
@pytest.mark.parametrize("first", [OK, NOT_FOUND, SILENT], ids=["ok", "an error", "silence"])
def test_a_first_run_killed_at_any_step_leaves_nothing_that_no_row_knows(
    tmp_path: Path, first: Answer, later: Answer
) -> None:
    """Also when the API says something else to the run that goes on."""
    steps, killed = 0, True
    while killed:
        folder = tmp_path / str(steps)
        folder.mkdir()
        with kill_after(steps) as fuse:
            attempt(make_plan(folder, ["a", "b", "a"]), lambda _: first)
        killed, steps = fuse.blown, steps + 1
        done = drive(make_plan(folder), lambda _: later)
        assert done.equation["left"] == 0
        audit(folder / "out")
    assert steps > 4


def attempt(plan: Plan, answer: Callable[[str], Answer]) -> None:
    """A run that may be killed before it has begun."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the killed close nothing
        try:
            drive(plan, answer)
        except StoreError:
            gc.collect()


# Any history


PAGES = {"p": ("p/2", "p/3"), "p/2": ("p/3",), "q": ("p/2", "a")}
NAMES = ["a", "b", "c", "p", "q", "p/2", "!", "!!"]
ANSWERS = [OK, NOT_FOUND, BROKEN, SILENT]

Stage = tuple[list[str] | None, str, int | None, int]
"""A run: the list's lines if they are edited before it, its redo, the step at which it is killed, its API's mood."""

stages = st.tuples(
    st.lists(st.sampled_from(NAMES), max_size=6) | st.none(),
    st.sampled_from(["none", "retryable", "failed", "all", "404"]),
    st.none() | st.integers(0, 40),
    st.integers(0, 3),
)


@pytest.mark.parametrize("number", [False, True], ids=["duplicates=skip", "duplicates=fetch"])
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,  # the same histories everywhere; more of them, at random, by hand
    suppress_health_check=[HealthCheck.too_slow],
)
@given(history=st.lists(stages, min_size=1, max_size=5), last=stages)
def test_after_any_history_of_edits_kills_and_redos_every_line_has_one_record(
    number: bool,
    history: list[tuple[list[str] | None, str, int | None, int]],
    last: tuple[list[str] | None, str, int | None, int],
) -> None:
    if number:  # occurrences of a call that lines and pages share are not told apart from run to run
        history = [(_apart(names), redo, steps, mood) for names, redo, steps, mood in history]
        last = (_apart(last[0]), *last[1:])
    with TemporaryDirectory(dir=MEMORY) as directory:
        folder = Path(directory)
        make_plan(folder, ["a"])
        for names, redo, steps, mood in history:
            with kill_after(10**9 if steps is None else steps):
                attempt(make_plan(folder, names, redo=redo, number_duplicates=number), _answers(mood))
        names, redo, _, mood = last
        done = drive(make_plan(folder, names, redo=redo, number_duplicates=number), _answers(mood))
        listed = (folder / "list.txt").read_text().splitlines()
        check(folder, done, listed, number=number)
        for limit in (None, 10**6, None):  # known by their lines, by look-up, by their lines again
            again = drive(make_plan(folder, redo="none", number_duplicates=number, limit=limit))
            assert again.calls == []
            assert again.equation == done.equation
            check(folder, again, listed, number=number)


def _apart(names: list[str] | None) -> list[str] | None:
    return None if names is None else [name for name in names if name not in {"q", "p/2"}]


def check(folder: Path, done: Done, listed: list[str], *, number: bool) -> None:
    assert done.equation["lines"] == len(listed)
    assert done.equation["left"] == 0
    found = line_rows(folder)
    assert sorted(found) == list(range(1, len(listed) + 1))
    for line, text in enumerate(listed, 1):
        assert (found[line] == "invalid") == text.startswith("!")
    assert Counter(found.values()) == {outcome.value: n for outcome, n in done.lines.items() if n}
    calls = [text for text in listed if not text.startswith("!")]
    pages = {ORIGIN + page for pages in PAGES.values() for page in pages}
    duplicates = sum(outcome == "duplicate" for outcome in found.values())
    if number:
        assert duplicates == 0
    else:
        assert len(calls) - len(set(calls)) <= duplicates <= len(calls) - len(set(calls) - pages)
    audit(folder / "out", litter=True)


def _answers(mood: int) -> Callable[[str], Answer]:
    def answer(name: str) -> Answer:
        said = ANSWERS[(mood * (1 + NAMES.index(name) if name in NAMES else 1)) % 4]
        if said.outcome is not Outcome.OK:
            return said
        return Answer(body=f"{name} {mood}".encode(), pages=PAGES.get(name, ()))

    return answer


@pytest.mark.parametrize("packed", [True, False])
def test_records_that_wait_need_an_inode_each_where_each_is_a_file(tmp_path: Path, *, packed: bool) -> None:
    told: list[int] = []

    class Asked(Floor):
        def shortage(self, fd: int, *, waiting_bytes: int = 0, waiting_files: int = 0) -> str | None:
            told.append(waiting_files)
            return super().shortage(fd, waiting_bytes=waiting_bytes, waiting_files=waiting_files)

    async def look() -> None:
        run = Run(make_plan(tmp_path, ["a"], raw=False, packed=packed, floor=Asked()), on_disk_error=print)
        (line,) = run.source.next_batch(8)
        call = run.take(line)
        assert isinstance(call, Ticket)
        run.recording.put_nowait(answered(call, OK))
        run.shortage()
        run.source.close()
        await run.finish()
        run.close(lambda: run.summary(exit_code=ExitCode.DONE, stop_reason=None))
        run.leave()

    asyncio.run(look())
    assert told == [0, 0 if packed else 1]
