"""A fleet's decisions, by tables of values: shares, what an end means, how many processes a machine is worth."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from crawler.exceptions import ArgumentError
from crawler.fleet import Fleet, Look, Part, gathering, parts_of
from crawler.fleet.cores import cores
from crawler.fleet.shares import SHARED, count_of, most_parts, rate_of_each, shares
from crawler.fleet.sums import Sums
from crawler.fleet.verdicts import DEATHS, Verdict, judge, wait_s, worst
from crawler.meter import Limit, Progress
from crawler.meter import Verdict as Verdict_
from crawler.pacing import RATE
from crawler.values import REDO, AtMost

if TYPE_CHECKING:
    from collections.abc import Mapping


BODIES = SHARED["bodies"]


def values(**said: Any) -> Mapping[str, Any]:
    return {
        "CONCURRENT_REQUESTS": said.get("workers", 20),
        "CONCURRENT_REQUESTS_PER_DOMAIN": said.get("per_host", int(said.get("workers", 20))),
        "APIFETCH_MAX_CALLS": said.get("max_calls"),
        "APIFETCH_REDO": REDO.parse(said.get("redo", "retryable")),
        "APIFETCH_WORKERS_MAX": said.get("workers_max", 1000),
        "APIFETCH_BODIES_IN_FLIGHT_BYTES": said.get("bodies", 2**28),
        "APIFETCH_RATE": RATE.parse(said["rate"]) if "rate" in said else None,
        "APIFETCH_SHARED_RATE": said.get("shared_rate", "on"),
    }


WHOLE = Part(
    out=Path("out/a%b"),
    arguments={"urls": "l.txt", "workers": "20", "rate": "5/s", "redo": "all", "out": "x"},
    settings={"CONCURRENT_REQUESTS": "20", "LOG_LEVEL": "DEBUG", "APIFETCH_OUT": "x"},
)


@pytest.mark.parametrize(("whole", "count", "each"), [(20, 2, [10, 10]), (20, 3, [7, 7, 6]), (3, 3, [1, 1, 1])])
def test_shares_add_up_and_differ_by_one_at_most(whole: int, count: int, each: list[int]) -> None:
    assert shares(whole, count) == each


def test_each_part_is_told_the_same_but_for_its_part_and_its_shares() -> None:
    first, second = parts_of(WHOLE, values(workers=21, max_calls=5, per_host=7), 2)
    alike = {"urls": "l.txt", "rate": "5/s", "redo": "all", "out": "out/a%%b"}
    assert first.arguments == alike | {"shard": "1/2", "workers": "11", "per_host": "4", "max_calls": "3"}
    assert second.arguments == alike | {"shard": "2/2", "workers": "10", "per_host": "3", "max_calls": "2"}
    assert first.settings == second.settings == {"LOG_LEVEL": "DEBUG", BODIES: str(2**27)}
    assert [str(first), str(second), str(WHOLE)] == ["part 1/2", "part 2/2", "the whole list"]


def test_workers_that_are_found_are_found_within_a_share_of_the_most() -> None:
    parts = parts_of(WHOLE, values(workers=AtMost(101), workers_max=101), 2)
    assert [part.arguments["workers"] for part in parts] == ["auto", "auto"]
    assert [part.settings["APIFETCH_WORKERS_MAX"] for part in parts] == ["51", "50"]


def test_parts_that_do_not_keep_to_a_rate_together_have_a_share_of_it() -> None:
    whole = replace(
        WHOLE, arguments={"urls": "l.txt"}, settings={"APIFETCH_RATE": "5/s", "APIFETCH_SHARED_RATE": "off"}
    )
    together = parts_of(whole, values(rate="5/s"), 2)
    assert ["rate" in part.arguments for part in together] == [False, False]
    apart = parts_of(whole, values(rate="5/s", shared_rate="off"), 2)
    assert [part.arguments["rate"] for part in apart] == ["2/1s", "2/1s"]
    assert all("APIFETCH_RATE" not in part.settings for part in apart)


def test_what_has_changed_is_not_told_in_parts() -> None:
    with pytest.raises(ArgumentError, match="redo='changed': expected another redo than changed"):
        parts_of(WHOLE, values(redo="changed"), 2)


def test_parts_are_brought_together_without_a_call_that_was_made() -> None:
    assert gathering(WHOLE).arguments == {**WHOLE.arguments, "redo": "none", "out": "out/a%%b"}
    assert gathering(WHOLE).settings == {"CONCURRENT_REQUESTS": "20", "LOG_LEVEL": "DEBUG"}


@pytest.mark.parametrize(
    ("said", "most"),
    [
        ({"workers": 3}, (3, "per_host")),  # where it is not said it is as workers
        ({"workers": 8, "per_host": 9, "max_calls": 2}, (2, "max_calls")),
        ({"workers": AtMost(4), "per_host": 40, "workers_max": 4}, (4, "APIFETCH_WORKERS_MAX")),
        ({"bodies": 3 * 2**20 + 5}, (3, "APIFETCH_BODIES_IN_FLIGHT_BYTES")),
    ],
)
def test_there_are_no_more_processes_than_can_have_a_share(said: dict[str, Any], most: tuple[int, str]) -> None:
    assert most_parts(values(**said)) == most


@pytest.mark.parametrize(
    ("rate", "count", "each"),
    [("10/s", 3, "3/1s"), ("1/s", 3, "1/3s"), ("5/s,10000/d", 2, "2/1s,5000/86400s"), ("2/m", 3, "1/90s")],
)
def test_shares_of_a_rate_are_together_no_more_than_it(rate: str, count: int, each: str) -> None:
    assert rate_of_each(RATE.parse(rate), count) == each
    RATE.parse(each)


@pytest.mark.parametrize(
    ("said", "found"),
    [("auto", (2, "two")), ("3", (3, "as you said")), ("5", (4, "so that each has its share of per_host"))],
)
def test_how_many_parts_there_are(said: str, found: tuple[int, str]) -> None:
    assert count_of(said, values(workers=4), (2, "two")) == found


@pytest.mark.parametrize("said", ["0", "-1", "ten", "10001", "\u0663", ""])
def test_what_is_no_number_of_parts(said: str) -> None:
    with pytest.raises(ArgumentError, match="expected auto, or a whole number from 1 to 10,000"):
        count_of(said, values(), (2, "two"))


@pytest.mark.parametrize(
    ("exit_code", "stop_reason", "deaths", "verdict"),
    [
        (-9, None, 1, Verdict.AGAIN),
        (-9, None, DEATHS, Verdict.END),
        (69, None, 1, Verdict.AGAIN),
        (75, "shutdown", 1, Verdict.AGAIN),  # somebody sent it a signal
        (75, None, 1, Verdict.AGAIN),  # or two
        (75, "max_calls", 1, Verdict.END),
        (75, "fail_early", 1, Verdict.STOP_ALL),
        (8, None, 1, Verdict.END),
        (1, None, 1, Verdict.END),
        (2, None, 1, Verdict.STOP_ALL),
        (3, "disk", 1, Verdict.STOP_ALL),
        (6, "credentials", 1, Verdict.STOP_ALL),
    ],
)
def test_what_the_end_of_a_part_means(exit_code: int, stop_reason: str | None, deaths: int, verdict: Verdict) -> None:
    assert judge(exit_code, stop_reason, deaths=deaths) is verdict


def test_a_part_that_dies_is_waited_for_longer_each_time() -> None:
    assert [wait_s(deaths) for deaths in range(1, DEATHS)] == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("codes", "code"), [([0, 8, 4], 4), ([0, 75, 8], 75), ([75, -9], 75), ([0, 77, 1], 77), ([0, 0], 0), ([69, 8], 69)]
)
def test_the_exit_code_is_the_worst_of_the_parts(codes: list[int], code: int) -> None:
    assert worst(codes) == code


@pytest.mark.parametrize(
    ("quota", "outer", "limit"),
    [("150000 100000", "max 100000", 1), ("50000 100000", "max 100000", 1), ("max 100000", "90000 100000", 1)],
)
def test_a_container_s_cores_are_those_it_may_use(tmp_path: Path, quota: str, outer: str, limit: int) -> None:
    own = tmp_path / "cgroup"
    own.write_text("1:name=x:/y\n0::/outer/inner\n")
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    (tmp_path / "outer" / "cpu.max").write_text(f"{outer}\n")
    (tmp_path / "outer" / "inner" / "cpu.max").write_text(f"{quota}\n")
    found, why = cores(own, tmp_path)
    assert found == limit
    assert "core" in why


def test_without_control_groups_they_are_those_of_the_process(tmp_path: Path) -> None:
    found, why = cores(tmp_path / "none", tmp_path)
    assert found >= 1
    assert why.startswith("this process may use")


def told(*, exit_code: int | None = None, **how: Any) -> Look:
    why = Verdict_(limit=Limit.RATE, share=1.0, sentence="")
    at = Progress(name="l 1/2", total=50, is_estimate=False, in_flight=2, limit=3, why=why, **how)
    return Look(progress=at, exit_code=exit_code)


def test_parts_add_up_to_one_progress() -> None:
    sums = Sums("l", 2)
    first = told(ok=20, failed=2, calls=30, bytes=300, calls_per_s=3.0, bytes_per_s=30.0, latency={100: 3})
    early = sums.see([first, Look()])
    assert (early.calls, early.total, early.done, sums.knows_all) == (30, None, 22, False)
    second = told(ok=7, duplicate=1, calls=10, bytes=90, calls_per_s=1.0, left_s=9.0, latency={100: 1, 200: 4})
    at = sums.see([first, second])
    assert sums.knows_all
    assert (at.name, at.ok, at.failed, at.duplicate, at.total, at.is_estimate) == ("l", 27, 2, 1, 100, False)
    assert (at.calls, at.calls_per_s, at.bytes, at.bytes_per_s) == (40, 4.0, 390, 30.0)
    assert (at.in_flight, at.limit, at.left_s) == (4, 6, 9.0)
    assert at.latency == {100: 4, 200: 4}
    assert at.why is not None
    assert at.why.sentence == "In the way, of 2 of 2 parts: your rate"


def test_a_part_that_was_started_again_goes_on_counting() -> None:
    """Also where the next process had made more calls than the one before, before anybody looked."""
    sums = Sums("l", 1)
    sums.see([told(ok=20, calls=30, retries=2)])
    for _ in range(2):  # it is started again after a while
        sums.see([told(ok=21, calls=31, retries=2, exit_code=-9)])
    at = sums.see([Look()])
    assert (at.calls, at.ok, at.retries) == (31, 21, 2)
    at = sums.see([told(ok=60, calls=50)])
    assert (at.calls, at.ok, at.retries) == (81, 60, 2)
    over = sums.see([told(ok=61, calls=51, exit_code=0)])
    assert (over.calls, over.in_flight, over.why) == (82, 0, None)


class Scripted:
    """An engine whose parts end as it is told, one start after the other."""

    def __init__(self, *ends: Look) -> None:
        self.ends = list(ends)
        self.stops: list[bool] = []

    async def start(self, part: Part) -> Scripted:  # noqa: ARG002  # an Engine
        return self

    async def look(self) -> Look:
        return self.ends.pop(0)

    async def stop(self, *, at_once: bool) -> None:
        self.stops.append(at_once)


def test_a_part_that_only_dies_is_left_and_one_that_gets_on_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.fleet.verdicts.WAIT_S", 0.0)
    monkeypatch.setattr("crawler.fleet.fleet.LOOK_S", 0.0)
    said: list[str] = []
    dead = Look(exit_code=-9)
    fleet = Fleet([Part(out=Path())], Scripted(*[dead] * DEATHS), tell=said.append)
    assert asyncio.run(fleet.run()) == 75
    assert fleet.restarts == DEATHS - 1
    assert said[-1] == f"the whole list killed by signal 9, {DEATHS} times in a row: it is left"

    lives = [told(ok=n, exit_code=-9) for n in range(2 * DEATHS)]
    fleet = Fleet([Part(out=Path())], Scripted(*lives, Look(exit_code=8)), tell=said.append)
    assert asyncio.run(fleet.run()) == 8
    assert fleet.restarts == 2 * DEATHS


def test_what_all_would_come_to_stops_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.fleet.fleet.LOOK_S", 0.0)
    engine = Scripted(Look(exit_code=2), Look(), Look(exit_code=75))
    fleet = Fleet([Part(out=Path())] * 2, engine, tell=lambda _: None)
    assert asyncio.run(fleet.run()) == 2
    assert engine.stops == [False]
