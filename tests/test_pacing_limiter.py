"""How many calls at once: up by one, down by a third, and where `auto` finds the number."""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.pacing import Limiter
from crawler.pacing.limiter import START, WAITS
from tests.pacing_world import Capped, Crawl, Leaky, Open, Saturated, crawl, host_with

if TYPE_CHECKING:
    from crawler.pacing import Call


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
        limiter.ended()
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
            limiter.ended()
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


def test_but_not_after_a_refusal_nor_where_the_number_is_sought() -> None:
    for limiter, is_refused in ((Limiter(100), True), (Limiter(100, auto=True), False)):
        calls = fill(limiter)
        if is_refused:
            limiter.pushed_back(calls[0], 0.1)
        assert fill(limiter, 60.0) == []


def test_a_window_that_is_not_used_does_not_grow() -> None:
    limiter = Limiter(100)
    for _ in range(1_000):
        limiter.succeeded(limiter.started(0.0), 0.0)
    assert limiter.limit == START


@given(
    st.lists(st.sampled_from(["start", "ok", "refused", "cancelled"]), max_size=300), st.integers(1, 50), st.booleans()
)
def test_the_window_stays_between_one_and_the_ceiling(steps: list[str], ceiling: int, auto: bool) -> None:
    limiter = Limiter(ceiling, auto=auto)
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
                    limiter.ended()
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


# `workers=auto` against APIs that have a limit, or none


def limit_later(done: Crawl) -> float:
    """The mean limit over the second half of the answers."""
    return mean(limit for _, limit in done.limits[len(done.limits) // 2 :])


def test_auto_without_any_limit_is_soon_at_the_ceiling() -> None:
    done = crawl(Open(), host_with(500, auto=True), 20_000)
    reached_s = next(at_s for at_s, limit in done.limits if limit == 500)
    assert reached_s < 0.7  # 10 doubled six times, two round trips of 30 ms each
    assert done.ended_s < 2.5


def test_auto_stops_where_more_calls_only_wait_for_each_other() -> None:
    server = Saturated(30)
    done = crawl(server, host_with(500, auto=True), 20_000)
    assert 30 <= limit_later(done) <= 60
    assert server.most_busy <= 100
    assert done.ended_s < 1.05 * 20_000 / 30 * 0.03


def test_auto_stays_below_a_cap_of_fifty() -> None:
    done = crawl(Capped(50), host_with(500, auto=True), 40_000)
    assert done.refused_share < 0.01
    assert done.ended_s < 1.35 * 40_000 / 50 * 0.03


def test_auto_keeps_to_200_a_second() -> None:
    done = crawl(Leaky(200, 10), host_with(500, auto=True), 6_000)
    assert done.refused_share < 0.02
    assert done.ended_s < 1.3 * 30


def test_fixed_workers_are_used_whatever_the_latency_says() -> None:
    host = host_with(200)
    crawl(Saturated(30), host, 20_000)
    assert host.limit == 200
