"""Several processes that call one host: what each of them takes, and is told, is written where all of them look.

Owns: portions of a rate. A process takes the next turns of a tenth of a second at once, each with its time, so that a
call costs nothing, however many are made. Turns that it could not use in time count no longer; whoever dies with turns
in hand loses those, and nobody has to find out. And whose a rest is: what a host asks for, it asks of those who come
with the same credentials. Knows no file: what all can see is changed by a function that comes in.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from crawler.pacing.rate import Rate, RateLimiter, held_s
from crawler.pacing.turns import LATE_S

if TYPE_CHECKING:
    from collections.abc import Mapping

Change = Callable[[dict[str, Any]], None]

PORTION_S: Final = 0.1
PORTION: Final = 10
"""The turns of so long are taken at once, and so many at the most: ten looks a second at up to 100 calls a second."""

AHEAD_S: Final = 5.0
"""How far ahead a turn is taken: eight processes at 100 a minute stand in a row of 4.8 s."""

BUSY_S: Final = 0.002
"""When to ask again where somebody else is at it, which takes a tenth of that."""


RESTS: Final = "rests of hosts"
"""Under which name rests are known: no host is called so."""

LOOK_S: Final = 0.1
"""How often it is looked whether another process was asked to wait: one look for all hosts."""

LONGEST_S: Final = 31 * 86_400.0
"""A rest that is longer is none that this program has noted."""


class Shared(NamedTuple):
    """What all processes can see of each host.

    exchange: have a function change what is known of a host, alone; False when somebody else was at it, so that what
    the function did, if it was called at all, does not count. wall: gives
    the seconds since 1970 for a time of the caller's clock, since each process has a clock of its own.
    """

    exchange: Callable[[str, Change], bool]
    wall: Callable[[float], float]


class SharedRate:
    """As RateLimiter, for one of several processes that call a host."""

    def __init__(self, rate: Rate, host: str, shared: Shared) -> None:
        self._rate, self._host = rate, host
        self._exchange, self._wall = shared
        window_s = rate.quotas[0].window_s
        # A turn is counted for its time. As late as windows are held longer it may be used; then it is given back.
        self._late_s = max(LATE_S, held_s(window_s) - window_s)
        self._turns: deque[float] = deque()  # that are ours
        self._unused: list[float] = []  # that were, and are counted
        self._known_s = -math.inf
        self._state: dict[str, Any] = {}  # as we saw it last
        self._noted: Mapping[str, Any] | None = None  # by an earlier run, until it is handed on

    def next_at(self, now_s: float) -> float:
        """Give the time of our next turn; *now_s* when it may be now. Takes some when there are none."""
        turns = self._turns
        while turns and turns[0] < now_s - self._late_s:
            self._unused.append(turns.popleft())
        at_s = None if turns else self._take_some(now_s)
        self._known_s = turns[0] if at_s is None else at_s
        return max(now_s, self._known_s)

    def known_at(self, now_s: float) -> float:
        """Give what next_at() gave last, and take nothing: for those who only want to know."""
        return max(now_s, self._known_s)

    def take(self, now_s: float) -> None:
        """Count a call that goes: our next turn's, or one more than we had."""
        if not self._turns:
            self._exchange(self._host, lambda state: self._let_go(state, now_s))
        else:
            self._turns.popleft()

    def state(self, *, now_s: float, wall_s: float) -> dict[str, Any]:  # noqa: ARG002  # RateLimiter's
        """Give what an earlier look showed, by window, as RateLimiter does."""
        return {name: held for name, held in self._state.items() if name.isdigit()}

    def restore(self, state: Mapping[str, Any], *, now_s: float, wall_s: float) -> None:
        """Take over what an earlier run has noted, as far as nobody knows more. ValueError as RateLimiter's."""
        RateLimiter(self._rate).restore(state, now_s=now_s, wall_s=wall_s)
        self._noted = state

    def _take_some(self, now_s: float) -> float | None:
        """Take the next turns. Gives the time to ask again when there are none for now."""
        later_s: list[float] = []

        def change(state: dict[str, Any]) -> None:
            limiter = self._limiter(state, now_s)
            for unused_s in self._unused:
                limiter.give_back(unused_s)
            at_s = limiter.next_at(now_s)
            if at_s > now_s + AHEAD_S:
                later_s.append(at_s)
                return
            while not self._turns or (at_s < min(self._turns[0], now_s) + PORTION_S and len(self._turns) < PORTION):
                self._turns.append(at_s)
                limiter.take(at_s)
                at_s = limiter.next_at(at_s)
            self._write(state, limiter, now_s)

        noted = self._noted
        if not self._exchange(self._host, change):
            self._turns.clear()  # of which nobody else knows
            self._noted = noted
            return now_s + BUSY_S
        if later_s:
            return later_s[0]
        self._unused.clear()
        return None

    def _let_go(self, state: dict[str, Any], now_s: float) -> None:
        limiter = self._limiter(state, now_s)
        limiter.take(now_s)
        self._turns.append(now_s)
        self._write(state, limiter, now_s)
        self._turns.pop()

    def _limiter(self, state: dict[str, Any], now_s: float) -> RateLimiter:
        """A RateLimiter that has counted what all have taken. What cannot be read counts as nothing."""
        limiter = RateLimiter(self._rate)
        held = {**(self._noted or {}), **state}
        try:
            limiter.restore(held, now_s=now_s + AHEAD_S, wall_s=self._wall(now_s + AHEAD_S))
            limiter.turn_s = float(state.get("turn_s", 0.0)) - self._wall(now_s) + now_s if "turn_s" in state else None
        except (TypeError, ValueError):
            return RateLimiter(self._rate)
        return limiter

    def _write(self, state: dict[str, Any], limiter: RateLimiter, now_s: float) -> None:
        wall_s = self._wall(now_s)
        ours = limiter.state(now_s=now_s, wall_s=wall_s)
        turns = self._turns
        for name, groups in state.items():
            if name.isdigit() and name not in ours:  # a window of somebody whose rate is another
                state[name] = [*_kept(groups, wall_s - int(name) - 1), [turns[-1] - now_s + wall_s, len(turns)]]
        state |= ours
        if limiter.turn_s is not None:
            state["turn_s"] = limiter.turn_s - now_s + wall_s
        self._state, self._noted = dict(state), None


