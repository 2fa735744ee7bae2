"""Whether failures that may be pushback are: those that come by chance are as many with fewer calls.

Owns: when failures without a word of why (503 without Retry-After, 502, 504, broken connections) count, and the
comparison that tells. Many are found by a cumulative sum (Page, 1954). If they are too many for chance, the host gets
fewer calls, as if it had asked for that. A limit serves those: its share of failures falls. A host of which a part is
broken fails as often as before; then what was taken away is given back, and so many are chance from then on.
"""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from crawler.pacing.limiter import Call

SHARE: Final = 0.03
"""The share of calls that may fail by chance at a host of which nothing is known."""

TIMES: Final = 5.0
"""Times the share of chance that is looked for: less is borne, since it costs less than slowing down."""

DOUBT: Final = 5.0
"""The sum of log-likelihood ratios at which it may be no chance: four failures in a row, or five in twenty."""

LOOK: Final = 50
ENOUGH: Final = 8
"""Calls that are looked at then, at the same speed: what raised a doubt says too much of how many fail. Fewer when so
many have failed."""

LOW: Final = 0.5
"""Of the speed at which it began, the most at which the share is compared."""

FAILURES: Final = 10
"""Calls with which it is compared: as many as should bring so many failures if it is chance."""

LEFT: Final = 0.2
"""Of the share, so much with fewer calls is as much as before: a limit that has what it asks for leaves none."""

BACK: Final = 0.8
"""Of the calls that are looked at, as many have to be back: those that hang must not hold up the verdict."""

ABOVE: Final = 1.5
"""Times the share that was found: the next ones scatter."""

SMOOTH: Final = 0.05
"""By which the distance between failures is averaged: a host that is repaired has its due after some twenty."""

RARE: Final = 1e-5
"""The chance of so many failures in a row that they are an outage."""


class Stage(Enum):
    """How far it is known what failures are."""

    CHANCE = auto()  # no more than may be
    LOOK = auto()  # many, it seems: how many are they?
    DOUBT = auto()  # too many: they count as pushback, until there are few enough calls to compare
    COMPARE = auto()  # and how many are they now?


class Chance:
    """The unexplained failures of one host. Numbers of calls are Call.number: how many had started with it.

    By those failures are told apart, not by the order in which calls come back: refusals are faster than answers.
    """

    def __init__(self) -> None:
        self._stage = Stage.CHANCE
        self._share = self._most = SHARE
        self._apart: float | None = None  # calls between two failures, on average; None: no chance was found
        self._sum = 0.0
        self._last = 0  # the number of the last call that failed by chance
        self._share_before = 0.0
        self._from = 0  # the number of the last call before those that are looked at
        self._wanted = self._back = self._failures = 0  # of them
        self._last_failed = 0  # of them, its number
        self._last_seen, self._first_s, self._last_s = 0, math.inf, -math.inf  # of them, by which their speed is known
        self._per_s_before = 0.0
        self._low = self._try = LOW  # the speed at which to compare, and that which may be so low

    @property
    def is_on(self) -> bool:
        """Whether served() and judge() have to be called."""
        return self._stage is not Stage.CHANCE

    @property
    def is_pushback(self) -> bool:
        """Whether failures count as pushback at this moment."""
        return self._stage is Stage.DOUBT

    @property
    def is_known(self) -> bool:
        """Whether it is known how many fail at full speed."""
        return self._stage in {Stage.DOUBT, Stage.COMPARE}

    @property
    def most_in_a_row(self) -> int:
        """How many failures in a row are no chance any more."""
        return math.ceil(math.log(RARE) / math.log(self._share))

    def failed(self, call: Call, started: int) -> None:
        """Count a failure. started: the number of the last call that started."""
        if self.is_on:
            self._count(call, failed=True)
            self._last = max(self._last, call.number)
            return
        apart = max(0, call.number - self._last)
        self._last = max(self._last, call.number)
        self._know_better(apart)
        served = math.log((1 - self._sought) / (1 - self._share)) * max(0, apart - 1)
        self._sum = max(0.0, self._sum + served) + math.log(self._sought / self._share)
        if self._sum >= DOUBT:
            self._look(Stage.LOOK, started, LOOK)

    def served(self, call: Call) -> None:
        """Count a call that was served."""
        self._count(call, failed=False)

    def judge(self, speed: float, started: int) -> bool:
        """Go on as what was seen allows. Whether what was taken for pushback has shown to be chance.

        speed: as a part of that at which it began to count. started: the number of the last call that started.
        """
        share = self._share_before
        if self._stage is Stage.LOOK:
            if self._failures >= ENOUGH or self._back >= BACK * self._wanted:
                self._share_before, self._per_s_before = self._found, self._per_s
                # a limit that serves a tenth refuses eight of nine calls of 90 %: low enough is where it refuses none
                self._low = self._try = min(LOW, 0.5 * (1 - self._found) / (1 - self._found / 2))
                self._stage = Stage.DOUBT if self._found > math.sqrt(self._share * self._sought) else Stage.CHANCE
                self._sum = 0.0
            return False
        if self._stage is Stage.DOUBT:
            if speed <= self._try:
                self._look(Stage.COMPARE, started, math.ceil(FAILURES / share))
            return False
        if self._stage is Stage.CHANCE or self._back < BACK * self._wanted:
            return False
        if self._found < LEFT * share:
            self._share, self._apart = SHARE, None
            self.reset()
            return False
        if self._per_s > self._low * self._per_s_before:
            # fewer at once were not fewer a second
            self._stage, self._try = Stage.DOUBT, self._try * 0.7
            return False
        self._share = self._most = min(0.9, max(SHARE, ABOVE * self._found))
        self._apart = 1 / self._found
        self.reset()
        return True

    def reset(self) -> None:
        """Begin anew: what failed has another reason."""
        self._stage, self._sum = Stage.CHANCE, 0.0

    @property
    def _sought(self) -> float:
        """The share that would be no chance."""
        return self._share + min((TIMES - 1) * self._share, 0.7 * (1 - self._share))

    @property
    def _found(self) -> float:
        """The share of failures among those that are looked at. Refusals are back before answers: none is left out."""
        return self._failures / max(self._back, self._last_failed - self._from, 1)

    def _look(self, stage: Stage, started: int, calls: int) -> None:
        self._stage, self._from, self._wanted = stage, started, calls
        self._back = self._failures = 0
        self._last_failed = started
        self._last_seen, self._first_s, self._last_s = started, math.inf, -math.inf

    def _count(self, call: Call, *, failed: bool) -> None:
        if self._from < call.number <= self._from + self._wanted:
            self._back += 1
            self._failures += failed
            if failed:
                self._last_failed = max(self._last_failed, call.number)
            self._last_seen = max(self._last_seen, call.number)
            self._first_s, self._last_s = min(self._first_s, call.at_s), max(self._last_s, call.at_s)

    @property
    def _per_s(self) -> float:
        """How many calls started in a second, of those that are looked at."""
        return (self._last_seen - self._from) / max(self._last_s - self._first_s, 1e-3)

    def _know_better(self, apart: int) -> None:
        """Expect less where less fails than did."""
        if self._apart is not None:
            self._apart += SMOOTH * (apart - self._apart)
            self._share = max(SHARE, min(self._most, ABOVE / self._apart))
