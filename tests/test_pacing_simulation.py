"""Whole lists against virtual APIs: nothing is lost, little is refused, and it takes about as long as it must."""

from __future__ import annotations

import pytest

from crawler.pacing import RATE, Cause, Ending, Host, Policy
from tests.pacing_world import Capped, Crawl, Failing, Leaky, Open, Windowed, crawl, host_with, most_in

CALLS = 6_000
SEEDS = pytest.mark.parametrize("seed", range(6))
"""Other latencies, other jitter: a limit that is met a moment earlier is learned otherwise."""
WORKERS = pytest.mark.parametrize("workers", [20, 50, 100, 200])


def is_whole(done: Crawl, calls: int = CALLS) -> bool:
    """Every line was served, once, and every other call was a refusal."""
    return done.served == calls and len(done.starts) == calls + done.refusals


@WORKERS
@SEEDS
def test_200_a_second_are_found_and_kept(workers: int, seed: int) -> None:
    done = crawl(Leaky(200, 10).seeded(seed), host_with(workers, seed=seed), CALLS)
    assert is_whole(done)
    assert done.ended_s < 1.2 * CALLS / 200
    assert done.refused_share < 0.01
    assert max(done.attempts) <= 3


@pytest.mark.parametrize("latency_s", [0.003, 0.3])
def test_whether_the_api_answers_fast_or_slowly(latency_s: float) -> None:
    """At 3 ms even one call at a time is too fast; at 300 ms it takes 60 at once."""
    done = crawl(Leaky(200, 10, latency_s), host_with(200), CALLS)
    assert is_whole(done)
    assert done.ended_s < 1.4 * CALLS / 200
    assert done.refused_share < 0.02


@SEEDS
@WORKERS
def test_with_retry_after_each_refusal_costs_its_second(workers: int, seed: int) -> None:
    """The server asks for a second of rest each time, in which it could have served 200."""
    done = crawl(Leaky(200, 10, retry_after_s=1).seeded(seed), host_with(workers, seed=seed), CALLS)
    assert is_whole(done)
    assert done.ended_s < 1.4 * CALLS / 200
    assert done.refused_share < 0.005


@SEEDS
@WORKERS
def test_a_cap_of_eight_at_once(workers: int, seed: int) -> None:
    done = crawl(Capped(8).seeded(seed), host_with(workers, seed=seed), CALLS)
    assert is_whole(done)
    assert done.ended_s < 1.35 * CALLS / 8 * 0.03
    assert done.refused_share < 0.01


@pytest.mark.parametrize("workers", [20, 200])
@pytest.mark.parametrize(
    "how",
    [
        Ending(status=503), Ending(status=503, retry_after_s=1), Ending(status=502), Ending(status=500),
        Ending(failed=Cause.NETWORK),
    ],
    ids=str,
)  # fmt: skip
def test_an_outage_of_a_minute_is_no_storm(workers: int, how: Ending) -> None:
    server = Failing(from_s=0.3, to_s=60.3, how=how)
    done = crawl(server, host_with(workers), CALLS)
    assert is_whole(done)
    assert done.ended_s < 60.3 + CALLS / workers * 0.03 + 25
    later = [at_s for at_s in server.meanwhile if at_s > 2.5]
    assert len(later) <= 60
    assert most_in(later, 1.0) <= 5
    assert len(server.meanwhile) < 1_500


def test_a_fixed_window_that_says_nothing_is_learned() -> None:
    done = crawl(Windowed(100, 60), host_with(20), 1_000)
    assert is_whole(done, 1_000)
    assert done.ended_s < 1.3 * 540
    assert done.refused_share < 0.15


def test_a_window_that_tells_its_count_refuses_nobody() -> None:
    done = crawl(Windowed(100, 60, tells=True), host_with(20), 1_000)
    assert is_whole(done, 1_000)
    assert done.refusals == 0
    assert done.ended_s < 1.3 * 540


def test_a_rate_that_is_told_is_kept_and_refuses_nobody() -> None:
    host = Host(Policy(per_host=200, rate=RATE.parse("200/s")))
    done = crawl(Leaky(200, 10), host, CALLS)
    assert is_whole(done)
    assert done.refusals == 0
    assert most_in(done.starts, 1.0) <= 200
    assert done.ended_s < 1.03 * CALLS / 200


def test_without_a_limit_nothing_slows_down() -> None:
    done = crawl(Open(), host_with(200), 20_000)
    assert is_whole(done, 20_000)
    assert done.refusals == 0
    assert done.ended_s < 1.1 * 20_000 / 200 * 0.03


def test_the_same_world_gives_the_same_crawl() -> None:
    one, other = (crawl(Leaky(200, 10), host_with(50, seed=3), 1_000) for _ in range(2))
    assert one == other
