"""A run second by second: what became durable in each, and how long its calls took.

Owns: the histogram's bounds and how a percentile is read from it. Times are whole seconds since 1970.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crawler.items import Record

_DECADE: Final = (10, 12, 16, 20, 25, 32, 40, 50, 63, 80)  # ISO 3, R10: each a quarter more than the one before

BOUNDS_MS: Final = (
    1, 2, 3, 4, 5, 6, 8,
    *_DECADE,
    *(10 * bound for bound in _DECADE),
    *(100 * bound for bound in _DECADE),
    *(1000 * bound for bound in _DECADE),
    100_000,
)  # fmt: skip
"""Upper bounds of the latency histogram: ten a decade, enough to read a percentile to a tenth. The last one is
that of all that took longer."""

_BELOW_MS: Final = dict(zip(BOUNDS_MS, (0, *BOUNDS_MS), strict=False))

WINDOW_S: Final = 60
"""Seconds that are remembered."""

FEW: Final = 10
"""A percentile of fewer calls is chance: then the window is the whole minute."""


@dataclass(slots=True)
class Second:
    """What became durable in one second. latency: upper bound in ms -> calls; latency_ms: their sum."""

    at: int = 0
    calls: int = 0
    ok: int = 0
    retries: int = 0
    bytes: int = 0
    records: int = 0
    latency_ms: int = 0
    latency: Counter[int] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """Count a record that is now durable."""
        self.records += 1
        self.calls += record.attempts
        self.ok += record.ok or record.unchanged
        self.retries += max(record.attempts - 1 - record.redirects, 0)
        self.bytes += record.bytes or 0
        if record.elapsed_ms is not None:
            self.latency_ms += record.elapsed_ms
            self.latency[BOUNDS_MS[min(bisect_left(BOUNDS_MS, record.elapsed_ms), len(BOUNDS_MS) - 1)]] += 1


def quantile_ms(latency: Mapping[int, int], part: float) -> float | None:
    """Read the latency that *part* (0 to 1) of the calls did not exceed, in ms; None when there are none.

    Within a bucket the calls are taken to lie evenly. Buckets may have any bounds: those of an older ledger too.
    """
    calls = sum(latency.values())
    if not calls:
        return None
    rank, below_ms = part * calls, 0.0
    for bound_ms in sorted(latency):
        within = latency[bound_ms]
        below_ms = max(below_ms, float(_BELOW_MS.get(bound_ms, 0)))
        if rank <= within:
            return below_ms + (bound_ms - below_ms) * rank / within
        rank -= within
        below_ms = float(bound_ms)
    return below_ms


class Recent:
    """The last minute, the present second included."""

    def __init__(self) -> None:
        self._seconds: deque[Second] = deque(maxlen=WINDOW_S)

    def begin(self, at: int) -> Second:
        """Begin a second in which something happened; whoever asked counts in it."""
        second = Second(at)
        self._seconds.append(second)
        return second

    def per_s(self, now_s: float, *, window_s: float, since_s: float) -> tuple[float, float, float]:
        """Give records, calls and bytes per second of the last *window_s* seconds. since_s: when the run began."""
        begin_s = max(now_s - window_s, since_s)
        span_s = max(now_s - begin_s, 1.0)  # the first call of a run is no speed
        records = calls = size = 0.0
        for second in self._since(begin_s):
            share = min(1.0, second.at + 1 - begin_s)  # of the oldest second, what lies within the window
            records += share * second.records
            calls += share * second.calls
            size += share * second.bytes
        return records / span_s, calls / span_s, size / span_s

    def latency(self, now_s: float, *, window_s: float) -> Counter[int]:
        """Give the histogram of the last *window_s* seconds; of the whole minute while those are too few calls."""
        near: Counter[int] = Counter()
        for second in self._since(now_s - window_s):
            near.update(second.latency)
        if near.total() >= FEW:
            return near
        for second in self._since(now_s - WINDOW_S):
            if second.at + 1 <= now_s - window_s:
                near.update(second.latency)
        return near

    def _since(self, begin_s: float) -> Iterable[Second]:
        return (second for second in self._seconds if second.at + 1 > begin_s)
