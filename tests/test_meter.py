"""What a run measures of itself: percentiles, speeds, what is in the way, how far it is. Tables of values."""

from __future__ import annotations

import gzip
import itertools
import math
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from crawler.amounts import about, duration, milliseconds, per_second, size
from crawler.items import Outcome, Record
from crawler.meter import BOUNDS_MS, Limit, Looks, Meter, Moment, Progress, Recent, Second, limit_of, quantile_ms
from crawler.meter.bottleneck import Measured, sentence
from crawler.meter.length import length
from crawler.meter.progress import line
from crawler.pacing import Held, Hold
from crawler.sources import Shape, open_list, open_source

if TYPE_CHECKING:
    from pathlib import Path


def record(elapsed_ms: int | None = 10, **how: Any) -> Record:
    return Record(**{"outcome": Outcome.OK, "elapsed_ms": elapsed_ms, "attempts": 1, "bytes": 100, **how})


def second(*elapsed_ms: int) -> Second:
    found = Second()
    for each in elapsed_ms:
        found.add(record(each))
    return found


# Percentiles


@pytest.mark.parametrize("part", [0.05, 0.5, 0.95, 0.99])
@pytest.mark.parametrize("spread", [1, 7, 90, 400])
def test_a_percentile_is_right_to_an_eighth(part: float, spread: int) -> None:
    """A bucket is a quarter wide, and what lies in it is taken to lie evenly."""
    latencies = [spread * (n + 5) for n in range(1, 200)]
    exact = sorted(latencies)[int(part * len(latencies))]
    assert quantile_ms(second(*latencies).latency, part) == pytest.approx(exact, rel=0.125, abs=1)


def test_percentiles_of_none_of_one_and_of_what_is_beyond_all_bounds() -> None:
    assert quantile_ms({}, 0.5) is None
    assert quantile_ms(second(0).latency, 0.5) == 0.5
    assert quantile_ms(second(10**9).latency, 1.0) == BOUNDS_MS[-1]
    assert quantile_ms({3: 10, 7: 10}, 0.75) == 5.0, "bounds of an older ledger"


def test_bounds_rise_by_a_quarter_and_each_value_has_its_bucket() -> None:
    assert all(1 < high / low <= 2 for low, high in itertools.pairwise(BOUNDS_MS))
    assert all(high / low <= 1.34 for low, high in itertools.pairwise(BOUNDS_MS) if low >= 6)
    for value in (0, 1, 2, 9, 10, 11, 250, 251, 99_999):
        (bound,) = second(value).latency
        assert value <= bound
        assert all(other >= bound or other < value for other in BOUNDS_MS)


# Speeds


def test_speed_is_that_of_the_window() -> None:
    recent = Recent()
    for at in range(100, 130):
        each = recent.begin(at)
        for _ in range(at - 100):
            each.add(record())
    records_per_s, calls_per_s, bytes_per_s = recent.per_s(130.0, window_s=10, since_s=0)
    assert records_per_s == calls_per_s == sum(range(20, 30)) / 10
    assert bytes_per_s == 100 * calls_per_s
    assert recent.per_s(200.0, window_s=10, since_s=0) == (0, 0, 0), "long ago"
    assert recent.per_s(130.0, window_s=10, since_s=128.0)[1] == (28 + 29) / 2, "no longer than the run"


def test_percentiles_of_few_calls_look_back_a_minute() -> None:
    recent = Recent()
    for elapsed_ms, at, calls in ((1000, 100, 50), (10, 150, 3)):
        each = recent.begin(at)
        for _ in range(calls):
            each.add(record(elapsed_ms))
    assert recent.latency(151.0, window_s=10).total() == 53
    for _ in range(10):
        each.add(record(10))
    assert recent.latency(151.0, window_s=10) == Counter({10: 13})


# What is in the way

FREE: dict[str, Any] = {"in_flight": 3, "limit": 20, "ceiling": 20}
BUSY: dict[str, Any] = {"in_flight": 20, "limit": 20, "ceiling": 20}


