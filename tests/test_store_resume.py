"""Again: for every line, is it to be fetched, does it stand, or has it been seen."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.exceptions import OtherListError, StoreError
from crawler.items import NOT_A_CALL, Outcome, Prior, Record, Ticket, uuid_text
from crawler.sources import Fingerprint, Shape
from crawler.store import ownership, runs
from crawler.store.bits import Bits
from crawler.store.files import Files, location
from crawler.store.ledger import Ledger
from crawler.store.place import Place
from crawler.store.resume import Duplicate, Resume
from crawler.store.schema import State
from crawler.values import REDO
from tests.stored import BROKEN, MEMORY, NOT_FOUND, OK, Answer, answered, drive, entry, make_plan, rows, ticket
from tests.stored import files as on_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

THIS_RUN = 5


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that needs no disk: many runs wait for it otherwise."""
    with TemporaryDirectory(dir=MEMORY) as directory:
        yield Path(directory)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path, durable=False)) as ledger:
        yield ledger


def resume(ledger: Ledger, redo: str = "retryable", **changes: Any) -> Resume:
    how: dict[str, Any] = {
        "run": THIS_RUN, "redo_base": THIS_RUN, "redo": REDO.parse(redo), "lists": {None: 2}, "moves": True,
        "number": False,
    }  # fmt: skip
    return Resume(ledger, **(how | changes))


def write(ledger: Ledger, record: Record, *, run: int = 1, list_id: int = 2) -> None:
    with ledger.transaction():
        ledger.record(record, run=run, list_id=list_id, staged=False)


def written(ledger: Ledger, name: str, line: int | None = 1, answer: Answer = OK, *, run: int = 1) -> Ticket:
    """A call that has a row since *run*."""
    call = ticket(name, line)
    write(ledger, answered(call, answer), run=run)
    return call


def page_of(ledger: Ledger, parent: Ticket, name: str, answer: Answer | None = OK, *, run: int = 1) -> Ticket:
    """A page that *parent* led to; answer: None while it is pending."""
    call = ticket(name, None)
    call.parent = parent
    if answer is not None:
        write(ledger, answered(call, answer), run=run)
    else:
        with ledger.transaction():
            ledger.open_call(call, run=run, list_id=None, state=State.PENDING)
    return call


# A line, for the first and the second time


def test_a_new_line_is_fetched_and_is_in_flight(ledger: Ledger) -> None:
    decisions = resume(ledger)
    verdict = decisions.decide(entry("a", 3))
    assert isinstance(verdict, Ticket)
    assert (verdict.prior, verdict.row) == (None, None)
    assert decisions.in_flight == {verdict.uuid: verdict}


def test_a_line_like_one_in_flight_is_its_duplicate(ledger: Ledger) -> None:
    decisions = resume(ledger)
    decisions.decide(entry("a", 3))
    assert decisions.decide(entry("a", 9)) == Duplicate(3)


def test_a_line_like_one_that_this_run_has_written_is_its_duplicate(ledger: Ledger) -> None:
    written(ledger, "a", 3, run=THIS_RUN)
    assert resume(ledger).decide(entry("a", 9)) == Duplicate(3)


def test_lines_of_a_new_list_are_not_looked_up_one_by_one(ledger: Ledger) -> None:
    """Every row of a ledger that was empty is this run's: only a name seen before is worth a look."""
    asked: list[str] = []
    decisions = resume(ledger)
    ledger._reader.set_trace_callback(asked.append)
    assert all(isinstance(decisions.decide(entry(str(n), n)), Ticket) for n in range(100))
    assert asked == []


def test_a_line_of_a_new_list_is_known_again_when_its_record_is_written(ledger: Ledger) -> None:
    decisions = resume(ledger)
    first = decisions.decide(entry("a", 3))
    assert isinstance(first, Ticket)
    write(ledger, answered(first), run=THIS_RUN)
    del decisions.in_flight[first.uuid]
    assert decisions.decide(entry("a", 9)) == Duplicate(3)


def test_a_line_that_an_earlier_run_has_done_stands_once(ledger: Ledger) -> None:
    written(ledger, "a", 3)
    decisions = resume(ledger)
    verdict = decisions.decide(entry("a", 3))
    assert isinstance(verdict, Prior)
    assert verdict.outcome is Outcome.OK
    assert decisions.in_flight == {}
    assert decisions.decide(entry("a", 4)) == Duplicate(3)


