"""What waits for one host, and which of it goes next.

Owns: the order within a host: what is to be tried again and whose rest is over, then by priority, then first
come, first served. What the things are is the caller's to know.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from crawler.pacing.host import Host

T = TypeVar("T")

Rank = tuple[float, int]
"""The lower, the sooner: the priority with its sign turned, then the number in the order of coming."""

FIRST: Final[Rank] = (-math.inf, 0)


class Lane(Generic[T]):
    """The queue of one host. on_way: things that were given out and have not started."""

    __slots__ = ("again", "asked_s", "entry", "fresh", "host", "is_blocked", "on_way", "resting", "wait_s")

    def __init__(self, host: Host) -> None:
        self.host = host
        self.fresh: list[tuple[float, int, T]] = []
        self.again: deque[T] = deque()
        self.on_way = 0
        self.resting = 0
        """How many of its things rest elsewhere."""
        self.is_blocked = False
        self.wait_s = 0.0
        """When to ask again, after take() gave nothing."""
        self.asked_s = 0.0
        """When that was."""
        self.entry = 0
        """The number of its entry among those of all lanes; the other entries are out of date."""

    def __len__(self) -> int:
        return len(self.fresh) + len(self.again)

    @property
    def rank(self) -> Rank:
        """Of the thing that goes next; there has to be one."""
        return FIRST if self.again else self.fresh[0][:2]

    def push(self, thing: T, priority: int, number: int) -> bool:
        """Let a thing wait; whether it is the next one now."""
        heapq.heappush(self.fresh, (-priority, number, thing))
        return not self.again and self.fresh[0][1] == number

    def take(self, now_s: float) -> T | None:
        """Give the next thing that may go now; None, with wait_s set, when none may."""
        at_s = self.host.when(now_s, self.on_way)
        if at_s is None:
            if self.again:
                at_s = self.host.retry_when(now_s, self.on_way)
                if at_s is None:
                    return self.again.popleft()
            if self.fresh:
                return heapq.heappop(self.fresh)[2]
        assert at_s is not None
        self.wait_s, self.asked_s = at_s, now_s
        return None
