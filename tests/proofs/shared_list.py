"""A list in Redis, and workers that die: nothing is lost, and repeated is at most what the dead held.

    python -m tests.proofs.shared_list --lines 20_000 --workers 4 --kills 12 --restarts 2

Workers are ended with SIGKILL, every fourth with SIGTERM, at random moments, and new ones take their places, each with
a directory of its own. Redis is killed and started again with its append-only file. Calls are counted at the server.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.harness import ApiServer, Crawl, write_list
from tests.redis_server import STREAM, RedisServer

if TYPE_CHECKING:
    from tests.harness import Running

POLL_S: Final = 0.02

WHOLE_S: Final = 900.0
"""A trial that takes longer has come to a standstill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """kills: of workers, spread over the list. restarts: of Redis. lease_s: as APIFETCH_LEASE_S."""

    lines: int
    workers: int
    kills: int
    restarts: int
    lease_s: float = 10.0
    delay_ms: int = 20
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """held: what the killed held, by Redis's own word. taken_over: entries that workers say they took over."""

    calls: int
    records: int
    held: int
    taken_over: int
    codes: tuple[int, ...]


class Fleet:
    """The workers of a trial, dead and alive. url: of the list, by another way than to Redis itself.

    arguments: of each of them, besides its output directory.
    """

    def __init__(
        self, crawl: Crawl, redis: RedisServer, *, lease_s: float, url: str | None = None, **arguments: Any
    ) -> None:
        self._crawl, self._redis, self._lease_s, self._arguments = crawl, redis, lease_s, arguments
        self._url = url or redis.url()
        self.all: list[Running] = []
        self.alive: list[Running] = []

    def start_one(self) -> None:
        """With a name of its own to the API: worker-0, worker-1."""
        number = len(self.all)
        settings = {"APIFETCH_LEASE_S": self._lease_s, "APIFETCH_DURABILITY": "process"}
        settings["USER_AGENT"] = f"worker-{number}"
        running = self._crawl.start(self._url, out=f"out/{number}", settings=settings, **self._arguments)
        self.all.append(running)
        self.alive.append(running)

    def end_one(self, number: signal.Signals, dice: random.Random) -> int:
        """End one that has begun its work; gives how much a killed one held."""
        begun = [each for each in self.alive if each.process.poll() is None and self._consumer(each)]
        if not begun:
            return 0
        running = dice.choice(begun)
        self.alive.remove(running)
        running.signal(number)
        running.wait()
        left = self._consumer(running)
        return int(left["pending"]) if left else 0

    @property
    def has_begun(self) -> bool:
        """Whether all have reached Redis: one that starts while it is away is refused."""
        return all(self._consumer(each) or each.process.poll() is not None for each in self.alive)

    def _consumer(self, running: Running) -> dict[str, Any] | None:
        for found in self._redis.client().xinfo_consumers(STREAM, "workers"):
            if f"-{running.process.pid}-" in found["name"].decode():
                return dict(found)
        return None


def run_trial(trial: Trial, api: ApiServer, folder: Path, redis: RedisServer, crawl: Crawl) -> Found:
    """Raises AssertionError when an entry was lost, or one was called more often than somebody took it over."""
    dice = random.Random(trial.seed)
    paths = [f"/items/{n}?delay_ms={trial.delay_ms}" for n in range(trial.lines)]
    half = trial.lines // 2
    first = write_list(folder / "first.txt", map(api.url, paths[:half]))
    whole = write_list(folder / "whole.txt", map(api.url, paths))
    assert crawl.scrapy("enqueue", first, redis.url()).returncode == 0
    fleet = Fleet(crawl, redis, lease_s=trial.lease_s, workers=5)
    for _ in range(trial.workers):
        fleet.start_one()
    # Half of it comes while they work
    assert crawl.scrapy("enqueue", whole, redis.url(), "--close").returncode == 0

    events = ["end"] * trial.kills + ["restart"] * trial.restarts
    dice.shuffle(events)
    moments = sorted(dice.randrange(trial.lines // 20, trial.lines * 9 // 10) for _ in events)
    held = ended = 0
    for event, moment in zip(events, moments, strict=True):
        wait_until(lambda moment=moment: api.stats()["requests"] >= moment, fleet)
        if event == "restart":
            wait_until(lambda: fleet.has_begun, fleet)
            redis.kill()
            redis.start()
            continue
        ended += 1
        number = signal.SIGTERM if ended % 4 == 0 else signal.SIGKILL
        held += fleet.end_one(number, dice)
        fleet.start_one()
    codes = tuple(running.wait(WHOLE_S).returncode for running in fleet.alive)

    seen = api.seen("/items/")
    done: set[str] = set()
    for running in fleet.all:
        with suppress(OSError):  # killed before it had a ledger
            done |= {str(row["uuid"]) for row in running.output.rows() if row["outcome"] == "ok"}
    logs = [running.stderr for running in fleet.all]
    taken = sum(int(n) for log in logs for n in re.findall(r"(\d+) entries taken over", log))
    found = Found(calls=sum(seen.values()), records=len(done), held=held, taken_over=taken, codes=codes)
    assert {*seen} == {*paths}, "some were never called"
    assert found.records == trial.lines, found
    assert found.calls - trial.lines <= found.taken_over, found
    assert set(codes) == {0}, found
    assert redis.client().xlen(STREAM) == 0
    return found


def wait_until(is_so: Any, fleet: Fleet) -> None:
    deadline_s = time.monotonic() + WHOLE_S
    while not is_so():
        stuck = time.monotonic() > deadline_s or all(each.process.poll() is not None for each in fleet.alive)
        assert not stuck, "the fleet has ended, or come to a standstill"
        time.sleep(POLL_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for name, default in (("lines", 20_000), ("workers", 4), ("kills", 12), ("restarts", 2), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    trial = Trial(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory(prefix="shared-list-") as name, ApiServer() as api:
        folder = Path(name)
        (folder / "redis").mkdir()
        crawl = Crawl(folder)
        began_s = time.monotonic()
        try:
            with RedisServer(folder / "redis") as redis:
                found = run_trial(trial, api, folder, redis, crawl)
        finally:
            crawl.close()
    print(f"{trial}\n{found}\n{found.calls - trial.lines} calls repeated, {time.monotonic() - began_s:.0f} s")
    assert found.calls - trial.lines <= found.held


if __name__ == "__main__":
    main()
