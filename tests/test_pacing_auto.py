"""`workers=auto` against virtual APIs whose number of slots it does not know, and whose latency changes."""

from __future__ import annotations

import math
from statistics import mean, median
from typing import TYPE_CHECKING, Final

import pytest

from crawler.pacing.auto import SILENCES, AutoLimiter
from crawler.pacing.limiter import START, Learned
from tests.pacing_world import Capped, Crawl, Leaky, Open, Saturated, Server, Slots, crawl, host_with

if TYPE_CHECKING:
    from crawler.pacing import Call, Host

MANY: Final = 10**6
"""Lines: more than any of these APIs serves in the time."""
NEAR: Final = 0.9
"""Of the capacity."""
LONG: Final = 1.5
"""Times the idle latency."""

SEEDS = pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.check)])


def found(server: Server, for_s: float, *, seed: int = 1, ceiling: int = 1_000) -> Crawl:
    return crawl(server, host_with(ceiling, auto=True, seed=seed), MANY, until_s=for_s, seed=seed)


# What is asked of it


@SEEDS
@pytest.mark.parametrize(("slots", "latency_s"), [(1, 0.1), (2, 0.1), (10, 0.1), (50, 0.1), (400, 1.0)], ids=str)
def test_the_capacity_is_found_and_nobody_waits_long_for_it(slots: int, latency_s: float, seed: int) -> None:
    done = found(Slots(slots, latency_s).seeded(seed), 20.0, seed=seed)
    assert done.per_s(10, 20) >= NEAR * slots / latency_s
    assert done.median_s(10, 20) <= LONG * latency_s


@pytest.mark.parametrize("slots", [10, 50])
def test_calls_that_all_take_the_same_time_show_a_queue_too(slots: int) -> None:
    """They start and end in step: of a few more than there are slots, most come back as from an idle API."""
    done = found(Slots(slots, noise=0.005), 20.0)
    assert done.per_s(2, 20) >= 0.95 * slots / 0.1
    assert done.median_s(2, 20) <= LONG * 0.1


@SEEDS
def test_a_tenth_of_the_capacity_and_all_of_it_again_are_both_followed(seed: int) -> None:
    done = found(Slots(50, steps=[(0, 50), (15, 5), (35, 50)]).seeded(seed), 55.0, seed=seed)
    for slots, from_s, to_s in ((50, 10, 15), (5, 25, 35), (50, 45, 55)):
        assert done.per_s(from_s, to_s) >= NEAR * slots / 0.1
        assert done.median_s(from_s, to_s) <= LONG * 0.1


@SEEDS
def test_an_api_that_becomes_slower_is_not_mistaken_for_one_with_a_queue(seed: int) -> None:
    """Five times as slow from one moment to the next, with as many slots: they are all used again."""
    done = found(Slots(50, slower=lambda at_s: 1.0 if at_s < 10 else 5.0).seeded(seed), 35.0, seed=seed)
    assert done.per_s(25, 35) >= NEAR * 50 / 0.5
    assert done.median_s(25, 35) <= LONG * 0.5


@SEEDS
def test_a_latency_that_drifts_is_followed(seed: int) -> None:
    """Up and down by half within 20 s, as by night and by day."""

    def slower(at_s: float) -> float:
        return 1.0 + 0.5 * math.sin(at_s * math.pi / 10)

    done = found(Slots(50, slower=slower).seeded(seed), 50.0, seed=seed)
    capacity_per_s = mean(50 / (0.1 * slower(at_s / 10)) for at_s in range(100, 500))
    assert done.per_s(10, 50) >= NEAR * capacity_per_s
    waited = median(latency_s / (0.1 * slower(at_s - latency_s)) for at_s, latency_s in done.answers if at_s > 10)
    assert waited <= LONG


@SEEDS
def test_a_noisy_neighbour_leaves_its_share(seed: int) -> None:
    """Somebody else takes 10 of 60 slots, and every few seconds 30 more, for two."""

    def neighbour(at_s: float) -> int:
        return 40 if at_s % 6 > 4 else 10

    server = Slots(60, neighbour=neighbour).seeded(seed)
    done = found(server, 50.0, seed=seed)
    capacity_per_s = mean(server.slots(at_s / 10) / 0.1 for at_s in range(100, 500))
    assert done.per_s(10, 50) >= 0.85 * capacity_per_s
    assert done.median_s(10, 50) <= LONG * 0.1


