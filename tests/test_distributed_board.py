"""What all machines know of a host: in Redis, changed by one at a time, and by Redis's clock."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from crawler.distributed.board import FleetBoard
from crawler.distributed.server import Server
from crawler.pacing import RATE, Shared, SharedRate
from crawler.sources import SharedAddress
from tests.far import Far
from tests.hostile.certificates import Signed
from tests.redis_server import RedisServer, needs_redis, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = needs_redis

PATIENCE_S = 30.0
"""In place of a second, which a busy machine may need for an answer."""

LATER_S = 0.25
"""The way from another continent."""


@pytest.fixture
def machine(redis: RedisServer) -> Callable[[], FleetBoard]:
    """Another machine that shares a list of that Redis."""
    return lambda: FleetBoard(Server(SharedAddress.of(redis.url())), patience_s=PATIENCE_S)


def board_of(redis: RedisServer, far: Far, *, ca_file: str | None = None, patience_s: float = PATIENCE_S) -> FleetBoard:
    """A machine that is far away from it."""
    server = Server(replace(SharedAddress.of(redis.url()), port=far.port), ca_file=ca_file)
    return FleetBoard(server, patience_s=patience_s)


def counts(board: FleetBoard, change: Callable[[dict[str, Any]], None]) -> bool:
    """Have it changed once it is known what stands there; whether that counts, as soon as the answer is there."""
    until(lambda: board.exchange("h", lambda _state: None))
    if (known := board.exchange("h", change)) is not None:
        return known
    answers: list[bool | None] = [None]

    def is_known() -> bool:
        answers.append(board.answer("h"))
        return answers[-1] is not None

    until(is_known)
    return bool(answers[-1])


def test_of_two_that_change_it_at_once_one_counts(machine: Callable[[], FleetBoard]) -> None:
    one, other = machine(), machine()

    def meanwhile(state: dict[str, Any]) -> None:
        assert counts(other, lambda theirs: theirs.update(by="other"))
        state["by"] = "one"

    seen: dict[str, Any] = {}
    assert not counts(one, meanwhile)
    assert counts(one, seen.update)
    assert seen == {"by": "other"}


def test_what_is_only_looked_at_is_not_written(machine: Callable[[], FleetBoard], redis: RedisServer) -> None:
    def written() -> int:
        return int(redis.client().info("commandstats").get("cmdstat_set", {"calls": 0})["calls"])

    one = machine()
    assert counts(one, lambda _state: None)
    assert written() == 0
    assert counts(one, lambda state: state.update(turn_s=1790000000.123456, held=[[1.5, 2]]))
    assert counts(one, lambda _state: None)
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


def test_a_redis_in_another_region_is_waited_for(redis: RedisServer, machine: Callable[[], FleetBoard]) -> None:
    with Far(redis.port, later_s=LATER_S) as far:
        one = board_of(redis, far)
        assert counts(one, lambda state: state.update(by="one"))
        seen: dict[str, Any] = {}
        assert counts(machine(), seen.update)
        assert seen == {"by": "one"}


def test_a_handshake_takes_the_time_it_takes(tmp_path: Path) -> None:
    authority = Signed.make("ours", authority=True)
    (tmp_path / "ca.pem").write_bytes(authority.chain)
    certificate = Signed.make("redis", issuer=authority).write(tmp_path)
    (tmp_path / "redis").mkdir()
    with RedisServer(tmp_path / "redis", tls=certificate) as redis, Far(redis.port, later_s=LATER_S) as far:
        one = board_of(redis, far, ca_file=str(tmp_path / "ca.pem"))
        assert counts(one, lambda state: state.update(by="one"))


def test_who_only_looks_waits_for_no_answer(redis: RedisServer, machine: Callable[[], FleetBoard]) -> None:
    """And knows at the next time what stands there."""
    with Far(redis.port) as far:
        one = board_of(redis, far)
        seen: dict[str, Any] = {}
        assert counts(one, seen.update)
        far.hold()
        assert counts(machine(), lambda state: state.update(by="other"))
        for _ in range(100):
            assert counts(one, seen.update)
        assert seen == {}
        far.let_go()
        until(lambda: one.exchange("h", seen.update) and seen == {"by": "other"})


def test_a_silent_redis_stops_nobody_and_that_is_said_once(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with Far(redis.port) as far:
        one = board_of(redis, far, patience_s=0.5)
        assert counts(one, lambda state: state.update(by="one"))
        until(lambda: one.exchange("h", lambda _state: None))
        far.hold()
        asked = far.asked
        assert one.exchange("h", lambda state: state.update(by="another")) is None
        until(lambda: one.answer("h") is None and "Redis has not answered for 0.5 s: until it does" in caplog.text)
        changes: list[dict[str, Any]] = []
        for _ in range(100):
            assert one.exchange("h", changes.append) is False
            assert one.answer("h") is None
        assert changes == []
        assert far.asked <= asked + 2, "a look may have been under way"
        assert caplog.text.count("Redis has not answered") == 1
        far.let_go()
        until(lambda: one.answer("h"))
        assert counts(one, lambda state: state.update(by="one"))


@pytest.mark.parametrize("later_s", [0.0, 0.2])
def test_turns_of_a_second_are_had_from_afar_by_all(redis: RedisServer, later_s: float) -> None:
    with Far(redis.port, later_s=later_s, asked_later_s=later_s) as far:
        rates = [SharedRate(RATE.parse("50/s"), "h", board_of(redis, far).shared) for _ in range(2)]
        used = [0, 0]

        def call(number: int) -> bool:
            now_s = time.monotonic()
            if rates[number].next_at(now_s) <= now_s:
                rates[number].take(now_s)
                used[number] += 1
            return used[number] >= 20

        until(lambda: call(0) & call(1))


def test_no_turn_is_had_before_it_is_known_to_be_in_redis(redis: RedisServer) -> None:
    with Far(redis.port) as far:
        one = board_of(redis, far)
        rate = SharedRate(RATE.parse("1000/d"), "h", one.shared)
        until(lambda: one.exchange("h", lambda _state: None))
        far.hold()
        for _ in range(100):
            assert rate.next_at(now_s := time.monotonic()) > now_s
        far.let_go()
        until(lambda: rate.next_at(now_s := time.monotonic()) <= now_s)
