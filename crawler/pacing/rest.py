"""How long a host asks to be left alone, by `Retry-After` or the reset of a limit that is used up.

Owns: that the longest word counts, and a little more than it, so that not all clients return at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crawler.pacing.backoff import Uniform


class Rest:
    """One host's. until_s: when it is over. asked_by: the header that asked for it last, "" for none."""

    def __init__(self, uniform: Uniform) -> None:
        self.until_s = -math.inf
        self.asked_by = ""
        self._uniform = uniform

    def asked(self, now_s: float, asked_s: float, by: str) -> float:
        """Take note of what a refusal asks for; by how many seconds the host rests longer than it did."""
        self.asked_by = by
        if asked_s <= 0 or now_s + asked_s <= self.until_s:
            return 0.0
        before_s = max(now_s, self.until_s)
        self.until_s = now_s + asked_s + self._uniform(0.0, jitter_s(asked_s))
        return self.until_s - before_s


def jitter_s(asked_s: float) -> float:
    """Give the most that is added to a rest that was asked for: a tenth, and 5 s at most, in seconds."""
    return min(0.1 * asked_s, 5.0)
