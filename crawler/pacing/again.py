"""Whether a call is made again, and how often at the most.

Owns: what may be repeated at all, and the two counts: retries, which the user bounds, and refusals, which
cost none of them. When it is made again, backoff says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from crawler.pacing.ending import Ending

MOST_TRIES: Final = 20
"""Tries of one call that is refused each time. With rests up to a minute they take 15 minutes without a
Retry-After, and days with one; whoever refuses for longer does not mean `later`."""

MOST_EXCUSED: Final = 10
"""Tries of one call that its host's outage excuses. One bad call at the end of a list looks like an outage, since
nothing else is left that could succeed: with probes some seconds apart it costs half a minute, not the run. In a
real outage the probes are shared out among as many calls as were on their way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainRule:
    """What is made again. statuses: those that may pass. methods: those that may be carried out twice."""

    statuses: Collection[int]
    methods: Collection[str]

    def most(self, ending: Ending, *, method: str, arrived: bool, most: int, refusals: int) -> int | None:
        """Give how many times a call may be made again in all, those before included; None: it is final.

        arrived: whether the server may have carried it out, and would do so again. most: the user's retries; 0
        means none for any reason. refusals: how many of the times before were refusals.
        """
        if not most:
            return None
        if ending.is_refusal:
            is_meant = ending.status == 403 or ending.status in self.statuses
            return max(MOST_TRIES - 1, most) if is_meant else None
        if ending.failed is None and ending.status not in self.statuses:
            return None
        if arrived and method not in self.methods:
            return None
        return most + refusals
