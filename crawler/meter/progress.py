"""How far a run is: the numbers that the bar, the line and metrics.prom show, and the line itself."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Protocol

from crawler.amounts import about, counted, milliseconds, per_second, size
from crawler.meter.bottleneck import Limit, Verdict

TELL: Final = "APIFETCH_TELL_PROGRESS"
"""Environment variable that asks a crawl to tell its progress, line by line, to the pipe of that descriptor."""

TOLD_NAME_CHARACTERS: Final = 100
"""The longest name that is told to another process: a line has to be shorter than a pipe takes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A run at one moment, over the present list as far as lines are concerned.

    failed: calls that are not ok, and lines that are no call. duplicate: lines whose call stands elsewhere. total: all
    lines and pages; None when nobody knows. is_estimate: whether it may still change. limit: how many calls at once
    are allowed; in_flight: are made. resting: calls that wait to be tried again. left_s: time left, None: unknown.
    """

    name: str
    ok: int = 0
    failed: int = 0
    duplicate: int = 0
    total: int | None = None
    is_estimate: bool = True
    calls: int = 0
    calls_per_s: float = 0.0
    bytes: int = 0
    bytes_per_s: float = 0.0
    p50_ms: float | None = None
    p95_ms: float | None = None
    in_flight: int = 0
    limit: int = 1
    retries: int = 0
    resting: int = 0
    left_s: float | None = None
    why: Verdict | None = None
    is_stopping: bool = False

    def with_time_left(self, seconds: float | None) -> Progress:
        """The same, with the time that is left."""
        return replace(self, left_s=seconds)

    @property
    def done(self) -> int:
        """Lines and pages that have their record."""
        return self.ok + self.failed + self.duplicate

    @property
    def left(self) -> int | None:
        """Those that have none; never less than what is on its way, however wrong an estimate is."""
        if self.total is None:
            return None
        return max(self.total - self.done, self.in_flight if self.is_estimate else 0)

    @property
    def percent_ok(self) -> int | None:
        """The part that came out well, rounded down: 100 only if every line did. None without a total."""
        if self.left is None:
            return None
        total = self.done + self.left
        return 100 * (self.ok + self.duplicate) // total if total else None

    @property
    def left_text(self) -> str:
        """How much is left of how much."""
        if self.total is None or self.left is None:
            return "length of the list unknown"
        sign = "about " if self.is_estimate else ""
        return f"{self.left:,} left of {sign}{max(self.total, self.done + self.left):,}"


class Bar(Protocol):
    """What shows it while it changes."""

    def show(self, progress: Progress) -> None: ...

    def stop(self) -> None: ...


def line(at: Progress) -> str:
    """Give the state in one line, for a log."""
    parts = [f"{at.done:,} done: {at.ok:,} ok, {at.failed:,} failed"]
    if at.duplicate:
        parts[0] += f", {at.duplicate:,} duplicate"
    parts.append(at.left_text)
    if at.percent_ok is not None:
        parts.append(f"{at.percent_ok} % ok")
    parts += [f"{per_second(at.calls_per_s)} calls/s", f"{size(at.bytes_per_s)}/s"]
    if at.p50_ms is not None and at.p95_ms is not None:
        parts.append(f"p50 {milliseconds(at.p50_ms)}, p95 {milliseconds(at.p95_ms)}")
    parts.append(f"{at.in_flight} of {at.limit} workers")
    parts += [counted(at.retries, "retry", "retries"), f"{at.resting:,} resting"]
    if at.left_s is not None and at.left:
        parts.append(f"{about(at.left_s)} left")
    text = "; ".join(parts)
    return f"{text}. {at.why.sentence}" if at.why is not None and not at.is_stopping else text


def as_json(at: Progress) -> str:
    """Give the state in one line, for another process."""
    return json.dumps(asdict(replace(at, name=at.name[:TOLD_NAME_CHARACTERS])))


def from_json(text: str | bytes) -> Progress:
    """What `as_json` gave."""
    fields: dict[str, Any] = json.loads(text)
    why = fields.pop("why")
    verdict = None if why is None else Verdict(**why | {"limit": Limit(why["limit"])})
    return Progress(**fields, why=verdict)
