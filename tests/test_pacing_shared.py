"""One rate for several processes: exact when all want more, and of use to who is alone."""

from __future__ import annotations

import json
import math
import random
from typing import TYPE_CHECKING, Any

import pytest

from crawler.pacing import RATE, Ending, Host, Policy, Shared, SharedRate, SharedRests
from tests.pacing_world import most_in

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH_S = 1_000_000.0


class Seen:
    """What all can see, in memory. busy: the share of looks at which somebody else is at it; late: was, meanwhile."""

    def __init__(self, busy: float = 0.0, late: float = 0.0) -> None:
        self.state: dict[str, Any] = {}
        self.looks = self.asked = 0
        self.busy = busy
        self._late = late
        self._random = random.Random(3)

    def exchange(self, _host: str, change: Callable[[dict[str, Any]], None]) -> bool:
        self.asked += 1
        if self._random.random() < self.busy:
            return False
        self.looks += 1
        state = json.loads(json.dumps(self.state))
        change(state)
        if self._random.random() < self._late:
            return False
        self.state = state
        return True


def limiters(rate: str, count: int, seen: Seen) -> list[SharedRate]:
    """Processes whose clocks began at other times."""

    def wall(number: int) -> Callable[[float], float]:
        return lambda now_s: now_s - number * 50.0 + EPOCH_S

    return [SharedRate(RATE.parse(rate), "h", Shared(seen.exchange, wall(number))) for number in range(count)]


def granted(processes: list[SharedRate], for_s: float, *, late_s: float = 0.0, from_s: float = 0.0) -> list[float]:
    """Have all of them call as fast as they may; when the calls went. late_s: up to so much after their time."""
    uniform = random.Random(5).uniform
    wakes = [from_s] * len(processes)
    times: list[float] = []
    while (now_s := min(wakes)) < from_s + for_s:
        number = wakes.index(now_s)
        process, own_s = processes[number], now_s + number * 50.0
        at_s = process.next_at(own_s)
        if at_s > own_s:
            wakes[number] = now_s + (at_s - own_s) + uniform(0, late_s)
        else:
            process.take(own_s)
            times.append(now_s)
    return times


@pytest.mark.parametrize("count", [1, 4, 12])
@pytest.mark.parametrize(("rate", "calls", "window_s"), [("50/s", 50, 1), ("100/m", 100, 60), ("400/s", 400, 1)])
def test_together_they_use_the_rate_and_no_window_has_more(rate: str, calls: int, window_s: int, count: int) -> None:
    for_s = 10.0 if window_s == 1 else 240.0
    times = granted(limiters(rate, count, Seen(busy=0.1)), for_s)
    assert most_in(times, window_s) <= calls
    assert len(times) >= 0.95 * calls * for_s / window_s


def test_what_others_did_not_hear_of_does_not_count() -> None:
    times = granted(limiters("50/s", 4, Seen(late=0.3)), 20.0)
    assert most_in(times, 1) <= 50
    assert len(times) >= 0.95 * 50 * 20


def test_those_who_wake_up_late_are_one_above_at_the_most() -> None:
    times = granted(limiters("50/s", 4, Seen()), 20.0, late_s=0.02)
    assert most_in(times, 1) <= 51
    assert len(times) >= 0.95 * 50 * 20


def test_who_is_alone_looks_ten_times_a_second_whatever_the_rate() -> None:
    seen = Seen()
    times = granted(limiters("100/s", 1, seen), 10.0)
    assert len(times) >= 950
    assert seen.looks <= 110


def test_who_is_not_answered_asks_ten_times_a_second_and_goes_on_with_the_answer() -> None:
    seen = Seen(busy=1.0)
    (one,) = limiters("50/s", 1, seen)
    assert granted([one], 100.0) == []
    assert seen.asked <= 1_010
    seen.busy = 0.0
    assert len(granted([one], 10.0, from_s=100.0)) >= 0.95 * 50 * 10


def test_each_gets_its_part() -> None:
    processes = limiters("100/m", 4, Seen())
    counts = [0] * 4
    for number, process in enumerate(processes):
        process.take = lambda now_s, n=number, take=process.take: (counts.__setitem__(n, counts[n] + 1), take(now_s))  # type: ignore[assignment, misc]
    granted(processes, 120.0)
    assert max(counts) - min(counts) <= 4


def test_what_a_dead_one_had_in_hand_is_all_that_is_lost() -> None:
    seen = Seen()
    *living, dead = limiters("50/s", 4, seen)
    dead.next_at(150.0)  # takes its turns, and that is the last of it
    times = granted(living, 10.0)
    assert len(times) >= 0.95 * 50 * 10


@pytest.mark.parametrize("rate", ["1000/d", "20/s,1000/d"])
def test_turns_that_come_too_late_to_be_used_are_given_back(rate: str) -> None:
    """Of those that are taken at a time, two are used: two workers, and an API that takes five seconds."""
    one, other = limiters(rate, 2, Seen())
    made = 0
    for start_s in range(0, 2_500, 5):
        now_s = float(start_s)
        for _ in range(2):
            at_s = one.next_at(now_s)
            if at_s <= start_s + 1:
                now_s = at_s
                one.take(now_s)
                made += 1
    assert made >= 900
    assert made + len(granted([other], 100.0, from_s=2_600.0)) in range(980, 1_001)