def held(hold: Hold, said_by: str = "", until_s: float = 100.0) -> dict[str, Any]:
    return {"held": 5, "held_by": Held(hold, until_s, said_by)}


@pytest.mark.parametrize(
    ("limit", "how"),
    [
        (Limit.LATENCY, BUSY),
        (Limit.LATENCY, BUSY | {"ready": 100, "in_flight": 18}),
        (Limit.CPU, BUSY | {"cpu": 0.95}),
        (Limit.CPU, FREE | {"cpu": 1.4, "has_room": False}),
        (Limit.DISK, BUSY | {"has_room": False}),
        (Limit.START, {"in_flight": 10, "limit": 10, "ceiling": 20}),
        (Limit.AUTO, {"in_flight": 37, "limit": 37, "ceiling": 1000, "is_found": True}),
        (Limit.REFUSED, {"in_flight": 4, "limit": 4, "ceiling": 20, "is_cut": True}),
        (Limit.REFUSED, FREE | held(Hold.REFUSED)),
        (Limit.RATE, FREE | held(Hold.RATE, "10/s")),
        (Limit.HEADERS, FREE | held(Hold.HEADERS, "x-ratelimit-remaining")),
        (Limit.ASKED, FREE | held(Hold.ASKED, "retry-after")),
        (Limit.OUTAGE, FREE | held(Hold.OUTAGE)),
        (Limit.OUTAGE, {"in_flight": 1, "limit": 1, "ceiling": 20, "is_cut": True, "is_down": True}),
        (Limit.RETRIES, FREE | held(Hold.RETRIES)),
        (Limit.CREDENTIALS, FREE | held(Hold.CREDENTIALS, until_s=math.inf)),
        (Limit.RETRIES, FREE | {"in_flight": 0, "is_read": True, "resting": 7}),
        (Limit.END, FREE | {"is_read": True}),
        (Limit.LIST, FREE),
        (Limit.LIST, FREE | {"resting": 7}),
        (Limit.CODE, FREE | {"ready": 50}),
    ],
)
def test_what_is_in_the_way_of_a_moment(limit: Limit, how: dict[str, Any]) -> None:
    assert limit_of(Moment(**how)) is limit


AT = Measured(in_flight=19.6, ceiling=20, cpu=0.3, calls_per_s=100, p50_ms=200, refused=42, said_by="10/s")


@pytest.mark.parametrize(
    ("limit", "at", "says"),
    [
        (Limit.LATENCY, AT, "all 20 workers wait for answers, 200 ms a call; workers=40 would give about 200 calls/s"),
        (Limit.LATENCY, Measured(ceiling=20, cpu=0.6, calls_per_s=100), "workers=40 would give about 150 calls/s"),
        (Limit.LATENCY, Measured(ceiling=20, cpu=0.6, calls_per_s=100), "all that this CPU can do"),
        (Limit.LATENCY, Measured(ceiling=20, cpu=0.88, calls_per_s=100), "more workers would not help"),
        (Limit.LATENCY, Measured(ceiling=1, calls_per_s=2), "the only worker waits"),
        (Limit.LATENCY, Measured(ceiling=4, calls_per_s=2, knob="per_host"), "per_host=8 would give about 4 calls/s"),
        (Limit.RATE, AT, "rate=10/s, as asked"),
        (Limit.HEADERS, Measured(said_by="x-ratelimit-remaining", wait_s=42), "no calls are left; goes on in 40 s"),
        (Limit.ASKED, Measured(said_by="retry-after", wait_s=90), "it asked to wait (retry-after); goes on in 2 min"),
        (
            Limit.REFUSED,
            Measured(refused=42, pace_per_s=38),
            "refused 42 calls (429, 503 and the like), and it takes about",
        ),
        (
            Limit.REFUSED,
            Measured(in_flight=4, ceiling=20),
            "calls broke, or were refused in an earlier run, and it takes 4 calls at once",
        ),
        (Limit.REFUSED, Measured(refused=1, in_flight=4, ceiling=20), "it takes 4 calls at once, of 20"),
        (Limit.CPU, Measured(cpu=0.97), "97% of a core"),
        (Limit.AUTO, Measured(in_flight=37), "more than 37 calls at once"),
    ],
)
def test_the_sentence_holds_what_was_measured(limit: Limit, at: Measured, says: str) -> None:
    assert says in sentence(limit, at)


