"""Servers with so many hidden slots: how much of them `workers=auto` uses, and how long its calls wait.

    python -m tests.proofs.auto [--seconds 30] [--cases 10x0.1,50x0.1,150x0.1,400x1.0]

The server is a process of its own. A case is kept when LEAST of slots / latency are answered within the time, the
start included, with a median latency of at most LONG times the idle one after it.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, cast

from benchmarks.delay_server import BACKLOG, END_OF_HEAD, answer_of
from tests.harness import ROOT, Crawl, write_list

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST: Final = 0.85
LONG: Final = 1.5
SETTLED_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Case:
    """An API with so many slots, each call of which takes so long, and a queue."""

    slots: int
    latency_s: float

    @property
    def per_s(self) -> float:
        return self.slots / self.latency_s


@dataclass(frozen=True, slots=True)
class Figures:
    """share: of slots / latency. waited: the median latency after SETTLED_S in idle ones."""

    share: float
    waited: float

    @property
    def is_kept(self) -> bool:
        return self.share >= LEAST and self.waited <= LONG


def measure(case: Case, *, seconds: float) -> Figures:
    """Let a run with more lines than can be served call the API for a time."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-m", "tests.proofs.auto", "--serve", f"{case.slots}x{case.latency_s}"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as server,
    ):  # fmt: skip
        assert server.stdin is not None
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        lines = int(case.per_s * seconds * 1.2) + 100
        items = write_list(Path(folder) / "items.txt", (f"http://127.0.0.1:{port}/{n}" for n in range(lines)))
        command = Crawl(Path(folder))
        try:
            running = command(items, workers="auto", wait=False)
            server.stdin.write(f"{seconds}\n")
            server.stdin.flush()
            answers: list[tuple[float, float]] = json.loads(server.stdout.readline())
        finally:
            server.stdin.close()
            running.kill()
    later = [latency_s for at_s, latency_s in answers if at_s >= min(SETTLED_S, seconds / 2)]
    return Figures(len(answers) / (case.per_s * seconds), median(later) / case.latency_s)


# The server


class Slots(asyncio.Protocol):
    """A connection. free_at: when each slot is free, of all connections. answers: when, and after how long."""

    def __init__(self, case: Case, free_at: list[float], answers: list[tuple[float, float]]) -> None:
        self._latency_s, self._free_at, self._answers = case.latency_s, free_at, answers
        self._answer = answer_of(b'{"here": true}')
        self._loop = asyncio.get_running_loop()
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        *heads, self._unread = (self._unread + data).split(END_OF_HEAD)
        for _ in heads:
            came_s = self._loop.time()
            ends_s = max(came_s, heapq.heappop(self._free_at)) + self._latency_s
            heapq.heappush(self._free_at, ends_s)
            self._loop.call_at(ends_s, self._send, came_s)

    def _send(self, came_s: float) -> None:
        self._answers.append((self._loop.time(), self._loop.time() - came_s))
        if not self._transport.is_closing():
            self._transport.write(self._answer)


async def serve(case: Case) -> None:
    """Print the port; read how long from stdin; print what was answered within so long of the first call."""
    loop = asyncio.get_running_loop()
    free_at, answers = [0.0] * case.slots, list[tuple[float, float]]()
    server = await loop.create_server(lambda: Slots(case, free_at, answers), "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    seconds = float(await loop.run_in_executor(None, sys.stdin.readline))
    while not answers:
        await asyncio.sleep(0.01)
    first_s = answers[0][0] - answers[0][1]  # when the first call came
    await asyncio.sleep(first_s + seconds - loop.time())
    within = [(at_s - first_s, latency_s) for at_s, latency_s in answers if at_s < first_s + seconds]
    print(json.dumps(within), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    server.close()


def cases(text: str) -> Sequence[Case]:
    return [Case(int(slots), float(latency_s)) for slots, latency_s in (one.split("x") for one in text.split(","))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--cases", type=cases, default="10x0.1,50x0.1,150x0.1,400x1.0")
    parser.add_argument("--serve", type=cases, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve[0]))
        return 0
    is_kept = True
    for case in options.cases:
        found = measure(case, seconds=options.seconds)
        is_kept &= found.is_kept
        print(
            f"{case.slots} slots of {case.latency_s:g} s: {found.share:.3f} of {case.per_s:g}/s over "
            f"{options.seconds:g} s, median latency {found.waited:.2f} times the idle one"
            f"{'' if found.is_kept else ' NOT KEPT'}",
            flush=True,
        )
    print(f"{'kept' if is_kept else 'NOT KEPT'}: {LEAST} of slots / latency, at most {LONG} times the idle latency")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
