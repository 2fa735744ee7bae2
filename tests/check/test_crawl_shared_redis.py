"""A Redis that wants to be asked properly (TLS, a user, a password), or that cannot do what it is asked."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest

from crawler.distributed import server
from crawler.exceptions import ListError
from crawler.sources import SharedAddress
from tests.far import Far
from tests.harness import write_list
from tests.hostile.certificates import Signed
from tests.redis_server import STREAM, RedisServer, needs_redis
from tests.scripted import Says, Scripted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import ApiServer, Crawl

pytestmark = [pytest.mark.check, needs_redis, pytest.mark.timeout(600)]

SECRET = "p@ss/word:hush-hush"
USER = "~apifetch:* +@stream +@hash +@set +@sortedset +@string +@scripting +@connection +time +info"
"""What docs/shared-list.md says that a user needs."""


def said_once(crawl: Crawl, *words: object, **env: Any) -> str:
    """What a command that is refused says: one line, and no more than that."""
    done = crawl.scrapy(*words, **env)
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, len(lines)) == (2, 1), lines
    return lines[0]


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_user_with_a_password_by_name_over_tls(api: ApiServer, crawl: Crawl, tmp_path: Path) -> None:
    """No file, log or list of processes shows it."""
    authority = Signed.make("ours", authority=True)
    (tmp_path / "ca.pem").write_bytes(authority.chain)
    (tmp_path / "redis").mkdir()
    (tmp_path / "secrets").write_text(f"REDIS_PASSWORD='{SECRET}'\n")
    certificate = Signed.make("redis", issuer=authority).write(tmp_path)
    with RedisServer(tmp_path / "redis", tls=certificate) as redis:
        redis.client().execute_command("ACL", "SETUSER", "worker", "on", f">{SECRET}", *USER.split())
        url = redis.url().replace("://", "://worker:${REDIS_PASSWORD}@")
        urls = write_list(crawl.cwd / "list.txt", [api.url("/items/1"), api.url("/items/2")])
        trusting: dict[str, Any] = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}

        why = said_once(crawl, "enqueue", urls, url, REDIS_PASSWORD=SECRET)
        assert "the certificate of Redis is not trusted" in why
        assert "certifi says whose are" in why
        assert "${REDIS_PASSWORD}" in said_once(crawl, "enqueue", urls, url, **trusting)
        assert "invalid username-password" in said_once(crawl, "enqueue", url, REDIS_PASSWORD="another", **trusting)
        said = crawl.scrapy("enqueue", urls, url, "--close", "-a", f"env_file={tmp_path / 'secrets'}", **trusting)
        assert said.returncode == 0
        done = crawl(
            url, out="out", env_file=str(tmp_path / "secrets"), rate="100/s",
            settings={"APIFETCH_CA_FILE": str(tmp_path / "ca.pem"), "LOG_LEVEL": "DEBUG"},
        )  # fmt: skip
        assert (done.returncode, len(done.rows())) == (0, 2)
        looked = crawl.scrapy("enqueue", url, REDIS_PASSWORD=SECRET, **trusting)
        assert b"closed, 2 entries, 0 of them not done" in looked.stdout
        for text in (why, said.stdout.decode(), done.stdout, done.stderr, looked.stdout.decode()):
            assert SECRET not in text
        assert SECRET.encode() not in everything(crawl.cwd / "out")


@pytest.mark.parametrize("rate", [None, "1200/m", "20/s"])
def test_a_redis_in_another_region_will_do(api: ApiServer, crawl: Crawl, redis: RedisServer, rate: str | None) -> None:
    urls = write_list(crawl.cwd / "list.txt", (api.url(f"/items/{n}") for n in range(40)))
    assert crawl.scrapy("enqueue", urls, redis.url(), "--close").returncode == 0
    with Far(redis.port, later_s=0.25) as far:
        done = crawl(redis.url().replace(str(redis.port), str(far.port)), out="out", rate=rate)
    assert (done.returncode, done.summary["equation"]["ok"]) == (0, 40)
    assert "does not answer" not in done.stderr


def test_what_a_line_names_is_filled_in_by_the_worker_and_not_in_redis(
    api: ApiServer, crawl: Crawl, redis: RedisServer, tmp_path: Path
) -> None:
    with Scripted(lambda heard: Says(200 if heard.headers.get("x-key") == SECRET else 401)) as scripted:
        line = f'{{"url": "{scripted.url("/a")}", "headers": {{"X-Key": "${{KEY}}"}}}}'
        urls = write_list(crawl.cwd / "list.jsonl", [line])
        assert crawl.scrapy("enqueue", urls, redis.url(), "--close", KEY=SECRET).returncode == 0
        done = crawl(redis.url(), out="out", pass_env="KEY", hosts=scripted.origins[0][7:], env={"KEY": SECRET})
        assert (done.returncode, [row["outcome"] for row in done.rows()]) == (0, ["ok"])
    assert b"${KEY}" in everything(tmp_path / "redis")
    assert SECRET.encode() not in everything(tmp_path / "redis") + everything(crawl.cwd / "out")


def test_a_worker_that_is_started_again_in_its_directory_calls_no_line_twice_that_it_has(
    api: ApiServer, crawl: Crawl, redis: RedisServer
) -> None:
    """Killed with much that is on disk and not acknowledged: Redis was not there to hear of it."""
    paths = [f"/items/{n}?delay_ms=20" for n in range(40)]
    urls = write_list(crawl.cwd / "list.txt", map(api.url, paths))
    assert crawl.scrapy("enqueue", urls, redis.url(), "--close").returncode == 0
    how: dict[str, Any] = {"out": "out", "workers": 20, "settings": {"APIFETCH_LEASE_S": 2.0}}
    running = crawl(redis.url(), wait=False, **how)
    running.wait_for(lambda: running.output.rows("select 1 from records"))
    redis.kill()
    running.wait_for(lambda: len(running.output.rows("select 1 from records")) >= 30)
    running.kill()
    had = len(running.output.rows("select 1 from records"))
    redis.start()
    assert redis.client().xlen(STREAM) > 40 - had
    done = crawl(redis.url(), **how)
    assert (done.returncode, len(done.rows())) == (0, 40)
    assert done.summary["run"]["calls"] <= 40 - had
    assert redis.client().xlen(STREAM) == 0


@pytest.mark.parametrize("shared_rate", ["on", "off"])
def test_a_redis_that_is_started_after_its_worker_is_waited_for(
    api: ApiServer, crawl: Crawl, redis: RedisServer, shared_rate: str
) -> None:
    urls = write_list(crawl.cwd / "list.txt", [api.url("/items/1")])
    assert crawl.scrapy("enqueue", urls, redis.url(), "--close").returncode == 0
    redis.kill()
    assert "Redis cannot be reached" in said_once(crawl, "enqueue", urls, redis.url())  # somebody sits before it
    running = crawl(redis.url(), out="out", settings={"APIFETCH_SHARED_RATE": shared_rate}, wait=False)
    running.wait_for(lambda: "waiting for it, " in running.stderr)
    redis.start()
    done = running.wait()
    assert (done.returncode, len(done.rows())) == (0, 1)
    assert done.stderr.count("waiting for it, ") == 1


def test_a_redis_that_does_not_come_is_given_up_and_not_waited_for_after_a_signal(
    crawl: Crawl, redis: RedisServer
) -> None:
    redis.kill()
    done = crawl(redis.url(), out="given-up", settings={"APIFETCH_SHARED_PATIENCE_S": 0.1})
    assert (done.returncode, done.stderr.count("Redis cannot be reached")) == (2, 2)
    running = crawl(redis.url(), out="stopped", wait=False)
    running.wait_for(lambda: "waiting for it, " in running.stderr)
    running.signal(signal.SIGTERM)
    stopped = running.wait()
    assert (stopped.returncode, "Traceback" in stopped.stderr) == (75, False)


def test_what_waiting_for_redis_does_not_help_is_told_at_once(crawl: Crawl, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with RedisServer(tmp_path / "redis", tls=Signed.make("redis").write(tmp_path)) as redis:
        known, unknown = redis.url(), redis.url().replace("127.0.0.1", "another.invalid")
        for url, why in ((known, "is not trusted"), (unknown, "another.invalid")):
            done = crawl(url, out="out")
            assert (done.returncode, why in done.stderr, "waiting for it, " in done.stderr) == (2, True, False)
    with RedisServer(tmp_path / "redis", password=SECRET) as redis:
        done = crawl(redis.url(), out="out")
        assert (done.returncode, "Redis refuses us" in done.stderr) == (2, True)
        assert "waiting for it, " not in done.stderr


def test_a_redis_without_memory_is_filled_further_once_it_has_some(
    api: ApiServer, crawl: Crawl, redis: RedisServer
) -> None:
    client = redis.client()
    urls = write_list(crawl.cwd / "list.txt", (api.url(f"/items/{n}?{'x' * 200}") for n in range(3000)))
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 500_000)
    why = said_once(crawl, "enqueue", urls, redis.url())
    assert "Redis has no memory left: raise its maxmemory" in why
    held = client.xlen(STREAM)
    assert 0 < held < 3000
    assert "Redis has no memory left" in said_once(crawl, "enqueue", urls, redis.url())
    client.config_set("maxmemory", 0)
    again = crawl.scrapy("enqueue", urls, redis.url())
    assert f"3,000 lines read, {3000 - held:,} added".encode() in again.stdout


def test_an_argument_that_is_the_workers_is_refused_and_those_that_are_taken_are_named(crawl: Crawl) -> None:
    urls = write_list(crawl.cwd / "list.txt", ["http://127.0.0.1:1/a"])
    why = said_once(crawl, "enqueue", urls, "redis://127.0.0.1:1/0/x", "-a", f"headers={SECRET}")
    assert why.endswith(
        "headers='***': expected one of format, column, template, method, data, limit, env_file: the others are the "
        "workers'"
    )


def test_a_redis_that_cannot_take_a_list_says_so_in_a_line(crawl: Crawl, redis: RedisServer) -> None:
    urls = write_list(crawl.cwd / "list.txt", ["http://127.0.0.1:1/a"])
    client = redis.client()
    client.set(STREAM, "something else")
    wrong = said_once(crawl, "enqueue", urls, redis.url())
    assert "one of the keys apifetch:{items}:* holds something else than a list" in wrong
    assert "DB index is out of range" in said_once(crawl, "enqueue", redis.url().replace("/0/", "/99/"))
    client.execute_command("ACL", "SETUSER", "reader", "on", ">x", "~apifetch:*", "+@read", "+info")
    assert "has no permissions" in said_once(crawl, "enqueue", redis.url().replace("://", "://reader:x@"))
    client.replicaof("127.0.0.1", 1)
    assert "cannot be used now (You can't write against a read only replica)" in said_once(
        crawl, "enqueue", urls, redis.url("other")
    )


def test_a_redis_that_is_too_old_is_named(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LEAST", (99, 1))
    version = redis.client().info("server")["redis_version"]
    with pytest.raises(ListError, match=f"is Redis {version}, and a shared list needs 99.1 or later"):
        server.Server(SharedAddress.of(redis.url())).begin()


def test_a_list_that_is_lost_is_said_to_be_and_can_be_filled_again(
    api: ApiServer, crawl: Crawl, redis: RedisServer, tmp_path: Path
) -> None:
    lines = write_list(crawl.cwd / "list.txt", (api.url(f"/items/{n}?delay_ms=100") for n in range(60)))
    assert crawl.scrapy("enqueue", lines, redis.url(), "--close").returncode == 0
    running = crawl(redis.url(), out="out", workers=2, wait=False)
    running.wait_for(lambda: running.output.rows("select 1 from records"))
    redis.kill()
    for path in (tmp_path / "redis").iterdir():  # a folder, until Redis 6 a file
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    redis.start()
    done = running.wait()
    assert (done.returncode, done.summary["stop_reason"]) == (2, "bad_list")
    assert done.stderr.count("the list is no longer in Redis") == 1
    had = len(done.rows())
    assert crawl.scrapy("enqueue", lines, redis.url(), "--close").returncode == 0
    again = crawl(redis.url(), out="out")
    assert (again.returncode, len(again.rows())) == (0, 60)
    assert again.summary["run"]["calls"] == 60 - had


def test_a_redis_that_goes_away_while_it_is_filled_gets_the_rest_from_the_same_command(
    crawl: Crawl, redis: RedisServer
) -> None:
    urls = write_list(crawl.cwd / "list.txt", (f"http://127.0.0.1:1/{n}" for n in range(200_000)))
    running = crawl.start_scrapy("enqueue", urls, redis.url(), out="out")
    running.wait_for(lambda: redis.client().xlen(STREAM) > 0)
    redis.kill()
    done = running.wait()
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "run the same command again, which adds what is missing" in done.stderr
    redis.start()
    again = crawl.scrapy("enqueue", urls, redis.url())
    assert b"200,000 lines read" in again.stdout
    assert redis.client().xlen(STREAM) == 200_000
