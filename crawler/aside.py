"""Calls that were issued and wait without a worker, so that others may be called in the meantime.

Owns: which those are. A list that several machines share gives a worker as many more as it has of them. What its host
lets go one by one is not among them: one worker would soon have all of the list, and the others nothing to do.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from crawler.pacing import Traffic

LONG_S: Final = 1.0
"""A worker draws what it calls in about a second: what has to wait for longer is in the way of other hosts' calls."""


class Aside:
    """Those of a run. withheld: calls that wait for what comes of others."""

    def __init__(self, traffic: Traffic[Any]) -> None:
        self.withheld = 0
        self._traffic = traffic
        self._is_long = False

    def look(self, now_s: float) -> None:
        """See whether what waits for its host has to wait long; now and then, and in the event loop's thread.

        now_s: on pacing's clock.
        """
        held = self._traffic.held_by(now_s) if self._traffic.held else None
        self._is_long = held is not None and LONG_S < held.until_s - now_s < math.inf

    @property
    def calls(self) -> int:
        """How many they are at this moment; any thread may ask."""
        return self.withheld + self._traffic.resting + (self._traffic.held if self._is_long else 0)
