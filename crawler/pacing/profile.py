"""What a host has taught, for the run after this one: calls at once, pace, and how long it asks to stay away.

Owns: its form in the ledger, and until when it is believed. Where it begins again is limiter's and pace's to know.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from crawler.pacing.learned import Pace
from crawler.pacing.limiter import Learned

if TYPE_CHECKING:
    from collections.abc import Mapping

BELIEVED_S: Final = 30 * 86_400.0
"""A month: a job that runs monthly profits, and an API that was changed meanwhile is found out again in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """None: nothing learned.

    limit: calls at once that went well. refused_at: calls at once that did not. per_s: calls a second that are
    served. hold_s: for how long they were at the last. rest_s: the longest rest that a refusal asked for.
    """

    limit: int | None = None
    refused_at: int | None = None
    per_s: float | None = None
    hold_s: float | None = None
    rest_s: float | None = None

    @classmethod
    def of(cls, learned: Learned | None, pace: Pace | None) -> Self:
        """Give what a limiter and a pace have learned. Not the burst: a run that begins at the pace needs none."""
        return cls(
            limit=learned.limit if learned else None, refused_at=learned.refused_at if learned else None,
            per_s=pace.per_s if pace else None, hold_s=pace.hold_s if pace else None,
            rest_s=(pace.rest_s or None) if pace else None,
        )  # fmt: skip

    @property
    def learned(self) -> Learned | None:
        """What a limiter begins with."""
        return None if self.limit is None else Learned(self.limit, self.refused_at)

    @property
    def pace(self) -> Pace | None:
        """What a pace begins with."""
        return None if self.per_s is None else Pace(self.per_s, self.hold_s or 0.0, self.rest_s or 0.0)

    def state(self, wall_s: float) -> dict[str, Any]:
        """Give it as JSON can hold it; nothing when nothing was learned. wall_s: seconds since 1970."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return {**known, "at_s": round(wall_s)} if known else {}


NOTHING: Final = Profile()


def read_profile(state: object, *, wall_s: float) -> Profile:
    """Give what state() has given; NOTHING when that is too long ago. Raises ValueError for anything else."""
    if state is None:
        return NOTHING
    at_s = _number(state, "at_s")
    if at_s is None:
        raise ValueError("a profile without a time")
    if not 0 <= wall_s - at_s <= BELIEVED_S:
        return NOTHING
    limit, refused_at = _number(state, "limit"), _number(state, "refused_at")
    return Profile(
        limit=None if limit is None else max(1, int(limit)),
        refused_at=None if refused_at is None else max(1, int(refused_at)),
        per_s=_number(state, "per_s"),
        hold_s=_number(state, "hold_s"),
        rest_s=_number(state, "rest_s"),
    )


def _number(state: Mapping[str, Any] | object, name: str) -> float | None:
    """Give a number above 0, None when it is not there."""
    value = state.get(name) if isinstance(state, dict) else math.nan
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"a profile's {name} is {value!r}")
    return value
