"""A list in parts: what one run does is done by any number of them, at once or not, however that number changes."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.accounting import ExitCode
from crawler.exceptions import OtherListError, OtherRunError
from crawler.items import MASK, WHOLE, BadLine, Shard
from crawler.store import place
from crawler.store.gathering import Gathering
from crawler.store.ledger import Ledger
from crawler.store.ledgers import ledgers
from crawler.store.place import Place
from crawler.store.reading import open_ledger
from crawler.values import TOLERANCE
from tests.stored import (
    BROKEN,
    MEMORY,
    ORIGIN,
    Answer,
    Done,
    answered,
    audit,
    drive,
    entry,
    files,
    kill_after,
    make_plan,
    rows,
    ticket,
)
from tests.test_run import EXAMPLES, _answers, attempt, check, line_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

LINES = ["a", "b", "c", "!", "a", "d", "e", "p", "!!", "b", "f", "a"]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that needs no disk: many runs wait for it otherwise."""
    with TemporaryDirectory(dir=MEMORY) as directory:
        yield Path(directory)


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody was killed a moment ago, so that whoever is refused need not wait for its writer."""
    monkeypatch.setattr(place, "LEFT_BEHIND_S", 0.05)


def run_parts(folder: Path, count: int, **how: Any) -> list[Done]:
    return [drive(make_plan(folder, shard=Shard(number, count), **how)) for number in range(1, count + 1)]


def run_whole(folder: Path) -> Done:
    return drive(make_plan(folder, redo="none"))


def told(out: Path) -> list[tuple[Any, ...]]:
    """What the rows say, whoever wrote them and whenever."""
    names = ("line", "uuid", "outcome", "status", "location", "sha256", "error")
    return sorted(tuple(str(row[name]) for name in names) for row in rows(out))


# The part


def test_a_part_is_told_from_the_records_name_as_anybody_can() -> None:
    line = entry("a")
    number = (uuid5(NAMESPACE_URL, line.url).int >> 64 & MASK) % 7 + 1
    assert [shard for shard in range(1, 8) if Shard(shard, 7).owns(line)] == [number]


def test_parts_are_alike_in_size() -> None:
    sizes = Counter(number for n in range(4000) for number in range(1, 9) if Shard(number, 8).owns(entry(f"items/{n}")))
    assert sum(sizes.values()) == 4000
    assert all(400 < size < 600 for size in sizes.values())  # 500 +- 5 standard deviations


def test_a_line_that_cannot_be_read_is_one_parts_by_its_number() -> None:
    lines = [BadLine(line=number, text="", reason="") for number in range(1, 9)]
    assert [next(n for n in range(1, 4) if Shard(n, 3).owns(line)) for line in lines] == [2, 3, 1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize("name", ["ledger.sqlite", "failed.jsonl", "run.log"])
def test_a_file_says_whose_it_is(name: str) -> None:
    assert WHOLE.file(name) == name
    assert Shard.of_file(name, name) == WHOLE
    for shard in (Shard(3, 8), Shard(10, 10)):
        assert Shard.of_file(shard.file(name), name) == shard
    assert Shard(3, 8).file("ledger.sqlite") == "ledger-3-of-8.sqlite"
    for other in ("ledger-03-of-8.sqlite", "ledger-3-of-8.sqlite-wal", "my-ledger-3-of-8.sqlite", "x.sqlite"):
        assert Shard.of_file(other, "ledger.sqlite") is None


# Who holds what


@pytest.mark.usefixtures("_at_once")
def test_parts_run_beside_each_other_and_each_of_them_once(tmp_path: Path) -> None:
    with closing(Place.take(tmp_path, Shard(1, 2))) as first:
        first.let_in()
        with closing(Place.take(tmp_path, Shard(2, 2))) as second:
            second.let_in()
            with pytest.raises(OtherRunError, match=r"another run holds part 1/2 of "):
                Place.take(tmp_path, Shard(1, 2))
            with pytest.raises(OtherRunError, match=r"holds part ./2 of .*, and parts .* you gave 3/3"):
                Place.take(tmp_path, Shard(3, 3))
            with pytest.raises(OtherRunError, match=r"another run holds .*, or a part of it"):
                Place.take(tmp_path)
    with closing(Place.take(tmp_path)), pytest.raises(OtherRunError):
        Place.take(tmp_path, Shard(1, 2))
    Place.take(tmp_path, Shard(3, 3)).close()


@pytest.mark.usefixtures("_at_once")
def test_a_refusal_leaves_nothing_open(tmp_path: Path) -> None:
    with closing(Place.take(tmp_path, Shard(1, 2))) as first:
        first.let_in()
        before = len([*Path("/proc/self/fd").iterdir()])
        for shard in (Shard(1, 2), Shard(1, 3), WHOLE):
            with pytest.raises(OtherRunError):
                Place.take(tmp_path, shard)
        assert len([*Path("/proc/self/fd").iterdir()]) == before


# Together they are the whole


def test_the_parts_do_what_one_run_does(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    make_plan(parts, LINES)
    alone = drive(make_plan(whole, LINES))
    done = run_parts(parts, 3)
    assert sorted(call for each in done for call in each.calls) == sorted(alone.calls)
    assert files(parts / "out") == files(whole / "out")
    for name in ("ok", "failed", "invalid", "duplicate", "left", "followed"):
        assert sum(int(each.equation[name]) for each in done) == alone.equation[name]
    for each in done:
        assert each.equation["lines"] == len(LINES)
        own = sum(int(each.equation[name]) for name in ("ok", "failed", "invalid", "duplicate", "left"))
        assert own + int(each.equation["elsewhere"]) == len(LINES)
    assert "elsewhere" not in alone.equation
    assert [each.standing for each in run_parts(parts, 3)] == [each.lines.total() for each in done]
    assert run_whole(parts).calls == []
    assert told(parts / "out") == told(whole / "out")


def test_a_ledger_that_gave_all_away_goes_with_what_was_written_from_it(tmp_path: Path) -> None:
    make_plan(tmp_path, LINES)
    run_parts(tmp_path, 2)
    out = tmp_path / "out"
    stem = {"failed": "jsonl", "invalid": "jsonl", "summary": "json", "metrics": "prom", "ledger": "sqlite"}
    for name, ending in stem.items():
        assert (out / f"{name}-2-of-2.{ending}").exists()
    (out / "run-2-of-2.log").touch()
    run_whole(tmp_path)
    assert [path.name for path in out.glob("*-of-*")] == ["run-2-of-2.log"]
    assert {run["summary"] is not None for run in rows(out, "SELECT summary FROM runs")} == {True}
    assert len(rows(out, "SELECT * FROM runs")) == 3


def test_the_failed_lines_of_a_part_are_a_list_that_stays_where_it_is(tmp_path: Path) -> None:
    make_plan(tmp_path, ["a", "b", "c", "d"])
    for number in (1, 2):
        drive(make_plan(tmp_path, shard=Shard(number, 2)), lambda _: BROKEN)
    urls = tmp_path / "out" / "failed-1-of-2.jsonl"
    again = drive(make_plan(tmp_path, urls=str(urls), shape=make_plan(tmp_path).shape.__class__(format="jsonl")))
    assert 0 < len(again.calls) < 4
    assert urls.exists()
    assert drive(make_plan(tmp_path, redo="failed")).equation["ok"] == 4


def test_parts_of_another_list_are_refused(tmp_path: Path) -> None:
    make_plan(tmp_path, ["a", "b"])
    drive(make_plan(tmp_path, shard=Shard(1, 2)))
    other = tmp_path / "other.txt"
    other.write_text(f"{ORIGIN}a\n")
    for shard in (Shard(2, 2), Shard(1, 3), WHOLE):
        with pytest.raises(OtherListError, match=r"belongs to urls=.*list\.txt"):
            drive(make_plan(tmp_path, urls=str(other), shard=shard))
    assert list(ledgers(tmp_path / "out")) != []
    assert drive(make_plan(tmp_path, shard=Shard(1, 2))).calls == []


def test_whoever_reads_the_whole_is_told_that_there_are_parts(tmp_path: Path) -> None:
    make_plan(tmp_path, ["a", "b"])
    run_parts(tmp_path, 2)
    with pytest.raises(OtherListError, match="run the list once without shard="), open_ledger(tmp_path / "out"):
        pass


def test_failures_that_are_allowed_are_a_share_of_the_own_lines(tmp_path: Path) -> None:
    """Of 4 parts each sees all lines; half of a part's may fail, not half of the list."""
    make_plan(tmp_path, [f"items/{n}" for n in range(40)])
    plan = make_plan(tmp_path, shard=Shard(1, 4), tolerance=TOLERANCE.parse("25%"))
    assert drive(plan, lambda _: BROKEN).code is ExitCode.NOT_OK


