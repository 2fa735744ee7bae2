"""What waits in a run, by host, and which of it goes next.

Owns: the order among hosts (by priority, then first come, first served, as far as a host may be called), what
rests, and what was given out and has not started. Things come in with the name of their host.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from crawler.pacing.host import Host
from crawler.pacing.lane import Lane
from crawler.pacing.resting import Resting

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.pacing.policy import Policy

T = TypeVar("T")

MOST_RESTING: Final = 10_000
"""Things that rest before no more is read from the list; a request is some 2 kB."""

MOST_WAITING: Final = 10_000
"""Things that wait for hosts that may not be called now: a minute's rest of one host, when three take turns in the list
and the others serve 160 a second."""

OF_ONE_HOST: Final = 1_000
"""The same where no other host is known: most likely there is none for which reading on would bring anything."""

HOSTS: Final = 10_000
"""Hosts that are remembered though nothing of theirs waits; each takes 3 kB, and a list may have a million."""


class Queues(Generic[T]):
    """A lane for each host. All times are seconds on one monotonic clock."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.rests = 0
        """How often a thing was put to rest."""
        self.reserves = False
        """Whether somebody says when a thing that was given out is done with, started or not: see left()."""
        self.changed: Callable[[], None] = lambda: None
        """Called when a thing may go that might not before, and nobody is about to ask."""
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

    def __len__(self) -> int:
        return self._waiting + len(self._resting)

    @property
    def ready(self) -> int:
        """How many wait for nothing but to be asked for, as far as is known."""
        return self._waiting - self._held

    @property
    def held(self) -> int:
        """How many wait for hosts that may not be called now."""
        return self._held

    @property
    def resting(self) -> int:
        """How many rest until a time of their own."""
        return len(self._resting)

    @property
    def is_full(self) -> bool:
        """Whether so much waits or rests that no more should be brought."""
        most = MOST_WAITING if len(self._lanes) > 1 else OF_ONE_HOST
        return self._waiting >= most or self._resting.full

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
        rest_s = self._resting.next_at()
        if not self._blocked:
            return rest_s
        return self._blocked[0][0] if rest_s is None else min(rest_s, self._blocked[0][0])

    def is_given(self, thing: T) -> bool:
        """Whether a thing was given out and has not started, so that it can be put back."""
        return thing in self._given

    def left(self, thing: T) -> bool:
        """Forget a thing that was given out: it has started, or never will. Whether its host was waited for."""
        lane = self._given.pop(thing, None)
        if lane is None:
            return False
        lane.on_way -= 1
        return self._ask_again(lane)

    # Lanes

    def _lane(self, host: str) -> Lane[T]:
        lane = self._lanes.get(host)
        if lane is None:
            lane = self._lanes[host] = Lane(Host(self.policy, host))
        return lane

    def _forget(self, now_s: float) -> None:
        """Drop the hosts of which there is nothing to know, when there are many."""
        if len(self._lanes) < self._forget_at:
            return
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
            return
        self._held += 1
        if not had_fresh:  # only what is to be tried again may be what had to wait
            self._ask_again(lane)

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
                self._ask_again(lane)

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

    def _ask_again(self, lane: Lane[T]) -> bool:
        """Have a blocked lane asked again at the next pop(). Whether it was blocked."""
        if not lane.is_blocked:
            return False
        lane.is_blocked = False
        self._held -= len(lane)
        heapq.heappush(self._ready, self._entry(lane))
        return True
