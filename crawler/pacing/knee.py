"""Where more calls at once only make each of them slower (`workers=auto`).

Owns: rounds, and comparing one with the one before. The idea is the gradient of Netflix's
concurrency-limits and of TCP Vegas (Brakmo and Peterson, 1994), with two differences: it compares medians,
since the calls of a list differ more than packets do, and slower answers alone prove nothing: throughput
has to have stopped growing too.
"""

from __future__ import annotations

import statistics
from typing import Final

SLOWER: Final = 1.5
"""Times the lowest median: less is the noise of calls that differ."""

GAIN: Final = 1.2
"""Times the best throughput so far. Twice the calls at once should give twice as much; a fifth is
not worth answers that take half as long again."""

LEAST: Final = 10
"""Calls in a round, however small the window is: the median of fewer is chance."""


class Knee:
    """Rounds of successes that started under one limit. Latencies and times are in seconds."""

    def __init__(self) -> None:
        self.before = 1
        """The limit of the last round that was worth it."""
        self.slow = False
        """Whether the last round's median was clearly above the lowest."""
        self.is_over = False
        """Whether the last round was slower and brought nothing."""
        self.has_round = False
        """Whether a round is complete and next_round() may begin another."""
        self._mark = 0
        self._latencies: list[float] = []
        self._began_s = 0.0
        self._lowest_s = float("inf")
        self._best_per_s = 0.0

    def begin(self, number: int) -> None:
        """Begin a round: only calls after the one with this number belong to it."""
        self._mark = number
        self._latencies = []
        self.has_round = self.is_over = False

    def next_round(self, number: int, limit: int) -> None:
        """Begin a round with another limit; *limit* is the one that was worth it."""
        self.before = limit
        self.begin(number)

    def saw(self, number: int, latency_s: float, now_s: float, limit: int) -> None:
        """Count a success. limit: how many were allowed at once."""
        if number <= self._mark:
            return
        if self.has_round:
            self.begin(number - 1)  # nobody wanted it; another like it
        if not self._latencies:
            self._began_s = now_s - latency_s
        self._latencies.append(latency_s)
        if len(self._latencies) >= max(limit, LEAST):
            self._compare(now_s)

    def _compare(self, now_s: float) -> None:
        median_s = statistics.median(self._latencies)
        per_s = len(self._latencies) / max(now_s - self._began_s, 1e-9)
        self._lowest_s = min(self._lowest_s, median_s)
        self.slow = median_s > SLOWER * self._lowest_s
        self.is_over = self.slow and per_s < GAIN * self._best_per_s
        self._best_per_s = max(self._best_per_s, per_s)
        self.has_round = True
