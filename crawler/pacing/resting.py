"""Things that rest until a time, the earliest first.

Owns: their order. What they are, and what the time is, is the caller's to know.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class Resting(Generic[T]):
    """A queue by time; things that rest until the same time come out as they went in.

    bound: how many may rest before `full` says so; ValueError below 1. Nothing is ever refused: what must
    be tried again has nowhere else to go. Whoever sees `full` brings no new work until it is not, so that
    at most the bound and what was on its way rest here.
    """

    def __init__(self, bound: int) -> None:
        if bound < 1:
            raise ValueError(f"bound={bound}: expected 1 or more")
        self._bound = bound
        self._heap: list[tuple[float, int, T]] = []
        self._number = count()

    def __iter__(self) -> Iterator[T]:
        """Give all that rests, in no order."""
        return (thing for _, _, thing in self._heap)

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def full(self) -> bool:
        return len(self._heap) >= self._bound

    def push(self, at_s: float, thing: T) -> None:
        """Let a thing rest until *at_s*, seconds on the caller's clock; ValueError for NaN, which has no order."""
        if at_s != at_s:  # noqa: PLR0124  # the only number that differs from itself
            raise ValueError("at_s is not a number")
        heapq.heappush(self._heap, (at_s, next(self._number), thing))

    def pop_due(self, now_s: float) -> T | None:
        """Give the thing that has waited longest beyond its time; None when none is due."""
        if not self._heap or self._heap[0][0] > now_s:
            return None
        return heapq.heappop(self._heap)[2]

    def next_at(self) -> float | None:
        """Give the time at which the next thing is due, in the past if it is; None when nothing rests."""
        return self._heap[0][0] if self._heap else None
