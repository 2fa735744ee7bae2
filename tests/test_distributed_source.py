"""How much of a list in Redis one worker draws."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

from crawler.distributed import source
from crawler.distributed.envelope import encode, name_of
from crawler.distributed.server import Server
from crawler.distributed.source import SharedSource
from crawler.items import Entry
from crawler.sources import SharedAddress
from tests.redis_server import RedisServer, needs_redis, until

if TYPE_CHECKING:
    import pytest

pytestmark = needs_redis

WORKERS = 2
ALL = 100


def filled(redis: RedisServer) -> Server:
    server = Server(SharedAddress.of(redis.url()))
    server.begin()
    lines = [Entry(url=f"http://h/{n}", target=f"http://h/{n}", line=n) for n in range(1, ALL + 1)]
    server.add([(name_of(line), encode(line)) for line in lines])
    return server


def test_a_worker_draws_twice_its_calls_at_once_and_as_many_more_as_rest(redis: RedisServer) -> None:
    """The others are for those who can call them."""
    resting = 0
    with closing(SharedSource(filled(redis), workers=WORKERS, aside=lambda: resting, lease_s=30.0)) as one:
        assert len(one.next_batch(ALL)) == 2 * WORKERS
        resting = 3
        assert len(one.next_batch(ALL)) == 3


def test_so_much_may_rest_and_no_more(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST_ASIDE", 10)
    with closing(SharedSource(filled(redis), workers=WORKERS, aside=lambda: ALL, lease_s=30.0)) as one:
        assert len(one.next_batch(ALL)) == 2 * WORKERS + 10


def test_a_worker_is_dry_when_so_much_rests_that_it_may_draw_no_more(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it holds besides will be done, and make room."""
    monkeypatch.setattr(source, "MOST_ASIDE", 10)
    resting = 10
    with closing(SharedSource(filled(redis), workers=WORKERS, aside=lambda: resting, lease_s=30.0)) as one:
        assert len(one.next_batch(ALL)) == 2 * WORKERS + 10
        waiting = threading.Thread(target=one.next_batch, args=(ALL,))
        waiting.start()
        assert not one.is_dry
        resting = 2 * WORKERS + 10
        until(lambda: one.is_dry)
    waiting.join()


def test_a_worker_is_dry_when_the_list_is_empty(redis: RedisServer) -> None:
    server = filled(redis)
    with closing(SharedSource(server, workers=ALL, aside=lambda: 0, lease_s=30.0)) as one:
        assert len(one.next_batch(ALL)) == ALL
        assert not one.is_dry
        waiting = threading.Thread(target=one.next_batch, args=(ALL,))
        waiting.start()
        until(lambda: one.is_dry)
        server.close_list(True)
        waiting.join()
