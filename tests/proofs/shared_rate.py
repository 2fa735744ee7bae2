"""Workers of a list in Redis keep to one rate, and to one number of calls at once; some are killed, others join.

    python -m tests.proofs.shared_rate [--rate 50/s] [--calls 1500] [--workers 4] [--kills 3] [--together 8]
        [--way-ms 100]

All is seen at the server, which writes down when the head of each request was there, and how many it holds. Then: in
no window more than the rate and one, at least 0.9 of it used from the time when all are at work, and never more at
once than --together. Killed is with SIGKILL, in the midst, and somebody else joins at once. --way-ms: how far away
Redis is, one way.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crawler.pacing import RATE
from tests.far import Far
from tests.harness import Crawl, write_list
from tests.pacing_world import most_in
from tests.proofs.shared_list import Fleet, wait_until
from tests.redis_server import RedisServer
from tests.scripted import Says, Scripted

if TYPE_CHECKING:
    from tests.scripted import Heard

LEASE_S: Final = 5.0
USED: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """calls: after which it is over, of a list that has more. own: calls at once that each worker wants.

    together: what all may have at once; 0: no limit. rate: "" for none.
    """

    rate: str
    calls: int
    workers: int
    kills: int
    together: int = 0
    own: int = 10
    latency_ms: int = 20
    way_ms: int = 0
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """times: seconds of all calls since the first when all were at work. late_s: by how much the server was late."""

    times: list[float]
    workers: dict[str, int]
    most_at_once: int
    late_s: float

    def used(self, rate: str) -> float:
        """The share of the rate."""
        window_s, calls = _quota(rate)
        return (len(self.times) - 1) / self.times[-1] * window_s / calls

    def most(self, rate: str) -> int:
        """Calls in any window."""
        return most_in(self.times, _quota(rate)[0])


def _quota(rate: str) -> tuple[int, int]:
    quota = RATE.parse(rate).quotas[0]
    return quota.window_s, quota.calls


class Holding:
    """Answers after a time, and knows how many wait for that."""

    def __init__(self, latency_s: float) -> None:
        self.most = 0
        self._latency_s = latency_s
        self._until_s: list[float] = []

    def __call__(self, heard: Heard) -> Says:
        self._until_s = [until_s for until_s in self._until_s if until_s > heard.at_s]
        self._until_s.append(heard.at_s + self._latency_s)
        self.most = max(self.most, len(self._until_s))
        return Says(after_s=self._latency_s)


def run_trial(trial: Trial, folder: Path, redis: RedisServer, crawl: Crawl) -> Found:
    dice = random.Random(trial.seed)
    holding = Holding(trial.latency_ms / 1e3)
    way_s = trial.way_ms / 1e3
    with Far(redis.port, later_s=way_s, asked_later_s=way_s) as far, Scripted(holding) as server:
        url = redis.url().replace(str(redis.port), str(far.port)) if trial.way_ms else redis.url()
        fleet = Fleet(crawl, redis, lease_s=LEASE_S, url=url, workers=trial.own, rate=trial.rate or None)
        urls = write_list(folder / "list.txt", (server.url(f"/{n}") for n in range(trial.calls * 2)))
        assert crawl.scrapy("enqueue", urls, redis.url(), "--workers", trial.together).returncode == 0
        for _ in range(trial.workers):
            fleet.start_one()
        wait_until(lambda: len(_workers(server.heard)) == trial.workers, fleet)
        first = len(server.heard)
        moments = sorted(dice.randrange(trial.calls // 20, trial.calls * 9 // 10) for _ in range(trial.kills))
        for moment in moments:
            wait_until(lambda moment=moment: len(server.heard) - first >= moment, fleet)
            fleet.end_one(signal.SIGKILL, dice)
            fleet.start_one()
        wait_until(lambda: len(server.heard) - first >= trial.calls, fleet)
        heard = server.heard[first : first + trial.calls]
        for running in fleet.alive:
            running.kill()
    start_s = heard[0].at_s
    return Found(
        times=[each.at_s - start_s for each in heard], workers=_workers(heard), most_at_once=holding.most,
        late_s=server.late_s,
    )  # fmt: skip


def _workers(heard: list[Heard]) -> dict[str, int]:
    names = [each.headers["user-agent"] for each in heard]
    return {name: names.count(name) for name in sorted({*names})}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rate", default="50/s")
    numbers = {"calls": 1500, "workers": 4, "kills": 3, "together": 0, "own": 10, "latency_ms": 20, "seed": 1}
    numbers["way_ms"] = 0
    for name, default in numbers.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    trial = Trial(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory(prefix="shared-rate-") as name:
        folder = Path(name)
        (folder / "redis").mkdir()
        crawl = Crawl(folder)
        try:
            with RedisServer(folder / "redis") as redis:
                found = run_trial(trial, folder, redis, crawl)
        finally:
            crawl.close()
    print(f"{trial}\n{found.workers}; the server was up to {found.late_s * 1e3:.0f} ms late", file=sys.stderr)
    print(f"at once: {found.most_at_once} at the most", file=sys.stderr)
    if trial.rate:
        print(f"in a window: {found.most(trial.rate)} at the most; used: {found.used(trial.rate):.3f}")
    is_kept = not trial.together or found.most_at_once <= trial.together
    if trial.rate:
        window_s, calls = _quota(trial.rate)
        late = found.late_s * calls / window_s  # of the server's own reading, which may bring calls together
        is_kept &= found.most(trial.rate) <= calls + 1 + late and found.used(trial.rate) >= USED
    print("kept" if is_kept else "NOT KEPT")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