@pytest.mark.parametrize("limit", Limit)
def test_every_limit_has_a_sentence_of_one_line(limit: Limit) -> None:
    said = sentence(limit, Measured())
    assert said[0].isupper()
    assert len(said) < 160
    assert not said.endswith(".")


def test_the_verdict_is_what_was_in_the_way_for_most_of_the_time() -> None:
    """By time and not by looks; the present by the last seconds, the run by all of them."""
    looks = Looks()
    for now_s in range(61):
        looks.add(Moment(**BUSY), float(now_s))
    for late_s in (75.0, 80.0, 85.0):
        looks.add(Moment(**FREE, **held(Hold.ASKED, "retry-after", until_s=95.0)), late_s)
    now, whole = looks.now(Measured()), looks.whole(Measured())
    assert now is not None
    assert now.limit is Limit.ASKED
    assert now.sentence.endswith("(retry-after); goes on in 10 s")
    assert whole is not None
    assert whole.limit is Limit.LATENCY
    assert whole.share == pytest.approx(60 / 85)
    assert looks.shares == pytest.approx({Limit.LATENCY: 60 / 85, Limit.ASKED: 25 / 85})


def test_nothing_is_said_of_a_run_that_was_hardly_looked_at() -> None:
    looks = Looks()
    assert (looks.now(Measured()), looks.whole(Measured()), looks.shares) == (None, None, {})
    looks.add(Moment(**BUSY), 1.0)
    looks.add(Moment(**BUSY), 1.5)
    assert looks.whole(Measured()) is None


def test_an_endless_hold_is_no_time_to_wait() -> None:
    looks = Looks()
    for now_s in (0.0, 5.0):
        looks.add(Moment(**FREE, ready=3, **held(Hold.WORKERS, until_s=float("inf"))), now_s)
    now = looks.now(Measured())
    assert now is not None
    assert now.limit is Limit.CODE


def test_the_meter_keeps_the_latencies_of_the_whole_run() -> None:
    meter = Meter(began_s=0.0)
    for at in range(200):
        meter.begin(at).add(record(at))
    assert meter.latency.total() == 200
    assert meter.latency_ms == sum(range(200))
    assert meter.left_s(120, wall_s=200.0) == pytest.approx(120, rel=0.05)
    assert Meter(0.0).left_s(5, wall_s=1.0) is None


# How far it is


@pytest.mark.parametrize(
    ("how", "percent", "left"),
    [
        ({"ok": 50, "total": 100, "is_estimate": False}, 50, 50),
        ({"ok": 99, "failed": 1, "total": 100, "is_estimate": False}, 99, 0),
        ({"ok": 999_999, "failed": 1, "total": 1_000_000, "is_estimate": False}, 99, 0),
        ({"ok": 90, "duplicate": 10, "total": 100, "is_estimate": False}, 100, 0),
        ({"ok": 120, "in_flight": 20, "total": 100}, 85, 20),
        ({"ok": 7}, None, None),
        ({"total": 0, "is_estimate": False}, None, 0),
    ],
)
def test_percent_speak_of_what_came_out_well(how: dict[str, Any], percent: int | None, left: int | None) -> None:
    """Never 100 % while failures are counted as done, and never nothing left while an estimate is too low."""
    at = Progress(name="list", **how)
    assert (at.percent_ok, at.left) == (percent, left)


