"""A world of discrete events for crawler/pacing: APIs with a limit, a client, and a clock that jumps.

The client does what the adapters do: retries that are due first, then the next of the list, as soon as
the host's pacing lets it. No second of it is real.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from statistics import median
from typing import TYPE_CHECKING, Protocol, Self

from crawler.pacing import Cause, Ending, Hint, Host, Policy, Resting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crawler.pacing import Call

REFUSED_S = 0.005
"""A refusal comes sooner than an answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server does with a call: how it ends, and after how many seconds."""

    ending: Ending
    after_s: float

    @property
    def is_refusal(self) -> bool:
        return self.ending.cause is not None


def ok(after_s: float) -> Reply:
    return Reply(Ending(status=200), after_s)


def refused(retry_after_s: float | None = None, status: int = 429) -> Reply:
    return Reply(Ending(status=status, retry_after_s=retry_after_s), REFUSED_S)


class Server(Protocol):
    def arrives(self, now_s: float) -> Reply: ...

    def leaves(self, now_s: float) -> None: ...


class Open:
    """An API without a limit; the base of the others. latency_s: for one call, a fifth more or less."""

    def __init__(self, latency_s: float = 0.03, *, noise: float = 0.2) -> None:
        self.busy = 0
        self.most_busy = 0
        self._latency_s = latency_s
        self._noise = noise
        self._random = random.Random(7)

    def seeded(self, seed: int) -> Self:
        """Let the latencies be others."""
        self._random = random.Random(seed)
        return self

    def arrives(self, now_s: float) -> Reply:
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        return self.serve(now_s)

    def leaves(self, now_s: float) -> None:  # noqa: ARG002  # the protocol's
        self.busy -= 1

    def serve(self, now_s: float) -> Reply:  # noqa: ARG002  # the protocol's
        return ok(self.latency_s())

    def latency_s(self) -> float:
        return self._latency_s * self._random.uniform(1 - self._noise, 1 + self._noise)


class Leaky(Open):
    """A leaky bucket, as nginx's limit_req with nodelay: per_s on average, `burst` more at once."""

    def __init__(
        self, per_s: float, burst: float, latency_s: float = 0.03, *, retry_after_s: float | None = None,
        status: int = 429,
    ) -> None:  # fmt: skip
        super().__init__(latency_s)
        self._per_s, self._burst, self._retry_after_s, self._status = per_s, burst, retry_after_s, status
        self._level = 0.0
        self._at_s = 0.0

    def serve(self, now_s: float) -> Reply:
        self._level = max(0.0, self._level - (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._level > self._burst:
            return refused(self._retry_after_s, self._status)
        self._level += 1
        return ok(self.latency_s())


class Windowed(Open):
    """So many calls in each window that begins on the dot. tells: whether its answers carry the count."""

    def __init__(self, calls: int, window_s: float, latency_s: float = 0.03, *, tells: bool = False) -> None:
        super().__init__(latency_s)
        self._calls, self._window_s, self._tells = calls, window_s, tells
        self._window, self._used = 0, 0

    def serve(self, now_s: float) -> Reply:
        window = int(now_s / self._window_s)
        if window != self._window:
            self._window, self._used = window, 0
        self._used += 1
        reset_s = float(int((window + 1) * self._window_s - now_s) + 1)
        hint = Hint(limit=self._calls, remaining=max(0, self._calls - self._used), reset_s=reset_s)
        status, after_s = (429, REFUSED_S) if self._used > self._calls else (200, self.latency_s())
        return Reply(Ending(status=status, hint=hint if self._tells else None), after_s)


class Capped(Open):
    """At most so many calls at once."""

    def __init__(self, most: int, latency_s: float = 0.03) -> None:
        super().__init__(latency_s)
        self._most = most

    def serve(self, now_s: float) -> Reply:  # noqa: ARG002  # the protocol's
        return refused() if self.busy > self._most else ok(self.latency_s())


class Saturated(Open):
    """So many workers of its own: more calls at once only wait for each other."""

    def __init__(self, workers: int, latency_s: float = 0.03) -> None:
        super().__init__(latency_s)
        self._workers = workers

    def serve(self, now_s: float) -> Reply:  # noqa: ARG002  # the protocol's
        return ok(self.latency_s() * max(1.0, self.busy / self._workers))


class Slots(Open):
    """So many calls at once, and a queue for the others. steps: (from when, slots), the first from 0.

    slower: times the latency at a time. neighbour: how many slots somebody else's calls take, at a time.
    """

    def __init__(
        self,
        slots: int,
        latency_s: float = 0.1,
        *,
        noise: float = 0.2,
        steps: Sequence[tuple[float, int]] = (),
        slower: Callable[[float], float] = lambda _: 1.0,
        neighbour: Callable[[float], int] = lambda _: 0,
    ) -> None:
        super().__init__(latency_s, noise=noise)
        self._steps = steps or [(0.0, slots)]
        self._slower, self._neighbour = slower, neighbour
        self._free_at: list[float] = []  # of each slot

    def slots(self, now_s: float) -> int:
        """How many there are for us."""
        there = [slots for from_s, slots in self._steps if from_s <= now_s][-1]
        return max(1, there - self._neighbour(now_s))

    def serve(self, now_s: float) -> Reply:
        slots = self.slots(now_s)
        while len(self._free_at) > slots:
            heapq.heappop(self._free_at)
        while len(self._free_at) < slots:
            heapq.heappush(self._free_at, now_s)
        begins_s = max(now_s, heapq.heappop(self._free_at))
        ends_s = begins_s + self.latency_s() * self._slower(now_s)
        heapq.heappush(self._free_at, ends_s)
        return ok(ends_s - now_s)


class Failing(Open):
    """Wholly out of order from one time to another; its calls meanwhile are counted by the second."""

    def __init__(self, *, from_s: float, to_s: float, how: Ending, latency_s: float = 0.03) -> None:
        super().__init__(latency_s)
        self._from_s, self._to_s, self._how = from_s, to_s, how
        self.meanwhile: list[float] = []

    def serve(self, now_s: float) -> Reply:
        if not self._from_s <= now_s < self._to_s:
            return ok(self.latency_s())
        self.meanwhile.append(now_s)
        return Reply(self._how, REFUSED_S)


class Flaky(Open):
    """Fails at a share of the calls, by chance, however many there are."""

    def __init__(self, share: float, how: Ending, latency_s: float = 0.05) -> None:
        super().__init__(latency_s)
        self._share, self._how = share, how

    def serve(self, now_s: float) -> Reply:  # noqa: ARG002  # the protocol's
        return Reply(self._how, REFUSED_S) if self._random.random() < self._share else ok(self.latency_s())


@dataclass(slots=True)
class Crawl:
    """What became of a list.

    starts: the times of all calls. refused: when refusals came. attempts: by how many it took, of each that ended.

    answers: when each came, and after how many seconds. retries: the most that any line used up.
    """

    starts: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    served: int = 0
    ended_s: float = 0.0
    attempts: list[int] = field(default_factory=list)
    limits: list[tuple[float, int]] = field(default_factory=list)
    answers: list[tuple[float, float]] = field(default_factory=list)
    retries: int = 0

    @property
    def refusals(self) -> int:
        return len(self.refused)

    @property
    def refused_share(self) -> float:
        return self.refused_after(0.0)

    def refused_after(self, from_s: float) -> float:
        """The refused share of the calls since a time."""
        calls = sum(at_s >= from_s for at_s in self.starts)
        return sum(at_s >= from_s for at_s in self.refused) / max(calls, 1)

    def per_s(self, from_s: float, to_s: float) -> float:
        """Answers a second within a time."""
        return sum(from_s <= at_s < to_s for at_s, _ in self.answers) / (to_s - from_s)

    def median_s(self, from_s: float = 0.0, to_s: float = math.inf) -> float:
        """The median latency of the answers within a time."""
        return median(latency_s for at_s, latency_s in self.answers if from_s <= at_s < to_s)


def crawl(server: Server, host: Host, calls: int, *, until_s: float = 3_600.0, seed: int = 1) -> Crawl:
    """Make *calls* calls until each is served, or the time is up."""
    done = Crawl()
    random.seed(seed)
    fresh = deque(range(calls))
    resting: Resting[int] = Resting(1_000)
    attempts = [0] * calls
    retries = [0] * calls
    events: list[tuple[float, int, Call, int, Reply]] = []
    number = count()
    now_s = 0.0
    while done.served < calls and now_s < until_s:
        while (line := _next(host, fresh, resting, now_s)) is not None:
            attempts[line] += 1
            call = host.started(now_s, retry=attempts[line] > 1)
            reply = server.arrives(now_s)
            done.starts.append(now_s)
            heapq.heappush(events, (now_s + reply.after_s, next(number), call, line, reply))
        times = [host.when(now_s)] if fresh and not resting.full else []
        if len(resting):
            times.append(max(resting.next_at() or 0.0, host.retry_when(now_s) or 0.0))
        wake_s = min((at_s for at_s in times if at_s is not None), default=float("inf"))
        if events and events[0][0] <= wake_s:
            now_s, _, call, line, reply = heapq.heappop(events)
            server.leaves(now_s)
            host.ended(call, now_s, reply.ending)
            done.limits.append((now_s, host.limit))
            if reply.is_refusal:
                done.refused.append(now_s)
            at_s = host.retry_at(now_s, attempts[line], reply.ending)
            if at_s is None:
                done.served += 1
                done.answers.append((now_s, reply.after_s))
                done.attempts.append(attempts[line])
            else:
                resting.push(at_s, line)
                retries[line] += not (reply.ending.is_refusal or (reply.ending.is_pushback and host.excuses))
        else:
            assert now_s < wake_s < float("inf"), "nothing will ever happen again"
            now_s = wake_s
    done.ended_s = now_s
    done.retries = max(retries)
    return done


def _next(host: Host, fresh: deque[int], resting: Resting[int], now_s: float) -> int | None:
    due_s = resting.next_at()
    if due_s is not None and due_s <= now_s and host.retry_when(now_s) is None:
        return resting.pop_due(now_s)
    if fresh and not resting.full and host.when(now_s) is None:
        return fresh.popleft()
    return None


NETWORK = Ending(failed=Cause.NETWORK)


def host_with(workers: int, *, auto: bool = False, seed: int = 1) -> Host:
    return Host(Policy(per_host=workers, auto=auto), uniform=random.Random(seed).uniform)


def most_in(times: list[float], window_s: float) -> int:
    """The most of them within any window [t, t + window_s)."""
    most, first = 0, 0
    for last, at_s in enumerate(times):
        while times[first] <= at_s - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most
