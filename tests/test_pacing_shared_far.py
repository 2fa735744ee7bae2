"""One rate for several processes, where what all can see is far away from each of them: exact, and used."""

from __future__ import annotations

import heapq
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.pacing import RATE, Shared, SharedRate
from tests.pacing_world import most_in

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH_S = 1_000_000.0


class Afar:
    """What all can see. ways: the least and the most that a way takes, one way, of each process; all times are its."""

    def __init__(self, rate: str, ways: list[tuple[float, float]], *, seed: int = 1) -> None:
        self.now_s = 0.0
        self.state = "{}"
        self._dice = random.Random(seed)
        self._arrivals: list[tuple[float, int, int, str, str]] = []
        self._number = 0
        self._ends = [_End(self, number, ways) for number, ways in enumerate(ways)]
        self.processes = [SharedRate(RATE.parse(rate), "h", end.shared) for end in self._ends]

    def one_way_s(self, number: int) -> float:
        return self._dice.uniform(*self._ends[number].ways)

    def ask(self, number: int, before: str, after: str) -> None:
        self._number += 1
        heapq.heappush(self._arrivals, (self.now_s + self.one_way_s(number), self._number, number, before, after))

    def goes_on(self, now_s: float) -> None:
        """Have happen there what happens until then."""
        self.now_s = now_s
        while self._arrivals and self._arrivals[0][0] <= now_s:
            at_s, _, number, before, after = heapq.heappop(self._arrivals)
            counts = before == self.state
            if counts:
                self.state = after
            self._ends[number].back = (at_s + self.one_way_s(number), counts, self.state)

    def granted(self, for_s: float, *, from_s: float = 0.0) -> list[float]:
        """Have all call as fast as they may; when the calls went, from a time on."""
        wakes = [0.01 * number for number in range(len(self.processes))]
        times = []
        while (now_s := min(wakes)) < from_s + for_s:
            number = wakes.index(now_s)
            process, own_s = self.processes[number], now_s + number * 50.0
            self.goes_on(now_s)
            at_s = process.next_at(own_s)
            if at_s > own_s:
                wakes[number] = now_s + (at_s - own_s)
            else:
                process.take(own_s)
                times.append(now_s)
        return [at_s for at_s in times if at_s >= from_s]


class _End:
    """A process's end of the way. back: when the answer is there, and what it says."""

    def __init__(self, afar: Afar, number: int, ways: tuple[float, float]) -> None:
        self.ways = ways
        self.back: tuple[float, bool, str] | None = None
        self._afar, self._number = afar, number
        self._seen = "{}"
        self._asked_s = 0.0
        self._is_asked = False
        self._way_s = 0.0
        self.shared = Shared(self.exchange, lambda own_s: own_s - number * 50.0 + EPOCH_S, self.answer, self.way)

    def exchange(self, _host: str, change: Callable[[dict[str, Any]], None]) -> bool | None:
        assert not self._is_asked
        state = json.loads(self._seen)
        change(state)
        after = json.dumps(state)
        if after == self._seen:
            self._seen = self._afar.state
            return True
        self._is_asked, self._asked_s = True, self._afar.now_s
        self._afar.ask(self._number, self._seen, after)
        return None

    def answer(self, _host: str) -> bool | None:
        if self.back is None or self.back[0] > self._afar.now_s:
            return None
        (at_s, counts, self._seen), self.back, self._is_asked = self.back, None, False
        self._way_s = max(self._way_s * 0.9, at_s - self._asked_s)
        return counts

    def way(self) -> float:
        return self._way_s


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("rate", ["50/s", "200/s", "1000/s"])
@pytest.mark.parametrize("way_s", [0.0, 0.025, 0.05, 0.1, 0.2])
def test_the_rate_is_used_however_far_away_it_is_kept(way_s: float, rate: str, count: int) -> None:
    calls = RATE.parse(rate).quotas[0].calls
    times = Afar(rate, [(way_s, 1.02 * way_s)] * count).granted(20.0, from_s=10.0)
    assert most_in(times, 1) <= calls + 1
    assert len(times) >= 0.9 * calls * 20


ways = st.floats(0.0, 0.5).flatmap(lambda least_s: st.tuples(st.just(least_s), st.floats(least_s, 1.0)))


@given(
    rate=st.sampled_from(["50/s", "200/s", "20/s,100/10s", "30/61s", "5/s"]),
    ways=st.lists(ways, min_size=1, max_size=4), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_no_window_has_more_whatever_the_ways_are(rate: str, ways: list[tuple[float, float]], seed: int) -> None:
    afar = Afar(rate, ways, seed=seed)
    times = afar.granted(12.0)
    for quota in RATE.parse(rate).quotas:
        # a turn may be used a little later than its time, as that of a process that wakes up late
        assert most_in(times, quota.window_s) <= quota.calls + 1 if times else True