@pytest.mark.parametrize("ceiling", [100, 1_000])
def test_a_start_that_stalls_is_not_taken_for_an_api_that_is_slow(ceiling: int) -> None:
    """The first answers take 3 s, as behind a cold cache or a stalled machine: longer than any queue up to the ceiling.

    Nothing looks like a queue then, so the start ends at the ceiling, and has to find out there.
    """
    server = Slots(30, 0.05, slower=lambda at_s: 60.0 if at_s < 0.04 else 1.0)
    done = found(server, 20.0, ceiling=ceiling)
    assert done.per_s(10, 20) >= NEAR * 30 / 0.05
    assert done.median_s(10, 20) <= LONG * 0.05


def test_at_the_ceiling_hardly_anything_is_lost_by_looking() -> None:
    done = found(Open(1.0), 100.0, ceiling=500)
    assert done.per_s(20, 100) >= NEAR * 500


def test_a_run_that_ends_on_its_way_to_more_keeps_what_it_has_found() -> None:
    """There are more slots from 5 s on."""

    def after(until_s: float) -> Host:
        host = host_with(400, auto=True)
        crawl(Slots(30, 0.05, steps=[(0, 30), (5, 100)]), host, MANY, until_s=until_s)
        return host

    host = next(host for host in (after(5 + part / 20) for part in range(60)) if not host.is_found)
    assert host.profile.limit is not None
    assert 25 <= host.profile.limit <= 60


# What else there is


def limit_later(done: Crawl) -> float:
    """The mean limit over the second half of the answers."""
    return mean(limit for _, limit in done.limits[len(done.limits) // 2 :])


def test_without_any_limit_it_is_soon_at_the_ceiling() -> None:
    done = crawl(Open(), host_with(500, auto=True), 20_000)
    reached_s = next(at_s for at_s, limit in done.limits if limit == 500)
    assert reached_s < 0.4  # 10 doubled six times, a round trip of 30 ms each
    assert done.ended_s < 2.0


def test_it_stops_where_more_calls_only_slow_each_other_down() -> None:
    server = Saturated(30)
    done = crawl(server, host_with(500, auto=True), 20_000)
    assert 27 <= limit_later(done) <= 40
    assert server.most_busy <= 200  # for a moment, at the start
    assert done.ended_s < 1.05 * 20_000 / 30 * 0.03


def test_it_stays_below_a_cap_of_fifty() -> None:
    done = crawl(Capped(50), host_with(500, auto=True), 40_000)
    assert done.refused_share < 0.01
    assert done.ended_s < 1.35 * 40_000 / 50 * 0.03


def test_it_keeps_to_200_a_second() -> None:
    done = crawl(Leaky(200, 10), host_with(500, auto=True), 6_000)
    assert done.refused_share < 0.02
    assert done.ended_s < 1.3 * 30


def test_fixed_workers_are_used_whatever_the_latency_says() -> None:
    host = host_with(200)
    crawl(Saturated(30), host, 20_000)
    assert host.limit == 200


# The limiter by itself


def fill(limiter: AutoLimiter, now_s: float) -> list[Call]:
    calls = []
    while limiter.next_at(now_s) <= now_s:
        calls.append(limiter.started(now_s))
    return calls


def test_a_start_that_hears_nothing_becomes_forty_and_no_more() -> None:
    limiter = AutoLimiter(1_000)
    counts = [len(fill(limiter, second / 10)) for second in range(20)]
    assert sum(counts) == START * 2**SILENCES == 40


def test_calls_that_give_no_answer_do_not_hold_up_the_verdict() -> None:
    """Half of them are cancelled: the start goes on all the same, and ends."""
    limiter = AutoLimiter(100)
    calls = fill(limiter, 0.0)
    for round_ in range(1, 60):
        now_s = round_ * 0.1
        for number, call in enumerate(calls):
            if number % 2:
                limiter.ended(call)
            else:
                limiter.succeeded(call, now_s * max(1, len(calls) // 40))
        calls = fill(limiter, now_s)
    assert limiter.learned is not None


def test_what_was_learned_is_where_the_start_ends() -> None:
    limiter = AutoLimiter(1_000, Learned(80))
    now_s = 0.0
    for _ in range(4):
        calls = fill(limiter, now_s)
        now_s += 0.1
        for call in calls:
            limiter.succeeded(call, now_s)
    assert limiter.learned is not None
    assert 70 <= limiter.limit <= 110
