"""A rate, counted at the server: how many calls any window has, and how much of the rate is used.

    python -m tests.proofs.rates [--rates 50/s,100/m] [--processes 1,4] [--windows 2.5]

Runs of lists of their own into directories of their own start at the same moment and call one host. No window has
more than ONE call above the rate, wherever it begins, which is what jitter on the way may bring; USED of the rate is
used from the first call to the last. When a call came is the kernel's word, where it gives one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crawler.pacing import RATE
from tests.harness import Crawl, write_list
from tests.pacing_world import most_in
from tests.proofs.stamped import Stamped

if TYPE_CHECKING:
    from crawler.pacing import Rate

ONE: Final = 1
USED: Final = 0.95

LEAST_S: Final = 30.0
"""A shorter time says little of how much is used."""


@dataclass(frozen=True, slots=True)
class Figures:
    """most: calls in the window that has the most. used: of what the rate allows."""

    rate: Rate
    processes: int
    calls: int
    most: int
    used: float

    @property
    def is_kept(self) -> bool:
        return self.most <= self.rate.quotas[0].calls + ONE and self.used >= USED

    def text(self) -> str:
        quota = self.rate.quotas[0]
        return (
            f"rate={self.rate}, {self.processes} at once: {self.calls:,} calls, at most {self.most} in any "
            f"{quota.window_s} s, {self.used:.1%} of the rate used{'' if self.is_kept else ' NOT KEPT'}"
        )


def measure(rate: Rate, processes: int, *, for_s: float) -> Figures:
    """Have so many processes call a host together for about so long. Raises AssertionError when a line is not ok."""
    (quota,) = rate.quotas
    each = round(for_s * quota.calls / quota.window_s / processes)
    with tempfile.TemporaryDirectory() as folder, Stamped() as server:
        crawl = Crawl(Path(folder))
        lists = [
            write_list(Path(folder) / f"{number}.txt", (server.url(f"/{number}/{n}") for n in range(each)))
            for number in range(processes)
        ]
        try:
            all_running = [crawl(path, rate=str(rate), out=f"out/{path.stem}", wait=False) for path in lists]
            done = [running.wait(2 * for_s + 60).summary["equation"]["ok"] for running in all_running]
        finally:
            crawl.close()
        times = sorted(server.times)
    assert done == [each] * processes
    used = (len(times) - 1) / (times[-1] - times[0]) / (quota.calls / quota.window_s)
    return Figures(rate, processes, len(times), most_in(times, quota.window_s), used)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="50/s,100/m", help="each of one window")
    parser.add_argument("--processes", default="1,4")
    parser.add_argument("--windows", type=float, default=2.5, help=f"how many of them, and {LEAST_S:g} s at least")
    options = parser.parse_args()
    is_kept = True
    for said in options.rates.split(","):
        rate = RATE.parse(said)
        for processes in map(int, options.processes.split(",")):
            found = measure(rate, processes, for_s=max(LEAST_S, options.windows * rate.quotas[0].window_s))
            is_kept &= found.is_kept
            print(f"{found.text()}; load {os.getloadavg()[0]:.1f}", flush=True)
    print(f"{'kept' if is_kept else 'NOT KEPT'}: at most {ONE} above in any window, at least {USED:.0%} used")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