def test_a_line_says_all_of_it() -> None:
    at = Progress(
        name="list", ok=900, failed=9, duplicate=1, total=2000, calls_per_s=118.3, bytes_per_s=2.4e6,
        latency={160: 50, 2000: 41, 2500: 5, 3200: 4}, in_flight=18, limit=20, retries=1, resting=1200, left_s=250,
    )  # fmt: skip
    assert line(at) == (
        "910 done: 900 ok, 9 failed, 1 duplicate; 1,090 left of about 2,000; 45 % ok; 118 calls/s; 2.4 MB/s; "
        "p50 160 ms, p95 2.4 s; 18 of 20 workers; 1 retry; 1,200 resting; 4 min left"
    )
    assert "length of the list unknown; 0 calls/s" in line(Progress(name="list"))


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"read": 70, "is_read": True, "estimate": 90, "former": 80, "limit": 60}, (70, False)),
        ({"read": 7, "former": 80}, (80, False)),
        ({"read": 7, "former": 80, "limit": 60}, (60, False)),
        ({"read": 7, "estimate": 90}, (90, True)),
        ({"read": 100, "estimate": 90}, (100, True)),
        ({"read": 7, "estimate": 90, "limit": 60}, (60, True)),
        ({"read": 7, "estimate": 90, "limit": 600}, (90, True)),
        ({"read": 7, "limit": 600}, (600, True)),
        ({"read": 7}, (None, True)),
    ],
)
def test_the_length_of_a_list(how: dict[str, Any], expected: tuple[int | None, bool]) -> None:
    unknown: dict[str, Any] = {"is_read": False, "estimate": None, "former": None, "limit": None}
    assert length(**{**unknown, **how}) == expected


@pytest.mark.parametrize("lines", [1, 100, 40_000])
@pytest.mark.parametrize("packed", [False, True])
def test_a_list_is_measured_by_the_part_that_was_read(lines: int, packed: bool, tmp_path: Path) -> None:
    text = "".join(f"https://api.example.com/items/{os.urandom(8).hex()}\n" for _ in range(lines)).encode()
    path = tmp_path / ("list.txt.gz" if packed else "list.txt")
    path.write_bytes(gzip.compress(text, 1) if packed else text)
    source = open_source(str(path))
    source.next_batch(64)
    if not packed:
        assert source.lines_about == pytest.approx(lines, rel=0.01)
    while source.next_batch(64) and source.count < lines * 0.9:
        pass
    assert source.lines_about is None or source.lines_about == pytest.approx(lines, rel=0.15)
    if packed and lines > 1000:
        assert source.lines_about is not None
    source.close()


def test_a_list_of_several_files_is_measured_by_their_sizes(tmp_path: Path) -> None:
    for number, lines in enumerate((1000, 500, 2500)):
        text = "".join(f"https://api.example.com/items/{n:05}\n" for n in range(lines))
        (tmp_path / f"{number}.txt").write_text(text)
    files = [str(tmp_path / f"{number}.txt") for number in range(3)]
    source = open_list(str(tmp_path), files, Shape())
    seen = 0
    while batch := source.next_batch(100):
        seen += len(batch)
        assert source.lines_about == pytest.approx(4000, rel=0.01)
    assert seen == source.lines_about == 4000


def test_the_length_of_a_pipe_is_unknown(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_text, args=("https://api.example.com/1\n",))
    writing.start()
    source = open_source(str(pipe))
    assert source.next_batch(1)
    assert source.lines_about is None
    source.close()
    writing.join()


# Amounts


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (size(999), "999 B"), (size(999.6), "1 kB"), (size(2_440_000), "2.44 MB"), (size(3e15), "3,000 TB"),
        (per_second(0.254), "0.254"), (per_second(8.42), "8.42"), (per_second(99.6), "100"),
        (per_second(1234), "1,234"), (milliseconds(0.4), "0 ms"), (milliseconds(999.4), "999 ms"),
        (milliseconds(2_350), "2.4 s"), (milliseconds(61_000), "61 s"), (duration(8.24), "8.2 s"),
        (duration(250), "4 min 10 s"),
        (duration(11_100), "3 h 5 min"), (about(0.2), "1 s"), (about(44), "40 s"), (about(59.9), "60 s"),
        (about(250), "4 min"), (about(3_599), "1 h"), (about(11_100), "3 h 5 min"), (about(90_000), "1 day 1 h"),
        (about(172_800), "2 days"),
    ],
)  # fmt: skip
def test_amounts_read_as_people_say_them(said: str, expected: str) -> None:
    assert said == expected
