"""How far a fleet is: one Progress, added up from what its parts told last.

A part that is started again counts its calls from nothing: what it had made before is kept here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from crawler.meter import Progress, why_of_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crawler.fleet.engine import Look

COUNTERS: Final = ("calls", "retries", "bytes")
"""What one process counts from nothing; lines and pages are of the part, whoever did them."""


@dataclass(slots=True)
class _Seen:
    """Of a part. before: counters of its processes that have ended."""

    now: Progress | None = None
    is_running: bool = False
    before: Counter[str] = field(default_factory=Counter)

    def see(self, look: Look) -> None:
        is_running = look.exit_code is None
        if is_running and not self.is_running and self.now is not None:  # another process of it
            self.before += Counter({name: getattr(self.now, name) for name in COUNTERS})
            self.now = replace(self.now, calls=0, retries=0, bytes=0)
        self.is_running = is_running
        self.now = look.progress or self.now

    def count(self, name: str) -> int:
        return self.before[name] + (getattr(self.now, name) if self.now is not None else 0)


class Sums:
    """One fleet, over its whole life. name: what it is called."""

    def __init__(self, name: str, parts: int) -> None:
        self._name = name
        self._seen = [_Seen() for _ in range(parts)]

    @property
    def calls(self) -> int:
        """Calls of the fleet, retries included."""
        return self._count("calls")

    @property
    def knows_all(self) -> bool:
        """Whether every part has told of itself."""
        return all(seen.now is not None for seen in self._seen)

    def see(self, looks: Sequence[Look], *, is_stopping: bool = False) -> Progress:
        """Take in what a look saw, by part, and give the sum."""
        for seen, look in zip(self._seen, looks, strict=True):
            seen.see(look)
        known = [seen.now for seen in self._seen if seen.now is not None]
        now = [seen.now for seen in self._seen if seen.now is not None and seen.is_running]
        latency: Counter[int] = Counter()
        for at in now:
            latency.update(at.latency)
        totals = [at.total for at in known if at.total is not None]
        return Progress(
            name=self._name,
            ok=sum(at.ok for at in known),
            failed=sum(at.failed for at in known),
            duplicate=sum(at.duplicate for at in known),
            total=sum(totals) if len(totals) == len(self._seen) else None,
            is_estimate=any(at.is_estimate for at in known),
            calls=self._count("calls"),
            calls_per_s=sum(at.calls_per_s for at in now),
            bytes=self._count("bytes"),
            bytes_per_s=sum(at.bytes_per_s for at in now),
            latency=dict(latency),
            in_flight=sum(at.in_flight for at in now),
            limit=sum(at.limit for at in now),
            retries=self._count("retries"),
            resting=sum(at.resting for at in now),
            left_s=max((at.left_s for at in now if at.left_s is not None), default=None),
            why=why_of_all(
                [at.why.limit for at in now if at.why is not None], sum(seen.is_running for seen in self._seen)
            ),
            is_stopping=is_stopping,
        )

    def _count(self, name: str) -> int:
        return sum(seen.count(name) for seen in self._seen)
