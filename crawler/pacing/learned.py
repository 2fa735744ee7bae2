"""How fast the host lets us go, learned from what it refuses.

Owns: a pace that exists only after a refusal. A window of calls at once cannot keep to 200 calls a second
at an API that answers in 3 ms: one at a time is 333. So the rate is learned too, as botocore's adaptive
mode does, by a curve like CUBIC's (RFC 9438), but one that is the same at 1 call a minute and at 1,000 a
second: it is measured in calls, and in parts of the pace itself.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from crawler.pacing.turns import Turns

FAR: Final = 0.75
"""What is left of a pace that was refused soon: it was far too fast. Near CUBIC's 0.7."""

NEAR: Final = 0.95
"""What is left of one that was kept for long: it was hardly too fast. Also where the curve begins, below
the pace it climbs to, so that a full bucket at the host empties."""

HOLDS_S: Final = 5.0, 60.0
"""Seconds until the curve is back at the pace, the least and the most. It doubles each time the same pace
is confirmed: a limit that holds is tested about once a minute, not with every breath."""

HOLD_CALLS: Final = 20
"""The least calls until then: at one call in ten seconds, five seconds test nothing."""

FORGOTTEN: Final = 10
"""Holds without a refusal, after which nothing is left to keep to: the curve stands at 50 times the pace."""

RECENT: Final = 32
"""Starts by which the present speed is measured."""


class LearnedPace:
    """A pace in calls per second, None until something is refused. Times are in seconds on one clock."""

    def __init__(self) -> None:
        self._pace_per_s: float | None = None  # what the curve climbs to, and then beyond
        self._hold_s = HOLDS_S[0]
        self._since_cut = 0  # calls
        self._served = 0  # since the last refusal that came after a success
        self._since_s: float | None = None
        self._starts: deque[float] = deque(maxlen=RECENT)
        self._turns = Turns()

    @property
    def per_s(self) -> float | None:
        """The pace at this moment; None: as fast as can be."""
        if self._pace_per_s is None:
            return None
        x = self._since_cut / self._hold_calls(self._pace_per_s)
        climbed = NEAR + (1 - NEAR) * (x if x <= 1 else x**3)
        return None if x > FORGOTTEN else self._pace_per_s * climbed

    def next_at(self, now_s: float) -> float:
        """Give the earliest time for a call; *now_s* while there is no pace."""
        return now_s if self._pace_per_s is None else self._turns.next_at(now_s)

    def started(self, now_s: float) -> None:
        """Count a call that goes."""
        if self._since_s is None:
            self._since_s = now_s
        self._starts.append(now_s)
        self._since_cut += 1
        per_s = self.per_s
        if per_s is None:
            self._pace_per_s = None
            self._hold_s = HOLDS_S[0]
        else:
            self._turns.take(now_s, 1 / per_s)

    def succeeded(self) -> None:
        """Count a call that was served."""
        self._served += 1

    def rested(self, seconds: float) -> None:
        """Leave out a rest that the host asked for: it says nothing of what it would have taken."""
        if self._since_s is not None:
            self._since_s += seconds
        self._starts.clear()

    def refused(self, now_s: float) -> None:
        """Slow down; once per event, however many calls it refused.

        When nothing was served since the last time, that is no rate: it is an outage, or a window that is
        used up, and for those the host rests.
        """
        if not self._served or self._since_s is None:
            return
        average_per_s = self._served / max(now_s - self._since_s, 1e-3)
        present_per_s = self._present_per_s(now_s, average_per_s)
        was_kept = self._pace_per_s is not None and self._since_cut * 2 >= self._hold_calls(self._pace_per_s)
        # when it refused us for most of the time, as fixed windows do, the average is what it lets through
        is_mostly_refused = average_per_s < present_per_s / 2
        pace_per_s = average_per_s if is_mostly_refused else present_per_s * (NEAR if was_kept else FAR)
        self._hold_s = min(HOLDS_S[1], self._hold_s * 2) if was_kept else HOLDS_S[0]
        self._pace_per_s = pace_per_s
        self._since_cut = 0
        self._served = 0
        self._since_s = now_s

    def _hold_calls(self, pace_per_s: float) -> float:
        return max(HOLD_CALLS, pace_per_s * self._hold_s)

    def _present_per_s(self, now_s: float, average_per_s: float) -> float:
        """Give the speed of the last starts, which is below the pace when something else is slower."""
        recent = self._starts
        span_s = now_s - recent[0] if len(recent) > 1 else 0.0
        measured = (len(recent) - 1) / span_s if span_s > 0 else average_per_s
        return min(measured, self.per_s or measured)
