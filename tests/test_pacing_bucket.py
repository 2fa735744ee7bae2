"""What leaks from a bucket, by what it took until it refused: against a bucket that is counted exactly."""

from __future__ import annotations

from fractions import Fraction
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.pacing.bucket import FEW, MADE_UP, MADE_UP_S, STARTS, Bucket, Burst, Leak
from crawler.pacing.limiter import Call
from crawler.pacing.turns import LATE_S


class Host:
    """A host with a leaky bucket, and what is learned of it. One call is on its way at a time."""

    def __init__(self, burst: int, per_s: float) -> None:
        self.learned = Bucket()
        self.now_s = Fraction(0)
        self._burst, self._per_s = burst, Fraction(per_s)
        self._level, self._at_s = Fraction(0), Fraction(0)
        self._numbers = count(1)

    def until_full(self, gap_s: float, most: int = 20_000) -> Call | None:
        """Make calls, so far apart, until one is refused: that one, or None."""
        for _ in range(most):
            self.now_s += Fraction(gap_s)
            call = Call(next(self._numbers), float(self.now_s))
            self.learned.started(call)
            self._level = max(Fraction(0), self._level - (self.now_s - self._at_s) * self._per_s)
            self._at_s = self.now_s
            if self._level > self._burst:
                self.learned.lost(call)
                self.learned.full(call)
                return call
            self._level += 1
        return None

    def rest(self, seconds: float) -> None:
        self.now_s += Fraction(seconds)
        self.learned.rested()

    def taught(self, gap_s: float) -> Leak | None:
        """What is learned of it from calls so far apart, after some that came as fast as can be."""
        fast = self.until_full(0.0001)
        assert fast is not None
        self.learned.leak(fast)
        self.rest(60.0)
        slow = self.until_full(gap_s)
        return None if slow is None else self.learned.leak(slow)


def test_the_burst_is_what_went_before_the_first_refusal() -> None:
    host = Host(burst=10, per_s=200)
    host.until_full(0.001)
    assert host.learned.burst is not None
    calls, seconds = host.learned.burst
    assert calls == 13
    assert seconds == pytest.approx(0.013)
    assert calls - seconds * 200 == pytest.approx(10, abs=1)


def test_a_refusal_by_a_bucket_that_was_full_teaches_no_burst() -> None:
    host = Host(burst=10, per_s=200)
    fast = host.until_full(0.001)
    assert fast is not None
    host.learned.leak(fast)
    before = host.learned.burst
    host.now_s += Fraction(0.02)
    host.until_full(0.001)
    assert host.learned.burst == before
    host.rest(0.02)
    host.until_full(0.001)
    assert host.learned.burst is not None
    assert before is not None
    assert host.learned.burst.calls < before.calls, "the least counts: it had no time to empty"


def test_without_a_burst_nobody_can_say_what_leaks() -> None:
    learned = Bucket()
    for number in range(1, 101):
        learned.started(Call(number, number / 100))
    assert learned.leak(Call(100, 1.0)) is None


@pytest.mark.parametrize(("leaked", "counted"), [(1, 2), (FEW - 1, FEW), (FEW, FEW)])
def test_few_calls_that_leaked_are_taken_for_one_more(leaked: int, counted: int) -> None:
    """One in a second would be the pace for long, where it was nearly two."""
    learned = Bucket(Burst(10, 0.0))
    for number in range(1, 10 + leaked + 1):
        learned.started(Call(number, 0.0))
    assert learned.leak(Call(10 + leaked, 1.0)) == Leak(counted, leaked)


def test_calls_that_were_lost_did_not_fill_it() -> None:
    """Every second one failed on its way."""
    learned = Bucket(Burst(10, 0.01))
    for number in range(1, 1_001):
        call = Call(number, number / 100)
        learned.started(call)
        if number % 2 == 0:
            learned.lost(call)
    leak = learned.leak(call)
    assert leak is not None
    assert leak.per_s == pytest.approx(50, rel=0.02)


def test_a_host_that_took_more_since_it_was_full_has_no_bucket() -> None:
    """A window that begins anew: as many as before, at once."""
    learned = Bucket(Burst(50, 0.01))
    leaks = []
    for window in range(2):
        for number in range(100 * window + 1, 100 * window + 101):
            call = Call(number, number / 1_000)
            learned.started(call)
        leaks.append(learned.leak(call))
    assert [leak and leak.calls for leak in leaks] == [50, None]


def test_a_pause_does_not_hide_what_leaks() -> None:
    """10,000 calls below what leaks, and 150 above it: those alone filled it."""
    host = Host(burst=10, per_s=200)
    fast = host.until_full(0.0005)
    assert fast is not None
    host.learned.leak(fast)
    host.rest(1.0)
    assert host.until_full(1 / 190, most=10_000) is None
    slow = host.until_full(1 / 216)
    assert slow is not None
    leak = host.learned.leak(slow)
    assert leak is not None
    assert leak.per_s == pytest.approx(200, rel=0.015)


def test_few_starts_are_kept_of_many_calls() -> None:
    learned = Bucket(Burst(10, 0.01))
    for number in range(1, 100_001):
        learned.started(Call(number, number / 100))
    kept = learned._starts
    assert len(kept) <= 12
    assert all(len(starts) <= STARTS for starts in kept)
    assert [number for number, _ in kept[0]] == list(range(100_001 - STARTS, 100_001))
    assert kept[-1][0][0] == 1


@given(
    burst=st.integers(0, 100),
    per_s=st.floats(1, 1_000),
    speed=st.floats(1.02, 3),
)
def test_what_leaks_is_told_to_a_call_or_two(burst: int, per_s: float, speed: float) -> None:
    """Whatever bucket it is, and however much faster than it the calls came."""
    leak = Host(burst, per_s).taught(1 / (per_s * speed))
    if leak is None:
        return  # it was full before a time from which anything can be told
    off = 3 if leak.calls < FEW else 2
    assert leak.per_s >= per_s * (1 - off / (leak.calls + 1))
    assert leak.per_s <= per_s * (1 + off / max(leak.calls, 1))


@given(burst=st.integers(0, 1_000), per_s=st.floats(1, 1_000))
def test_what_is_made_up_for_never_fills_it(burst: int, per_s: float) -> None:
    host = Host(burst, per_s)
    host.until_full(0.0001)
    late_s = host.learned.late_s(per_s)
    assert late_s * per_s <= burst + 1e-6
    assert late_s >= min(MADE_UP_S, MADE_UP * (burst - 1) / per_s) - 1e-6


def test_as_long_as_no_burst_is_known_lateness_is_made_up_for_as_elsewhere() -> None:
    assert Bucket().late_s(200) == LATE_S
