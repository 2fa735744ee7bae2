"""`workers=auto` beside the algorithms it was chosen against, in virtual time; and the plot of docs/pacing.md.

    python -m tests.proofs.auto_peers [--seeds 5] [--svg docs/auto.svg]

Gradient2 and Vegas are those of Netflix's concurrency-limits with its defaults (its least limit of 20 set to 1, and
ten calls at once at the start, as ours). Both see the calls in windows of as many as are on their way, ten or more.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Final

from crawler.pacing import Call, Host, Limiter, Policy
from tests.pacing_world import Crawl, Slots, crawl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CEILING: Final = 1_000
LATENCY_S: Final = 0.1
MANY: Final = 10**6


class Windowed(Limiter):
    """Hands latencies on in windows."""

    def __init__(self) -> None:
        super().__init__(CEILING)
        self._seen: list[float] = []

    def next_at(self, now_s: float, on_way: int = 0) -> float:
        return now_s if self.in_flight + on_way < self.limit else math.inf

    def succeeded(self, call: Call, now_s: float) -> None:
        self.in_flight -= 1
        self._seen.append(now_s - call.at_s)
        if len(self._seen) >= max(self.limit, 10):
            self.update(self._seen)
            self._seen = []

    def update(self, seen: Sequence[float]) -> None:
        raise NotImplementedError


class Gradient2(Windowed):
    """limit * (long latency / latency) + 4, smoothed by a fifth."""

    def __init__(self) -> None:
        super().__init__()
        self._estimate = float(self.limit)
        self._long_s, self._count = 0.0, 0

    def update(self, seen: Sequence[float]) -> None:
        latency_s = mean(seen)
        self._count += 1
        if self._count <= 10:  # warming up: a plain mean
            self._long_s += (latency_s - self._long_s) / self._count
        else:
            self._long_s += (latency_s - self._long_s) * 2 / 601
        if self._long_s / latency_s > 2:
            self._long_s *= 0.9
        gradient = max(0.5, min(1.0, self._long_s / latency_s))
        self._estimate = 0.8 * self._estimate + 0.2 * (self._estimate * gradient + 4)
        self._estimate = max(1.0, min(CEILING, self._estimate))
        self.limit = int(self._estimate)


class Vegas(Windowed):
    """Up and down by log10(limit), by how many calls seem to queue; the idle latency is probed now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._idle_s = math.inf
        self._probe = 0
        self._jitter = random.uniform(0.5, 1)

    def update(self, seen: Sequence[float]) -> None:
        latency_s = min(seen)
        self._probe += 1
        if self._jitter * 30 * self.limit <= self._probe:
            self._jitter, self._probe, self._idle_s = random.uniform(0.5, 1), 0, latency_s
            return
        if latency_s < self._idle_s:
            self._idle_s = latency_s
            return
        step = max(1, int(math.log10(self.limit)))
        queued = math.ceil(self.limit * (1 - self._idle_s / latency_s))
        if queued <= step:
            self.limit += 6 * step
        elif queued < 3 * step:
            self.limit += step
        elif queued > 6 * step:
            self.limit -= step
        self.limit = max(1, min(CEILING, self.limit))


ALGORITHMS: Final[dict[str, Callable[[], Limiter] | None]] = {"auto": None, "Gradient2": Gradient2, "Vegas": Vegas}


@dataclass(frozen=True, slots=True)
class Case:
    """An API, and when what it can do is looked at: (from, to, calls per second, idle latency)."""

    name: str
    server: Callable[[], Slots]
    for_s: float
    looks: Sequence[tuple[float, float, float, float]]
    truth: Callable[[float], float]


CASES: Final = (
    Case("150 slots", lambda: Slots(150), 30.0, [(10, 30, 1500, 0.1)], lambda _: 150),
    Case(
        "50 slots, 5 from 15 s, 50 from 35 s", lambda: Slots(50, steps=[(0, 50), (15, 5), (35, 50)]), 55.0,
        [(10, 15, 500, 0.1), (25, 35, 50, 0.1), (45, 55, 500, 0.1)], lambda at_s: 5 if 15 <= at_s < 35 else 50,
    ),
    Case(
        "50 slots, five times as slow from 10 s", lambda: Slots(50, slower=lambda at_s: 5.0 if at_s >= 10 else 1.0),
        40.0, [(25, 40, 100, 0.5)], lambda _: 50,
    ),
    Case(
        "60 slots, a neighbour takes 10, or 40", lambda: Slots(60, neighbour=lambda at_s: 40 if at_s % 6 > 4 else 10),
        40.0, [(10, 40, 400, 0.1)], lambda at_s: 20 if at_s % 6 > 4 else 50,
    ),
)  # fmt: skip


