"""`rate=100/m`: how it is read, and that it is kept in every window."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.pacing import RATE, Rate, RateLimiter
from crawler.pacing.rate import BUCKETS, held_s
from crawler.pacing.turns import LATE_S
from tests.pacing_world import most_in


@pytest.mark.parametrize(
    ("said", "quotas", "shown"),
    [
        ("10/s", [(10, 1)], "10/s"),
        ("100/m", [(100, 60)], "100/m"),
        ("5000/h", [(5_000, 3_600)], "5000/h"),
        ("10/5s", [(10, 5)], "10/5s"),
        ("1/120s", [(1, 120)], "1/2m"),
        ("5/s,10000/d", [(5, 1), (10_000, 86_400)], "5/s,10000/d"),
        ("10000/d, 5/s", [(5, 1), (10_000, 86_400)], "5/s,10000/d"),
        ("1000000/31d", [(1_000_000, 31 * 86_400)], "1000000/31d"),
    ],
)
def test_a_rate_is_quotas_the_shortest_window_first(said: str, quotas: list[tuple[int, int]], shown: str) -> None:
    rate = RATE.parse(said)
    assert [(quota.calls, quota.window_s) for quota in rate.quotas] == quotas
    assert str(rate) == shown
    assert RATE.parse(rate) == rate == RATE.parse(shown)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("", "not ''"), ("10", "not '10'"), ("10/", "not"), ("/s", "not"), ("10/w", "not"), ("10 / s", "not"),
        ("-1/s", "not"), ("10/s,", "not ''"), ("1e3/s", "not"), ("٣/s", "not"), ("0.5/s", "0.5/s is 1/2s"),
        ("0/s", "from 1"), ("5/0s", "from 1 second"), ("1000000001/s", "from 1 to"), ("1/32d", "31 days"),
        ("10/s,20/s", "same window"), ("1/60s,5/m", "same window"),
    ],
)  # fmt: skip
def test_what_is_no_rate_is_refused_with_a_reason(said: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        RATE.parse(said)


@pytest.mark.parametrize("said", [10, 1.5, None, ["10/s"], True])
def test_a_number_alone_is_no_rate(said: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # Kind.expected says what is
        RATE.parse(said)


def drive(limiter: RateLimiter, gaps: list[float], now_s: float = 0.0) -> list[float]:
    """Ask again and again, *gaps* seconds after each other; when told to wait, at that time exactly."""
    grants = []
    for gap in gaps:
        now_s += gap
        at_s = limiter.next_at(now_s)
        assert at_s >= now_s
        now_s = at_s
        assert limiter.next_at(now_s) == now_s, "a time that is told is kept"
        limiter.take(now_s)
        grants.append(now_s)
    return grants


RATES = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from([1, 2, 5, 60, 120, 3_600])), min_size=1, max_size=3,
    unique_by=lambda quota: quota[1],
).map(lambda quotas: RATE.parse(",".join(f"{calls}/{window_s}s" for calls, window_s in quotas)))  # fmt: skip
GAPS = st.lists(st.one_of(st.just(0.0), st.floats(0, 0.1), st.floats(0, 100)), max_size=150)


@given(rate=RATES, gaps=GAPS, start_s=st.sampled_from([0.0, 1e6, 1.8e9]))
def test_no_window_ever_holds_more_than_the_quota(rate: Rate, gaps: list[float], start_s: float) -> None:
    grants = drive(RateLimiter(rate), gaps, start_s)
    for quota in rate.quotas:
        assert most_in(grants, quota.window_s) <= quota.calls


@given(rate=RATES, gaps=GAPS)
def test_nor_when_calls_are_counted_in_groups(rate: Rate, gaps: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crawler.pacing.rate.BUCKETS", 3)
        limiter = RateLimiter(rate)
    grants = drive(limiter, gaps)
    for quota in rate.quotas:
        assert most_in(grants, quota.window_s) <= quota.calls


@given(rate=RATES, gaps=GAPS, stop=st.integers(0, 150), off_s=st.floats(0, 10_000), skew_s=st.floats(-1e6, 1e6))
def test_nor_across_a_restart(rate: Rate, gaps: list[float], stop: int, off_s: float, skew_s: float) -> None:
    """Another process, another monotonic clock; what counts is the time on the wall."""
    before = RateLimiter(rate)
    first = drive(before, gaps[:stop])
    now_s = first[-1] if first else 0.0
    state = json.loads(json.dumps(before.state(now_s=now_s, wall_s=1.8e9 + now_s)))
    after = RateLimiter(rate)
    after.restore(state, now_s=now_s + off_s + skew_s, wall_s=1.8e9 + now_s + off_s)
    second = drive(after, gaps[stop:], now_s + off_s + skew_s)
    grants = [*first, *(at_s - skew_s for at_s in second)]
    for quota in rate.quotas:
        assert most_in(grants, quota.window_s) <= quota.calls


@pytest.mark.parametrize("calls", [BUCKETS + 1, 1_000, 10_000])
def test_a_large_quota_is_counted_in_groups_and_hardly_less_is_used(calls: int) -> None:
    limiter = RateLimiter(RATE.parse(f"{calls}/d"))
    grants = drive(limiter, [1.0] * (2 * calls))
    assert most_in(grants, 86_400) == calls
    # a second day's calls may wait for the end of their group
    assert grants[-1] <= 2 * (held_s(86_400) + calls / BUCKETS + 1)
    state = limiter.state(now_s=grants[-1], wall_s=0)
    assert len(state["86400"]) <= BUCKETS + 1


def test_a_group_counts_until_its_last_call_has_left() -> None:
    """Two calls to a group, 6 s apart; an hour later only what is truly over may be made good at once."""
    limiter = RateLimiter(RATE.parse("512/h"))
    assert most_in(drive(limiter, [6.0] * 512 + [0.0] * 512), 3_600) == 512


def test_a_million_a_day_is_a_small_state() -> None:
    limiter = RateLimiter(RATE.parse("1000000/d"))
    drive(limiter, [0.05] * 20_000)
    assert len(limiter.state(now_s=1_000, wall_s=0)["86400"]) <= 20_000 / (1_000_000 / BUCKETS) + 1


def test_a_rate_by_the_minute_is_spread_from_the_first_call() -> None:
    grants = drive(RateLimiter(RATE.parse("100/m")), [0.0] * 300)
    assert [round(second - first, 6) for first, second in pairwise(grants)] == [0.61] * 299  # 61 s / 100
    assert grants[0] == 0


def test_a_quota_by_the_day_is_not_spread() -> None:
    grants = drive(RateLimiter(RATE.parse("5/s,1000/d")), [0.0] * 1_001)
    assert grants[999] == pytest.approx(999 * 1.02 / 5)
    assert grants[1_000] > 86_400


def test_lateness_is_made_up_for_but_idleness_is_not() -> None:
    late = RateLimiter(RATE.parse("200/s"))
    now_s, grants = 0.0, 0
    while now_s < 10:  # a loop that wakes up every 20 ms
        while late.next_at(now_s) <= now_s:
            late.take(now_s)
            grants += 1
        now_s += 0.02
    assert grants == pytest.approx(10 * 200 / 1.02, rel=0.02)
    now_s += 3_600
    burst = 0
    while late.next_at(now_s) <= now_s:
        late.take(now_s)
        burst += 1
    assert burst <= LATE_S * 200 + 1


def test_a_call_that_goes_in_spite_of_it_counts() -> None:
    limiter = RateLimiter(RATE.parse("2/10s"))
    for _ in range(4):
        limiter.take(0.0)
    assert limiter.next_at(0.0) > 10


def test_a_changed_number_keeps_the_days_calls() -> None:
    before, after = RateLimiter(RATE.parse("100/d")), RateLimiter(RATE.parse("5/s,20/d"))
    drive(before, [1.0] * 50)
    after.restore(before.state(now_s=50, wall_s=1_000), now_s=0, wall_s=1_010)
    assert after.next_at(0.0) > 86_000


def test_a_clock_that_was_set_back_frees_nothing() -> None:
    before, after = RateLimiter(RATE.parse("2/d")), RateLimiter(RATE.parse("2/d"))
    drive(before, [1.0, 1.0])
    after.restore(before.state(now_s=2, wall_s=1_000_000), now_s=0, wall_s=5)
    assert 86_400 <= after.next_at(0.0) < 86_410


@pytest.mark.parametrize("state", [{"86400": 5}, {"86400": [[1]]}, {"86400": [["x", 1]]}, {"86400": [[1, None]]}])
def test_a_state_that_is_none_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        RateLimiter(RATE.parse("2/d")).restore(state, now_s=0, wall_s=0)
