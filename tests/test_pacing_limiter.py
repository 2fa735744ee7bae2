"""How many calls at once: up by one, down by a third."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.pacing import Call, Limiter
from crawler.pacing.auto import AutoLimiter
from crawler.pacing.limiter import START, WAITS, Learned


def fill(limiter: Limiter, now_s: float = 0.0) -> list[Call]:
    """Start as many calls as may go."""
    calls = []
    while limiter.next_at(now_s) <= now_s:
        calls.append(limiter.started(now_s))
    return calls


def at_limit(ceiling: int) -> Limiter:
    """Give one that has grown to its ceiling."""
    limiter = Limiter(ceiling)
    now_s = 0.0
    while limiter.limit < ceiling:
        serve(limiter, fill(limiter, now_s), now_s)
    return limiter


def serve(limiter: Limiter, calls: list[Call], now_s: float) -> None:
    """Let a window of calls succeed."""
    for call in calls:
        limiter.succeeded(call, now_s)


def test_twenty_refusals_of_one_window_are_one_event() -> None:
    limiter = at_limit(20)
    calls = fill(limiter)
    assert [limiter.pushed_back(call, 1.0) for call in calls] == [True] + [False] * 19
    assert limiter.limit == 14
    later = fill(limiter, 1.0)
    assert [limiter.pushed_back(call, 2.0) for call in later] == [True] + [False] * 13
    assert limiter.limit == 9


def test_a_success_from_before_the_cut_says_nothing() -> None:
    limiter = at_limit(20)
    first, *others = fill(limiter)
    limiter.pushed_back(first, 1.0)
    for call in others:
        limiter.succeeded(call, 1.0)
    assert limiter.limit == 14


def test_a_window_of_successes_brings_one_call_more() -> None:
    limiter = at_limit(40)
    limits = []
    serve(limiter, fill(limiter), 0.0)
    limiter.pushed_back(fill(limiter)[0], 0.0)
    while limiter.in_flight:
        limiter.ended(Call(0, 0.0))
    for _ in range(5):
        limits.append(limiter.limit)
        serve(limiter, fill(limiter), 0.0)
    assert limits == [28, 29, 30, 31, 32]


def test_the_number_that_was_refused_is_tried_again_late_and_ever_later() -> None:
    limiter = at_limit(20)
    serve(limiter, fill(limiter), 0.0)
    waits = []
    for _ in range(5):
        limiter.pushed_back(fill(limiter)[0], 0.0)  # at 20
        while limiter.in_flight:
            limiter.ended(Call(0, 0.0))
        windows = 0
        while limiter.limit < 20:
            serve(limiter, fill(limiter), 0.0)
            windows += limiter.limit == 19
        waits.append(windows)
    assert waits == [WAITS[0], 16, 32, WAITS[1], WAITS[1]]


def test_a_start_doubles_with_each_round_trip() -> None:
    limiter = Limiter(1_000)
    limits = []
    for _ in range(5):
        limits.append(limiter.limit)
        for call in fill(limiter):
            limiter.succeeded(call, 0.0)
    assert limits[0] == START
    assert limits == [10, 20, 40, 80, 160]


def test_a_start_that_hears_nothing_doubles_by_the_second() -> None:
    limiter = Limiter(100)
    counts = [len(fill(limiter, float(second))) for second in range(6)]
    assert counts == [10, 10, 20, 40, 20, 0]
    assert limiter.next_at(9.0) == float("inf")


def test_but_not_after_a_refusal() -> None:
    limiter = Limiter(100)
    limiter.pushed_back(fill(limiter)[0], 0.1)
    assert fill(limiter, 60.0) == []


def test_what_was_learned_before_begins_with_half_of_it_and_is_soon_there() -> None:
    limiter = Limiter(100, Learned(60, refused_at=61))
    limits = []
    for _ in range(3):
        limits.append(limiter.limit)
        serve(limiter, fill(limiter), 0.0)
    assert limits == [30, 60, 60]  # and stays: 61 were refused
    assert Limiter(8, Learned(60)).limit == 8


def test_a_window_that_is_not_used_does_not_grow() -> None:
    limiter = Limiter(100)
    for _ in range(1_000):
        limiter.succeeded(limiter.started(0.0), 0.0)
    assert limiter.limit == START


@given(
    st.lists(st.sampled_from(["start", "ok", "refused", "cancelled"]), max_size=300), st.integers(1, 50), st.booleans()
)
def test_the_window_stays_between_one_and_the_ceiling(steps: list[str], ceiling: int, auto: bool) -> None:
    limiter = AutoLimiter(ceiling) if auto else Limiter(ceiling)
    flying: list[Call] = []
    for now_s, step in enumerate(steps):
        if step == "start":
            if limiter.next_at(now_s) <= now_s:
                flying.append(limiter.started(now_s))
        elif flying:
            call = flying.pop(0)
            match step:
                case "ok":
                    limiter.succeeded(call, now_s)
                case "refused":
                    limiter.pushed_back(call, now_s)
                case _:
                    limiter.ended(call)
        assert 1 <= limiter.limit <= ceiling
        assert limiter.in_flight == len(flying)
        assert flying or limiter.next_at(now_s) <= now_s, "something may always go when nothing is on its way"


def test_a_ceiling_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="ceiling=0"):
        Limiter(0)


def test_the_way_back_from_an_outage_is_short() -> None:
    limiter = at_limit(20)
    serve(limiter, fill(limiter), 0.0)
    for expected in (14, 9, 6, 4):
        calls = fill(limiter)
        for call in calls:
            limiter.pushed_back(call, 0.0)
        assert limiter.limit == expected
    serve(limiter, fill(limiter), 0.0)
    assert limiter.limit == 8  # doubled, until it is where the first cut left it
    for _ in range(2):
        serve(limiter, fill(limiter), 0.0)
    assert limiter.limit in {14, 15}