def test_a_redo_that_a_part_came_into_the_middle_of_leaves_no_line_out(tmp_path: Path) -> None:
    make_plan(tmp_path, [*"abcdefgh"])
    run_parts(tmp_path, 2)
    with kill_after(24) as fuse:
        drive(make_plan(tmp_path, redo="all"), lambda _: Answer(body=b"new"))
    assert fuse.blown
    assert set(files(tmp_path / "out").values()) == {b"{}", b"new"}
    drive(make_plan(tmp_path, redo="none", shard=Shard(1, 2)))
    drive(make_plan(tmp_path, redo="all"), lambda _: Answer(body=b"new"))
    assert set(files(tmp_path / "out").values()) == {b"new"}


def test_a_list_as_it_was_once_does_not_become_the_latest(tmp_path: Path) -> None:
    """Else its lines would be taken for those of the list as it is now."""
    with closing(Ledger(tmp_path, durable=False, name="ledger-1-of-2.sqlite")) as other:
        for version in ("1", "2"):
            other.write("INSERT INTO lists (path, fingerprint) VALUES ('list', ?)", (version,))
        for line, name in enumerate("ab", 1):
            other.record(answered(ticket(name, line)), run=1, list_id=line, staged=False)
    with closing(Ledger(tmp_path, durable=False)) as own:
        own.write("INSERT INTO lists (path, fingerprint) VALUES ('list', '2'), ('list', '3')")
        assert Gathering(own, tmp_path, WHOLE).gather(keep="") == {Shard(1, 2): 2}
        assert own.query("SELECT line, list FROM calls") == [(1, None), (2, 1)]
        assert own.query("SELECT fingerprint FROM lists ORDER BY id") == [("2",), ("3",)]


