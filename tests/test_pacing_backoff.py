"""How long a failed call rests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.pacing import BACKOFFS, Backoff, Cause, cause_of

BACKOFF = Backoff(base_s=1.0, cap_s=60.0)


@pytest.mark.parametrize(
    ("attempt", "asked_s", "least_s", "most_s"),
    [
        (1, None, 0, 1),
        (2, None, 0, 2),
        (3, None, 0, 4),
        (6, None, 0, 32),
        (7, None, 0, 60),
        (10_000, None, 0, 60),
        (1, 0.0, 0, 1),
        (1, 7.0, 7, 8),
        (3, 7.0, 7, 11),
        (1, 3_600.0, 3_600, 3_601),
        (1, -5.0, 0, 1),
    ],
)
def test_a_rest_doubles_to_its_cap_and_comes_on_top_of_what_is_asked(
    attempt: int, asked_s: float | None, least_s: float, most_s: float
) -> None:
    assert BACKOFF.rest_s(attempt, asked_s, uniform=min) == least_s
    assert BACKOFF.rest_s(attempt, asked_s, uniform=max) == most_s


@given(attempt=st.integers(1), asked_s=st.floats(0, 1e9), cause=st.sampled_from(Cause))
def test_nobody_comes_back_earlier_than_asked(attempt: int, asked_s: float, cause: Cause) -> None:
    backoff = BACKOFFS[cause]
    assert asked_s <= backoff.rest_s(attempt, asked_s) <= asked_s + backoff.cap_s


def test_those_who_fail_together_do_not_come_back_together() -> None:
    assert len({BACKOFF.rest_s(3, 10.0) for _ in range(100)}) > 90


def test_the_first_retry_is_number_one() -> None:
    with pytest.raises(ValueError, match="attempt=0: counts from 1"):
        BACKOFF.rest_s(0)


@pytest.mark.parametrize(("base_s", "cap_s"), [(0, 1), (-1, 1), (2, 1)])
def test_a_backoff_that_never_rests_is_refused(base_s: float, cap_s: float) -> None:
    with pytest.raises(ValueError, match="0 < base_s <= cap_s"):
        Backoff(base_s=base_s, cap_s=cap_s)


def test_every_cause_has_its_backoff() -> None:
    assert set(BACKOFFS) == set(Cause)


def test_a_status_is_an_answer_or_has_a_cause() -> None:
    causes = {status: cause_of(status) for status in range(100, 1_000)}
    assert {status for status, cause in causes.items() if cause is Cause.THROTTLED} == {429, 503}
    server = {status for status, cause in causes.items() if cause is Cause.SERVER}
    assert {408, 425, 500, 502, 504, 520, 522, 524} <= server
    assert not {200, 206, 301, 304, 400, 401, 403, 404, 409, 410, 422, 501, 505} & server
    assert Cause.NETWORK not in causes.values()