def _kept(groups: Any, from_s: float) -> list[Any]:
    """Leave out what has left the window; all of it when it cannot be read."""
    try:
        return [[at_s, calls] for at_s, calls in groups if at_s > from_s]
    except (TypeError, ValueError):
        return []


class SharedRests:
    """What hosts have asked of any process that comes with the same credentials. who: stands for those."""

    def __init__(self, shared: Shared, who: str = "") -> None:
        self._exchange, self._wall = shared
        self._who = who
        self._words: dict[str, list[Any]] = {}  # as we saw them last: seconds since 1970, and the header
        self._untold: dict[str, list[Any]] = {}
        self._look_s = -math.inf

    def tell(self, host: str, now_s: float, *, until_s: float, by: str) -> None:
        """Let all others know what a host asks for."""
        self._untold[f"{host} {self._who}"] = [self._wall(until_s), by]
        self._look(now_s)

    def word(self, host: str, now_s: float) -> tuple[float, str]:
        """Give until when a host asked any of us to wait, and by which header; a time that is past for nothing."""
        if now_s >= self._look_s:
            self._look(now_s)
        wall_s, by = self._words.get(f"{host} {self._who}", (-math.inf, ""))
        return wall_s - self._wall(now_s) + now_s, by

    def _look(self, now_s: float) -> None:
        """Read what there is, and write what is to be told; when somebody else is at it, the next time."""
        self._look_s = now_s + LOOK_S
        wall_s = self._wall(now_s)
        seen: dict[str, list[Any]] = {}

        def change(state: dict[str, Any]) -> None:
            seen.clear()
            seen.update({name: word for name, word in state.items() if _is_word(word, wall_s)})
            for name, word in self._untold.items():
                seen[name] = max(word, seen.get(name, word))
            state.clear()
            state.update(seen)

        if self._exchange(RESTS, change):
            self._words, self._untold = seen, {}


def _is_word(word: Any, wall_s: float) -> bool:
    """Whether that is a rest that is not over."""
    is_pair = isinstance(word, list) and len(word) == 2 and isinstance(word[1], str)
    return is_pair and isinstance(word[0], float) and wall_s < word[0] <= wall_s + LONGEST_S
