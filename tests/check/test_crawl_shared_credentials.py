"""Credentials that are refused while workers share a list: none waits for another, and the list is not burnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import write_list
from tests.redis_server import STREAM, RedisServer, needs_redis

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl, CrawlResult

pytestmark = [pytest.mark.check, needs_redis, pytest.mark.timeout(600)]

LINES = 200


def fill(api: ApiServer, crawl: Crawl, redis: RedisServer, count: int, status: int) -> None:
    lines = (api.url(f"/private/{n}?size=50&refusal={status}&delay_ms=5") for n in range(count))
    assert crawl.scrapy("enqueue", write_list(crawl.cwd / "list.txt", lines), redis.url(), "--close").returncode == 0


def work(api: ApiServer, crawl: Crawl, redis: RedisServer, token: str, count: int, **how: object) -> list[CrawlResult]:
    running = [
        crawl(
            redis.url(), out=f"out/{token}-{n}", hosts=api.netloc, env={"TOKEN": token}, wait=False,
            headers='{"Authorization": "Bearer ${TOKEN}"}', **how,
        )
        for n in range(count)
    ]  # fmt: skip
    return [each.wait() for each in running]


@pytest.mark.parametrize(("status", "workers"), [(401, 5), (403, 5), (403, 20)])
def test_with_a_dead_token_all_workers_end_and_the_rest_is_there_for_better_ones(
    api: ApiServer, crawl: Crawl, redis: RedisServer, status: int, workers: int
) -> None:
    """403 is in doubt after 50 calls in a row: more than a worker holds that has few calls at once."""
    fill(api, crawl, redis, LINES, status)
    refused = work(api, crawl, redis, "not-good", 2, workers=workers)
    assert [done.returncode for done in refused] == [6, 6]
    answered = sum(len(done.rows()) for done in refused)
    assert answered <= 2  # the call that tried, of each
    assert redis.client().xlen(STREAM) == LINES - answered
    api.put_token("good")
    (done,) = work(api, crawl, redis, "good", 1)
    assert (done.returncode, len(done.rows())) == (0, LINES - answered)


def test_the_last_calls_that_are_refused_have_their_answers_though_others_hold_some_too(
    api: ApiServer, crawl: Crawl, redis: RedisServer
) -> None:
    """Too few to doubt the credentials; each worker would wait for what comes of the other's."""
    fill(api, crawl, redis, 6, 403)
    ended = work(api, crawl, redis, "not-good", 2, workers=2)
    assert {done.returncode for done in ended} <= {0, 6, 8}
    rows = [row for done in ended for row in done.rows()]
    assert [row["outcome"] for row in rows] == ["http_error"] * 6
    assert redis.client().xlen(STREAM) == 0
