"""How far a fleet is: one Progress, added up from what its parts last wrote into their metrics.prom.

A part that is started again counts its calls from nothing: what it had made before is kept here.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from crawler.items import NO_FAILURE, Outcome
from crawler.meter import Limit, Progress, Verdict
from crawler.meter.bottleneck import SHORT
from crawler.meter.samples import Samples, samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from crawler.fleet.engine import Look

WINDOW_S: Final = 10.0
"""What speeds and latencies are of, as those of one run."""

COUNTERS: Final = ("calls_total", "retries_total", "bytes_total")
_DURATION: Final = "call_duration_seconds_bucket"


@dataclass(slots=True)
class _Seen:
    """Of a part. before: counters of its processes that have ended; began_s: when the present one did."""

    text: str = ""
    began_s: float = 0.0
    is_running: bool = False
    now: Samples = field(default_factory=dict)
    before: Counter[str] = field(default_factory=Counter)

    def count(self, name: str) -> float:
        return self.before[name] + _one(self.now, name)


@dataclass(frozen=True, slots=True)
class _Mark:
    """Counters at a time. latency: calls that took no longer, by bound in seconds, the infinite one included."""

    at_s: float
    calls: float
    bytes: float
    latency: Counter[float]


class Sums:
    """One fleet, over its whole life. name: what it is called; wall_s: the time since 1970 at which it began."""

    def __init__(self, name: str, parts: int, *, wall_s: float) -> None:
        self._name = name
        self._wall_s = wall_s
        self._seen = [_Seen() for _ in range(parts)]
        self._marks: deque[_Mark] = deque()

    @property
    def calls(self) -> int:
        """Calls of the fleet, retries included."""
        return int(self._total("calls_total"))

    def see(self, looks: Sequence[Look], *, now_s: float, is_stopping: bool = False) -> Progress:
        """Take in what a look saw, by part, and give the sum. now_s: on any clock that does not go back."""
        for seen, look in zip(self._seen, looks, strict=True):
            seen.is_running = look.exit_code is None
            if look.metrics is not None and look.metrics != seen.text:
                self._take(seen, look.metrics)
        mark = _Mark(now_s, self._total("calls_total"), self._total("bytes_total"), self._latency())
        self._marks.append(mark)
        while self._marks[0].at_s < now_s - WINDOW_S:
            self._marks.popleft()
        return self._progress(mark, is_stopping=is_stopping)

    def _take(self, seen: _Seen, text: str) -> None:
        read = samples(text)
        if _one(read, "written_time_seconds") < self._wall_s:
            return  # of an earlier fleet
        began_s = _one(read, "start_time_seconds")
        if seen.now and began_s != seen.began_s:
            for name in COUNTERS:
                seen.before[name] += int(_one(seen.now, name))
        seen.text, seen.began_s, seen.now = text, began_s, read

    def _progress(self, mark: _Mark, *, is_stopping: bool) -> Progress:
        outcomes: Counter[str] = Counter()
        for seen in self._seen:
            outcomes.update({outcome: int(count) for outcome, count in seen.now.get("records", {}).items()})
        knows_all = all("records_total" in seen.now for seen in self._seen)
        first, now = self._marks[0], [seen for seen in self._seen if seen.is_running]
        passed_s = mark.at_s - first.at_s
        left = [_one(seen.now, "time_left_seconds") for seen in now if "time_left_seconds" in seen.now]
        return Progress(
            name=self._name,
            ok=outcomes[Outcome.OK],
            failed=sum(n for outcome, n in outcomes.items() if outcome not in NO_FAILURE) + outcomes[Outcome.INVALID],
            duplicate=outcomes[Outcome.DUPLICATE],
            total=int(self._total("records_total")) if knows_all else None,
            is_estimate=any(_one(seen.now, "records_total_estimated") for seen in self._seen),
            calls=int(mark.calls),
            calls_per_s=(mark.calls - first.calls) / passed_s if passed_s else 0.0,
            bytes=int(mark.bytes),
            bytes_per_s=(mark.bytes - first.bytes) / passed_s if passed_s else 0.0,
            p50_ms=_quantile_ms(first.latency, mark.latency, 0.5),
            p95_ms=_quantile_ms(first.latency, mark.latency, 0.95),
            in_flight=int(sum(_one(seen.now, "calls_in_flight") for seen in now)),
            limit=int(sum(_one(seen.now, "calls_allowed") for seen in now)),
            retries=int(self._total("retries_total")),
            resting=int(sum(_one(seen.now, "calls_resting") for seen in now)),
            left_s=max(left, default=None),
            why=_why(now),
            is_stopping=is_stopping,
        )

    def _total(self, name: str) -> float:
        return sum(seen.count(name) for seen in self._seen)

    def _latency(self) -> Counter[float]:
        latency: Counter[float] = Counter()
        for seen in self._seen:
            for bound, count in seen.now.get(_DURATION, {}).items():
                latency[float(bound)] += int(count)
        return latency


def records(text: str) -> int:
    """Give how many lines and pages have their record, by the text of a part's metrics.prom."""
    return int(sum(samples(text).get("records", {}).values()))


def _one(read: Samples, name: str) -> float:
    return read.get(name, {}).get("", 0.0)


def _why(running: Sequence[_Seen]) -> Verdict | None:
    """What most of the parts say that they wait for."""
    said = Counter(limit for seen in running for limit in seen.now.get("limited_by", {}))
    if not said:
        return None
    (limit, count), *_ = said.most_common()
    share = count / len(running)
    return Verdict(
        limit=Limit(limit),
        share=share,
        sentence=f"In the way, of {count} of {len(running)} parts: {SHORT[Limit(limit)]}",
    )


def _quantile_ms(before: Counter[float], now: Counter[float], part: float) -> float | None:
    """About the latency that this part of the calls since *before* did not exceed.

    Between two bounds by a straight line, as Prometheus' histogram_quantile does. None without calls, or where it is
    above all bounds.
    """
    wanted = part * (now[float("inf")] - before[float("inf")])
    if wanted <= 0:
        return None
    low_s, low = 0.0, 0
    for bound_s, count in _within(before, now):
        if count >= wanted:
            share = (wanted - low) / (count - low)
            return None if bound_s == float("inf") else 1000 * (low_s + share * (bound_s - low_s))
        low_s, low = bound_s, count
    return None


def _within(before: Counter[float], now: Counter[float]) -> Iterator[tuple[float, int]]:
    for bound_s in sorted(now):
        yield bound_s, now[bound_s] - before[bound_s]