def test_who_may_not_call_for_another_reason_takes_no_turn_from_the_others() -> None:
    seen = Seen()
    host = Host(Policy(per_host=1, rate=RATE.parse("50/s"), shared=Shared(seen.exchange, lambda now_s: now_s)), "h")
    assert host.when(0.0) is None
    call = host.started(0.0)
    looks = seen.looks
    assert host.when(1.0) == math.inf
    assert host.held_by(1.0) is not None
    assert seen.looks == looks
    host.ended(call, 1.0, Ending(status=200))
    assert host.when(1.0) is None
    assert seen.looks == looks + 1


def test_of_a_day_no_more_is_taken_at_once_from_afar() -> None:
    seen = Seen()
    far = SharedRate(RATE.parse("250/d"), "h", Shared(seen.exchange, lambda now_s: now_s + EPOCH_S, way=lambda: 0.5))
    far.next_at(0.0)
    assert sum(calls for _, calls in seen.state["86400"]) == 10


def test_a_day_is_counted_over_all_and_over_runs() -> None:
    seen = Seen()
    one, other = limiters("30/s,100/d", 2, seen)
    times = granted([one], 1.0)
    assert 25 <= len(times) <= 30
    assert len(granted([one, other], 60.0, from_s=1.0)) + len(times) == 100
    later = limiters("100/d", 1, seen)
    assert later[0].next_at(100.0) > 80_000


def test_another_rate_of_another_run_is_counted_too() -> None:
    seen = Seen()
    fast, slow = limiters("50/s", 1, seen)[0], limiters("100/h", 1, seen)[0]
    assert slow.next_at(0.0) == 0.0
    slow.take(0.0)
    granted([fast], 4.0)
    assert slow.next_at(4.0) > 3_000


def test_what_an_earlier_run_noted_is_handed_on_once() -> None:
    seen = Seen()
    (one,) = limiters("4/d", 1, seen)
    one.restore({"86400": [[EPOCH_S - 100, 3]]}, now_s=0.0, wall_s=EPOCH_S)
    assert len(granted([one], 10.0)) == 1
    (other,) = limiters("4/d", 1, seen)
    other.restore({"86400": [[EPOCH_S - 100, 3]]}, now_s=0.0, wall_s=EPOCH_S)
    assert other.next_at(20.0) > 80_000
    with pytest.raises(ValueError, match="cannot be read"):
        one.restore({"86400": 5}, now_s=0.0, wall_s=EPOCH_S)


@pytest.mark.parametrize("state", [{"turn_s": "x"}, {"1": 5}, {"1": [["a", "b"]]}, {"60": [1]}])
def test_what_cannot_be_read_counts_as_nothing(state: dict[str, Any]) -> None:
    seen = Seen()
    seen.state = state
    times = granted(limiters("50/s", 2, seen), 2.0)
    assert 90 <= len(times) <= 101


def told(seen: Seen, number: int = 0, *, host: str = "h", who: str = "key", most: bool = False) -> Host:
    """A host as one of several processes knows it; each has its clock."""
    shared = Shared(seen.exchange, lambda now_s: now_s - number * 50.0 + EPOCH_S)
    rests = SharedRests(shared, who)
    return Host(Policy(per_host=4, rests=rests), host, uniform=max if most else min)


def asked(one: Host, now_s: float, asked_s: float) -> None:
    one.ended(one.started(now_s), now_s, Ending(status=429, retry_after_s=asked_s))


def test_what_one_is_told_holds_for_all_with_the_same_credentials_within_a_tenth_of_a_second() -> None:
    seen = Seen()
    one, other, later = told(seen), told(seen, 1), told(seen, 2, most=True)
    elsewhere, with_another_key = told(seen, 1, host="i"), told(seen, 1, who="another key")
    for host in (other, elsewhere, with_another_key):
        assert host.when(50.0) is None
    asked(one, 0.0, 60.0)
    assert other.when(50.0) is None, "it has only just looked"
    assert other.when(50.11) == pytest.approx(110.0)
    held = other.held_by(50.11)
    assert held is not None
    assert held.said_by == "retry-after"
    assert later.when(100.5) == pytest.approx(165.0, abs=0.1), "not all come back at once"
    assert elsewhere.when(50.11) is None
    assert with_another_key.when(50.11) is None
    assert other.when(110.1) is None


def test_who_is_at_his_best_looks_all_the_same() -> None:
    seen = Seen()
    one, calm = told(seen), told(seen, 1)
    for n in range(100):
        now_s = 50.0 + n / 50
        assert calm.when(now_s) is None
        calm.ended(calm.started(now_s), now_s, Ending(status=200))
    assert seen.looks <= 30
    asked(one, 2.0, 10.0)
    assert calm.when(52.2) == pytest.approx(62.0)


def test_a_word_that_nobody_could_write_down_is_written_at_the_next_look() -> None:
    seen = Seen()
    one, other = told(seen), told(seen, 1)
    seen.busy = 1.0
    asked(one, 0.0, 60.0)
    seen.busy = 0.0
    assert seen.state == {}
    assert other.when(50.0) is None
    assert one.when(0.2) == pytest.approx(60.0)
    assert other.when(50.3) == pytest.approx(110.0)


def test_rests_that_are_over_are_cleared_away_and_what_is_none_is_nothing() -> None:
    seen = Seen()
    one = told(seen)
    asked(one, 0.0, 5.0)
    assert len(seen.state) == 1
    seen.state |= {"h key": ["x", 1], "i key": [EPOCH_S + 1e9, "retry-after"], "j key": 5, "k key": [1.0]}
    assert told(seen, host="i").when(1.0) is None
    assert seen.state == {}