@pytest.mark.parametrize("redo", ["none", "retryable", "failed", "all", "404", "2xx,5xx"])
def test_a_line_is_fetched_again_where_the_rule_matches_it(ledger: Ledger, redo: str) -> None:
    rule = REDO.parse(redo)
    for outcome in set(Outcome) - NOT_A_CALL:
        for status in (None, 200, 404, 429, 503):
            name = f"{outcome} {status}"
            written(ledger, name, 1, Answer(outcome, b"{}", status))
            verdict = resume(ledger, redo).decide(entry(name))
            assert isinstance(verdict, Ticket) is rule.matches(outcome, status), name
            if isinstance(verdict, Ticket):
                assert verdict.prior is not None
                assert verdict.row == verdict.prior.id


@pytest.mark.parametrize(("run", "stands"), [(1, False), (2, False), (3, True), (4, True)])
def test_what_a_redo_has_done_before_it_was_killed_stands(ledger: Ledger, run: int, stands: bool) -> None:
    """It was begun by run 3."""
    written(ledger, "a", 1, NOT_FOUND, run=run)
    verdict = resume(ledger, "all", redo_base=3).decide(entry("a"))
    assert isinstance(verdict, Prior) is stands


def test_the_line_has_the_say_about_a_call_that_is_made_again(ledger: Ledger) -> None:
    old = ticket("a", meta={"old": 1}, key="old")
    old.callback = "parse_special"
    write(ledger, answered(old, BROKEN))
    verdict = resume(ledger).decide(entry("a", 2, meta={"new": 1}, key="new"))
    assert isinstance(verdict, Ticket)
    assert (verdict.entry.key, verdict.entry.meta, verdict.callback) == ("new", {"new": 1}, "parse_special")


# Lists that were edited


def test_a_row_that_is_seen_elsewhere_moves_there(ledger: Ledger) -> None:
    stood, failed = written(ledger, "a", 3), written(ledger, "b", 4, BROKEN)
    written(ledger, "c", 5)
    decisions = resume(ledger)
    for name, line in (("a", 30), ("b", 40), ("c", 5)):
        decisions.decide(entry(name, line))
    assert decisions.moved == [(2, 30, stood.row), (2, 40, failed.row)]


def test_a_list_in_the_output_directory_moves_nothing(ledger: Ledger) -> None:
    written(ledger, "a", 3, BROKEN)
    decisions = resume(ledger, moves=False)
    assert isinstance(decisions.decide(entry("a", 1)), Ticket)
    assert decisions.moved == []


def test_a_row_is_counted_by_its_line_only_in_the_list_as_it_is(ledger: Ledger) -> None:
    written(ledger, "a", 1)
    written(ledger, "b", 2, BROKEN)
    written(ledger, "c", 3, NOT_FOUND)
    written(ledger, "d", 3)
    ledger.move([(1, 3, 4)])  # of another list
    write(ledger, Record(outcome=Outcome.INVALID, line=5, url="!"))
    lines = Bits()
    standing = resume(ledger).survey({2: lines})
    assert standing.lines == {Outcome.OK: 1, Outcome.HTTP_ERROR: 1, Outcome.INVALID: 1}
    assert [line for line in range(10) if line in lines] == [1, 3, 5]
    lines = Bits()
    assert resume(ledger).survey({}).lines.total() == 0
    assert not [line for line in range(10) if line in lines]


def test_what_is_known_by_its_line_is_seen(ledger: Ledger) -> None:
    written(ledger, "a", 1)
    decisions = resume(ledger)
    decisions.survey({2: Bits()})
    assert decisions.decide(entry("a", 7)) == Duplicate(1)


# A call per line


def test_with_a_call_per_line_every_occurrence_has_its_own_number(ledger: Ledger) -> None:
    decisions = resume(ledger, number=True)
    verdicts = [decisions.decide(entry("a", line)) for line in (1, 2, 3)]
    assert [verdict.entry.n for verdict in verdicts if isinstance(verdict, Ticket)] == [1, 2, 3]
    assert len({verdict.uuid for verdict in verdicts if isinstance(verdict, Ticket)}) == 3


def test_occurrences_are_known_again(ledger: Ledger) -> None:
    for n in (1, 2):
        write(ledger, answered(ticket("a", n, n=n)))
    decisions = resume(ledger, number=True)
    verdicts = [decisions.decide(entry("a", line)) for line in (1, 2, 3)]
    assert [type(verdict) for verdict in verdicts] == [Prior, Prior, Ticket]
    assert verdicts[2].entry.n == 3  # type: ignore[union-attr]


