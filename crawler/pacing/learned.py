"""How fast the host lets us go, learned from what it refuses.

Owns: a pace that exists only after a refusal. A window of calls at once cannot keep to 200 calls a second
at an API that answers in 3 ms: one at a time is 333. So the rate is learned too, as botocore's adaptive
mode does, by a curve like CUBIC's (RFC 9438), but one that is the same at 1 call a minute and at 1,000 a
second: it is measured in calls, and in parts of the pace itself.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from crawler.pacing.bucket import Bucket
from crawler.pacing.turns import Turns

if TYPE_CHECKING:
    from crawler.pacing.bucket import Burst, Leak
    from crawler.pacing.limiter import Call

FAR: Final = 0.75
"""What is left of a pace that was refused soon, and so may be far too fast. Near CUBIC's 0.7; 0.5 lost more
by what it had to climb again than it saved refusals."""

NEAR: Final = 0.95
"""What is left of one that was kept for long: it was hardly too fast."""

BEGINS: Final = 0.98
"""Where the curve begins, of the pace it climbs to: below it, so that a full bucket at the host empties."""

SURE_CALLS: Final = 20
"""Calls that a leak has to be counted by: then it is as near as NEAR."""

HOLDS_S: Final = 1.0, 60.0
"""Seconds until the curve is back at the pace, the least and the most: a limit that holds is tested about once a
minute, not with every breath."""

GROWS: Final = 2, 3
"""Times as long each time the same pace is confirmed; the second where each refusal costs a rest."""

HOLD_RESTS: Final = 5
"""The least, in rests that a refusal costs: no more than a sixth of the time goes into finding out."""

EVIDENCE_CALLS: Final = 10
EVIDENCE_S: Final = 1.0
"""Calls served since the last cut, or time, before a refusal counts: until then it may be the same full bucket,
and no speed can be told from less."""

CLIMBS_S: Final = 2.0
"""Beyond the pace: 5 % more after so long, 40 % after twice, 135 % after three times as long."""

SHUT_OUT_CALLS: Final = 20
"""Calls served before a time without any, from which on that was a window used up rather than a full bucket."""

LEAST_CALLS: Final = 20
"""The least calls until then: at one call in ten seconds, five seconds test nothing."""

FORGOTTEN: Final = 10
"""Holds without a refusal, after which nothing is left to keep to: the curve stands at 50 times the pace."""

RECENT: Final = 32
"""Starts by which the present speed is measured."""


class Pace(NamedTuple):
    """What a LearnedPace can begin with: calls per second that were confirmed for *hold_s* seconds.

    rest_s: of the rests that the host asks for, 0 for none. burst: what its bucket holds; None: nobody knows.
    """

    per_s: float
    hold_s: float
    rest_s: float
    burst: Burst | None = None


class LearnedPace:
    """A pace in calls per second, None until something is refused. Times are in seconds on one clock."""

    def __init__(self) -> None:
        self._pace_per_s: float | None = None  # what the curve climbs to, and then beyond
        self._hold_s = HOLDS_S[0]
        self._since_cut = 0  # calls
        self._is_near = False  # whether the last refusal came after a long time
        self._was_shut_out = False
        self._least_hold_s = 0.0
        self._served = 0  # of the calls that started since the last cut
        self._cut_s = -math.inf  # when the pace was last lowered; at first, when the first call went
        self._rested_s = 0.0  # of the time since
        self._starts: deque[float] = deque(maxlen=RECENT)
        self._turns = Turns()
        self._bucket = Bucket()

    @classmethod
    def at(cls, pace: Pace | None) -> LearnedPace:
        """Give one that begins where another was: its `pace`."""
        begun = cls()
        if pace is not None:
            begun._pace_per_s = pace.per_s
            begun._least_hold_s = min(HOLDS_S[1], pace.rest_s * HOLD_RESTS)
            begun._hold_s = min(HOLDS_S[1], max(HOLDS_S[0], pace.hold_s, begun._least_hold_s))
            begun._is_near = True
            begun._bucket = Bucket(pace.burst)
        return begun

    @property
    def pace(self) -> Pace | None:
        """What at() takes; None when there is no pace."""
        if self._pace_per_s is None:
            return None
        return Pace(self._pace_per_s, self._hold_s, self._least_hold_s / HOLD_RESTS, self._bucket.burst)

    @property
    def per_s(self) -> float | None:
        """The pace at this moment; None: as fast as can be."""
        if self._pace_per_s is None:
            return None
        hold, climb = self._calls(self._hold_s), self._calls(CLIMBS_S)
        beyond = (self._since_cut - hold) / climb
        if beyond > FORGOTTEN:
            return None
        part = self._since_cut / hold if beyond < 0 else 1 + beyond**3
        return self._pace_per_s * (BEGINS + (1 - BEGINS) * part)

    @property
    def is_learned(self) -> bool:
        """Whether there is a pace."""
        return self._pace_per_s is not None

    def next_at(self, now_s: float) -> float:
        """Give the earliest time for a call; *now_s* while there is no pace."""
        return now_s if self._pace_per_s is None else self._turns.next_at(now_s)

    def started(self, call: Call) -> None:
        """Count a call that goes."""
        if self._cut_s == -math.inf:
            self._cut_s = call.at_s
        self._starts.append(call.at_s)
        self._bucket.started(call)
        self._since_cut += 1
        per_s = self.per_s
        if per_s is None:
            self._pace_per_s = None
            self._hold_s = HOLDS_S[0]
        else:
            self._turns.take(call.at_s, 1 / per_s, self._bucket.late_s(per_s))

    def succeeded(self, started_s: float) -> None:
        """Count a call that was served. One that started before the last cut says nothing about the pace since."""
        if started_s > self._cut_s or self._pace_per_s is None:
            self._served += 1

    def rested(self, seconds: float) -> None:
        """Leave out a rest that the host asked for: it says nothing of what it would have taken."""
        self._rested_s += seconds
        self._least_hold_s = min(HOLDS_S[1], max(self._least_hold_s, seconds * HOLD_RESTS))
        self._hold_s = max(self._hold_s, self._least_hold_s)
        self._starts.clear()
        self._bucket.rested()
        self._turns = Turns()  # nothing was late in a rest: it does not end with a burst

    def lost(self, call: Call) -> None:
        """Count a call that was not served, for a reason that nobody knows."""
        self._bucket.lost(call)

    def refused(self, call: Call, now_s: float, *, is_event: bool = True) -> None:
        """Slow down; once per event, however many calls it refused. is_event: whether this is the first of them.

        When nothing was served since the last time, that is no rate: it is an outage, or a window that is
        used up, and for those the host rests.
        """
        self._bucket.lost(call)
        if not is_event:
            return
        self._bucket.full(call)
        if not self._served:
            self._was_shut_out = True
            return
        if self._served < EVIDENCE_CALLS and now_s - self._cut_s < EVIDENCE_S:
            return
        was_kept = self._pace_per_s is not None and self._since_cut * 2 >= self._calls(self._hold_s)
        leak = self._bucket.leak(call)
        if was_kept and leak is not None and leak.per_s < (self._pace_per_s or 0.0) * BEGINS:
            leak = None  # more than that was kept
        is_sure = leak is not None and leak.calls >= SURE_CALLS
        is_near = was_kept or self._is_near or is_sure
        self._pace_per_s = self._lower_per_s(now_s, NEAR if is_near else FAR, leak)
        longer = GROWS[self._least_hold_s > 0] if was_kept else 1
        hold_s = min(HOLDS_S[1], self._hold_s * longer) if is_near else HOLDS_S[0]
        self._hold_s = max(self._least_hold_s, hold_s)
        self._is_near = was_kept or is_sure
        self._since_cut = self._served = 0
        self._cut_s, self._rested_s = now_s, 0.0
        self._was_shut_out = False

    def _lower_per_s(self, now_s: float, left: float, leak: Leak | None) -> float:
        """Give the pace after a refusal: what leaks, or what is *left* of the present one."""
        if leak is not None:
            return min(leak.per_s, left * (self.per_s or math.inf))
        average_per_s = self._served / max(now_s - self._cut_s - self._rested_s, 1e-3)
        present_per_s = self.present_per_s(now_s, average_per_s)
        if self._was_shut_out and self._served >= SHUT_OUT_CALLS and average_per_s < present_per_s / 2:
            # a window that is used up lets nothing through until it ends: the average is its rate
            return average_per_s
        return present_per_s * left

    def _calls(self, seconds: float) -> float:
        """Give how many calls the pace makes of some seconds, as far as they are enough to learn from."""
        return max(LEAST_CALLS, seconds * (self._pace_per_s or 0.0))

    def present_per_s(self, now_s: float, average_per_s: float = 0.0) -> float:
        """Give the speed of the last starts, which is below the pace when something else is slower.

        average_per_s: what to go by when there are too few.
        """
        recent = self._starts
        span_s = now_s - recent[0] if len(recent) > 1 else 0.0
        measured = (len(recent) - 1) / span_s if span_s > 0 else average_per_s
        return min(measured, self.per_s or measured)
