"""How many calls a host's own count leaves, until it begins anew.

Owns: remaining and reset of RateLimit hints, corrected by what is on its way. A pause only, never a speed
(draft-ietf-httpapi-ratelimit-headers: none is to be inferred). Somebody else may say the number, too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crawler.pacing.backoff import Uniform
    from crawler.pacing.rate_limit import Hint


class Allowance:
    """Calls left until a time; without hints, any number. Times are in seconds on one clock."""

    def __init__(self) -> None:
        self._left: float = math.inf
        self._until_s = -math.inf
        self._jitter_s = 0.0
        self.said_by = ""
        """The header that it was said in last."""

    @property
    def is_open(self) -> bool:
        """Whether nobody has said how many calls are left."""
        return self._left == math.inf

    def next_at(self, now_s: float, on_way: int = 0) -> float:
        """Give the earliest time for a call; *now_s* while some are left. on_way: how many will go before it."""
        if self._left >= 1 + on_way or now_s >= self._until_s + self._jitter_s:
            return now_s
        return self._until_s + self._jitter_s

    def started(self) -> None:
        """Count a call that goes."""
        self._left -= 1

    def only(self, calls: float) -> None:
        """Let so many go, until another number is said; infinity: any."""
        self._left, self._until_s = calls, math.inf

    def told(self, hint: Hint, now_s: float, in_flight: int, uniform: Uniform) -> None:
        """Take a hint over. in_flight: other calls on their way, which the host may not have counted yet.

        Without a time of reset it is no use: nobody could say how long to pause. Answers overtake each
        other, so within one window only less is believed, never more.
        """
        if hint.remaining is None or hint.reset_s is None:
            return
        self.said_by = hint.header
        left = max(0, hint.remaining - in_flight)
        until_s = now_s + hint.reset_s
        # two answers of one window differ by their rounding and their way
        if now_s < self._until_s and abs(until_s - self._until_s) <= max(1.0, 0.1 * hint.reset_s):
            self._left = min(self._left, left)
            self._until_s = max(self._until_s, until_s)
        else:
            self._left, self._until_s = left, until_s
            self._jitter_s = uniform(0.0, min(0.1 * hint.reset_s, 5.0))
