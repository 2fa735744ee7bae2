"""Many looks at a run, summed up: what was in the way for most of the time, now and over the whole run."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from crawler.meter.bottleneck import Limit, Measured, Verdict, limit_of, sentence
from crawler.pacing import Hold

if TYPE_CHECKING:
    from crawler.meter.bottleneck import Moment

RECENT_S: Final = 20.0
"""The time that "now" is: long enough for the sentence to stand still, short enough to follow a change."""

LEAST_S: Final = 1.0
"""The time that has to be looked at before anything is said about a run: four looks."""


@dataclass(slots=True)
class _Sum:
    """Looks that had one limit, weighted by the seconds they stand for."""

    seconds: float = 0.0
    in_flight: float = 0.0
    cpu: float = 0.0
    ceiling: int = 1
    knob: str = "workers"
    is_paced: bool = False
    said_by: str = ""
    until_s: float = 0.0

    def add(self, moment: Moment, seconds: float) -> None:
        self.seconds += seconds
        self.in_flight += seconds * moment.in_flight
        self.cpu += seconds * moment.cpu
        self.ceiling, self.knob = moment.ceiling, moment.knob
        if moment.held_by is not None:
            self.is_paced |= moment.held_by.hold is Hold.REFUSED
            self.said_by = moment.held_by.said_by or self.said_by
            self.until_s = moment.held_by.until_s if moment.held_by.until_s < math.inf else 0.0


@dataclass(slots=True)
class Looks:
    """Takes a Moment every so often. Times are seconds on one monotonic clock."""

    _all: dict[Limit, _Sum] = field(default_factory=dict)
    _recent: deque[tuple[float, Limit, Moment, float]] = field(default_factory=deque)
    _last_s: float | None = None

    def add(self, moment: Moment, now_s: float) -> None:
        """Take a look that stands for the time since the last one; the first stands for none."""
        seconds = 0.0 if self._last_s is None else now_s - self._last_s
        self._last_s = now_s
        limit = limit_of(moment)
        self._all.setdefault(limit, _Sum()).add(moment, seconds)
        self._recent.append((now_s, limit, moment, seconds))
        while self._recent[0][0] < now_s - RECENT_S:
            self._recent.popleft()

    @property
    def shares(self) -> dict[Limit, float]:
        """Part of the run's time for each limit that was ever in the way, the largest first."""
        total_s = sum(each.seconds for each in self._all.values())
        if not total_s:
            return dict.fromkeys(self._all, 1.0) if len(self._all) == 1 else {}
        found = {limit: each.seconds / total_s for limit, each in self._all.items() if each.seconds}
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))

    def now(self, measured: Measured) -> Verdict | None:
        """Give the verdict on the last RECENT_S; measured: speeds and latency of that time. None before the first."""
        sums: dict[Limit, _Sum] = {}
        for _, limit, moment, seconds in self._recent:
            sums.setdefault(limit, _Sum()).add(moment, seconds)
        return self._verdict(sums, measured, self._last_s)

    def whole(self, measured: Measured) -> Verdict | None:
        """Give the verdict on the whole run; measured: speeds and latency of all of it. None when it was too short."""
        if sum(each.seconds for each in self._all.values()) < LEAST_S:
            return None
        return self._verdict(self._all, measured, None)

    def _verdict(self, sums: dict[Limit, _Sum], measured: Measured, now_s: float | None) -> Verdict | None:
        """now_s: None when it is over, and no wait goes on."""
        if not sums:
            return None
        limit, most = max(sums.items(), key=lambda pair: pair[1].seconds)
        total_s = sum(each.seconds for each in sums.values())
        known = Measured(
            in_flight=most.in_flight / most.seconds if most.seconds else 0.0,
            ceiling=most.ceiling,
            knob=most.knob,
            cpu=most.cpu / most.seconds if most.seconds else 0.0,
            calls_per_s=measured.calls_per_s,
            p50_ms=measured.p50_ms,
            refused=measured.refused,
            pace_per_s=measured.pace_per_s if most.is_paced else None,
            said_by=most.said_by,
            wait_s=max(0.0, most.until_s - now_s) if now_s is not None else 0.0,
        )
        share = most.seconds / total_s if total_s else 1.0
        return Verdict(limit=limit, share=share, sentence=sentence(limit, known))
