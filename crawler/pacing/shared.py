"""Several processes that call one host at one rate: what each of them takes is written where all of them look.

Owns: portions of a rate. A process takes the next turns of a tenth of a second at once, each with its time, so that a
call costs nothing, however many are made. Where all of them look may be far away: then a process asks ahead, for turns
that are still to come when the answer is there, and for as many as keep the rate used until somebody is heard again.
Turns that it could not use in time count no longer; whoever dies with turns in hand loses those, and nobody has to find
out. Knows no file: what all can see is changed by a function that comes in.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from crawler.pacing.rate import SPREAD_S, Rate, RateLimiter, held_s
from crawler.pacing.turns import LATE_S

if TYPE_CHECKING:
    from collections.abc import Mapping

Change = Callable[[dict[str, Any]], None]

PORTION_S: Final = 0.1
PORTION: Final = 10
"""The turns of so long are taken at once, and so many at the most: ten looks a second at up to 100 calls a second."""

AHEAD_S: Final = 5.0
"""How far ahead a turn is taken: eight processes at 100 a minute stand in a row of 4.8 s."""

EARLY: Final = 1.5
"""So many ways before our last turn the next ones are asked for: one that somebody else was faster in costs a way."""

SURE: Final = 1.25
"""The turns that are asked for begin after so many ways, since no answer takes as long as another."""

SPAN: Final = 1.5
"""Where the way to what all can see is long, the turns of so many ways are taken at once: of all who ask meanwhile, one
is the first, so that no more than a portion comes in a way, however many ask."""

LONGEST_PORTION_S: Final = 1.0
"""Who dies loses no more than that, and nobody waits longer for another one."""

BUSY_S: Final = 0.002
AGAIN: Final = 1 / 8
"""When to ask again where somebody else is at it, which takes a tenth of that; or where he was faster, in ways. After
twice as long each time that nobody answers at all, up to PORTION_S: what all can see may be away for hours."""


class Shared(NamedTuple):
    """What all processes can see of each host.

    exchange: have a function change what is known of a host, alone; False when somebody else was at it, so that what
    the function did, if it was called at all, does not count; None when that is known later: then answer gives it, once
    (None: not yet), and until then nothing else of that host is changed. wall: gives the seconds since 1970 for a time
    of the caller's clock, since each process has a clock of its own. way: how many seconds an answer takes.
    """

    exchange: Callable[[str, Change], bool | None]
    wall: Callable[[float], float]
    answer: Callable[[str], bool | None] = lambda _host: False
    way: Callable[[], float] = lambda: 0.0


class _Asked(NamedTuple):
    """What was asked for, and counts once that is known.

    state: as it is then. unused, more: how many of those are told.
    """

    at_s: float
    turns: list[float]
    state: dict[str, Any]
    unused: int
    more: int


class SharedRate:
    """As RateLimiter, for one of several processes that call a host."""

    def __init__(self, rate: Rate, host: str, shared: Shared) -> None:
        self._rate, self._host, self._shared = rate, host, shared
        self._wall = shared.wall
        window_s = rate.quotas[0].window_s
        # A turn is counted for its time. As late as windows are held longer it may be used; then it is given back.
        self._late_s = max(LATE_S, held_s(window_s) - window_s)
        self._is_spread = window_s <= SPREAD_S
        self._turns: deque[float] = deque()  # that are ours
        self._unused: list[float] = []  # that were, and are counted
        self._more: list[float] = []  # that went without one, and are not counted
        self._asked: _Asked | None = None  # and not known yet
        self._busy_s = BUSY_S
        self._known_s = -math.inf
        self._state: dict[str, Any] = {}  # as we saw it last
        self._noted: Mapping[str, Any] | None = None  # by an earlier run, until it is handed on

    def next_at(self, now_s: float) -> float:
        """Give the time of our next turn; *now_s* when it may be now. Takes some when there are few."""
        turns, way_s = self._turns, self._shared.way()
        if self._asked is not None:
            self._hear(self._shared.answer(self._host))
        self._leave_out(now_s)
        later_s = None
        if self._asked is None and (not turns or (self._is_spread and turns[-1] < now_s + EARLY * way_s)):
            later_s = self._ask(now_s, way_s)
            self._leave_out(now_s)
        if turns:
            later_s = turns[0]
        elif later_s is None:
            later_s = self._again_at(now_s, way_s)
        self._known_s = later_s
        return max(now_s, self._known_s)

    def _again_at(self, now_s: float, way_s: float) -> float:
        """Give when to ask again, or to look whether there is an answer."""
        if self._asked is None:
            return now_s + max(self._busy_s, way_s * AGAIN)
        if self._asked.at_s + way_s > now_s:
            return self._asked.at_s + way_s
        return now_s + self._unanswered()

    def _unanswered(self) -> float:
        """Give how long to wait, and let it be twice as long the next time."""
        busy_s, self._busy_s = self._busy_s, min(2 * self._busy_s, PORTION_S)
        return busy_s

    def known_at(self, now_s: float) -> float:
        """Give what next_at() gave last, and take nothing: for those who only want to know."""
        return max(now_s, self._known_s)

    def take(self, now_s: float) -> None:
        """Count a call that goes: our next turn's, or one more than we had."""
        if self._turns:
            self._turns.popleft()
            return
        self._more.append(now_s)
        if self._asked is None:
            self._ask(now_s, None)

    def state(self, *, now_s: float, wall_s: float) -> dict[str, Any]:  # noqa: ARG002  # RateLimiter's
        """Give what an earlier look showed, by window, as RateLimiter does."""
        return {name: held for name, held in self._state.items() if name.isdigit()}

    def restore(self, state: Mapping[str, Any], *, now_s: float, wall_s: float) -> None:
        """Take over what an earlier run has noted, as far as nobody knows more. ValueError as RateLimiter's."""
        RateLimiter(self._rate).restore(state, now_s=now_s, wall_s=wall_s)
        self._noted = state

    def _leave_out(self, now_s: float) -> None:
        """Leave out the turns whose time is over."""
        turns = self._turns
        while turns and turns[0] < now_s - self._late_s:
            self._unused.append(turns.popleft())

    def _ask(self, now_s: float, way_s: float | None) -> float | None:
        """Ask for the next turns, which begin when the answer is there; for None: for none, only tell what went.

        Gives the time to ask again when it is known that there are none for now.
        """
        asked: list[_Asked] = []
        later_s: float | None = None

        def change(state: dict[str, Any]) -> None:
            nonlocal later_s
            limiter = self._limiter(state, now_s)
            for unused_s in self._unused:
                limiter.give_back(unused_s)
            for more_s in self._more:
                limiter.take(more_s)
            turns: list[float] = []
            later_s = None
            if way_s is not None:
                begin_s = now_s + min(SURE * way_s, AHEAD_S)
                at_s = limiter.next_at(begin_s)
                if at_s > now_s + AHEAD_S:
                    later_s = at_s - (begin_s - now_s)
                else:
                    turns = self._portion(limiter, at_s, begin_s, way_s)
            if turns or self._more:
                self._write(state, limiter, now_s, [*self._more, *turns])
            told = (len(self._unused), len(self._more)) if turns or self._more else (0, 0)
            asked[:] = [_Asked(now_s, turns, dict(state), *told)]

        counts = self._shared.exchange(self._host, change)
        if counts is False:
            self._unanswered()
        if asked:
            self._asked = asked[0]
            self._hear(counts)
        return later_s if counts else None

    def _portion(self, limiter: RateLimiter, at_s: float, from_s: float, way_s: float) -> list[float]:
        """Take the turns from *at_s* on. Where the way is long, those of the time it takes, if spread."""
        turns: list[float] = []
        near_s = from_s + PORTION_S
        far_s = at_s + min(SPAN * way_s, LONGEST_PORTION_S) if self._is_spread else -math.inf
        while not turns or (at_s < near_s and len(turns) < PORTION) or at_s < far_s:
            turns.append(at_s)
            limiter.take(at_s)
            at_s = limiter.next_at(at_s)
        return turns

    def _hear(self, counts: bool | None) -> None:
        """Have what was asked for, if that is known; what did not count is asked for anew."""
        asked = self._asked
        if asked is None or counts is None:
            return
        self._asked = None
        if not counts:
            return
        self._busy_s = BUSY_S
        del self._unused[: asked.unused], self._more[: asked.more]
        self._turns.extend(asked.turns)
        if asked.turns or asked.more:
            self._state, self._noted = asked.state, None

    def _limiter(self, state: dict[str, Any], now_s: float) -> RateLimiter:
        """A RateLimiter that has counted what all have taken. What cannot be read counts as nothing."""
        limiter = RateLimiter(self._rate)
        held = {**(self._noted or {}), **state}
        furthest_s = now_s + AHEAD_S + LONGEST_PORTION_S
        try:
            limiter.restore(held, now_s=furthest_s, wall_s=self._wall(furthest_s))
            limiter.turn_s = float(state.get("turn_s", 0.0)) - self._wall(now_s) + now_s if "turn_s" in state else None
        except (TypeError, ValueError):
            return RateLimiter(self._rate)
        return limiter

    def _write(self, state: dict[str, Any], limiter: RateLimiter, now_s: float, turns: list[float]) -> None:
        wall_s = self._wall(now_s)
        ours = limiter.state(now_s=now_s, wall_s=wall_s)
        for name, groups in state.items():
            if name.isdigit() and name not in ours:  # a window of somebody whose rate is another
                state[name] = [*_kept(groups, wall_s - int(name) - 1), [turns[-1] - now_s + wall_s, len(turns)]]
        state |= ours
        if limiter.turn_s is not None:
            state["turn_s"] = limiter.turn_s - now_s + wall_s


def _kept(groups: Any, from_s: float) -> list[Any]:
    """Leave out what has left the window; all of it when it cannot be read."""
    try:
        return [[at_s, calls] for at_s, calls in groups if at_s > from_s]
    except (TypeError, ValueError):
        return []
