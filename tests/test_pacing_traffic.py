"""All hosts together: what goes next, what waits, what rests, and when to stop."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.pacing import RATE, Backoff, Call, Cause, Ending, Hold, Policy, Stop, Traffic
from crawler.pacing.queues import HOSTS, MOST_RESTING, MOST_WAITING, OF_ONE_HOST
from crawler.pacing.traffic import GIVEN_UP_S

OK = Ending(status=200)
DOWN = Ending(failed=Cause.NETWORK)


def traffic(*, per_host: int = 4, rate: str | None = None, max_calls: int | None = None) -> Traffic[str]:
    """Give one that hears of whatever is done with."""
    policy = Policy(per_host=per_host, rate=RATE.parse(rate) if rate else None, outage=Backoff(base_s=1, cap_s=1))
    one: Traffic[str] = Traffic(policy, max_calls=max_calls)
    one.reserves = True
    return one


def pops(one: Traffic[str], now_s: float = 0.0) -> list[str]:
    """Take all that may go."""
    found = []
    while (thing := one.pop(now_s)) is not None:
        found.append(thing)
    return found


def start(one: Traffic[str], host: str, thing: str, now_s: float = 0.0) -> Call:
    return one.started(host, now_s, thing=thing, retry=False)


def holds(one: Traffic[str], now_s: float) -> Hold | None:
    """What keeps the next one from going."""
    held = one.held_by(now_s)
    return None if held is None else held.hold


def make(one: Traffic[str], host: str, ending: Ending = OK, now_s: float = 0.0) -> None:
    """Make a call that nobody had to give out."""
    one.ended(host, one.started(host, now_s, thing="", retry=False), now_s, ending)


def test_the_highest_priority_goes_first_then_the_first_that_came() -> None:
    one = traffic(per_host=100)
    for host, thing, priority in (("a", "1", 0), ("b", "2", 0), ("a", "3", 5), ("b", "4", -1), ("a", "5", 0)):
        one.push(host, thing, priority)
    assert pops(one) == ["3", "1", "2", "5", "4"]
    assert len(one) == 0


def test_a_host_that_may_not_be_called_delays_no_other() -> None:
    one = traffic(per_host=1)
    for n in range(3):
        one.push("a", f"a{n}")
        one.push("b", f"b{n}")
    assert pops(one) == ["a0", "b0"]
    call = start(one, "b", "b0")
    assert pops(one) == []
    one.ended("b", call, 0.0, OK)
    assert pops(one) == ["b1"]
    assert (len(one), one.ready) == (3, 0)


def test_a_host_that_admits_one_call_gives_out_one_and_delays_no_other() -> None:
    one = traffic()
    woken: list[float] = []
    for n in range(3):
        one.push("a", f"a{n}")
        one.push("b", f"b{n}")
    one.admit("a", 0)
    assert pops(one) == ["b0", "b1", "b2"]
    assert one.next_at() is None
    assert one.held == 3
    one.changed = lambda: woken.append(1)
    one.admit("a", 1)
    assert woken
    assert pops(one) == ["a0"]
    one.left("a0")  # a middleware dropped it: it has not used the place
    assert pops(one) == ["a1"]
    call = start(one, "a", "a1")
    one.ended("a", call, 0.0, OK)
    assert pops(one) == []
    one.admit("a", math.inf)
    assert pops(one) == ["a2"]


def test_what_keeps_a_host_from_being_called_does_so_until_somebody_asks_again() -> None:
    """A loop that is busy comes late for each turn: what it waited for until then is the turn, not the list."""
    one = traffic(rate="1/s")
    for n in range(3):
        one.push("a", f"a{n}")
    assert pops(one) == ["a0"]
    assert holds(one, 0.0) is Hold.RATE, "one by one: the next waits for the start of this one"
    call = start(one, "a", "a0")
    one.ended("a", call, 0.5, OK)
    assert pops(one, 0.5) == []
    assert [holds(one, now_s) for now_s in (0.5, 5.0)] == [Hold.RATE] * 2
    assert pops(one, 5.0) == ["a1"]


def test_nobody_stops_for_long_waits_while_a_host_admits_nothing_yet() -> None:
    one = traffic()
    one.rest("a", "a", 3600.0)
    one.push("b", "b")
    one.admit("b", 0)
    assert pops(one) == []
    assert one.stop(0.0, read_to_end=True) is None
    one.admit("b", 1)
    assert pops(one) == ["b"]
    start(one, "b", "b")
    assert one.stop(0.0, read_to_end=True) is None


@pytest.mark.parametrize("rate", [None, "1/m"])
def test_a_call_that_another_one_makes_on_its_way_does_not_wait_for_that_one(rate: str | None) -> None:
    one = traffic(rate=rate)
    one.push("a", "a")
    one.admit("a", 1)
    assert pops(one) == ["a"]
    assert one.may_go("a", 0.0, "its token") is None
    start(one, "a", "its token")
    assert one.may_go("a", 0.0, "a") is not None, "its turn is used up: it goes back"


def test_what_was_given_out_counts_until_it_is_done_with() -> None:
    one = traffic(per_host=1)
    one.push("a", "1")
    one.push("a", "2")
    assert pops(one) == ["1"]
    assert one.is_given("1")
    one.left("1")  # answered by a cache
    assert pops(one) == ["2"]
    one.left("1")  # once more: nobody minds
    assert not one.is_given("1")


def test_what_rests_comes_when_it_is_due_and_before_others_of_its_host() -> None:
    one = traffic()
    one.push("a", "new", 100)
    one.rest("a", "again", 5.0)
    one.rest("a", "later", 6.0)
    assert (len(one), one.rests) == (3, 2)
    assert pops(one, 4.9) == ["new"]
    assert one.next_at() == 5.0
    one.push("a", "newer", 100)
    assert pops(one, 6.0) == ["again", "later", "newer"]


def test_what_is_put_back_goes_before_the_others_of_its_priority() -> None:
    one = traffic()
    one.push("a", "1")
    one.push("a", "2")
    assert one.pop(0.0) == "1"
    one.left("1")
    one.put_back("a", "1")
    one.push("a", "urgent", 1)
    assert pops(one) == ["urgent", "1", "2"]


def test_with_a_rate_things_are_given_out_one_by_one_and_whoever_waits_is_told() -> None:
    one = traffic(rate="2/s")
    told: list[int] = []
    one.changed = lambda: told.append(len(told))
    for n in range(5):
        one.push("a", str(n))
    assert pops(one) == ["0"]  # its time counts from when it starts
    assert one.next_at() is None
    start(one, "a", "0", 0.1)
    assert told == [0]
    assert pops(one, 0.1) == []
    at_s = one.next_at()
    assert at_s is not None
    assert 0.6 <= at_s <= 0.62
    assert pops(one, at_s) == ["1"]


def test_a_host_whose_retries_are_used_up_still_gets_new_lines() -> None:
    policy = Policy(per_host=10, retry_reserve=1, retries_per_s=0.1)
    one: Traffic[str] = Traffic(policy)
    one.started("a", 0.0, thing="", retry=True)
    one.rest("a", "again", 0.0)
    assert pops(one, 1.0) == []
    one.push("a", "new")
    assert pops(one, 1.0) == ["new"]
    assert one.ready == 0
    assert pops(one, 10.0) == ["again"]


def test_too_much_that_waits_or_rests_is_full() -> None:
    waiting, resting = traffic(), traffic()
    for n in range(OF_ONE_HOST):
        assert not waiting.is_full
        waiting.push("a", str(n))
    assert waiting.is_full
    for n in range(MOST_RESTING):
        assert not resting.is_full
        resting.rest("a", str(n), 1.0)
    assert resting.is_full


def test_more_may_wait_where_another_host_may_be_worth_reading_on_for() -> None:
    one = traffic()
    one.push("b", "another")
    for n in range(1, MOST_WAITING):
        assert not one.is_full
        one.push("a", str(n))
    assert one.is_full


# The budget


def test_no_call_more_than_the_budget_is_given_out() -> None:
    one = traffic(per_host=100, max_calls=5)
    for n in range(9):
        one.push("a", str(n))
    given = pops(one)
    assert given == ["0", "1", "2", "3", "4"]
    one.left("0")  # it never went out, so another may
    assert pops(one) == ["5"]
    calls = [start(one, "a", thing) for thing in ("1", "2", "3", "4", "5")]
    assert one.may_go("a", 0.0, "by the way") == math.inf
    assert one.stop(0.0, read_to_end=False) is None  # they are on their way
    for call in calls:
        one.ended("a", call, 0.0, OK)
    assert one.stop(0.0, read_to_end=False) == Stop("max_calls")
    assert one.calls == 5


def test_a_budget_that_was_just_enough_is_no_reason_to_stop() -> None:
    one = traffic(max_calls=1)
    make(one, "a")
    assert one.stop(0.0, read_to_end=True) is None


# Reasons to stop


def test_only_waits_that_are_too_long_are_a_reason_to_stop() -> None:
    one = traffic()
    make(one, "a", Ending(status=429, retry_after_s=3600))
    one.rest("a", "later", 3600.0)
    one.push("b", "now")
    assert one.pop(0.0) == "now"
    call = start(one, "b", "now")
    assert pops(one) == []
    assert one.stop(0.0, read_to_end=True) is None
    one.ended("b", call, 0.0, OK)
    assert one.stop(0.0, read_to_end=False) is None  # the list may have more
    assert one.stop(0.0, read_to_end=True) == Stop("waits", 3600.0)
    assert one.stop(3400.0, read_to_end=True) is None


def test_a_list_that_cannot_be_read_on_is_at_its_end() -> None:
    one = traffic(rate="1/d")
    make(one, "a")
    for n in range(OF_ONE_HOST):
        one.push("a", str(n))
    assert pops(one) == []
    stop = one.stop(0.0, read_to_end=False)
    assert stop is not None
    assert stop.reason == "waits"
    assert stop.at_s == pytest.approx(86_400, abs=5)


def test_a_host_that_is_down_for_long_is_given_up_when_nothing_else_is_left() -> None:
    one = traffic()
    for now_s in range(int(GIVEN_UP_S) + 10):
        make(one, "a", DOWN, float(now_s))
    one.push("a", "x")
    end_s = GIVEN_UP_S + 10
    one.push("b", "y")
    assert one.stop(end_s, read_to_end=True) is None
    assert set(pops(one, end_s + 5)) == {"x", "y"}
    one.push("a", "z")
    assert one.stop(end_s, read_to_end=True) == Stop("down")
    assert one.stop(GIVEN_UP_S - 1, read_to_end=True) is None


# Between runs


def test_a_days_calls_are_remembered_by_the_next_run() -> None:
    before, after = traffic(rate="3/d"), traffic(rate="3/d")
    for _ in range(2):
        make(before, "a", now_s=100.0)
    noted = json.dumps(before.state(now_s=100.0, wall_s=1e9))
    after.restore(noted, now_s=5.0, wall_s=1e9 + 60)
    for n in range(3):
        after.push("a", str(n))
    assert pops(after, 5.0) == ["0"]
    start(after, "a", "0", 5.0)
    assert pops(after, 5.0) == []


@pytest.mark.parametrize(
    "noted", ["", "{", "[]", "7", '{"a": 7}', '{"a": {"rate": 7}}', '{"a": {"rests_until_s": []}}']
)
def test_what_cannot_be_read_is_left_out(noted: str) -> None:
    one = traffic(rate="3/d")
    one.restore(noted, now_s=0.0, wall_s=0.0)
    one.push("a", "1")
    assert one.pop(0.0) == "1"


def test_hosts_that_need_not_be_remembered_are_forgotten() -> None:
    one = traffic()
    make(one, "rests", Ending(status=429, retry_after_s=60))
    one.rest("waits", "x", 100.0)
    for n in range(2 * HOSTS):
        make(one, str(n))
    assert len(one._lanes) <= HOSTS + 2
    assert {"rests", "waits"} <= set(one._lanes)
    assert pops(one, 100.0) == ["x"]


# Whatever happens

STEPS = st.lists(
    st.tuples(st.sampled_from(["push", "rest", "pop", "start", "end", "left", "back", "wait"]), st.integers(0, 10**6)),
    max_size=150,
)


@given(STEPS, st.sampled_from([None, "5/s", "7/m"]), st.booleans())
def test_nothing_is_lost_given_twice_or_held_for_ever(
    steps: list[tuple[str, int]], rate: str | None, reserves: bool
) -> None:
    """And at most as many are on their way to a host as may be."""
    one = traffic(per_host=3, rate=rate)
    one.reserves = reserves
    now_s, number = 0.0, 0
    waiting: set[str] = set()
    given: dict[str, str] = {}
    flying: list[tuple[str, Call]] = []
    for what, at in steps:
        host = f"h{at % 3}"
        if what in {"push", "rest"}:
            thing, number = f"{host} {number}", number + 1
            waiting.add(thing)
            if what == "push":
                one.push(host, thing, at % 2)
            else:
                one.rest(host, thing, now_s + at % 7)
        elif what == "pop":
            popped = one.pop(now_s)
            if popped is not None:
                waiting.remove(popped)
                given[popped] = popped[:2]
        elif what == "wait":
            now_s += at % 1000 / 100
        elif what == "end" and flying:
            host, call = flying.pop(at % len(flying))
            one.ended(host, call, now_s, random.Random(at).choice([OK, OK, DOWN, Ending(status=429)]))
        elif what in {"start", "left", "back"} and given:
            thing = sorted(given)[at % len(given)]
            host = given.pop(thing)
            if what == "start":
                flying.append((host, start(one, host, thing, now_s)))
            else:
                one.left(thing)
                if what == "back":
                    waiting.add(thing)
                    one.put_back(host, thing)
        assert len(one) == len(waiting)
        if reserves:
            busy = [host for host, _ in flying] + list(given.values())
            assert all(busy.count(host) <= 3 for host in busy)
    for host, call in flying:
        one.ended(host, call, now_s, OK)
    for thing in given:
        one.left(thing)
    while waiting:
        thing_or_none = one.pop(now_s)
        if thing_or_none is None:
            at_s = one.next_at()
            assert at_s is not None
            assert at_s > now_s
            now_s = at_s
        else:
            waiting.remove(thing_or_none)
            make_of(one, thing_or_none, now_s)
    assert (len(one), one.ready, one.in_flight) == (0, 0, 0)


def make_of(one: Traffic[str], thing: str, now_s: float) -> None:
    one.ended(thing[:2], start(one, thing[:2], thing, now_s), now_s, OK)