def run(case: Case, algorithm: Callable[[], Limiter] | None, seed: int) -> Crawl:
    random.seed(seed)
    host = Host(Policy(per_host=CEILING, auto=True), uniform=random.Random(seed).uniform)
    if algorithm is not None:
        host._limiter = algorithm()
    return crawl(case.server().seeded(seed), host, MANY, until_s=case.for_s, seed=seed)


# The plot

WIDTH: Final = 460
HEIGHT: Final = 150
COLOURS: Final = {"auto": "#0f766e", "Gradient2": "#b45309", "Vegas": "#6d28d9"}
POINTS: Final = 110


def svg(drawn: Sequence[tuple[Case, dict[str, Crawl]]]) -> str:
    """A panel for each case: the limit over time, and the slots that there are, in grey."""
    parts = []
    for number, (case, crawls) in enumerate(drawn):
        left, top = 20 + (number % 2) * (WIDTH + 30), 40 + (number // 2) * (HEIGHT + 60)
        times = [at * case.for_s / POINTS for at in range(POINTS)]
        most = 3.0 * max(map(case.truth, times))
        parts.append(f'<g transform="translate({left} {top})"><text y="-8">{case.name}</text>')
        parts.append(f'<path d="M0 0V{HEIGHT}H{WIDTH}" fill="none" stroke="#9ca3af"/>')
        parts.append(_line([(at_s, case.truth(at_s)) for at_s in times], case.for_s, most, "#9ca3af", 4))
        parts += [_line(_sampled(done, times), case.for_s, most, COLOURS[name], 1.5) for name, done in crawls.items()]
        parts.append(f'<text x="{WIDTH}" y="{HEIGHT + 14}" text-anchor="end">{case.for_s:g} s</text></g>')
    key = "".join(f'<tspan dx="14" fill="{colour}">{name}</tspan>' for name, colour in COLOURS.items())
    width, height = 2 * WIDTH + 70, 40 + (len(drawn) + 1) // 2 * (HEIGHT + 60)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="Calls at once over time, for three algorithms"><style>text{font:12px sans-serif}'
        f'</style><rect width="{width}" height="{height}" fill="#fff"/><text x="6" y="16">{key}'
        '<tspan dx="14" fill="#6b7280">grey: slots that there are</tspan></text>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _sampled(done: Crawl, times: Sequence[float]) -> list[tuple[float, float]]:
    points, at = [], 0
    for at_s in times:
        while at + 1 < len(done.limits) and done.limits[at + 1][0] <= at_s:
            at += 1
        points.append((at_s, float(done.limits[at][1])))
    return points


def _line(points: Sequence[tuple[float, float]], for_s: float, most: float, colour: str, width: float) -> str:
    path = " ".join(
        f"{at_s / for_s * WIDTH:.0f},{HEIGHT - min(value / most, 1) * HEIGHT:.0f}" for at_s, value in points
    )
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    drawn = []
    print("| API | algorithm | of what it serves, least | latency in idle ones, most |\n| --- | --- | --- | --- |")
    for case in CASES:
        shown = {}
        for name, algorithm in ALGORITHMS.items():
            crawls = [run(case, algorithm, seed) for seed in range(options.seeds)]
            shown[name] = crawls[0]
            shares = [done.per_s(from_s, to_s) / per_s for done in crawls for from_s, to_s, per_s, _ in case.looks]
            waits = [
                median([0.0, *(s for at_s, s in done.answers if from_s <= at_s < to_s)]) / idle_s
                for done in crawls
                for from_s, to_s, _, idle_s in case.looks
            ]
            print(f"| {case.name} | {name} | {min(shares):.2f} | {max(waits):.2f} |", flush=True)
        drawn.append((case, shown))
    if options.svg is not None:
        options.svg.write_text(svg(drawn))
    return 0


if __name__ == "__main__":
    sys.exit(main())
