"""Whole lists against virtual APIs: nothing is lost, little is refused, and it takes about as long as it must."""

from __future__ import annotations

import pytest

from crawler.pacing import RATE, Cause, Ending, Host, Policy
from tests.pacing_world import Capped, Crawl, Failing, Flaky, Leaky, Open, Windowed, crawl, host_with, most_in

CALLS = 6_000
SEEDS = pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.check) for seed in range(2, 6))])
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
@pytest.mark.parametrize("latency_s", [0.003, 0.02, 0.05])
@pytest.mark.parametrize(("workers", "auto"), [(20, False), (1_000, True)], ids=["workers=20", "workers=auto"])
@pytest.mark.parametrize(("retry_after_s", "least"), [(1.0, 0.9), (None, 0.97)], ids=["Retry-After", "without"])
def test_a_long_list_takes_nine_tenths_of_what_is_allowed(
    retry_after_s: float | None, least: float, workers: int, auto: bool, latency_s: float, seed: int
) -> None:
    """Lines by the whole time, the rests that the server asks for and the search for its limit included."""
    lines = 20_000
    server = Leaky(200, 10, latency_s, retry_after_s=retry_after_s).seeded(seed)
    done = crawl(server, host_with(workers, auto=auto, seed=seed), lines, seed=seed)
    assert is_whole(done, lines)
    assert lines / done.ended_s >= least * 200
    assert done.refused_after(5.0) <= 0.002


@SEEDS
@pytest.mark.parametrize(("workers", "auto"), [(20, False), (1_000, True)], ids=["workers=20", "workers=auto"])
def test_the_next_run_begins_at_the_pace_and_is_refused_nothing(workers: int, auto: bool, seed: int) -> None:
    first, second = (host_with(workers, auto=auto, seed=seed) for _ in range(2))
    done = crawl(Leaky(200, 10, retry_after_s=1).seeded(seed), first, CALLS)
    second.restore(first.state(now_s=done.ended_s, wall_s=1e9), now_s=0.0, wall_s=1e9 + 60)
    done = crawl(Leaky(200, 10, retry_after_s=1).seeded(seed), second, CALLS)
    assert is_whole(done)
    assert done.refusals == 0
    assert done.ended_s < CALLS / 200 / 0.97


@pytest.mark.parametrize("burst", [0, 1, 5])
def test_a_bucket_with_hardly_a_burst_is_not_overrun_by_calls_that_were_late(burst: int) -> None:
    """What waits for others of the few calls at once goes late; made up for, it is refused, and all go later."""
    done = crawl(Leaky(200, burst), host_with(20), CALLS)
    assert is_whole(done)
    assert done.ended_s < CALLS / 200 / 0.75
    assert done.refused_share < 0.01


@SEEDS
@WORKERS
def test_with_retry_after_each_refusal_costs_its_second(workers: int, seed: int) -> None:
    """The server asks for a second of rest each time, in which it could have served 200."""
    done = crawl(Leaky(200, 10, retry_after_s=1).seeded(seed), host_with(workers, seed=seed), CALLS)
    assert is_whole(done)
    assert done.ended_s < 1.25 * CALLS / 200
    assert done.refused_share < 0.005


@SEEDS
@WORKERS
def test_a_cap_of_eight_at_once(workers: int, seed: int) -> None:
    done = crawl(Capped(8).seeded(seed), host_with(workers, seed=seed), CALLS)
    assert is_whole(done)
    assert done.ended_s < 1.35 * CALLS / 8 * 0.03
    assert done.refused_share < 0.01


OUTAGES = [Ending(status=503), Ending(status=502), Ending(status=500), Ending(failed=Cause.NETWORK)]


