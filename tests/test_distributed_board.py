"""What all machines know of a host: in Redis, changed by one at a time, and by Redis's clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from crawler.distributed.board import FleetBoard
from crawler.distributed.server import Server
from crawler.pacing import RATE, Shared, SharedRate
from crawler.sources import SharedAddress
from tests.redis_server import RedisServer, needs_redis

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = needs_redis

PATIENCE_S = 30.0
"""In place of a fifth of a second, which a busy machine may need for an answer."""


@pytest.fixture
def machine(redis: RedisServer) -> Callable[[], FleetBoard]:
    """Another machine that shares a list of that Redis."""
    return lambda: FleetBoard(Server(SharedAddress.of(redis.url()), silence_s=PATIENCE_S))


def test_of_two_that_change_it_at_once_one_counts(machine: Callable[[], FleetBoard]) -> None:
    one, other = machine(), machine()

    def meanwhile(state: dict[str, Any]) -> None:
        assert other.exchange("h", lambda theirs: theirs.update(by="other"))
        state["by"] = "one"

    seen: dict[str, Any] = {}
    assert not one.exchange("h", meanwhile)
    assert one.exchange("h", seen.update)
    assert seen == {"by": "other"}


def test_what_is_only_looked_at_is_not_written(machine: Callable[[], FleetBoard], redis: RedisServer) -> None:
    def written() -> int:
        return int(redis.client().info("commandstats").get("cmdstat_set", {"calls": 0})["calls"])

    one = machine()
    assert one.exchange("h", lambda _state: None)
    assert written() == 0
    assert one.exchange("h", lambda state: state.update(turn_s=1790000000.123456, held=[[1.5, 2]]))
    assert one.exchange("h", lambda _state: None)
    assert written() == 1


def test_the_time_is_redis_s_for_all(machine: Callable[[], FleetBoard], redis: RedisServer) -> None:
    """As near as an answer of Redis takes to come: far less than this on any machine."""
    seconds, _ = redis.client().time()
    now_s = time.monotonic()
    for each in (machine(), machine()):
        assert each.wall(now_s) == pytest.approx(seconds, abs=10.0)


def test_without_redis_nothing_counts_and_nobody_waits(machine: Callable[[], FleetBoard], redis: RedisServer) -> None:
    rate = SharedRate(RATE.parse("100/d"), "h", Shared((one := machine()).exchange, one.wall))
    now_s = time.monotonic()
    redis.kill()
    changes: list[dict[str, Any]] = []
    assert rate.next_at(now_s) > now_s
    assert not one.exchange("h", changes.append)
    assert changes == []
