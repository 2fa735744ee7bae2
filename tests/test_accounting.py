"""The accounting: sums that balance, and the exit code that says what they mean."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.accounting import ExitCode, Tally, code_of
from crawler.exceptions import ArgumentError, OtherListError, OtherRunError, StoreError
from crawler.items import NO_USABLE_ANSWER, NOT_A_CALL, Outcome, Prior, Record
from crawler.values import TOLERANCE
from tests.stored import NOT_FOUND, OK, SILENT, answered, ticket

NONE = TOLERANCE.parse("0")


def tally(*outcomes: Outcome, left: int = 0, read_to_end: bool = True) -> Tally:
    """Of a list with one line for each outcome, and as many without a record as are *left*."""
    made = Tally(lines=Counter(outcomes), lines_read=len(outcomes) + left, read_to_end=read_to_end)
    assert not read_to_end or made.left == left
    return made


MEANS = {
    Outcome.OK: ExitCode.DONE,
    Outcome.DUPLICATE: ExitCode.DONE,
    Outcome.ERASED: ExitCode.DONE,
    Outcome.INVALID: ExitCode.INVALID,
    **dict.fromkeys(
        (
            Outcome.TIMEOUT, Outcome.DNS, Outcome.CONNECT, Outcome.TLS, Outcome.RESET, Outcome.TRUNCATED,
            Outcome.DECODE, Outcome.BAD_RESPONSE, Outcome.UNKNOWN,
        ),
        ExitCode.NO_ANSWER,
    ),
    **dict.fromkeys(
        (
            Outcome.HTTP_ERROR, Outcome.REJECTED, Outcome.TOO_LARGE, Outcome.BAD_REDIRECT, Outcome.FORBIDDEN_ADDRESS,
            Outcome.FORBIDDEN_HOST,
        ),
        ExitCode.NOT_OK,
    ),
}  # fmt: skip


def test_every_outcome_has_its_exit_code() -> None:
    assert set(MEANS) == set(Outcome)
    assert {outcome: tally(outcome).exit_code(NONE, complete=True) for outcome in Outcome} == MEANS


def test_an_empty_list_is_done() -> None:
    assert tally().exit_code(NONE, complete=True) is ExitCode.DONE


PRECEDENCE = [
    (tally(*Outcome, left=1), False, ExitCode.STOPPED),
    (tally(*Outcome, read_to_end=False), False, ExitCode.STOPPED),
    (tally(*Outcome), True, ExitCode.NO_ANSWER),
    (tally(*(set(Outcome) - NO_USABLE_ANSWER)), True, ExitCode.NOT_OK),
    (tally(Outcome.OK, *NOT_A_CALL), True, ExitCode.INVALID),
    (tally(Outcome.OK, Outcome.DUPLICATE), True, ExitCode.DONE),
]


@pytest.mark.parametrize(("books", "complete", "code"), PRECEDENCE)
def test_the_first_exit_code_that_applies_is_the_runs(books: Tally, complete: bool, code: ExitCode) -> None:
    assert books.exit_code(NONE, complete=complete) is code


def test_a_stop_after_the_last_record_changes_nothing() -> None:
    assert tally(Outcome.OK).exit_code(NONE, complete=False) is ExitCode.DONE
    assert tally(Outcome.TIMEOUT).exit_code(NONE, complete=False) is ExitCode.NO_ANSWER


@pytest.mark.parametrize("left", [1, -1])
def test_books_that_do_not_balance_at_the_end_are_a_bug(left: int) -> None:
    """Also too many records for the lines there are; no tolerance covers it."""
    books = tally(Outcome.OK, Outcome.OK, left=left)
    assert books.exit_code(TOLERANCE.parse("100%"), complete=True) is ExitCode.BUG


@pytest.mark.parametrize(
    ("tolerance", "code"),
    [
        ("0", ExitCode.NO_ANSWER), ("2", ExitCode.NO_ANSWER), ("3", ExitCode.DONE),
        ("29%", ExitCode.NO_ANSWER), ("30%", ExitCode.DONE), ("29.99%", ExitCode.NO_ANSWER),
    ],
)  # fmt: skip
def test_tolerated_failures_are_done_whatever_they_were(tolerance: str, code: ExitCode) -> None:
    """3 of 10: a timeout, an error and an invalid line. Duplicates are no failures."""
    books = tally(Outcome.TIMEOUT, Outcome.HTTP_ERROR, Outcome.INVALID, *[Outcome.OK] * 5, *[Outcome.DUPLICATE] * 2)
    assert books.exit_code(TOLERANCE.parse(tolerance), complete=True) is code


def test_a_share_is_one_of_lines_and_pages() -> None:
    books = Tally(
        lines=Counter({Outcome.OK: 1}), followed=Counter({Outcome.TIMEOUT: 1, Outcome.OK: 2}), lines_read=1,
        read_to_end=True, followed_total=3,
    )  # fmt: skip
    assert books.exit_code(TOLERANCE.parse("25%"), complete=True) is ExitCode.DONE
    assert books.exit_code(TOLERANCE.parse("24%"), complete=True) is ExitCode.NO_ANSWER


# The equation

counts = st.dictionaries(st.sampled_from(Outcome), st.integers(0, 5)).map(Counter)


@given(lines=counts, followed=counts, left=st.integers(0, 5), pages_left=st.integers(0, 5))
def test_lines_and_pages_are_what_became_of_them(
    lines: Counter[Outcome], followed: Counter[Outcome], left: int, pages_left: int
) -> None:
    books = Tally(
        lines=lines, followed=followed, lines_read=lines.total() + left, read_to_end=True,
        followed_total=followed.total() + pages_left,
    )  # fmt: skip
    numbers: dict[str, Any] = books.equation()
    assert numbers["left"] == left + pages_left
    right = sum(numbers[name] for name in ("ok", "failed", "invalid", "duplicate", "erased", "left"))
    assert numbers["lines"] + numbers["followed"] == right


def test_a_list_that_was_not_read_to_its_end_has_an_unknown_rest() -> None:
    numbers = tally(Outcome.OK, read_to_end=False).equation()
    assert (numbers["lines"], numbers["left"], numbers["ok"]) == ("unknown", "unknown", 1)


# Adding records


def test_records_are_counted_by_outcome_and_what_they_cost() -> None:
    books = Tally()
    page = answered(ticket("p/2", None), NOT_FOUND)
    page.attempts, page.redirects, page.location, page.bytes = 5, 1, "errors/x.json", 7
    done = answered(ticket("p"))
    done.location, done.bytes = "responses/x.json", 20
    for record in (done, page, answered(ticket("a"), SILENT), Record(outcome=Outcome.INVALID, line=4, url="!")):
        books.add(record)
    assert books.lines == {Outcome.OK: 1, Outcome.TIMEOUT: 1, Outcome.INVALID: 1}
    assert books.followed == {Outcome.HTTP_ERROR: 1}
    summary = books.summary(2.0, rests=2)
    expected = {
        "seconds": 2.0, "calls": 7, "calls_per_s": 3.5, "retries": 3, "rests": 2, "records": 4, "files": 2, "bytes": 27,
        "kept": 0, "unchanged": 0, "statuses": {"200": 1, "404": 1},
        "failures": {"http_error": 1, "timeout": 1, "invalid": 1},
    }  # fmt: skip
    assert summary == expected
    assert books.summary(0.0, rests=0)["calls_per_s"] == 0


def test_an_ok_record_that_a_redo_could_not_replace_stays_ok() -> None:
    call = ticket("a")
    call.prior = Prior(
        id=1, uuid=call.uuid, outcome=Outcome.OK, status=200, checked=1, state=0, location="responses/a.json"
    )
    record = answered(call, NOT_FOUND)
    books = Tally()
    books.add(record)
    assert (books.lines, books.kept, books.files) == ({Outcome.OK: 1}, 1, 0)
    assert books.failures == {"http_error": 1}
    call.prior = replace(call.prior, outcome=Outcome.TIMEOUT)
    books = Tally()
    books.add(record)
    assert (books.lines, books.kept) == ({Outcome.HTTP_ERROR: 1}, 0)


def test_duplicates_are_no_failures() -> None:
    books = Tally()
    books.add(Record.of(ticket("a"), Outcome.DUPLICATE))
    books.add(answered(ticket("b"), OK))
    assert (books.failed, books.failures) == (0, {})


class NoBucketError(StoreError):
    """A kind of its own, as a store has it."""


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (OtherRunError("held"), 69), (StoreError("full"), 3), (NoBucketError("gone"), 3), (OtherListError("parts"), 2),
        (ArgumentError("--to", "x", "y"), 2), (LookupError("no run 7"), 2),
    ],
)  # fmt: skip
def test_a_command_that_is_refused_ends_with_the_code_of_what_refuses(refusal: Exception, code: int) -> None:
    assert code_of(refusal) == code
