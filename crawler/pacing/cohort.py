"""What a number of calls at once costs in latency: the median of a cohort, and how far it can be trusted.

Owns: who belongs to a cohort, its median, and the latency of a host that is not busy, as it becomes known.
A cohort is chosen when its calls start. Chosen by their ends, the first forty would be the forty fastest,
and where latencies scatter as widely as they do in queues, half as slow as the rest.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

FIRST: Final = 5
"""Calls in the first cohort of all: they start while little is on its way, so they say most of the idle host."""

LEAST: Final = 10
MOST: Final = 100
"""Calls in a cohort: fewer are chance, more take too long."""

PRECISION: Final = 0.08
"""The relative error that a cohort is made large enough for, by how much latencies scatter."""

COMPLETE: Final = 0.75
"""The part of a cohort that has to be back. Those that hang must not hold up the verdict, and no longer call
can change a median then but for those that started last."""

ERROR: Final = 0.63
"""The error of a median of n values, in quartile distances by the root of n. 0.93 for a normal distribution,
0.63 for an exponential one, which is the harder case."""

DRIFT: Final = 0.03
"""How much of itself the idle latency may change between two looks at it."""


class Finding(NamedTuple):
    """What a cohort says. latency_s: the median. filled: calls that were on their way, on average. error: relative."""

    latency_s: float
    filled: float
    error: float


class Cohort:
    """The first `size` calls that start after it was opened. number: tells its calls from those of others."""

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self._joined = 0
        self._latencies: list[float] = []
        self._filled = 0

    def joins(self) -> int:
        """Count a call that starts; the number to hand in with its latency, 0 when the cohort is full."""
        if self._joined >= self.size:
            return 0
        self._joined += 1
        return self.number

    def add(self, latency_s: float, filled: int) -> None:
        """Count an answer. filled: how many were on their way when the call started, itself included."""
        self._latencies.append(latency_s)
        self._filled += filled

    def lost(self) -> None:
        """Do without a call that gave no answer."""
        self.size -= 1

    @property
    def answers(self) -> int:
        """How many are back."""
        return len(self._latencies)

    @property
    def is_complete(self) -> bool:
        """Whether enough are back for a verdict."""
        return self.answers >= COMPLETE * self.size and self.answers > 0

    def finding(self, scatter: float | None) -> Finding:
        """Give the verdict so far; there has to be an answer. scatter: None when it is not known."""
        among = sorted(self._latencies)
        middle = min(self.size // 2, len(among) - 1) if self.is_complete else len(among) // 2
        if scatter is None:
            scatter = self.scatter
        return Finding(among[middle], self._filled / len(among), _error(scatter, len(among)))

    @property
    def scatter(self) -> float:
        """The distance of the quartiles in medians; what is not back counts as the longest."""
        among = sorted(self._latencies)
        last = len(among) - 1
        low, middle, high = (among[min(last, self.size * part // 4)] for part in (1, 2, 3))
        return min(2.0, (high - low) / middle) if middle else 0.0


def size_for(scatter: float, limit: int) -> int:
    """Give how many calls a cohort needs. limit: calls at once; more than two rounds of them take too long."""
    wanted = round((ERROR * scatter / PRECISION) ** 2)
    return max(LEAST, min(wanted, 2 * limit, MOST))


def _error(scatter: float, answers: int) -> float:
    return max(0.02, ERROR * max(scatter, 0.1) / math.sqrt(answers))


class Idle:
    """The latency of the host when nothing waits: what each look at it says, by how sure it is (Kalman, 1960)."""

    def __init__(self, first: Finding) -> None:
        self.latency_s = first.latency_s
        self._variance = first.error**2

    def doubt(self, finding: Finding) -> float:
        """Give the standard error of a comparison with a finding, relative."""
        return math.sqrt(finding.error**2 + self._variance)

    def look(self, finding: Finding, *, trust: float = 1.0) -> None:
        """Take over what a cohort found. trust: less than 1 where it may have been busy."""
        gain = trust * self._variance / (self._variance + finding.error**2)
        self.latency_s += gain * (finding.latency_s - self.latency_s)
        self._variance *= 1 - gain

    def drift(self) -> None:
        """Be less sure: time has passed."""
        self._variance += DRIFT**2

    def replace(self, finding: Finding) -> None:
        """Forget what was: it is another host now, or was never idle before."""
        self.latency_s = finding.latency_s
        self._variance = finding.error**2
