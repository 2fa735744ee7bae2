"""Retries are paid for by successes; what rests comes out by its time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.pacing import Resting, RetryBudget


def spend(budget: RetryBudget, now_s: float) -> int:
    """How many retries may go at this moment."""
    spent = 0
    while budget.next_at(now_s) <= now_s:
        budget.take(now_s)
        spent += 1
    return spent


def test_an_outage_gets_the_reserve_and_then_the_least() -> None:
    budget = RetryBudget(ratio=0.2, least_per_s=2, reserve=10)
    assert spend(budget, 0.0) == 10
    assert budget.next_at(0.0) == pytest.approx(0.5)
    assert sum(spend(budget, tenth / 10) for tenth in range(601)) == pytest.approx(120, abs=1)


def test_five_successes_pay_for_a_retry() -> None:
    budget = RetryBudget(ratio=0.2, least_per_s=1e-9, reserve=10)
    spend(budget, 0.0)
    for _ in range(25):
        budget.succeeded()
    assert spend(budget, 0.0) == 5


def test_no_more_than_the_reserve_is_saved_up() -> None:
    budget = RetryBudget(reserve=10)
    for _ in range(1_000):
        budget.succeeded()
    assert budget.next_at(0.0) == 0.0
    assert budget.next_at(1e6) == 1e6
    assert spend(budget, 1e6) == 10


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans())), st.floats(0.05, 1), st.floats(0.1, 50))
def test_retries_never_outrun_what_was_earned(
    steps: list[tuple[float, bool]], ratio: float, least_per_s: float
) -> None:
    budget = RetryBudget(ratio=ratio, least_per_s=least_per_s, reserve=10)
    now_s, successes, retries = 0.0, 0, spend(budget, 0.0)
    for gap_s, success in steps:
        now_s += gap_s
        if success:
            budget.succeeded()
        successes += success
        retries += spend(budget, now_s)
        assert retries <= 10 + successes * ratio + now_s * least_per_s + 1e-3


@given(st.floats(0.01, 100), st.floats(0, 1e7))
def test_a_time_that_is_told_is_kept(least_per_s: float, now_s: float) -> None:
    budget = RetryBudget(least_per_s=least_per_s)
    spend(budget, now_s)
    at_s = budget.next_at(now_s)
    assert at_s > now_s
    assert budget.next_at(at_s) == at_s


@pytest.mark.parametrize("wrong", [{"ratio": 0}, {"least_per_s": 0}, {"reserve": 0.5}])
def test_a_budget_that_ends_for_good_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        RetryBudget(**wrong)


@given(st.lists(st.floats(allow_nan=False)))
def test_what_rests_comes_out_by_time_and_then_in_turn(times: list[float]) -> None:
    resting: Resting[int] = Resting(5)
    for thing, at_s in enumerate(times):
        resting.push(at_s, thing)
    assert resting.full == (len(times) >= 5)
    assert resting.next_at() == min(times, default=None)
    out = [resting.pop_due(float("inf")) for _ in times]
    assert out == sorted(range(len(times)), key=lambda thing: times[thing])
    assert (resting.pop_due(float("inf")), len(resting), resting.next_at()) == (None, 0, None)


def test_nothing_comes_out_before_its_time() -> None:
    resting: Resting[str] = Resting(1)
    resting.push(5.0, "a")
    assert resting.full
    assert resting.pop_due(4.999) is None
    assert resting.pop_due(5.0) == "a"
    assert not resting.full


def test_what_has_no_order_or_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        Resting[int](1).push(float("nan"), 1)
    with pytest.raises(ValueError, match="1 or more"):
        Resting[int](0)


def test_the_fewest_that_were_left_are_remembered() -> None:
    budget = RetryBudget(ratio=1.0, least_per_s=1.0, reserve=3.0)
    budget.take(0.0)
    budget.take(0.0)
    budget.succeeded()
    assert budget.lowest == 1.0
    for _ in range(9):  # in spite of next_at()
        budget.take(0.0)
    assert budget.lowest == 0.0
