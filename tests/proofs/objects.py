"""An output in an object store through an outage and two kills, against a local run of the same list: nothing differs.

    python -m tests.proofs.objects --lines 10_000 --rounds 3

The list is fetched once into a directory. Then into a real store (SeaweedFS, as a process): it is stopped and started
in the middle; the run is ended with SIGKILL and goes on on the same machine; it is ended again, and goes on on a
machine whose disk is empty. All objects have the names and, with `save=raw`, the bytes of the local files; calls are
counted at the server. The rounds before are undisturbed, and say what an object costs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import tempfile
import time
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

from crawler.store.objects.bodies import ObjectReader
from crawler.store.process import BATCH_RECORDS
from crawler.store.writer import QUEUE_RECORDS
from tests.harness import ApiServer, Crawl
from tests.prefix import Prefix, alike, bodies_of, count, wait_for_the_writer
from tests.weed import Weed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.harness import CrawlResult, Output, Running

WORKERS: Final = 20
BOUND: Final = WORKERS + QUEUE_RECORDS + BATCH_RECORDS
"""Calls that a kill may repeat on its own machine: in flight, on their way to the writer, and in its batch."""

DELAY_MS: Final = 50
"""Of the API in the disturbed run: at most 400 calls a second, so that there is a middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """copy_s: as APIFETCH_LEDGER_COPY_S."""

    lines: int
    seed: int = 1
    copy_s: float = 1.0

    def moments(self) -> tuple[int, int, int]:
        """Calls after which the store goes away, the run is killed, and is killed again."""
        dice = random.Random(self.seed)
        outage, kill, last_kill = (int(self.lines * dice.uniform(low, low + 0.1)) for low in (0.05, 0.4, 0.7))
        return outage, kill, last_kill


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """In calls. down: made while the store was away. here, elsewhere: repeated after the first kill and the second.

    since_copy: made between the latest copy of the ledger and the second kill.
    """

    down: int
    here: int
    elsewhere: int
    since_copy: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a run, with its writer."""

    wall_s: float
    cpu_s: float


def run_trial(trial: Trial, api: ApiServer, prefix: Prefix, weed: Weed, crawl: Crawl) -> Found:
    """Raises AssertionError when anything is lost, differs, or was called more often than the kills allow."""

    def made() -> int:
        return int(api.stats()["requests"])

    def begin(machine: str) -> Running:
        settings = {"APIFETCH_LEDGER_COPY_S": trial.copy_s}
        running: Running = prefix.fetch(urls, machine, wait=False, save="raw", workers=WORKERS, settings=settings)
        return running

    urls = [api.url(f"/items/{number}?delay_ms={DELAY_MS}") for number in range(trial.lines)]
    local = crawl(urls, out="local", save="raw", workers=WORKERS)
    assert local.returncode == 0
    api.reset()
    outage, kill, last_kill = trial.moments()
    one = prefix.machine("one")

    running = begin("one")
    running.wait_for(lambda: made() >= outage)
    weed.stop()
    gone, acknowledged = made(), count(one)
    running.wait_for(lambda: made() >= gone + min(QUEUE_RECORDS, trial.lines) // 4)  # there is room for so many
    down, late = made() - gone, count(one) - acknowledged
    weed.start()
    assert late <= BATCH_RECORDS  # whose objects the store had confirmed before

    running.wait_for(lambda: made() >= kill)
    running.kill()
    wait_for_the_writer(one.out)
    done = count(one)
    here = made() - done
    assert here <= BOUND
    running = begin("one")
    running.wait_for(lambda: made() >= last_kill + here and prefix.copied() > done)
    running.kill()
    wait_for_the_writer(one.out)

    assert begin("two").wait().returncode == 69  # as far as the store knows, the first machine is there
    prefix.let_the_lease_run_out()
    before, called, copied = made(), len(api.seen("/items/")), prefix.copied()
    assert begin("two").wait().returncode == 0
    elsewhere = made() - before - (trial.lines - called)
    assert elsewhere <= called - copied + WORKERS  # that may have been on their way when they were counted
    assert made() - trial.lines <= here + elsewhere + WORKERS
    hold_against(local, prefix, crawl.cwd)
    return Found(down=down, here=here, elsewhere=elsewhere, since_copy=called - copied)


def hold_against(local: Output, prefix: Prefix, folder: Path) -> None:
    """Raises AssertionError unless the objects below a prefix are the files of a directory, and the rows its rows."""
    objects = prefix.objects()
    assert alike(prefix.audit(folder)) == alike(local.rows())
    files = {str(path.relative_to(local.out)): path for path in [*local.files("responses"), *local.files("errors")]}
    bodies = bodies_of(objects)
    assert {*bodies} == {*files}
    assert not [name for name, path in files.items() if bodies[name] != path.read_bytes()]
    assert "/" not in "".join({*objects} - {*bodies})
    equations = [json.loads(objects["summary.json"])["equation"], local.summary["equation"]]
    assert equations[0] == equations[1]


def cost(lines: int, api: ApiServer, prefix: Prefix, crawl: Crawl) -> tuple[Cost, Cost]:
    """An undisturbed run into a directory, and one into the store."""
    urls = [api.url(f"/items/{number}") for number in range(lines)]
    name = prefix.url.rpartition("/")[2]
    return (
        measured(lambda: crawl(urls, out=f"out/{name}", workers=WORKERS)),
        measured(lambda: prefix.fetch(urls, name, workers=WORKERS)),
    )


def measured(fetch: Callable[[], CrawlResult]) -> Cost:
    """Of a crawl to its end, with its writer."""
    began_s, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    assert fetch().returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(time.monotonic() - began_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def reading(prefix: Prefix, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds for all bodies, in the order of their names: one after the other, and ahead, as an export has them."""
    reader, names = ObjectReader(prefix.client), sorted(bodies_of(prefix.objects()))
    alone: list[float] = []
    ahead: list[float] = []
    for _ in range(rounds):
        for seconds, bodies in ((alone, map(reader.read, names)), (ahead, reader.read_all(names))):
            began_s = time.monotonic()
            assert [*map(type, bodies)] == [bytes] * len(names)
            seconds.append(time.monotonic() - began_s)
    return alone, ahead


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="of what an object costs, and of reading them")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    costs = []
    with tempfile.TemporaryDirectory(prefix="objects-") as name, ApiServer() as api:
        folder = Path(name)
        crawl = Crawl(folder)
        try:
            for number in range(given.rounds):
                with Weed(folder / f"store-{number}") as weed, seen_from_here(weed):
                    costs.append(cost(given.lines, api, Prefix(weed, f"round-{number}", folder, crawl), crawl))
            with Weed(folder / "store") as weed, seen_from_here(weed):
                prefix = Prefix(weed, "trial", folder, crawl)
                found = run_trial(Trial(lines=given.lines, seed=given.seed), api, prefix, weed, crawl)
                alone, ahead = map(median, reading(prefix, given.rounds))
        finally:
            crawl.close()
    for name in ("wall_s", "cpu_s"):
        local, objects = (median(getattr(each[at], name) for each in costs) for at in (0, 1))
        a_call = [f"{1000 * each / given.lines:.2f} ms a call" for each in (local, objects)]
        print(f"{name}: directory {a_call[0]}, objects {a_call[1]}, ratio {objects / local:.2f}")
    print(f"reading: one by one {alone:.2f} s, ahead {ahead:.2f} s, ratio {alone / ahead:.2f}")
    print(
        f"{given.lines} objects (seed {given.seed}), equal to the local files; {found.down} calls while the store was "
        f"away; two kills: 0 lost; {found.here} calls repeated on the same machine, bound {BOUND}; {found.elsewhere} "
        f"on another, bound {found.since_copy + WORKERS}: those since the ledger was copied"
    )


@contextmanager
def seen_from_here(weed: Weed) -> Iterator[None]:
    """Have the store's variables in our own environment, too; and say nothing of what crawls say."""
    with patch.dict(os.environ, weed.environment), redirect_stdout(StringIO()):
        yield


if __name__ == "__main__":
    main()
