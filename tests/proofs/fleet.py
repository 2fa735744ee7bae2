"""A fleet's CPU a call against one process's, side by side, and its wall clock where there are cores enough.

    python -m tests.proofs.fleet --calls 10_000 --rounds 3

Both fetch a short list and a long one, in turns: what the longer one takes more, by its calls, is a call's CPU, without
the start of the processes, which is told by itself. CPU is that of all processes of a command, as the system counts it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.api_server import ApiServer
from tests.harness import ROOT, Output, strict_environment, write_list

SHORT: Final = 1000
"""Calls of the short list."""

CPU_AT_MOST: Final = 1.15
FASTER_AT_LEAST: Final = 1.6
CORES: Final = 4
"""With fewer, two crawls, their writers and the server take turns, and the wall clock says nothing."""

WORKERS: Final = 40


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one command, to its end."""

    wall_s: float
    cpu_s: float


def run(words: list[str], urls: Path, out: Path, calls: int, folder: Path) -> Cost:
    """Run `scrapy` with *words*. Raises AssertionError when it did not fetch every line."""
    options = ["-a", f"out={out}", "-a", f"workers={WORKERS}", "-s", "APIFETCH_MIN_FREE_BYTES=0"]
    environment = strict_environment(folder) | {"SCRAPY_SETTINGS_MODULE": "crawler.settings"}
    environment["PYTHONPATH"] = os.pathsep.join((environment["PYTHONPATH"], str(ROOT)))
    began_s = time.monotonic()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "scrapy", *words, *options], cwd=folder, env=environment, stdout=log, stderr=log
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (folder / "log").read_text()
    assert Output(out).summary["equation"]["ok"] == calls, urls
    return Cost(time.monotonic() - began_s, used.ru_utime + used.ru_stime)


def compare(calls: int, rounds: int, processes: int) -> tuple[float, float]:
    """How many times one process's CPU a call a fleet's is, and how many times faster it is, by medians."""
    found: dict[tuple[str, int], list[Cost]] = {}
    with tempfile.TemporaryDirectory() as name, ApiServer() as api:
        folder = Path(name)
        for each in range(rounds):
            for length in (SHORT, SHORT + calls):
                urls = write_list(folder / f"l{length}.txt", (api.url(f"/items/{n}") for n in range(length)))
                ways = {
                    "one": ["crawl", "apifetch", "-a", f"urls={urls}"],
                    "fleet": ["fleet", str(urls), "--processes", str(processes)],
                }
                for way, words in ways.items():
                    out = folder / f"{way}-{length}-{each}"
                    cost = run(words, urls, out, length, folder)
                    found.setdefault((way, length), []).append(cost)
                    print(f"{way:5} {length:7,} calls: {cost.cpu_s:6.2f} s of CPU, {cost.wall_s:6.2f} s", flush=True)
    cpu = {way: more([cost.cpu_s for cost in found[way, SHORT]], [cost.cpu_s for cost in found[way, SHORT + calls]])
           for way in ("one", "fleet")}  # fmt: skip
    wall = {way: more([cost.wall_s for cost in found[way, SHORT]], [cost.wall_s for cost in found[way, SHORT + calls]])
            for way in ("one", "fleet")}  # fmt: skip
    for way, cpu_s in cpu.items():
        start_s = statistics.median(cost.cpu_s for cost in found[way, SHORT]) - cpu_s / calls * SHORT
        print(f"{way}: {cpu_s / calls * 1e6:.0f} us of CPU a call, and {start_s:.1f} s for the start and the end")
    return cpu["fleet"] / cpu["one"], wall["one"] / wall["fleet"]


def more(short: list[float], long: list[float]) -> float:
    return statistics.median(long) - statistics.median(short)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=10_000, help="of the long list, more than of the short one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    said = parser.parse_args()
    cpu, faster = compare(said.calls, said.rounds, said.processes)
    print(f"CPU a call: {cpu:.2f} times one process's, at most {CPU_AT_MOST}; {faster:.2f} times as fast")
    assert cpu <= CPU_AT_MOST
    assert faster >= FASTER_AT_LEAST or (os.cpu_count() or 1) < CORES


if __name__ == "__main__":
    main()
