"""A list in Redis under the real commands: filled, drawn from by workers that come and go."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from crawler.arguments import read_arguments
from crawler.exceptions import ArgumentError
from tests.harness import write_list
from tests.proofs import shared_rate
from tests.proofs.shared_list import Trial, run_trial
from tests.redis_server import STREAM, RedisServer, needs_redis
from tests.scripted import OK, Heard, Says, Scripted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import ApiServer, Crawl

pytestmark = [pytest.mark.check, needs_redis, pytest.mark.timeout(600)]  # many commands, on a busy machine

RESTING, SERVED = 400, 60


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


def test_workers_are_killed_and_redis_with_them_and_nothing_is_lost(
    api: ApiServer, crawl: Crawl, redis: RedisServer
) -> None:
    trial = Trial(lines=300, workers=2, kills=2, restarts=1, lease_s=3.0, delay_ms=50)
    run_trial(trial, api, crawl.cwd, redis, crawl)


@pytest.mark.timeout(900)
def test_a_long_list_outlives_many_workers(api: ApiServer, crawl: Crawl, redis: RedisServer) -> None:
    run_trial(Trial(lines=5000, workers=4, kills=8, restarts=2), api, crawl.cwd, redis, crawl)


def test_workers_keep_to_one_rate_and_use_it(crawl: Crawl, redis: RedisServer) -> None:
    """One is killed in the midst, and another joins. Busy machines are late; a quiet one uses 0.98 of it."""
    found = shared_rate.run_trial(
        shared_rate.Trial(rate="50/s", calls=600, workers=4, kills=1), crawl.cwd, redis, crawl
    )  # fmt: skip
    assert found.most("50/s") <= 51 + 50 * found.late_s
    assert found.used("50/s") >= 0.8


def test_a_days_calls_are_those_of_all_workers_and_of_the_dead(crawl: Crawl, redis: RedisServer) -> None:
    """What a worker had in hand when it was killed is ten calls at the most; whoever waits for tomorrow, ends."""
    with Scripted(lambda _heard: Says(after_s=0.05)) as server:
        urls = write_list(crawl.cwd / "list.txt", (server.url(f"/{n}") for n in range(200)))
        assert enqueue(crawl, urls, redis.url(), "--close")[0] == 0
        how = {"rate": "60/d", "workers": 3, "settings": {"APIFETCH_LEASE_S": 3.0}}
        dies, *others = [crawl(redis.url(), out=f"out/{n}", wait=False, **how) for n in range(3)]
        dies.wait_for(lambda: dies.output.rows("select 1 from records"))
        dies.kill()
        others.append(crawl(redis.url(), out="out/3", wait=False, **how))
        ended = [running.wait() for running in others]
        assert 50 <= len(server.heard) <= 60
    assert {done.returncode for done in ended} == {75}
    assert {done.summary["stop_reason"] for done in ended} == {"waits"}


def test_what_an_api_asks_one_worker_to_wait_all_wait(crawl: Crawl, redis: RedisServer) -> None:
    """Each has a directory of its own, and may be on another machine: they meet in Redis alone."""

    def answer(heard: Heard) -> Says:
        if heard.headers["user-agent"] == "worker-0":
            return Says(429, {"Retry-After": "3600"})
        return Says(after_s=0.02)

    with Scripted(answer) as server:
        urls = write_list(crawl.cwd / "list.txt", (server.url(f"/{n}") for n in range(5000)))
        assert enqueue(crawl, urls, redis.url(), "--close")[0] == 0
        asked, other = [
            crawl(
                redis.url(), out=f"out/{n}", workers=1, settings={"USER_AGENT": f"worker-{n}"}, wait=False,
                env={"XDG_STATE_HOME": str(crawl.cwd / f"machine-{n}")},
            )
            for n in range(2)
        ]  # fmt: skip
        ended = [asked.wait(), other.wait()]
    assert [done.returncode for done in ended] == [75, 75]
    assert [done.summary["stop_reason"] for done in ended] == ["waits", "waits"]
    assert len(server.heard) < 5000


def test_all_workers_together_make_no_more_calls_at_once_than_the_list_allows(
    api: ApiServer, crawl: Crawl, redis: RedisServer
) -> None:
    """Nor when one is killed: what it held counts until others have it."""
    urls = write_list(crawl.cwd / "list.txt", (api.url(f"/items/{n}?delay_ms=100") for n in range(80)))
    assert "closed, 4 calls at once, 80 entries" in enqueue(crawl, urls, redis.url(), "--close", "--workers", 4)[1]
    how: dict[str, Any] = {"workers": 6, "wait": False, "settings": {"APIFETCH_LEASE_S": 3.0}}
    dies, other = [crawl(redis.url(), out=f"out/{n}", **how) for n in range(2)]
    dies.wait_for(lambda: dies.output.rows("select 1 from records"))
    dies.kill()
    for running in (other, crawl(redis.url(), out="out/2", **how)):
        assert running.wait().returncode == 0
    assert set(api.seen("/items/").values()) <= {1, 2}
    assert len(api.seen("/items/")) == 80
    assert api.stats()["peak"] <= 4  # of eighteen that they would make


def rests(heard: Heard) -> Says:
    """One host asks for an hour, the other serves."""
    return Says(503, {"Retry-After": "3600"}) if heard.host == "127.0.0.2" else Says()


def enqueue_of_two_hosts(crawl: Crawl, redis: RedisServer, server: Scripted) -> None:
    """The lines of the one that rests come first: many times what a worker holds, as many as are read on for one."""
    resting = [server.url(f"/{n}", 1) for n in range(RESTING)]
    urls = write_list(crawl.cwd / "list.txt", [*resting, *(server.url(f"/{n}") for n in range(SERVED))])
    assert enqueue(crawl, urls, redis.url(), "--close")[0] == 0


def test_a_host_that_rests_leaves_room_for_the_lines_of_others(crawl: Crawl, redis: RedisServer) -> None:
    with Scripted(rests, addresses=("127.0.0.1", "127.0.0.2")) as server:
        enqueue_of_two_hosts(crawl, redis, server)
        done = crawl(redis.url(), out="out", workers=4)
        asked = Counter(heard.host for heard in server.heard)
    assert (done.returncode, done.summary["stop_reason"]) == (75, "waits")
    assert done.summary["equation"]["ok"] == asked["127.0.0.1"] == SERVED
    assert asked["127.0.0.2"] <= 4
    assert redis.client().xlen(STREAM) == RESTING


def test_what_rests_with_a_worker_is_kept_and_is_others_when_it_dies(crawl: Crawl, redis: RedisServer) -> None:
    """Called again is what was called, and that are no more than had a worker."""
    with Scripted(lambda heard: OK if heard.headers["user-agent"] == "heir" else rests(heard),
                  addresses=("127.0.0.1", "127.0.0.2")) as server:  # fmt: skip
        enqueue_of_two_hosts(crawl, redis, server)
        how: dict[str, Any] = {"workers": 4, "wait": False}
        settings: dict[str, Any] = {"APIFETCH_LEASE_S": 3.0, "APIFETCH_SHARED_RATE": "off"}
        dies = crawl(redis.url(), out="out/dies", settings={**settings, "APIFETCH_MAX_WAIT": 7200}, **how)
        pending = partial(redis.client().xpending, STREAM, "workers")
        dies.wait_for(lambda: redis.client().xlen(STREAM) == pending()["pending"] == RESTING)
        heir = crawl(redis.url(), out="out/heir", settings={**settings, "USER_AGENT": "heir"}, **how)
        dies.wait_for(lambda: len(pending()["consumers"]) == 1 and "waiting for 400 entries" in heir.stderr)
        dies.kill()
        done = heir.wait()
    assert (done.returncode, done.summary["equation"]["ok"]) == (0, RESTING)
    again = [url for url, times in Counter((heard.host, heard.path) for heard in server.heard).items() if times > 1]
    assert len(again) <= 4


@pytest.mark.parametrize(
    "wrong", [{"limit": "3"}, {"redo": "failed"}, {"shard": "1/2"}, {"column": "link"}, {"duplicates": "fetch"}]
)
def test_what_a_worker_of_a_shared_list_cannot_do_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ArgumentError, match=f"expected no {next(iter(wrong))} with a shared list: "):
        read_arguments({"urls": "redis://127.0.0.1/0/items", **wrong}, {}, environ={})


def test_what_cannot_be_is_refused_in_a_sentence_that_shows_no_password(crawl: Crawl, tmp_path: Path) -> None:
    folder = tmp_path / "secured"
    folder.mkdir()
    with RedisServer(folder, password="hush-hush-hush") as redis:
        url = redis.url().replace("redis://", "redis://:hush-hush-hush@")
        urls = write_list(crawl.cwd / "list.txt", ["http://127.0.0.1:1/a"])
        assert enqueue(crawl, urls, url, "--close")[0] == 0
        code, said = enqueue(crawl, write_list(crawl.cwd / "more.txt", ["http://127.0.0.1:1/b"]), url)
        assert (code, "the list is closed" in said) == (2, True)
        code, said = enqueue(crawl, redis.url())
        assert (code, "Redis refuses us" in said) == (2, True)
        plan = crawl.scrapy("plan", url)
        assert (plan.returncode, b"plan the FILE" in plan.stderr) == (2, True)
        done = crawl(url, out="out", settings={"RETRY_TIMES": 0})
        assert done.returncode == 4
        told = [said, plan.stderr.decode(), done.stderr, done.stdout]
    gone = crawl(url, out="out/gone", settings={"APIFETCH_SHARED_PATIENCE_S": 0})
    assert (gone.returncode, "Redis cannot be reached" in gone.stderr) == (2, True)
    told.append(gone.stderr)
    files = [path.read_bytes() for path in (crawl.cwd / "out").rglob("*") if path.is_file()]
    assert not any("hush-hush" in text for text in told)
    assert not any(b"hush-hush" in data for data in files)