def test_a_line_that_says_which_occurrence_it_is_keeps_its_number(ledger: Ledger) -> None:
    """As failed.jsonl does."""
    decisions = resume(ledger, number=True)
    verdicts = [decisions.decide(entry("a", line, n=2)) for line in (1, 2)]
    assert isinstance(verdicts[0], Ticket)
    assert verdicts[0].entry.n == 2
    assert verdicts[1] == Duplicate(1)


def test_a_line_is_called_though_pages_have_taken_the_first_numbers(ledger: Ledger) -> None:
    parent = written(ledger, "p")
    page_of(ledger, parent, "a")
    second = ticket("a", None, n=2)
    second.parent = parent
    write(ledger, answered(second))
    verdict = resume(ledger, number=True).decide(entry("a", 1))
    assert isinstance(verdict, Ticket)
    assert verdict.entry.n == 3


# Pages


def test_pages_that_a_killed_run_left_come_with_all_that_was_asked(ledger: Ledger) -> None:
    parent = written(ledger, "p")
    left = replace(ticket("p/2", None, headers=(("A", "b"),), body=b"\xff", method="PUT"), parent=parent)
    left.callback, left.errback, left.cb_kwargs, left.request_meta = "parse_page", "failed", {"n": 2}, {"proxy": "x"}
    with ledger.transaction():
        ledger.open_call(left, run=1, list_id=None, state=State.PENDING)
    decisions = resume(ledger)
    assert decisions.survey({2: Bits()}).followed_open == 1
    found = list(decisions.followed())
    assert [call.uuid for call in found] == [left.uuid]
    assert found[0].entry == left.entry
    assert (found[0].callback, found[0].errback, found[0].row) == ("parse_page", "failed", left.row)
    assert (found[0].cb_kwargs, found[0].request_meta) == ({"n": 2}, {"proxy": "x"})
    assert decisions.in_flight == {left.uuid: found[0]}


@pytest.mark.parametrize(
    ("redo", "made"),
    [("none", []), ("retryable", ["p/broken"]), ("failed", ["p/broken", "p/gone"]), ("all", ["p/broken", "p/gone"])],
)
def test_failed_pages_are_made_again_by_rule_and_ok_ones_by_their_parent(
    ledger: Ledger, redo: str, made: list[str]
) -> None:
    parent = written(ledger, "p")
    for name, answer in (("p/ok", OK), ("p/broken", BROKEN), ("p/gone", NOT_FOUND)):
        page_of(ledger, parent, name, answer)
    write(ledger, Record.of(replace(ticket("p/ok", None), parent=parent), Outcome.DUPLICATE))
    decisions = resume(ledger, redo)
    standing = decisions.survey({})
    assert standing.followed_open == len(made)
    assert standing.followed.total() == 4 - len(made)
    assert [call.entry.url.partition("test/")[2] for call in decisions.followed()] == made


def test_pages_come_though_there_are_more_than_are_read_at_once(ledger: Ledger) -> None:
    parent = written(ledger, "p")
    with ledger.transaction():
        for n in range(2500):
            ledger.open_call(replace(ticket(f"p/{n}", None), parent=parent), run=1, list_id=None, state=State.PENDING)
    assert len(list(resume(ledger).followed())) == 2500


def test_a_page_that_another_page_led_to_meanwhile_is_not_made_twice(ledger: Ledger) -> None:
    parent = written(ledger, "p")
    page_of(ledger, parent, "p/2", BROKEN)
    page_of(ledger, parent, "p/3", BROKEN)
    decisions = resume(ledger)
    found = decisions.followed()
    assert next(found).entry.url.endswith("p/2")
    again = decisions.decide(entry("p/3", None))
    assert isinstance(again, Ticket)
    del decisions.in_flight[again.uuid]  # its record is durable by now
    assert list(found) == []


def test_a_line_like_a_page_is_its_duplicate_and_the_reverse(ledger: Ledger) -> None:
    parent = written(ledger, "p")
    page = page_of(ledger, parent, "a")
    written(ledger, "b", 7)
    decisions = resume(ledger)
    assert decisions.decide(entry("a", 3)) == Duplicate(None, page.parent.row if page.parent else 0)
    assert decisions.decide(entry("b", None)) == Duplicate(7)