# Any history

Stage = tuple[list[str] | None, str, int | None, int, int, list[int]]
"""As in test_run, with the number of parts and which of them run."""

NAMES = ["a", "b", "c", "d", "p", "!", "!!"]

stages = st.tuples(
    st.lists(st.sampled_from(NAMES), max_size=6) | st.none(),
    st.sampled_from(["none", "retryable", "failed", "all", "404"]),
    st.none() | st.integers(0, 40),
    st.integers(0, 3),
    st.integers(1, 3),
    st.lists(st.integers(0, 2), min_size=1, max_size=3),
)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,  # the same histories everywhere; more of them, at random, by hand
    suppress_health_check=[HealthCheck.too_slow],
)
@given(history=st.lists(stages, min_size=1, max_size=5), last=stages)
def test_after_any_history_of_parts_every_line_has_one_record(history: list[Stage], last: Stage) -> None:
    with TemporaryDirectory(dir=MEMORY) as directory:
        folder = Path(directory)
        make_plan(folder, ["a"])
        for names, redo, steps, mood, count, numbers in history:
            make_plan(folder, names)
            with kill_after(10**9 if steps is None else steps):
                for number in numbers:
                    shard = Shard(number % count + 1, count)
                    attempt(make_plan(folder, redo=redo, shard=shard), _answers(mood))
        names, redo, _, mood, count, _ = last
        make_plan(folder, names)
        done = [
            drive(make_plan(folder, redo=redo, shard=Shard(number, count)), _answers(mood))
            for number in range(1, count + 1)
        ]
        listed = (folder / "list.txt").read_text().splitlines()
        assert sum((each.lines.total() for each in done), 0) == len(listed)
        for number, each in enumerate(done, 1):
            again = drive(make_plan(folder, redo="none", shard=Shard(number, count)))
            assert (again.calls, again.equation) == ([], each.equation)
        whole = run_whole(folder)
        assert whole.calls == []
        check(folder, whole, listed, number=False)
        assert list(ledgers(folder / "out")) == [WHOLE]


def test_a_change_of_parts_killed_at_any_step_repeats_nothing(tmp_path: Path) -> None:
    """Whatever the step, nothing that was done is called again, by no number of parts."""
    lines = ["a", "b", "!", "p", "a", "c"]
    steps, killed = 0, True
    while killed:
        folder = tmp_path / str(steps)
        folder.mkdir()
        make_plan(folder, lines)
        run_parts(folder, 2)
        with kill_after(steps) as fuse:
            attempt(make_plan(folder, shard=Shard(2, 3)), lambda _: BROKEN)
            attempt(make_plan(folder), lambda _: BROKEN)
        killed, steps = fuse.blown, steps + 1
        assert [call for done in run_parts(folder, 3) for call in done.calls] == []
        whole = run_whole(folder)
        assert whole.calls == []
        assert sorted(line_rows(folder)) == [*range(1, len(lines) + 1)]
        audit(folder / "out")
    assert steps > 10
