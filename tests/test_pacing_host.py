"""One host: when the next call may go, after all that was said and done."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.pacing import RATE, Cause, Ending, Hint, Hold, Host, Policy
from crawler.pacing.probing import ERRORS, IN_A_ROW
from crawler.pacing.profile import BELIEVED_S, NOTHING
from crawler.pacing.rest import jitter_s

OK = Ending(status=200)
BUSY = Ending(status=429)
REFUSED = Ending(failed=Cause.NETWORK)


def host(*, per_host: int = 4, rate: str | None = None, most: bool = False) -> Host:
    """Give one whose randomness is the least there can be, or the most."""
    policy = Policy(per_host=per_host, rate=RATE.parse(rate) if rate else None)
    return Host(policy, uniform=max if most else min)


def call(on: Host, now_s: float, ending: Ending) -> None:
    """Make a call that takes no time."""
    on.ended(on.started(now_s), now_s, ending)


def test_calls_go_until_the_workers_are_busy() -> None:
    one = host(per_host=2)
    calls = [one.started(0.0) for _ in range(2) if one.when(0.0) is None]
    assert one.when(0.0) == math.inf
    one.ended(calls[0], 1.0, OK)
    assert one.when(1.0) is None


@pytest.mark.parametrize("status", [200, 204, 304, 400, 401, 403, 404, 422, 501])
def test_an_answer_of_any_kind_slows_nothing(status: int) -> None:
    one = host()
    for now_s in range(100):
        call(one, float(now_s), Ending(status=status))
    assert (one.when(100.0), one.limit, one.pace_per_s, one.down_since_s) == (None, 4, None, None)
    assert one.retry_at(0.0, 1, Ending(status=status)) is None


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_rests_the_whole_host_as_long_as_asked_and_a_little_more(status: int) -> None:
    for most, until_s in ((False, 70.0), (True, 70.0 + jitter_s(60))):
        one = host(most=most)
        call(one, 10.0, Ending(status=status, retry_after_s=60))
        assert one.when(10.0) == until_s
        assert one.when(until_s) is None


def test_the_longest_of_several_rests_counts() -> None:
    one = host()
    calls = [one.started(0.0) for _ in range(3)]
    for flying, asked_s in zip(calls, (5, 60, 10), strict=True):
        one.ended(flying, 1.0, Ending(status=429, retry_after_s=asked_s))
    assert one.when(1.0) == 61


def test_retry_after_comes_before_a_reset_and_a_reset_before_nothing() -> None:
    used_up = Hint(remaining=0, reset_s=30)
    for ending, until_s in (
        (Ending(status=429, retry_after_s=40, hint=used_up), 40),
        (Ending(status=429, hint=used_up), 30),
        (Ending(status=429, hint=Hint(reset_s=30)), 30),
        (Ending(status=429, hint=Hint(remaining=7, reset_s=30)), None),  # it was another limit
        (Ending(status=200, hint=Hint(reset_s=30)), None),
        (Ending(status=200, retry_after_s=30), None),
    ):
        one = host()
        call(one, 0.0, ending)
        assert one.when(0.0) == until_s


def test_what_remains_is_used_and_not_one_call_more() -> None:
    one = host(per_host=10)
    flying = [one.started(0.0) for _ in range(4)]
    one.ended(flying[0], 1.0, Ending(status=200, hint=Hint(remaining=5, reset_s=60)))
    went = 0
    while one.when(1.0) is None:
        one.started(1.0)
        went += 1
    assert went == 2  # three others are on their way
    assert one.when(1.0) == 61
    assert one.when(61.0) is None


def test_an_answer_that_was_overtaken_gives_nothing_back() -> None:
    one = host(per_host=10)
    first, second = one.started(0.0), one.started(0.0)
    one.ended(second, 1.0, Ending(status=200, hint=Hint(remaining=0, reset_s=60)))
    one.ended(first, 1.1, Ending(status=200, hint=Hint(remaining=1, reset_s=60)))
    assert one.when(1.1) == pytest.approx(61.1)


def test_a_day_that_is_used_up_is_waited_for_whoever_said_it() -> None:
    quota = host(rate="2/d")
    for now_s in (0.0, 1.0):
        assert quota.when(now_s) is None
        call(quota, now_s, OK)
    told, asked = host(), host()
    call(told, 1.0, Ending(status=200, hint=Hint(remaining=0, reset_s=86_400)))
    call(asked, 1.0, Ending(status=429, retry_after_s=86_400))
    for one in (quota, told, asked):
        until_s = one.when(1.0)
        assert until_s is not None
        assert 86_400 <= until_s <= 86_402
        assert one.when(until_s) is None


def test_a_host_that_only_ever_refused_has_taught_nothing_and_takes_away_nothing() -> None:
    one = host(per_host=20)
    for now_s in range(30):
        call(one, float(now_s), Ending(status=429))
    assert one.profile == NOTHING
    known = host(per_host=20)
    known.restore({"learned": {"limit": 7, "refused_at": 9, "at_s": 1_000}}, now_s=0.0, wall_s=1_000.0)
    for now_s in range(30):
        call(known, float(now_s), Ending(status=429))
    assert (known.profile.limit, known.profile.refused_at) == (7, 9)
    call(one, 30.0, OK)
    assert one.profile.limit is not None


def test_who_waits_for_the_one_before_at_a_pace_that_was_learned_waits_for_the_pace() -> None:
    one = host(per_host=100)
    for n in range(20):
        call(one, n / 100, OK)
    call(one, 0.2, Ending(status=429))
    assert one.pace_per_s is not None
    assert one.held_by(10.0) is None
    assert one.when(10.0, on_way=1) == math.inf
    held = one.held_by(10.0, 1)
    assert held is not None
    assert held.hold is Hold.REFUSED


def test_only_as_many_start_as_are_admitted_until_another_number_is_said() -> None:
    one = host(per_host=10)
    before = one.started(0.0)
    assert one.when(0.0) is None
    one.admit(0)
    assert (one.when(1.0), one.when(1e9)) == (math.inf, math.inf)
    held = one.held_by(1.0)
    assert held is not None
    assert held.hold is Hold.CREDENTIALS
    assert not one.is_as_new(1.0)
    one.admit(1)
    one.ended(before, 1.0, OK)
    assert one.when(1.0) is None
    assert one.when(1.0, on_way=1) == math.inf
    trial = one.started(1.0)
    assert one.when(1.0) == math.inf
    one.ended(trial, 2.0, OK)
    assert one.when(2.0) == math.inf, "nobody has said that another may"
    one.admit(math.inf)
    assert [one.when(2.0, on_way=n) for n in range(3)] == [None] * 3
    assert one.held_by(2.0) is None


def test_refusals_in_a_row_rest_the_host_ever_longer_and_one_call_finds_out() -> None:
    one = host(most=True)
    now_s, rests = 0.0, []
    for _ in range(8):
        call(one, now_s, BUSY)
        at_s = one.when(now_s)
        rests.append((at_s or now_s) - now_s)
        now_s = at_s or now_s
    assert rests == [0, 0.5, 1, 2, 4, 8, 15, 15]
    assert one.down_since_s == 0
    probe = one.started(now_s)
    assert one.when(now_s) == math.inf
    one.ended(probe, now_s, OK)
    assert one.when(now_s) is None
    assert one.down_since_s is None


def test_a_host_that_is_out_of_order_is_probed_a_second_apart_and_at_last_every_five() -> None:
    """Also while probes hang, but never two within a second."""
    one = host(most=True)
    now_s, rests = 0.0, []
    for _ in range(8):
        call(one, now_s, REFUSED)
        at_s = one.when(now_s)
        rests.append((at_s or now_s) - now_s)
        now_s = at_s or now_s
    assert rests == [0, 0, 0, 2, 4, 5, 5, 5]  # three may come by chance
    hanging = [one.started(now_s)]
    while len(hanging) < 30:
        assert one.when(now_s) == now_s + 1
        now_s += 1
        hanging.append(one.started(now_s))
    one.ended(hanging[0], now_s, REFUSED)
    assert one.when(now_s) == now_s + 1, "it hung for half a minute: nobody waits any longer for that"
    one.ended(hanging[1], now_s, OK)
    assert one.down_since_s is None


def test_failures_in_a_row_make_an_outage_before_a_second_round_trip() -> None:
    one = host(per_host=40)
    call(one, 0.0, OK)
    flying = [one.started(0.0) for _ in range(10)]
    for failing in flying[:IN_A_ROW]:
        assert one.down_since_s is None
        one.ended(failing, 0.1, REFUSED)
    assert one.down_since_s == 0.1
    assert one.when(0.1) == 1.1


def test_a_success_of_before_the_first_failure_does_not_end_an_outage() -> None:
    one = host(per_host=40)
    old, *flying = [one.started(0.0) for _ in range(10)]
    for failing in flying[:IN_A_ROW]:
        one.ended(failing, 0.1, REFUSED)
    one.ended(old, 0.2, OK)
    assert one.down_since_s == 0.1
    one.ended(flying[-1], 0.2, OK)
    assert one.down_since_s is None


def test_only_a_host_that_worked_and_fails_at_once_excuses_its_calls() -> None:
    """One that never answered may have been misspelt; a call that hangs may do so by its own fault."""
    for worked, after_s, ending, excuses in (
        (True, 0.1, REFUSED, True),
        (True, 0.1, Ending(status=503), True),
        (True, 0.1, BUSY, False),  # costs nothing anyway
        (False, 0.1, REFUSED, False),
        (True, 30.0, REFUSED, False),
    ):
        one = host(per_host=40)
        if worked:
            call(one, 0.0, OK)
        assert not one.excuses
        for failing in [one.started(0.0) for _ in range(10)]:
            one.ended(failing, after_s, ending)
        for _ in range(2):
            one.ended(one.started(100.0), 100.0 + after_s, ending)
        assert one.excuses == excuses, (worked, after_s, ending)


def test_a_500_is_the_calls_own_until_there_is_nothing_else() -> None:
    one = host()
    for _ in range(ERRORS):
        call(one, 0.0, Ending(status=500))
    assert (one.limit, one.when(0.0)) == (4, None)
    call(one, 0.0, Ending(status=500))
    call(one, 0.0, Ending(status=500))
    assert one.limit == 1
    assert one.when(0.0) == 1.0


def test_an_answer_in_between_makes_errors_the_calls_own() -> None:
    one = host()
    for _ in range(5):
        for _ in range(ERRORS):
            call(one, 0.0, Ending(status=500))
        call(one, 0.0, OK)
    assert one.limit == 4


@pytest.mark.parametrize("ending", [Ending(status=429), Ending(status=503, retry_after_s=1.0)], ids=str)
def test_who_says_that_it_is_too_much_is_believed_at_once(ending: Ending) -> None:
    one = host()
    call(one, 0.0, ending)
    assert one.limit < 4


@pytest.mark.parametrize("ending", [*(Ending(status=status) for status in (502, 503, 504)), REFUSED], ids=str)
def test_who_only_fails_is_if_it_fails_often(ending: Ending) -> None:
    one = host(per_host=10)
    call(one, 0.0, OK)
    call(one, 0.0, ending)
    assert one.limit == 10
    limits = []
    for number in range(40):
        call(one, 0.1 * number, OK if number % 2 else ending)
        limits.append(one.limit)
    assert min(limits) < 10


def test_one_call_finds_out_even_where_many_may_go() -> None:
    one = host(per_host=40)
    call(one, 0.0, OK)
    first = [one.started(0.0) for _ in range(10)]
    one.ended(first[0], 0.0, BUSY)
    call(one, 0.0, BUSY)
    for flying in first[1:]:
        one.ended(flying, 0.0, BUSY)
    assert one.limit > 1
    one.started(100.0)
    assert one.when(100.0) == math.inf


def test_what_we_cancelled_says_nothing() -> None:
    one = host()
    for _ in range(100):
        call(one, 0.0, Ending())
    assert (one.limit, one.when(0.0), one.in_flight) == (4, None, 0)


def test_a_retry_comes_when_it_was_asked_to_and_when_the_budget_has_one() -> None:
    one = Host(Policy(per_host=4, retry_reserve=1, retries_per_s=0.5), uniform=max)
    assert one.retry_at(10.0, 1, BUSY) == 11
    assert one.retry_at(10.0, 3, Ending(status=429, retry_after_s=60)) == 74
    assert one.retry_at(10.0, 1, REFUSED) == 10.5
    assert one.retry_when(10.0) is None
    one.ended(one.started(10.0, retry=True), 10.0, Ending(status=500))
    assert one.when(10.0) is None
    assert one.retry_when(10.0) == 12
    assert one.retry_when(12.0) is None
    one.started(12.0, retry=True)
    for _ in range(5):
        call(one, 12.0, OK)  # which pay for one
    assert one.retry_when(12.0) is None


def test_a_rate_and_a_rest_survive_a_restart() -> None:
    before, after = host(rate="3/d"), host(rate="3/d")
    call(before, 0.0, OK)
    call(before, 1.0, Ending(status=429, retry_after_s=60))
    state = json.loads(json.dumps(before.state(now_s=1.0, wall_s=1_000.0)))
    after.restore(state, now_s=500.0, wall_s=1_010.0)
    assert after.when(500.0) == 550
    call(after, 550.0, OK)
    at_s = after.when(550.0)
    assert at_s is not None
    assert 86_400 <= at_s - 489 <= 86_402


def test_a_rest_that_is_over_is_forgotten() -> None:
    before, after = host(), host()
    call(before, 0.0, Ending(status=429, retry_after_s=60))
    state = before.state(now_s=0.0, wall_s=1_000.0)
    after.restore(state, now_s=7.0, wall_s=1_060.0)
    assert after.when(7.0) is None
    assert before.state(now_s=60.0, wall_s=1_060.0) == {}


def test_what_a_host_has_taught_is_where_the_next_run_begins() -> None:
    before, after, later = host(per_host=100), host(per_host=100), host(per_host=100)
    for now_s in range(200):
        call(before, now_s / 100, OK)
    call(before, 2.0, Ending(status=429, retry_after_s=3))
    state = json.loads(json.dumps(before.state(now_s=2.0, wall_s=1_000.0)))
    after.restore(state, now_s=7.0, wall_s=2_000.0)
    assert after.profile == before.profile
    assert after.pace_per_s == pytest.approx(before.pace_per_s, rel=0.1)
    later.restore(state, now_s=7.0, wall_s=1_000.0 + BELIEVED_S + 1)
    assert (later.profile, later.pace_per_s) == (NOTHING, None)


@pytest.mark.parametrize("state", [
        {"rate": 5}, {"rests_until_s": "x"}, {"rate": {"86400": "abc"}}, {"learned": 5}, {"learned": {"limit": 5}},
        {"learned": {"at_s": 1, "limit": "x"}}, {"learned": {"at_s": 1, "per_s": -1.0}},
    ])  # fmt: skip
def test_a_state_that_is_none_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"cannot be read|a profile"):
        host(rate="3/d").restore(state, now_s=0.0, wall_s=5.0)


HINTS = st.builds(Hint, remaining=st.none() | st.integers(0, 50), reset_s=st.none() | st.floats(0, 1e5))
ENDINGS = st.builds(
    Ending,
    status=st.none() | st.sampled_from([200, 404, 429, 500, 502, 503]),
    failed=st.none() | st.sampled_from(Cause),
    retry_after_s=st.none() | st.floats(0, 1e5),
    hint=st.none() | HINTS,
)
STEPS = st.lists(st.tuples(st.floats(0, 10), ENDINGS), max_size=60)


@given(STEPS, st.booleans(), st.sampled_from([None, "5/s", "3/m,9/h"]))
def test_whatever_happens_there_is_always_a_time_to_go_on(
    steps: list[tuple[float, Ending]], auto: bool, rate: str | None
) -> None:
    """No call is on its way, so the time is finite; and at that time a call may go."""
    one = Host(Policy(per_host=8, auto=auto, rate=RATE.parse(rate) if rate else None), uniform=max)
    now_s = 0.0
    for gap_s, ending in steps:
        now_s += gap_s
        at_s = one.when(now_s)
        if at_s is not None:
            assert now_s < at_s < math.inf
            now_s = at_s
            assert one.when(now_s) is None
        asked_s, before_s = ending.asked_s, now_s
        call(one, now_s, ending)
        if asked_s:
            assert (one.when(now_s) or now_s) >= before_s + asked_s, "never earlier than asked"