def test_a_failed_page_in_failed_jsonl_is_fetched(ledger: Ledger) -> None:
    """That list lies in the output directory and speaks of pages as of lines."""
    page = page_of(ledger, written(ledger, "p"), "a", BROKEN)
    verdict = resume(ledger, moves=False).decide(entry("a", 1))
    assert isinstance(verdict, Ticket)
    assert verdict.row == page.row


def test_an_earlier_runs_duplicate_of_a_page_is_remembered(ledger: Ledger) -> None:
    parent = written(ledger, "p")
    call = replace(ticket("a", None), parent=parent)
    write(ledger, Record.of(call, Outcome.DUPLICATE))
    assert parent.row is not None
    assert resume(ledger).has_duplicate(parent.row, call.uuid)
    assert not resume(ledger).has_duplicate(parent.row + 1, call.uuid)
    assert not resume(ledger).has_duplicate(parent.row, ticket("b").uuid)


# Numbers, a bit each


@given(st.sets(st.integers(0, 100_000), max_size=50), st.sets(st.integers(0, 100_000), max_size=50))
def test_bits_are_a_set(numbers: set[int], others: set[int]) -> None:
    bits = Bits()
    for number in numbers:
        bits.add(number)
    assert all(number in bits for number in numbers)
    assert not any(number in bits for number in others - numbers)


# Runs, and what a killed one left


def begin(ledger: Ledger, redo: str = "all", **changes: Any) -> runs.Begun:
    start: dict[str, Any] = {
        "path": "/lists/items.txt", "inside": False, "fingerprint": Fingerprint(1, 1, "x"), "by_line": True,
        "identity": {"column": "url"}, "redo": redo, "arguments": {}, "versions": {}, "durability": "batch",
    }  # fmt: skip
    told = runs.Start(**(start | changes))
    ownership.own(ledger, told)
    return runs.begin(ledger, told)


def end(ledger: Ledger, run: int, stop_reason: str | None = None) -> None:
    runs.end(ledger, run, {"stop_reason": stop_reason, "exit_code": 0}, read_to_end=stop_reason is None)


def test_an_unchanged_list_is_known_by_its_lines_and_a_changed_one_is_a_new_list(ledger: Ledger) -> None:
    first = begin(ledger)
    again = begin(ledger)
    changed = begin(ledger, fingerprint=Fingerprint(2, 1, "y"))
    back = begin(ledger)
    assert [begun.by_line for begun in (first, again, changed, back)] == [False, True, False, False]
    assert again.list_id == first.list_id
    assert len({first.list_id, changed.list_id, back.list_id}) == 3


def test_a_pipe_is_never_known_by_its_lines(ledger: Ledger) -> None:
    for _ in range(2):
        assert not begin(ledger, path="-", fingerprint=None).by_line


@pytest.mark.parametrize("redo", ["all", "failed", "404"])
def test_an_unfinished_redo_is_continued_until_it_is_finished(ledger: Ledger, redo: str) -> None:
    first = begin(ledger, redo)
    assert not first.continues
    second = begin(ledger, redo)  # the first was killed
    assert (second.continues, second.redo_base) == (True, first.run)
    end(ledger, second.run, stop_reason="shutdown")
    other = begin(ledger, "none")
    end(ledger, other.run)
    third = begin(ledger, redo)
    assert (third.continues, third.redo_base) == (True, first.run)
    end(ledger, third.run)
    fourth = begin(ledger, redo)
    assert (fourth.continues, fourth.redo_base) == (False, fourth.run)


def test_a_redo_of_the_failed_lines_does_not_end_that_of_their_list(ledger: Ledger) -> None:
    first = begin(ledger, "failed")  # killed
    part = begin(ledger, "failed", path="/out/failed.jsonl", inside=True)
    assert not part.continues
    end(ledger, part.run)
    again = begin(ledger, "failed")
    assert (again.continues, again.redo_base) == (True, first.run)


@pytest.mark.parametrize("redo", ["none", "retryable"])
def test_what_failed_up_to_now_may_be_retried_by_every_run(ledger: Ledger, redo: str) -> None:
    begin(ledger, redo)
    second = begin(ledger, redo)
    assert (second.continues, second.redo_base) == (False, second.run)


def test_another_list_or_other_arguments_are_refused_with_a_way_out(ledger: Ledger) -> None:
    begin(ledger)
    with pytest.raises(OtherListError, match=r"belongs to urls=/lists/items.txt, you gave urls=/other.*-a out="):
        begin(ledger, path="/other")
    with pytest.raises(OtherListError, match=r"begun with column=url, you gave column=link.*-a out="):
        begin(ledger, identity={"column": "link"})


