"""The calls of a run: which of those that wait goes next, and when there is none that may.

Owns: the queues of all hosts, what rests, and when to give up waiting. Knows no request: things come in with
the name of their host, a priority and a time. All times are seconds on one monotonic clock.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from crawler.pacing.host import Host, Policy
from crawler.pacing.lane import Lane
from crawler.pacing.resting import Resting

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.pacing.ending import Ending
    from crawler.pacing.limiter import Call

T = TypeVar("T")

MOST_RESTING: Final = 10_000
"""Things that rest before no more is read from the list; a request is some 2 kB."""

MOST_WAITING: Final = 1_000
"""Things that wait for hosts that may not be called now: so far a list that is sorted by host is read ahead."""

GIVEN_UP_S: Final = 600.0
"""A host that answers nothing for ten minutes will not do so soon."""

HOSTS: Final = 10_000
"""Hosts that are remembered, as long as nothing of theirs waits; each takes 3 kB."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Why going on makes no sense now. at_s: when it does, where that is known."""

    reason: str
    at_s: float | None = None


class Traffic(Generic[T]):
    """All that waits and all that is on its way, by host.

    max_calls: the most calls in all, None for any number. changed: called when a thing may go that might not
    before, and nobody is about to ask.
    """

    def __init__(self, policy: Policy, *, max_calls: int | None = None) -> None:
        self.policy = policy
        self.calls = 0
        """Calls that started."""
        self.in_flight = 0
        """Of these, how many have not ended."""
        self.rests = 0
        """How often a thing was put to rest."""
        self.is_short = False
        """Whether a call was refused since max_calls are used up."""
        self.reserves = False
        """Whether somebody says when a thing that was given out is gone, started or not: see left()."""
        self.changed: Callable[[], None] = lambda: None
        self._max_calls = max_calls
        self._lanes: dict[str, Lane[T]] = {}
        self._ready: list[tuple[float, int, int, Lane[T]]] = []  # by rank; the third is the entry's number
        self._blocked: list[tuple[float, int, Lane[T]]] = []  # by the time to ask again
        self._resting: Resting[tuple[Lane[T], T]] = Resting(MOST_RESTING)
        self._given: dict[T, Lane[T]] = {}
        self._waiting = 0  # in lanes
        self._held = 0  # of these, in lanes that are blocked
        self._number = 0
        self._front = 0
        self._forget_at = HOSTS

    # The queue

    def __len__(self) -> int:
        return self._waiting + len(self._resting)

    @property
    def ready(self) -> int:
        """How many wait for nothing but to be asked for, as far as is known."""
        return self._waiting - self._held

    @property
    def is_full(self) -> bool:
        """Whether so much waits or rests that no more should be brought."""
        return self._waiting >= MOST_WAITING or self._resting.full

    def push(self, host: str, thing: T, priority: int = 0) -> None:
        """Let a thing wait for its turn."""
        self._number += 1
        self._push(self._lane(host), thing, priority, self._number)

    def put_back(self, host: str, thing: T, priority: int = 0) -> None:
        """Let a thing that was given out wait again, before the others of its priority."""
        self._front -= 1
        self._push(self._lane(host), thing, priority, self._front)

    def rest(self, host: str, thing: T, until_s: float) -> None:
        """Let a thing rest until then; it is to be tried again."""
        self.rests += 1
        lane = self._lane(host)
        lane.resting += 1
        self._resting.push(until_s, (lane, thing))

    def pop(self, now_s: float) -> T | None:
        """Give the next thing that may go; None when none may now: see next_at()."""
        if self._blocked or len(self._resting):
            self._wake(now_s)
        ready = self._ready
        if not ready or self._is_used_up:
            return None
        while ready:
            entry = ready[0]
            lane = entry[3]
            if entry[2] != lane.entry:
                heapq.heappop(ready)
                continue
            thing = lane.take(now_s)
            if thing is None:
                heapq.heappop(ready)
                self._block(lane)
                continue
            self._waiting -= 1
            if lane.again or lane.fresh:
                heapq.heapreplace(ready, self._entry(lane))
            else:
                heapq.heappop(ready)
            if self.reserves:
                lane.on_way += 1
                self._given[thing] = lane
            return thing
        return None

    def next_at(self) -> float | None:
        """Give the time at which pop() may have something, if nothing ends before; None when it is not known."""
        while self._blocked and self._blocked[0][1] != self._blocked[0][2].entry:
            heapq.heappop(self._blocked)
        times = [self._blocked[0][0]] if self._blocked else []
        if (rest_s := self._resting.next_at()) is not None:
            times.append(rest_s)
        return min(times, default=None)

    # Calls

    def may_go(self, host: str, now_s: float, thing: T | None = None) -> float | None:
        """Whether a call may go at this moment: None: now. Else as Host.when() says. thing: what it is made of.

        Whoever does not ask pop() asks here; calls that are used up are never allowed again.
        """
        lane = self._lane(host)
        is_given = thing in self._given
        if self._max_calls is not None and not is_given and self._is_used_up:
            self.is_short = True
            return math.inf
        return lane.host.when(now_s, lane.on_way - is_given)

    def is_given(self, thing: T) -> bool:
        """Whether a thing was given out and has not started, so that it can be put back."""
        return thing in self._given

    def started(self, host: str, now_s: float, *, thing: T, retry: bool) -> Call:
        """Count a call that goes; what comes back is handed to ended(). thing: what it was made of."""
        self.calls += 1
        self.in_flight += 1
        if len(self._lanes) >= self._forget_at:
            self._forget(now_s)
        lane = self._lane(host)
        call = lane.host.started(now_s, retry=retry)
        if self._given and self._given.pop(thing, None) is not None:
            lane.on_way -= 1
            if lane.is_blocked:
                self._unblock(lane)
                self.changed()
        return call

    def ended(self, host: str, call: Call, now_s: float, ending: Ending) -> None:
        """Learn from how a call ended; exactly once for each."""
        lane = self._lane(host)
        self.in_flight -= 1
        lane.host.ended(call, now_s, ending)
        if lane.is_blocked:
            self._unblock(lane)

    def left(self, thing: T) -> None:
        """Forget a thing that was given out and is done with, whether it started or not."""
        lane = self._given.pop(thing, None)
        if lane is not None:
            lane.on_way -= 1
            if lane.is_blocked:
                self._unblock(lane)

    # The end

    def stop(self, now_s: float, *, read_to_end: bool) -> Stop | None:
        """Give the reason to stop, when all that is left has to wait too long. read_to_end: no more will be brought."""
        if self._is_used_up and (len(self) or self.is_short):
            return None if self.in_flight or self._given else Stop("max_calls")
        if not len(self) or not (read_to_end or self.is_full):
            return None
        down = [lane.host.down_since_s for lane in self._lanes.values() if lane or lane.resting]
        if all(since_s is not None and now_s - since_s >= GIVEN_UP_S for since_s in down):
            return Stop("down")
        if self.in_flight or self._given:
            return None
        at_s = self.next_at()
        if self.ready or at_s is None or at_s - now_s <= self.policy.max_wait_s:
            return None
        return Stop("waits", at_s)

    @property
    def _is_used_up(self) -> bool:
        return self._max_calls is not None and self.calls + len(self._given) >= self._max_calls

    # Lanes

    def _lane(self, host: str) -> Lane[T]:
        lane = self._lanes.get(host)
        if lane is None:
            lane = self._lanes[host] = Lane(Host(self.policy))
        return lane

    def _forget(self, now_s: float) -> None:
        """Drop the hosts of which there is nothing to know: a list may have a million."""
        self._lanes = {
            name: lane
            for name, lane in self._lanes.items()
            if lane or lane.resting or lane.on_way or not lane.host.is_as_new(now_s)
        }
        self._forget_at = max(HOSTS, 2 * len(self._lanes))

    def _push(self, lane: Lane[T], thing: T, priority: int, number: int) -> None:
        self._waiting += 1
        had_fresh = bool(lane.fresh)
        is_next = lane.push(thing, priority, number)
        if not lane.is_blocked:
            if is_next:
                heapq.heappush(self._ready, self._entry(lane))
        elif had_fresh:
            self._held += 1
        else:  # only what is to be tried again may be what had to wait
            self._held += 1
            self._unblock(lane)

    def _wake(self, now_s: float) -> None:
        """Let wait again what has rested, and ask again the hosts whose time has come."""
        while (rested := self._resting.pop_due(now_s)) is not None:
            lane, thing = rested
            self._waiting += 1
            lane.resting -= 1
            lane.again.append(thing)
            if lane.is_blocked:
                self._held += 1
            elif len(lane.again) == 1:
                heapq.heappush(self._ready, self._entry(lane))
        while self._blocked and (self._blocked[0][0] <= now_s or self._blocked[0][1] != self._blocked[0][2].entry):
            _, number, lane = heapq.heappop(self._blocked)
            if number == lane.entry:
                self._unblock(lane)

    def _entry(self, lane: Lane[T]) -> tuple[float, int, int, Lane[T]]:
        """Give a new entry among the ready lanes; the one before is out of date."""
        self._number += 1
        lane.entry = self._number
        return (*lane.rank, self._number, lane)

    def _block(self, lane: Lane[T]) -> None:
        lane.is_blocked = True
        self._held += len(lane)
        self._number += 1
        lane.entry = self._number
        if lane.wait_s < math.inf:
            heapq.heappush(self._blocked, (lane.wait_s, self._number, lane))

    def _unblock(self, lane: Lane[T]) -> None:
        lane.is_blocked = False
        self._held -= len(lane)
        heapq.heappush(self._ready, self._entry(lane))