@SEEDS
@pytest.mark.parametrize(
    ("workers", "auto", "how"),
    [*((20, False, how) for how in OUTAGES), (20, True, OUTAGES[0]), (100, False, OUTAGES[0]), (100, True, OUTAGES[3])],
    ids=str,
)
def test_an_outage_of_a_minute_costs_a_call_a_second_at_the_most_and_no_line_its_retries(
    workers: int, auto: bool, how: Ending, seed: int
) -> None:
    """In the middle of a list; what was on its way when it began cannot be helped."""
    server = Failing(from_s=2.0, to_s=62.0, how=how, latency_s=0.1).seeded(seed)
    calls = 15 * workers * 10
    done = crawl(server, host_with(workers, auto=auto, seed=seed), calls)
    assert is_whole(done, calls)
    before_per_s, after_per_s = done.per_s(1, 2), done.per_s(72, 74)
    assert after_per_s >= 0.9 * before_per_s
    first = [at_s for at_s in server.meanwhile if at_s < 2.1]
    assert len(first) <= workers + 30, "what was on its way, and what left before the first came back"
    later = [at_s for at_s in server.meanwhile if at_s >= 2.1]
    assert most_in(later, 0.99) <= 1
    assert len(later) >= 12, "or nobody would see its end"
    assert done.retries <= (2 if how.status == 500 else 1)


@pytest.mark.parametrize("how", [OUTAGES[0], OUTAGES[3]], ids=str)
def test_the_way_back_from_an_outage_is_as_short_as_the_start(how: Ending) -> None:
    """200 calls at once that take a second each: ten of them are doubled in five of these, one in eight."""
    done = crawl(Failing(from_s=15.0, to_s=45.0, how=how, latency_s=1.0), host_with(200), 10**6, until_s=62.0)
    assert done.per_s(45 + 5 + 9, 62) >= 0.9 * done.per_s(12, 15), "five seconds between probes, and nine"


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


BY_CHANCE = [
    pytest.param(20, False, Ending(status=503)),
    pytest.param(100, False, Ending(status=502), marks=pytest.mark.check),
    pytest.param(200, True, Ending(failed=Cause.NETWORK), marks=pytest.mark.check),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("workers", "auto", "how"), BY_CHANCE, ids=str)
def test_an_api_that_fails_at_one_call_in_fifty_is_as_fast_as_one_that_does_not(
    workers: int, auto: bool, how: Ending, seed: int
) -> None:
    """Whatever the load: fewer calls would not fail less."""
    calls = 100 * workers + 3_000
    sound, flaky = (
        crawl(Flaky(share, how).seeded(seed), host_with(workers, auto=auto, seed=seed), calls) for share in (0.0, 0.02)
    )
    assert is_whole(flaky, calls)
    assert goodput_per_s(flaky) >= 0.9 * goodput_per_s(sound)


ONE_IN_TEN = [
    pytest.param(20, False, Ending(status=503)),
    pytest.param(100, False, Ending(failed=Cause.NETWORK), marks=pytest.mark.check),
    pytest.param(200, True, Ending(failed=Cause.NETWORK)),
]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("workers", "auto", "how"), ONE_IN_TEN, ids=str)
def test_one_call_in_ten_is_found_out_by_fewer_calls(workers: int, auto: bool, how: Ending, seed: int) -> None:
    """It looks like pushback, so the host gets fewer; as many of those fail, and it gets its calls back.

    What fails is back at once, so that for a moment nothing but failures is there: neither many of them at full speed
    nor two in a row with few calls on their way are more than chance.
    """
    calls = 50 * workers + 5_000
    sound, flaky = (
        crawl(Flaky(share, how).seeded(seed), host_with(workers, auto=auto, seed=seed), calls) for share in (0.0, 0.1)
    )
    assert is_whole(flaky, calls)
    assert goodput_per_s(flaky) >= 0.7 * goodput_per_s(sound)


@pytest.mark.parametrize("latency_s", [0.003, 0.03])
@pytest.mark.parametrize("workers", [20, 200])
def test_a_limit_that_says_no_more_than_503_is_kept(workers: int, latency_s: float) -> None:
    """As nginx's limit_req does unless told otherwise."""
    done = crawl(Leaky(200, 10, latency_s, status=503), host_with(workers), CALLS)
    assert is_whole(done)
    assert done.ended_s < 1.5 * CALLS / 200
    assert done.refused_share < 0.03


def goodput_per_s(done: Crawl) -> float:
    """Answers a second, without the start and the last ones, which rest before they are tried again."""
    answers = [at_s for at_s, _ in done.answers]
    first, last = len(answers) // 10, len(answers) * 95 // 100
    return (last - first) / (answers[last] - answers[first])