def test_a_call_whose_answer_a_kill_swallowed_is_unknown_unless_it_was_ok(tmp_path: Path, ledger: Ledger) -> None:
    new, failed, done = ticket("a", 1, method="POST"), ticket("b", 2, method="POST"), ticket("c", 3, method="POST")
    write(ledger, answered(failed, BROKEN))
    write(ledger, answered(done))
    with ledger.transaction():
        for call in (new, failed, done):
            ledger.open_call(call, run=2, list_id=2, state=State.SENT)
    with closing(Place.take(tmp_path)) as place:
        for _ in range(2):  # it may be killed, too
            runs.recover(ledger, Files(place, "process"))
            found = {row["line"]: row["outcome"] for row in rows(tmp_path)}
            assert found == {1: "unknown", 2: "unknown", 3: "ok"}
            assert ledger.query("SELECT DISTINCT state FROM calls") == [(State.SETTLED,)]


def test_what_came_of_such_an_answer_is_taken_away_and_what_stood_before_stays(tmp_path: Path, ledger: Ledger) -> None:
    new, done = ticket("a", 1, method="POST"), ticket("b", 2, method="POST")
    stands = answered(done)
    stands.location = location(uuid_text(done.uuid), ok=True, levels=1)
    write(ledger, stands)
    with closing(Place.take(tmp_path)) as place:
        files = Files(place, "process")
        files.write(stands.location, b"stands", staged=False)
        files.write(stands.location, b"never committed", staged=True)
        files.write(location(uuid_text(new.uuid), ok=False, levels=1), b"never committed", staged=False)
        with ledger.transaction():
            for call in (new, done):
                ledger.open_call(call, run=2, list_id=2, state=State.SENT)
        runs.recover(ledger, files)
    assert on_disk(tmp_path) == {stands.location: b"stands"}


def test_recovered_files_are_on_disk_before_their_rows_say_so(tmp_path: Path, ledger: Ledger) -> None:
    call = ticket("a")
    with ledger.transaction():
        ledger.record(answered(call), run=1, list_id=2, staged=True)
    with closing(Place.take(tmp_path)) as place:
        files = Files(place, "batch")
        runs.recover(ledger, files)
        assert files.barriers == 1
        runs.recover(ledger, files)
        assert files.barriers == 1


def test_a_post_that_was_sent_when_the_run_was_killed_is_repeated_only_if_asked(tmp_path: Path) -> None:
    items = tmp_path / "list.jsonl"
    items.write_text('{"url": "http://api.test/a", "method": "POST"}\n')
    plan = make_plan(tmp_path, urls=str(items), shape=Shape(format="jsonl"))

    def kill(_name: str) -> Answer:
        raise StoreError("killed")

    assert drive(plan, kill).calls == ["a"]
    assert [row["outcome"] for row in rows(tmp_path / "out")] == ["sent"]
    again = drive(plan)
    assert (again.calls, again.equation["failed"]) == ([], 1)
    asked = drive(make_plan(tmp_path, urls=str(items), shape=Shape(format="jsonl"), redo="failed"))
    assert (asked.calls, asked.equation["ok"]) == (["a"], 1)


# A list of several files


def test_of_several_files_those_before_the_first_change_are_known_by_their_lines(ledger: Ledger) -> None:
    prints = {name: Fingerprint(number, 1, "x") for number, name in enumerate("abc")}

    def known(**members: Fingerprint | None) -> str:
        begun = begin(ledger, path="/lists/*", fingerprint=None, members=members)
        assert list(begun.lists) == list(members)
        assert begun.by_line is (len(begun.unchanged) == len(members))
        return "".join(name for name, number in begun.lists.items() if name and number in begun.unchanged)

    assert known(**prints) == ""
    assert known(**prints) == "abc"
    assert known(**prints, d=Fingerprint(3, 1, "x")) == "abc"
    assert known(**prints | {"b": Fingerprint(1, 2, "x")}) == "a"
    assert known(**prints) == "a"
    assert known(a=prints["a"], c=prints["c"]) == "a"
    assert known(b=prints["b"], c=prints["c"]) == ""
    assert known(b=prints["b"], c=None) == "b"
    assert known(b=prints["b"], c=None) == "b"  # a pipe is never known
    assert begin(ledger, path="/lists/*", fingerprint=None, members=prints, by_line=False).unchanged == frozenset()
