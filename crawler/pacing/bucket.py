"""How many calls a second a host lets through, from what it took until it refused.

Owns: when calls went since the host was last full or had a rest, and what a refusal after these says. A leaky bucket (a
token bucket: ITU-T I.371) takes at most `burst + leak * seconds` calls in any time, and just as many in the one that
begins when it was last empty and ends with a refusal (its arrival curve: Cruz, 1991). So one refusal of calls that came
fast says how large the burst is, and any later one, by the time from which on there were most, how much leaks.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from crawler.pacing.turns import LATE_S

if TYPE_CHECKING:
    from crawler.pacing.limiter import Call

STARTS: Final = 64
"""Starts that are kept of each size of step: the last so many calls, so many of every second one before them, of every
fourth ... A time is told to a thirtieth of itself, however long it is."""

LONGER: Final = 2
"""Times as long as the burst took is a time that tells what leaks from it."""

FEW: Final = 8
"""Calls that leaked, below which one more or less is much: then it is taken for one more."""

MADE_UP: Final = 0.75
"""How much of the burst may be used to make up for calls that went late: on their way they come closer together."""

MADE_UP_S: Final = 0.25
"""The most, in seconds: who waited longer had nothing to ask, or was asked to."""


class Burst(NamedTuple):
    """What an empty bucket took until it was full: so many calls, in so many seconds."""

    calls: int
    seconds: float


class Leak(NamedTuple):
    """What the bucket lets through. calls: those by which it was counted, so that its error is one in so many."""

    per_s: float
    calls: int


class Bucket:
    """One host's, as far as it has one. burst: the least that was seen; None: nothing was refused yet."""

    def __init__(self, burst: Burst | None = None) -> None:
        self.burst = burst
        # By size of step; of each start: how many calls were taken before it, and its time.
        self._starts: list[deque[tuple[int, float]]]
        self._first = 0  # the number of the first
        self._lost = 0  # calls since then that were not taken
        self._is_fresh = True  # empty when the first came, and not yet full
        self._full_s = math.inf  # when it was full for the last time
        self._begin()

    def started(self, call: Call) -> None:
        """Count a call that goes."""
        if not self._starts[0]:
            self._first = call.number
        start = call.number - self._lost, call.at_s
        for size, starts in enumerate(self._starts):
            if (call.number - self._first) % (1 << size):
                return
            starts.append(start)
        last = self._starts[-1]
        if len(last) == STARTS:
            self._starts.append(deque(list(last)[::2], maxlen=STARTS))

    def lost(self, call: Call) -> None:
        """Count a call that was not taken: refused, or failed for a reason that nobody knows."""
        self._lost += call.number >= self._first

    def rested(self) -> None:
        """Begin anew, with a bucket that had time to empty."""
        self._begin()
        self._is_fresh = True

    def full(self, call: Call) -> None:
        """Learn the burst from a call that was lost, if it is the first since a rest."""
        if self._is_fresh and (taken := self._taken(call)):
            burst = Burst(*taken[0])
            self.burst = burst if self.burst is None else min(self.burst, burst)
        self._is_fresh = False

    def leak(self, call: Call) -> Leak | None:
        """Give what leaks, from a call that was lost, and begin anew with a full bucket; None: nobody can say."""
        leak, taken = None, self._taken(call)
        if self.burst is not None and taken:
            calls, seconds = self.burst
            leaked = [
                (many - calls, long_s - seconds)
                for many, long_s in taken
                if many >= calls and long_s > LONGER * seconds
            ]
            leaks = [Leak(many / long_s, many) for many, long_s in leaked if many >= FEW]
            leak = max(leaks or [Leak((many + 1) / long_s, many) for many, long_s in leaked], default=None)
            # it took more since it was full the last time: that was no bucket, or one with another burst
            if leak is not None and call.at_s > self._full_s and taken[0][0] > leak.per_s * (call.at_s - self._full_s):
                leak = None
        self._full_s = call.at_s
        self._begin()
        return leak

    def late_s(self, per_s: float) -> float:
        """Give how late calls may be and still all be made, with a bucket from which so many leak a second.

        One without a burst takes no two calls at once, whatever was missed before.
        """
        if self.burst is None:
            return LATE_S
        calls, seconds = self.burst
        return min(MADE_UP_S, MADE_UP * max(0.0, (calls - 1) / per_s - seconds))

    def _taken(self, call: Call) -> list[tuple[int, float]]:
        """Give how many calls were taken before a lost one, and in how many seconds, since each start, by age."""
        before = call.number + 1 - self._lost
        starts = chain.from_iterable(reversed(self._starts))
        return [(before - number, call.at_s - at_s) for number, at_s in starts if number < before]

    def _begin(self) -> None:
        self._starts = [deque(maxlen=STARTS)]
        self._lost = 0
