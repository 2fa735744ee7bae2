"""A list in Redis under the real commands: filled, drawn from by workers that come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import write_list
from tests.redis_server import RedisServer, needs_redis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import ApiServer, Crawl

pytestmark = needs_redis

STREAM = "apifetch:{items}:stream"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    with RedisServer(folder) as server:
        yield server


def enqueue(crawl: Crawl, *words: object) -> tuple[int, str]:
    done = crawl.scrapy("enqueue", *words)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def test_filled_fetched_to_its_end_and_acknowledged(api: ApiServer, crawl: Crawl, redis: RedisServer) -> None:
    lines = [api.url(f"/items/{n}") for n in range(300)]
    urls = write_list(crawl.cwd / "list.txt", [*lines, "http://[::1", lines[0]])
    code, said = enqueue(crawl, urls, redis.url(), "--close")
    assert (code, "302 lines read, 301 added, 1 in the list already" in said) == (0, True)
    assert "closed, 301 entries, 301 of them not done" in said
    code, said = enqueue(crawl, urls, redis.url())
    assert (code, "302 lines read, 0 added, 302 in the list already" in said) == (0, True)

    done = crawl(redis.url(), out="out")
    assert done.returncode == 65
    rows: list[dict[str, Any]] = done.rows()
    assert sorted(row["line"] for row in rows) == list(range(1, 302))
    assert {row["source"] for row in rows} == {str(urls)}
    assert done.summary["equation"]["lines"] == 301
    assert (done.summary["equation"]["ok"], done.summary["equation"]["left"]) == (300, 0)
    assert api.stats()["requests"] == 300
    assert redis.client().xlen(STREAM) == 0
    assert redis.client().xinfo_consumers(STREAM, "workers") == []
