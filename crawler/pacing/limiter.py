"""How many calls may be on their way to a host at once.

Owns: a window that grows while calls succeed and shrinks when the host pushes back: additive increase,
multiplicative decrease (Chiu and Jain, 1989), with TCP's slow start (RFC 5681) and, as in CUBIC (RFC 9438),
patience near the place where it went wrong before. What pushback is, the caller decides.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

START: Final = 10
"""Calls at once before anything is known: TCP's initial window (RFC 6928). Doubled with every round trip,
it is 160 after four; a crowd of 200 at an API that takes 200 a second would lose 190 of them."""

SILENCE_S: Final = 1.0
"""A refusal comes at once even where answers take long: after a second of silence the start doubles
anyway, so that 200 workers at an API that takes 10 s are all at work after five seconds, not fifty."""

CUT: Final = 0.7
"""What a refusal leaves of the window: CUBIC's, botocore's. TCP's half empties the pipe for no reason."""

STEP: Final = 0.02
"""The step up is one call, or this part of a large window: +1 of 1,000 takes hours to come back."""

WAITS: Final = 8, 64
"""Windows of successes before the number of calls is tried again that was refused before: the least, and
the most to which each further refusal there doubles it. 64 windows cost a refusal in some 500 calls at 8."""


class Call(NamedTuple):
    """A call on its way. number: how many had started with it. at_s: when, on the caller's clock.

    filled: how many were on their way then, itself included. cohort: the one it was chosen for, 0 for none.
    """

    number: int
    at_s: float
    filled: int = 1
    cohort: int = 0


class Learned(NamedTuple):
    """What an earlier run knew of a host. limit: calls at once that went well. refused_at: that did not; None: none."""

    limit: int
    refused_at: int | None = None


class Limiter:
    """The window of one host. Give each Call back exactly once: succeeded, pushed_back or ended.

    ceiling: the most calls at once, 1 or more (else ValueError). It is what the user wants, so the way there is
    short; AutoLimiter looks for a number below it.
    """

    def __init__(self, ceiling: int, learned: Learned | None = None) -> None:
        if ceiling < 1:
            raise ValueError(f"ceiling={ceiling}: expected 1 or more")
        self._ceiling = ceiling
        most = ceiling if learned is None else min(ceiling, max(1, learned.limit))
        self.limit = min(most, START if learned is None else max(START, most // 2))
        """How many calls at once are allowed, from 1 to the ceiling. What was known before begins with half of it."""
        self._threshold = most  # below it, growth is fast: ssthresh
        self.in_flight = 0
        """How many calls have started and not come back."""
        self._started = 0
        self._cut_at = 0  # the number of the last call that had started at the last cut
        self._full_at = 0  # the number of the last call with which the window was (nearly) full
        self._good = 0  # successes since the window last changed
        self._worked = False  # whether anything succeeded since the last cut
        self._refused_at = None if learned is None else learned.refused_at
        self._before = self.limit, self._refused_at  # the first cut since the last success
        self._waits = WAITS[0]
        self._changed_s: float | None = None

    @property
    def is_cut(self) -> bool:
        """Whether a refusal is what keeps the window below its ceiling."""
        return self._refused_at is not None and self.limit < self._ceiling

    @property
    def is_found(self) -> bool:
        """Whether latency has shown that more calls at once bring no more; only `auto` looks for that."""
        return False

    @property
    def learned(self) -> Learned | None:
        """What a later run may begin with; None as long as nothing was refused."""
        if self._refused_at is None:
            return None
        # in an outage the window is 1 at last: where the first cut left it, says more
        return Learned(max(self.limit, min(self._threshold, self._refused_at)), self._refused_at)

    def next_at(self, now_s: float, on_way: int = 0) -> float:
        """Give the earliest time for a call: *now_s*, or infinity when one has to come back first.

        on_way: how many will go before it.
        """
        if self.in_flight + on_way < self.limit:
            return now_s
        if self._cut_at or self.limit >= self._ceiling or self._changed_s is None:
            return math.inf
        if now_s < self._changed_s + SILENCE_S:
            return self._changed_s + SILENCE_S
        self._become(self.limit * 2, now_s)
        return now_s

    def started(self, now_s: float) -> Call:
        """Count a call that goes, allowed or not."""
        if self._changed_s is None:
            self._changed_s = now_s
        self.in_flight += 1
        self._started += 1
        if self.in_flight >= self.limit - self.limit // 10:
            self._full_at = self._started
        return Call(self._started, now_s, self.in_flight)

    def ended(self, call: Call) -> None:  # noqa: ARG002  # a subclass's
        """Count a call that came back and says nothing about the load: cancelled, or failed by its own fault."""
        self.in_flight -= 1

    def pushed_back(self, call: Call, now_s: float) -> bool:
        """Cut the window, once per round trip. Whether it did: False for what started before the last cut.

        Twenty refusals of one window are one event: the calls were on their way before we could know.
        """
        used = self.in_flight
        self.in_flight -= 1
        if call.number <= self._cut_at:
            return False
        self._cut(min(self.limit, 2 * used), now_s)  # what is allowed but not used was not refused
        return True

    def _cut(self, refused_at: int, now_s: float) -> None:
        if self._worked:
            self._before = self.limit, self._refused_at
        again = self._refused_at is not None and refused_at >= self._refused_at
        self._waits = min(WAITS[1], self._waits * 2) if again else WAITS[0]
        self._refused_at = refused_at
        self._become(int(refused_at * CUT), now_s)
        if self._worked:  # else it is an outage, after which the way back is short
            self._threshold = self.limit
        self._cut_at = self._started
        self._worked = False

    def recovered(self) -> None:
        """Take note that what was pushed back since the last success but one was an outage: nothing was too much.

        So the way back is as short as the start.
        """
        limit, self._refused_at = self._before
        self._threshold = max(self._threshold, limit)

    def give_back(self, limit: int, now_s: float) -> None:
        """Allow as many as before a cut that has shown to be none: *limit*."""
        self._refused_at = None
        self._waits = WAITS[0]
        self._threshold = self._ceiling
        self._become(max(limit, self.limit), now_s)

    @property
    def calls(self) -> int:
        """How many calls have started: the number of the last one."""
        return self._started

    def succeeded(self, call: Call, now_s: float) -> None:
        """Count a success: it lets the window grow if it started after the last cut and the window is in use."""
        self.in_flight -= 1
        if call.number <= self._cut_at:
            return
        self._worked = True
        if self._full_at < call.number:
            return  # it was not full while this call was on its way: what is not used is not tested (RFC 7661)
        self._good += 1
        if self.limit < self._threshold:
            self._become(self.limit + 1, now_s)  # doubled per round trip
        elif self._good >= self._needed():
            self._grow(now_s)

    def _needed(self) -> int:
        """How many successes let the window grow: a window of them, or many where it was refused before."""
        at_the_edge = self._refused_at is not None and self.limit < self._refused_at <= self.limit + self._step
        return self.limit * (self._waits if at_the_edge else 1)

    @property
    def _step(self) -> int:
        return max(1, int(self.limit * STEP))

    def _grow(self, now_s: float) -> None:
        if self._refused_at is not None and self.limit >= self._refused_at:
            # a whole window went well where one was refused: the host has changed
            self._refused_at = None
            self._waits = WAITS[0]
        self._become(self.limit + self._step, now_s)

    def _become(self, limit: int, now_s: float) -> None:
        self.limit = max(1, min(limit, self._ceiling))
        self._changed_s = now_s
        self._good = 0
