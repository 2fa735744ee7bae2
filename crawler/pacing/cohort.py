"""What a number of calls at once costs in latency: the mean of a cohort, and how far it can be trusted.

Owns: who belongs to a cohort, its mean, and the latency of a host that is not busy, as it becomes known.
A cohort is chosen when its calls start. Chosen by their ends, the first forty would be the forty fastest,
and where latencies scatter as widely as they do in queues, half as slow as the rest.

It is the mean that Little's law is about. The median tells nothing of a queue where all calls take the same time: of 14
at an API with 10 slots, 10 come back as from an idle one, and the median is theirs. Such calls start and end in step,
too, so where a queue is to be seen, those of a cohort are spread over as many calls as are on their way at once.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

FIRST: Final = 5
"""Calls in the first cohort of all: they start while little is on its way, so they say most of the idle host."""

LEAST: Final = 10
MOST: Final = 100
"""Calls in a cohort: fewer are chance, more take too long."""

ROUNDS: Final = 4
"""Round trips in which the calls of a cohort start, at most, where there have to be many of few at once."""

PRECISION: Final = 0.08
"""The relative error that a cohort is made large enough for, by how much latencies scatter."""

COMPLETE: Final = 0.9
"""The part of a cohort that has to be back: those that hang must not hold up the verdict. Fewer, and it is mostly
guessed how slow the slow ones are."""

LONGEST: Final = 3.0
"""Medians that a call counts at the most. One in eight is slower where latencies scatter by chance alone, as in
queues; what is far slower hangs, and says nothing of the others."""

ERROR: Final = 0.02
"""The least relative error: what a machine's own clock and turns add."""

ALIKE: Final = 0.1
"""The least scatter that is believed: ten calls may agree by chance."""

DRIFT: Final = 0.03
"""How much of itself the idle latency may change between two looks at it."""


class Finding(NamedTuple):
    """What a cohort says. latency_s: the mean. filled: calls that were on their way, on average. error: relative."""

    latency_s: float
    filled: float
    error: float


class Cohort:
    """`size` calls that start after it was opened: the first, or some of the first `span`, evenly, if that is more.

    number: tells its calls from those of others.
    """

    def __init__(self, number: int, size: int, span: int = 0) -> None:
        self.number = number
        self._every = max(1, math.ceil(span / MOST))
        self.size = max(size, span // self._every)
        self._started = self._joined = self._on_way = 0
        self._starts_s = 0.0  # the sum of the times at which those on their way started
        self._latencies: list[float] = []
        self._total_s = 0.0
        self._filled = 0

    def joins(self, now_s: float) -> int:
        """Count a call that starts; the number to hand in with its latency, 0 when it does not belong to the cohort."""
        self._started += 1
        if self._joined >= self.size or self._started % self._every:
            return 0
        self._joined += 1
        self._on_way += 1
        self._starts_s += now_s
        return self.number

    def add(self, started_s: float, latency_s: float, filled: int) -> None:
        """Count an answer. filled: how many were on their way when the call started, itself included."""
        self._on_way -= 1
        self._starts_s -= started_s
        self._latencies.append(latency_s)
        self._total_s += latency_s
        self._filled += filled

    def lost(self, started_s: float) -> None:
        """Do without a call that gave no answer."""
        self.size -= 1
        self._on_way -= 1
        self._starts_s -= started_s

    @property
    def answers(self) -> int:
        """How many are back."""
        return len(self._latencies)

    @property
    def is_complete(self) -> bool:
        """Whether enough are back for a verdict."""
        answers = len(self._latencies)
        return answers >= COMPLETE * self.size and answers > 0

    @property
    def most_s(self) -> float:
        """The most that a finding can say before the cohort is complete, without the work of making it."""
        return self._total_s / self.answers

    def finding(self, now_s: float, scatter: float) -> Finding:
        """Give the verdict so far; there has to be an answer."""
        among = self._among(now_s, scatter)
        error = max(ALIKE, scatter) / math.sqrt(len(among))
        return Finding(_mean(among), self._filled / self.answers, max(ERROR, error))

    def scatter(self, now_s: float) -> float:
        """Give the standard deviation, in means."""
        return _scatter(self._among(now_s, None))

    def _among(self, now_s: float, scatter: float | None) -> list[float]:
        """Give the latencies, in the end those too that are not yet known: as long as so far, and then some."""
        middle_s = sorted(self._latencies)[self.answers // 2]
        among = [min(latency_s, LONGEST * middle_s) for latency_s in self._latencies]
        if self._on_way and self.is_complete:
            mean_s = _mean(among)
            so_far_s = now_s - self._starts_s / self._on_way
            # exact where none scatters, and where all do by chance alone: those have as long before them as ever
            whole_s = max(mean_s, so_far_s + mean_s * (_scatter(among) if scatter is None else scatter))
            among += [min(whole_s, LONGEST * middle_s)] * self._on_way
        return among


def _mean(among: list[float]) -> float:
    return sum(among) / len(among)


def _scatter(among: list[float]) -> float:
    # not statistics.pstdev: that is exact, in fractions, and a fifth of all that a call costs here
    mean_s = _mean(among)
    return math.sqrt(_mean([(latency_s - mean_s) ** 2 for latency_s in among])) / mean_s


def size_for(scatter: float, limit: int) -> int:
    """Give how many calls a cohort needs. limit: calls at once."""
    wanted = round((scatter / PRECISION) ** 2)
    return max(LEAST, min(wanted, ROUNDS * limit, MOST))


class Idle:
    """The latency of the host when nothing waits: what each look at it says, by how sure it is (Kalman, 1960)."""

    def __init__(self, first: Finding) -> None:
        self.latency_s = first.latency_s
        self._variance = first.error**2

    @property
    def error(self) -> float:
        """The standard error, relative."""
        return math.sqrt(self._variance)

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
