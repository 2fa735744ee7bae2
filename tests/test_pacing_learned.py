"""The pace that refusals teach."""

from __future__ import annotations

import pytest

from crawler.pacing.learned import EVIDENCE_CALLS, FAR, NEAR, LearnedPace


def send(pace: LearnedPace, calls: int, *, per_s: float, from_s: float = 0.0) -> float:
    """Make calls that are served at once, so many a second; give the time after them."""
    now_s = from_s
    for _ in range(calls):
        pace.started(now_s)
        pace.succeeded(now_s)
        now_s += 1 / per_s
    return now_s


def test_there_is_no_pace_until_something_is_refused() -> None:
    pace = LearnedPace()
    now_s = send(pace, 1_000, per_s=100)
    assert pace.per_s is None
    assert pace.next_at(now_s) == now_s


def test_a_first_refusal_leaves_less_than_the_present_speed() -> None:
    pace = LearnedPace()
    pace.refused(send(pace, 1_000, per_s=100))
    assert pace.per_s == pytest.approx(100 * FAR * NEAR, rel=0.05)


def test_two_refusals_in_a_moment_are_one_full_bucket() -> None:
    pace = LearnedPace()
    now_s = send(pace, 1_000, per_s=100)
    pace.refused(now_s)
    before = pace.per_s
    send(pace, EVIDENCE_CALLS // 2, per_s=1_000, from_s=now_s + 0.001)
    pace.refused(now_s + 0.01)
    assert pace.per_s == pytest.approx(before, rel=0.01)


def test_what_was_served_before_the_cut_proves_nothing_after_it() -> None:
    pace = LearnedPace()
    now_s = send(pace, 1_000, per_s=100)
    pace.refused(now_s)
    before = pace.per_s
    for _ in range(50):
        pace.succeeded(now_s - 0.1)  # they were on their way
    pace.refused(now_s + 2)
    assert pace.per_s == before


def test_a_pace_that_was_kept_for_long_is_hardly_lowered() -> None:
    pace = LearnedPace()
    now_s = send(pace, 1_000, per_s=100)
    pace.refused(now_s)
    now_s = send(pace, 200, per_s=75, from_s=now_s + 0.01)
    pace.refused(now_s)
    assert pace.per_s == pytest.approx(75 * NEAR * NEAR, rel=0.05)


def test_a_window_that_was_used_up_is_taken_at_its_average() -> None:
    """A hundred in a second, then nothing until the minute is over."""
    pace = LearnedPace()
    now_s = send(pace, 100, per_s=100)
    pace.refused(now_s)
    for second in range(2, 60):
        pace.refused(float(second))
    now_s = send(pace, 100, per_s=70, from_s=60.0)
    pace.refused(now_s)
    assert pace.per_s == pytest.approx(100 / 60 * NEAR, rel=0.05)


def test_a_rest_that_was_asked_for_is_left_out() -> None:
    pace = LearnedPace()
    pace.refused(send(pace, 100, per_s=100))
    pace.refused(1.5)
    pace.rested(58.0)
    now_s = send(pace, 100, per_s=70, from_s=60.0)
    pace.refused(now_s)
    assert pace.per_s == pytest.approx(70 * NEAR * FAR, rel=0.35)  # not 1.7


def test_a_limit_that_is_lifted_is_forgotten() -> None:
    pace = LearnedPace()
    now_s = send(pace, 1_000, per_s=100)
    pace.refused(now_s)
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
        pace.refused(now_s)
        send(pace, 500, per_s=70, from_s=now_s + 0.01)
        speeds.append(pace.per_s or 1e9)
    assert speeds[0] > 100 * FAR > speeds[1]
