"""`rate=100/m`: what a person says, and the limiter that keeps to it exactly.

Owns: quotas (so many calls per window), their text, and the count of what has gone. A quota holds for
*every* window of that length, not only for those that begin on the minute.

A rate by the second or the minute says how fast: its shortest window is spread evenly. A longer window,
or a second one, says how much: it is counted, not spread, or 3,000 calls at `5/s,10000/d` would take
seven hours instead of ten minutes, and gain nobody anything.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from crawler.pacing.turns import Turns
from crawler.values import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LONGEST_S: Final = 31 * 86_400
"""A month: more is a mistake in the unit."""
_MOST_CALLS: Final = 10**9
_QUOTA: Final = re.compile(r"([0-9]{1,18})/([0-9]{0,9})([smhd])")
_FRACTION: Final = re.compile(r"[0-9]*\.[0-9]+/[0-9]*[smhd]")

SPREAD_S: Final = 60
"""The longest window that is spread. Spreading makes a short list slower by a window at most: a minute is
bearable, a day is not."""

BUCKETS: Final = 256
"""Calls are counted in about so many groups. A group counts until its last call leaves the window, so that
less than 1/256 of the quota is held back; a quota of 256 or fewer is counted call by call."""

CLOCK_S: Final = 0.001
"""By how much a time may differ from itself, after it was told in seconds since 1970 and taken back."""


@dataclass(frozen=True, slots=True)
class Quota:
    """At most *calls* in any *window_s* seconds; both 1 or more."""

    calls: int
    window_s: int

    def __str__(self) -> str:
        unit = next(unit for unit in reversed(_UNITS_S) if self.window_s % _UNITS_S[unit] == 0)
        number = self.window_s // _UNITS_S[unit]
        return f"{self.calls}/{number if number > 1 else ''}{unit}"


@dataclass(frozen=True, slots=True)
class Rate:
    """What `rate` means: one quota or more, the shortest window first, no window twice."""

    quotas: tuple[Quota, ...]

    def __str__(self) -> str:
        return ",".join(map(str, self.quotas))


def _rate(value: object) -> Rate:
    if isinstance(value, Rate):
        return value
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004  # a parser's only error
    quotas = sorted(map(_quota, value.split(",")), key=lambda quota: quota.window_s)
    for one, other in pairwise(quotas):
        if one.window_s == other.window_s:
            raise ValueError(f"{one} and {other} are of the same window")
    return Rate(tuple(quotas))


def _quota(said: str) -> Quota:
    said = said.strip()
    match = _QUOTA.fullmatch(said)
    if match is None:
        raise ValueError("a whole number: 0.5/s is 1/2s" if _FRACTION.fullmatch(said) else f"not {said!r}")
    calls, window_s = int(match[1]), int(match[2] or 1) * _UNITS_S[match[3]]
    if not 1 <= calls <= _MOST_CALLS or not 1 <= window_s <= _LONGEST_S:
        raise ValueError(f"not {said}: from 1 to {_MOST_CALLS} calls, from 1 second to 31 days")
    return Quota(calls, window_s)


RATE: Final = Kind(_rate, "calls per s, m, h or d, such as 10/s, 100/m, 10/5s or 5/s,10000/d")


class RateLimiter:
    """Keeps to a rate. Times are seconds on one clock that never goes back; where it begins does not matter."""

    def __init__(self, rate: Rate) -> None:
        self._windows = tuple(_Window(quota) for quota in rate.quotas)
        pace = rate.quotas[0]
        self._gap_s = held_s(pace.window_s) / pace.calls if pace.window_s <= SPREAD_S else 0.0
        self._turns = Turns()

    def next_at(self, now_s: float) -> float:
        """Give the earliest time at which a call may go; *now_s* when it may go at once."""
        return max(self._turns.next_at(now_s), *(window.next_at(now_s) for window in self._windows))

    def take(self, now_s: float) -> None:
        """Count a call that goes. One that goes in spite of next_at() is counted too: the others wait longer."""
        self._turns.take(now_s, self._gap_s)
        for window in self._windows:
            window.take(now_s)

    known_at = next_at  # nobody has to be asked

    def give_back(self, at_s: float) -> None:
        """Count no longer a call that was taken for *at_s* and will never go. Its turn is gone."""
        for window in self._windows:
            window.give_back(at_s)

    @property
    def turn_s(self) -> float | None:
        """When the next turn is, whatever the windows say; None: at any time."""
        return self._turns.turn_s

    @turn_s.setter
    def turn_s(self, at_s: float | None) -> None:
        self._turns.turn_s = at_s

    def state(self, *, now_s: float, wall_s: float) -> dict[str, Any]:
        """Give what restore() needs, as JSON can hold it: per window, [seconds since 1970, calls] by age."""
        return {str(window.quota.window_s): window.held(now_s, wall_s - now_s) for window in self._windows}

    def restore(self, state: Mapping[str, Any], *, now_s: float, wall_s: float) -> None:
        """Count what went before this program started; before the first call of this one.

        A quota whose number changed keeps its window's calls; a window that is new begins empty. A time
        that is still to come (the clock was set back) counts as now. Raises ValueError for anything that
        state() does not give.
        """
        for window in self._windows:
            held = state.get(str(window.quota.window_s), ())
            try:
                groups = [(min(now_s, float(at_s) - wall_s + now_s), int(calls)) for at_s, calls in held]
            except (TypeError, ValueError, OverflowError) as exc:
                raise ValueError(f"a rate's state cannot be read: {exc}") from exc
            window.restore(groups)


def held_s(window_s: float) -> float:
    """Give for how long a call is counted: a little longer than its window.

    What leaves us evenly arrives unevenly; at exactly the limit, every call that was 10 ms faster on its
    way than the one before would be one too many. 2 %, at most the second that a slow connection takes.
    """
    return window_s + min(0.02 * window_s, 1.0)


class _Window:
    """The calls of the last window, in groups of (time of the last one, calls), oldest first."""

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self._held_s = held_s(quota.window_s)
        self._group = -(-quota.calls // BUCKETS)
        self._groups: deque[tuple[float, int]] = deque()
        self._calls = 0

    def next_at(self, now_s: float) -> float:
        self._forget(now_s)
        too_many = self._calls + 1 - self.quota.calls
        at_s = now_s
        for last_s, calls in self._groups:
            if too_many <= 0:
                break
            too_many -= calls
            at_s = last_s + self._held_s
        return at_s

    def take(self, now_s: float) -> None:
        self._forget(now_s)
        self._calls += 1
        if self._groups and self._groups[-1][1] < self._group:
            last_s, calls = self._groups[-1]
            self._groups[-1] = max(last_s, now_s), calls + 1
        else:
            self._groups.append((now_s, 1))

    def give_back(self, at_s: float) -> None:
        if not self._groups or at_s < self._groups[0][0] - CLOCK_S:
            return  # it may have left the window, and others' calls are not its
        for number, (last_s, calls) in enumerate(self._groups):
            if calls and last_s >= at_s - CLOCK_S:
                self._groups[number] = last_s, calls - 1
                self._calls -= 1
                return

    def _forget(self, now_s: float) -> None:
        while self._groups and self._groups[0][0] + self._held_s <= now_s:
            self._calls -= self._groups.popleft()[1]

    def held(self, now_s: float, to_wall_s: float) -> list[list[float]]:
        self._forget(now_s)
        return [[last_s + to_wall_s, calls] for last_s, calls in self._groups]

    def restore(self, groups: Iterable[tuple[float, int]]) -> None:
        self._groups = deque(sorted((last_s, calls) for last_s, calls in groups if calls > 0))
        self._calls = sum(calls for _, calls in self._groups)
