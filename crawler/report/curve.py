"""The ledger's timeline as a curve of few enough points for a page: seconds summed up, percentiles read."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from crawler.meter import quantile_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

POINTS: Final = 600
"""The most points of a plot: as many pixels as it is wide on a laptop. They take some 50 kB."""

PARTS: Final = (0.5, 0.95, 0.99)


@dataclass(slots=True)
class _Point:
    calls: int = 0
    ok: int = 0
    refused: int = 0
    retries: int = 0
    rests: int = 0
    bytes: int = 0
    limit: int | None = None
    latency: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Curve:
    """begin: seconds since 1970; step_s: seconds of a point; points: oldest first, None where nothing happened.

    latency: upper bound in ms -> calls, of all. sums: of the timeline's columns.
    """

    begin: int
    step_s: int
    points: list[_Point | None]
    latency: Counter[int]
    sums: dict[str, int]

    def columns(self) -> dict[str, list[Any]]:
        """The points as columns for the page: speeds per second, latencies in ms."""
        per_s = {name: [self._per_s(point, name) for point in self.points] for name in ("calls", "ok", "bytes")}
        counts = {
            name: [getattr(point, name) if point else 0 for point in self.points] for name in ("refused", "rests")
        }
        parts = {
            f"p{part * 100:g}": [_rounded(quantile_ms(point.latency, part)) if point else None for point in self.points]
            for part in PARTS
        }
        at = [self.begin + self.step_s * n for n in range(len(self.points))]
        return {
            "at": at,
            **per_s,
            **counts,
            **parts,
            "limit": [point.limit if point else None for point in self.points],
        }

    def _per_s(self, point: _Point | None, name: str) -> float:
        return round(getattr(point, name) / self.step_s, 2) if point else 0


def curve(rows: Iterable[tuple[Any, ...]], begin: int, end: int) -> Curve:
    """Sum rows of the timeline (second, calls, ok, refused, retries, rests, bytes, latency, limit_), in order.

    begin, end: the first and the last second.
    """
    step_s = max(1, -(-(end - begin + 1) // POINTS))
    points: list[_Point | None] = [None] * ((end - begin) // step_s + 1)
    whole: Counter[int] = Counter()
    names = ("calls", "ok", "refused", "retries", "rests", "bytes")
    sums: Counter[str] = Counter(dict.fromkeys(names, 0))
    for second, *counts, latency, limit in rows:
        at = (second - begin) // step_s
        point = points[at]
        if point is None:
            point = points[at] = _Point()
        for name, count in zip(names, counts, strict=True):
            setattr(point, name, getattr(point, name) + count)
            sums[name] += count
        histogram = {int(bound): count for bound, count in json.loads(latency).items()}
        point.latency.update(histogram)
        whole.update(histogram)
        point.limit = limit if point.limit is None else max(point.limit, limit or 0)
    return Curve(begin, step_s, points, whole, dict(sums))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
