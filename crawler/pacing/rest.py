"""How long a host asks to be left alone, by `Retry-After` or the reset of a limit that is used up.

Owns: that the longest word counts, whichever of this machine's processes was told it, and a little more than it, so
that not all clients return at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from crawler.pacing.shared_rests import LOOK_S

if TYPE_CHECKING:
    from crawler.pacing.backoff import Uniform
    from crawler.pacing.shared_rests import SharedRests


class Rest:
    """One host's. until_s: when it is over. asked_by: the header that asked for it last, "" for none.

    shared: where others are told, and tell; None: there are none.
    """

    def __init__(self, uniform: Uniform, host: str = "", shared: SharedRests | None = None) -> None:
        self.until_s = -math.inf
        self.asked_by = ""
        self.look_s = math.inf if shared is None else -math.inf
        """When to look() again."""
        self._uniform, self._host, self._shared = uniform, host, shared

    def asked(self, now_s: float, asked_s: float, by: str) -> float:
        """Take note of what a refusal asks for; by how many seconds the host rests longer than it did."""
        self.asked_by = by
        longer_s = self._until(now_s + asked_s, now_s)
        if longer_s and self._shared is not None:
            self._shared.tell(self._host, now_s, until_s=now_s + asked_s, by=by)
        return longer_s

    def look(self, now_s: float) -> float:
        """Take over what another process was asked for; by how many seconds the host rests longer than it did."""
        assert self._shared is not None
        self.look_s = now_s + LOOK_S
        until_s, by = self._shared.word(self._host, now_s)
        if until_s <= self.until_s + LOOK_S:
            return 0.0
        self.asked_by = by
        return self._until(until_s, now_s)

    def _until(self, until_s: float, now_s: float) -> float:
        before_s = max(now_s, self.until_s)
        if until_s <= before_s:
            return 0.0
        self.until_s = until_s + self._uniform(0.0, jitter_s(until_s - now_s))
        return self.until_s - before_s


def jitter_s(asked_s: float) -> float:
    """Give the most that is added to a rest that was asked for: a tenth, and 5 s at most, in seconds."""
    return min(0.1 * asked_s, 5.0)
