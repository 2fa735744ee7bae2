"""The pace that refusals teach."""

from __future__ import annotations

from itertools import count

import pytest

from crawler.pacing.bucket import Burst
from crawler.pacing.learned import BEGINS, EVIDENCE_CALLS, FAR, NEAR, LearnedPace, Pace
from crawler.pacing.limiter import Call

NUMBERS = count(1)


def send(pace: LearnedPace, calls: int, *, per_s: float, from_s: float = 0.0) -> float:
    """Make calls that are served at once, so many a second; give the time after them."""
    now_s = from_s
    for _ in range(calls):
        pace.started(Call(next(NUMBERS), now_s))
        pace.succeeded(now_s)
        now_s += 1 / per_s
    return now_s


def refuse(pace: LearnedPace, now_s: float) -> None:
    """Make a call that is refused at once."""
    call = Call(next(NUMBERS), now_s)
    pace.started(call)
    pace.refused(call, now_s)


def test_there_is_no_pace_until_something_is_refused() -> None:
    pace = LearnedPace()
    now_s = send(pace, 1_000, per_s=100)
    assert pace.per_s is None
    assert pace.next_at(now_s) == now_s


def test_a_first_refusal_leaves_less_than_the_present_speed() -> None:
    pace = LearnedPace()
    refuse(pace, send(pace, 1_000, per_s=100))
    assert pace.per_s == pytest.approx(100 * FAR * BEGINS, rel=0.05)


def test_two_refusals_in_a_moment_are_one_full_bucket() -> None:
    pace = LearnedPace()
    now_s = send(pace, 1_000, per_s=100)
    refuse(pace, now_s)
    before = pace.per_s
    send(pace, EVIDENCE_CALLS // 2, per_s=1_000, from_s=now_s + 0.001)
    refuse(pace, now_s + 0.01)
    assert pace.per_s == pytest.approx(before, rel=0.01)


def test_what_was_served_before_the_cut_proves_nothing_after_it() -> None:
    pace = LearnedPace()
    now_s = send(pace, 1_000, per_s=100)
    refuse(pace, now_s)
    before = pace.per_s
    for _ in range(50):
        pace.succeeded(now_s - 0.1)  # they were on their way
    refuse(pace, now_s + 2)
    assert pace.per_s == pytest.approx(before, rel=0.001)


def test_a_pace_that_was_kept_for_long_is_hardly_lowered() -> None:
    pace = LearnedPace()
    now_s = send(pace, 1_000, per_s=100)
    refuse(pace, now_s)
    now_s = send(pace, 200, per_s=75, from_s=now_s + 0.01)
    refuse(pace, now_s)
    assert pace.per_s == pytest.approx(75 * NEAR * BEGINS, rel=0.05)


def test_a_window_that_was_used_up_is_taken_at_its_average() -> None:
    """A hundred in a second, then nothing until the minute is over."""
    pace = LearnedPace()
    now_s = send(pace, 100, per_s=100)
    refuse(pace, now_s)
    for second in range(2, 60):
        refuse(pace, float(second))
    now_s = send(pace, 100, per_s=70, from_s=60.0)
    refuse(pace, now_s)
    assert pace.per_s == pytest.approx(100 / 60 * BEGINS, rel=0.05)


def test_a_rest_that_was_asked_for_is_left_out() -> None:
    pace = LearnedPace()
    refuse(pace, send(pace, 100, per_s=100))
    refuse(pace, 1.5)
    pace.rested(58.0)
    now_s = send(pace, 100, per_s=70, from_s=60.0)
    refuse(pace, now_s)
    assert pace.per_s == pytest.approx(70 * BEGINS * FAR, rel=0.35)  # not 1.7


def test_a_limit_that_is_lifted_is_forgotten() -> None:
    pace = LearnedPace()
    now_s = send(pace, 1_000, per_s=100)
    refuse(pace, now_s)
    speeds = []
    for _ in range(20):
        now_s = send(pace, 100, per_s=pace.per_s or 1e4, from_s=now_s)
        speeds.append(pace.per_s)
    assert speeds[-1] is None
    climbing = [speed for speed in speeds if speed is not None]
    assert climbing == sorted(climbing)
    assert pace.next_at(now_s) == now_s


def test_where_a_refusal_costs_a_rest_it_is_risked_less_often() -> None:
    speeds = []
    for rest_s in (0.0, 10.0):
        pace = LearnedPace()
        now_s = send(pace, 1_000, per_s=100)
        pace.rested(rest_s)
        now_s = send(pace, 1_000, per_s=100, from_s=now_s + rest_s)
        refuse(pace, now_s)
        send(pace, 500, per_s=70, from_s=now_s + 0.01)
        speeds.append(pace.per_s or 1e9)
    assert speeds[0] > 100 * FAR > speeds[1]


def test_it_begins_where_another_was() -> None:
    pace = LearnedPace()
    refuse(pace, send(pace, 1_000, per_s=100))
    pace.rested(2.0)
    assert pace.pace is not None
    assert LearnedPace.at(pace.pace).pace == pace.pace
    assert LearnedPace.at(None).pace is None


def test_a_leak_that_was_counted_is_the_pace() -> None:
    """Of 61 calls in 0.6 s ten were the burst, so that 85 a second leak: less than what is left of 100 otherwise."""
    pace = LearnedPace.at(Pace(100.0, 4.0, 0.0, Burst(10, 0.01)))
    now_s = send(pace, 61, per_s=100)
    lost = Call(next(NUMBERS), now_s)
    pace.started(lost)
    pace.refused(lost, now_s)
    assert (pace.per_s or 0) / BEGINS == pytest.approx((61 - 10) / (0.61 - 0.01), rel=0.01)


def test_what_came_late_is_made_up_for_as_far_as_the_burst_allows() -> None:
    at_once = []
    for burst in (Burst(1, 0.0), Burst(21, 0.0)):
        pace = LearnedPace.at(Pace(100.0, 60.0, 0.0, burst))
        now_s = send(pace, 10, per_s=100) + 1.0
        calls = 0
        while pace.next_at(now_s) <= now_s:
            pace.started(Call(next(NUMBERS), now_s))
            calls += 1
        at_once.append(calls)
    assert at_once[0] == 1
    assert 10 <= at_once[1] <= 20


def test_after_a_rest_nothing_was_late() -> None:
    pace = LearnedPace.at(Pace(100.0, 60.0, 0.0, Burst(21, 0.0)))
    now_s = send(pace, 10, per_s=100)
    pace.rested(1.0)
    send(pace, 1, per_s=100, from_s=now_s + 1.0)
    assert pace.next_at(now_s + 1.0) > now_s + 1.0


@pytest.mark.parametrize(("rest_s", "times"), [(0.0, 2), (0.2, 3)])
def test_a_pace_that_is_confirmed_is_held_for_longer(rest_s: float, times: int) -> None:
    pace = LearnedPace.at(Pace(100.0, 4.0, rest_s))
    refuse(pace, send(pace, 1_000, per_s=100))
    assert pace.pace is not None
    assert pace.pace.hold_s == pytest.approx(4.0 * times)
