"""A fleet's decisions, by tables of values: shares, what an end means, how many processes a machine is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from crawler.fleet import Part, gathering, parts_of
from crawler.fleet.cores import cores
from crawler.fleet.shares import most_parts, shares
from crawler.fleet.verdicts import DEATHS, Verdict, judge, wait_s, worst
from crawler.values import AtMost

if TYPE_CHECKING:
    from collections.abc import Mapping


def values(**said: Any) -> Mapping[str, Any]:
    return {
        "CONCURRENT_REQUESTS": said.get("workers", 20),
        "CONCURRENT_REQUESTS_PER_DOMAIN": said.get("per_host", int(said.get("workers", 20))),
        "APIFETCH_MAX_CALLS": said.get("max_calls"),
        "APIFETCH_WORKERS_MAX": said.get("workers_max", 1000),
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
    assert first.settings == second.settings == {"LOG_LEVEL": "DEBUG"}
    assert [str(first), str(second), str(WHOLE)] == ["part 1/2", "part 2/2", "the whole list"]


def test_workers_that_are_found_are_found_within_a_share_of_the_most() -> None:
    parts = parts_of(WHOLE, values(workers=AtMost(101), workers_max=101), 2)
    assert [part.arguments["workers"] for part in parts] == ["auto", "auto"]
    assert [part.settings["APIFETCH_WORKERS_MAX"] for part in parts] == ["51", "50"]


def test_parts_are_brought_together_without_a_call_that_was_made() -> None:
    assert gathering(WHOLE).arguments == {**WHOLE.arguments, "redo": "none", "out": "out/a%%b"}
    assert gathering(WHOLE).settings == {"CONCURRENT_REQUESTS": "20", "LOG_LEVEL": "DEBUG"}


@pytest.mark.parametrize(
    ("said", "most"),
    [
        ({"workers": 3}, (3, "per_host")),  # where it is not said it is as workers
        ({"workers": 8, "per_host": 9, "max_calls": 2}, (2, "max_calls")),
        ({"workers": AtMost(4), "per_host": 4, "workers_max": 4}, (4, "per_host")),
    ],
)
def test_there_are_no_more_processes_than_can_have_a_share(said: dict[str, Any], most: tuple[int, str]) -> None:
    assert most_parts(values(**said)) == most


@pytest.mark.parametrize(
    ("exit_code", "stop_reason", "deaths", "verdict"),
    [
        (-9, None, 1, Verdict.AGAIN),
        (-9, None, DEATHS, Verdict.END),
        (69, None, 1, Verdict.AGAIN),
        (75, "shutdown", 1, Verdict.AGAIN),  # somebody sent it a signal
        (75, None, 1, Verdict.AGAIN),  # or two
        (75, "max_calls", 1, Verdict.END),
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
