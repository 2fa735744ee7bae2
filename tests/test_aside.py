"""Which calls let others go first: those that rest, and those whose host lets nothing go for long."""

from __future__ import annotations

import pytest

from crawler.aside import Aside
from crawler.pacing import RATE, Ending, Policy, Traffic


def traffic(*, rate: str | None = None, per_host: int = 1) -> Traffic[str]:
    """One call of a host is on its way, two wait."""
    one: Traffic[str] = Traffic(Policy(per_host=per_host, rate=RATE.parse(rate) if rate else None))
    for thing in ("a", "b", "c"):
        one.push("h", thing)
    assert one.pop(0.0) == "a"
    return one


def calls_aside(one: Traffic[str], now_s: float = 0.0) -> int:
    """Seen when nothing more may go."""
    assert one.pop(now_s) is None
    aside = Aside(one)
    aside.look(now_s)
    return aside.calls


def test_what_waits_for_a_host_that_asks_for_a_rest_lets_others_go_first() -> None:
    """And so does its own call that is to be made again."""
    one = traffic()
    call = one.started("h", 0.0, thing="a", retry=False)
    one.ended("h", call, 0.0, Ending(status=503, retry_after_s=60.0))
    one.rest("h", "a", 70.0)
    assert calls_aside(one) == 3


def test_what_waits_for_a_host_that_is_called_as_often_at_once_as_may_be_does_not() -> None:
    one = traffic()
    one.started("h", 0.0, thing="a", retry=False)
    assert calls_aside(one) == 0


@pytest.mark.parametrize(("rate", "aside"), [("2/s", 0), ("2/m", 2)])
def test_of_a_rate_only_turns_that_are_far_apart_do(rate: str, aside: int) -> None:
    one = traffic(rate=rate, per_host=20)
    one.started("h", 0.0, thing="a", retry=False)
    assert calls_aside(one) == aside


def test_so_does_what_is_withheld() -> None:
    aside = Aside(traffic())
    aside.withheld += 4
    assert aside.calls == 4
