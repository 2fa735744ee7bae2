"""How many retries there may be, so that an outage does not become a storm.

Owns: a token bucket per host. Successes fill it, as in gRPC (proposal A6, "Retry throttling") and
Finagle (`RetryBudget`), from which the numbers are; retries empty it. When it is empty a retry rests, it
does not vanish: each has a line of the list behind it.
"""

from __future__ import annotations

from typing import Final

RATIO: Final = 0.2
"""Retries per success (Finagle's percentCanRetry): a server that fails more often needs fewer calls."""

LEAST_PER_S: Final = 10.0
"""Retries a second that need no success (Finagle's minRetriesPerSec): a list that is all failures ends too."""

RESERVE: Final = 100.0
"""The most that can be saved up: ten seconds of the least, as in Finagle. Full at the start."""


class RetryBudget:
    """Tokens, one for each retry. ValueError unless all three are above 0 and the reserve is 1 or more."""

    def __init__(self, *, ratio: float = RATIO, least_per_s: float = LEAST_PER_S, reserve: float = RESERVE) -> None:
        if ratio <= 0 or least_per_s <= 0 or reserve < 1:
            raise ValueError(f"ratio={ratio}, least_per_s={least_per_s}, reserve={reserve}: expected more than 0")
        self._ratio = ratio
        self._least_per_s = least_per_s
        self._reserve = reserve
        self._tokens = reserve
        self.lowest = reserve
        """The fewest tokens that there were; at 0 retries have had to wait for it."""
        self._filled_s: float | None = None

    def succeeded(self) -> None:
        """Count a call that got an answer, first attempt or not."""
        self._tokens = min(self._reserve, self._tokens + self._ratio)

    def next_at(self, now_s: float) -> float:
        """Give the earliest time for a retry, *now_s* when it may go at once; successes make it earlier."""
        self._fill(now_s)
        missing = 1.0 - self._tokens
        # the token may be short of 1 by a rounding when that time comes, so take() does not insist
        return now_s if missing <= _ROUNDING else now_s + missing / self._least_per_s

    def take(self, now_s: float) -> None:
        """Count a retry that goes. One that goes in spite of next_at() makes the others wait longer."""
        self._fill(now_s)
        self._tokens -= 1.0
        self.lowest = min(self.lowest, max(0.0, self._tokens))

    def _fill(self, now_s: float) -> None:
        if self._filled_s is not None and now_s > self._filled_s:
            earned = (now_s - self._filled_s) * self._least_per_s
            self._tokens = min(self._reserve, self._tokens + earned)
        self._filled_s = now_s if self._filled_s is None else max(now_s, self._filled_s)


_ROUNDING: Final = 1e-6
"""Of a token: so many retries too early is none in any run."""
