"""What is made again, and how often."""

from __future__ import annotations

import pytest

from crawler.pacing import AgainRule, Cause, Ending, Hint
from crawler.pacing.again import MOST_TRIES

RULE = AgainRule(statuses={408, 429, 500, 503}, methods={"GET", "PUT"})
NETWORK = Ending(failed=Cause.NETWORK)
REFUSED = MOST_TRIES - 1


def most(
    ending: Ending, method: str = "GET", *, arrived: bool = True, retries: int = 4, refusals: int = 0
) -> int | None:
    return RULE.most(ending, method=method, arrived=arrived, most=retries, refusals=refusals)


@pytest.mark.parametrize(
    ("ending", "safe", "unsafe"),
    [
        (Ending(status=200), None, None),
        (Ending(status=404), None, None),
        (Ending(status=403), None, None),
        (Ending(status=500), 4, None),
        (Ending(status=500, retry_after_s=1), 4, None),
        (Ending(status=503), 4, None),
        (Ending(status=502), None, None),  # not among the statuses
        (NETWORK, 4, None),
        (Ending(status=429), REFUSED, REFUSED),
        (Ending(status=503, retry_after_s=0), REFUSED, REFUSED),
        (Ending(status=403, retry_after_s=5), REFUSED, REFUSED),
        (Ending(status=403, hint=Hint(remaining=0, reset_s=5)), REFUSED, REFUSED),
        (Ending(status=403, hint=Hint(remaining=3, reset_s=5)), None, None),
    ],
)
def test_a_refusal_is_for_every_method_and_a_failure_for_those_that_may_be_repeated(
    ending: Ending, safe: int | None, unsafe: int | None
) -> None:
    assert (most(ending, "GET"), most(ending, "POST")) == (safe, unsafe)
    assert most(ending, retries=0) is None


def test_what_never_arrived_may_be_sent_whatever_the_method() -> None:
    assert most(NETWORK, "POST", arrived=False) == 4


def test_refusals_before_cost_no_retry() -> None:
    assert most(Ending(status=500), refusals=7) == 11


def test_refusals_end_and_many_retries_are_not_cut() -> None:
    assert most(Ending(status=429), refusals=100) == REFUSED
    assert most(Ending(status=429), retries=50) == 50


def test_a_refusal_that_nobody_wants_retried_is_final() -> None:
    rule = AgainRule(statuses={500}, methods={"GET"})
    assert rule.most(Ending(status=429), method="GET", arrived=True, most=4, refusals=0) is None
