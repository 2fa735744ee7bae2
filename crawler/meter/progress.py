"""How far a run is: the numbers that the bar, the line, metrics.prom and another process get, and how they are told.

One snapshot, made in one place (crawler.gauges), whoever looks. Another process is told it as JSON: a parent by a pipe
(crawler.extensions.told), one on another machine in the log, which is all that scrapyd shows. metrics.prom has no
reader of ours: it is Prometheus', which wants counters and another histogram.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from crawler.amounts import about, counted, milliseconds, per_second, size
from crawler.meter.bottleneck import Limit, Verdict
from crawler.meter.seconds import quantile_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    latency: what the latest calls took, upper bound in ms -> calls; calls_per_s, bytes_per_s: of the same time.
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
    latency: Mapping[int, int] = field(default_factory=dict)
    in_flight: int = 0
    limit: int = 1
    retries: int = 0
    resting: int = 0
    left_s: float | None = None
    why: Verdict | None = None
    is_stopping: bool = False

    @property
    def p50_ms(self) -> float | None:
        """What half of the latest calls did not exceed; None without a call."""
        return quantile_ms(self.latency, 0.5)

    @property
    def p95_ms(self) -> float | None:
        """The same of 95 in 100."""
        return quantile_ms(self.latency, 0.95)

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
    return json.dumps(asdict(replace(at, name=at.name[:TOLD_NAME_CHARACTERS], latency=dict(at.latency))))


def from_json(text: str | bytes) -> Progress:
    """What `as_json` gave."""
    fields: dict[str, Any] = json.loads(text)
    why = fields.pop("why")
    verdict = None if why is None else Verdict(**why | {"limit": Limit(why["limit"])})
    latency = {int(bound): count for bound, count in fields.pop("latency").items()}
    return Progress(**fields, why=verdict, latency=latency)


IN_A_LOG: Final = "Progress: "
"""What stands before it in a log."""


def in_a_log(at: Progress) -> str:
    """The state in one line of a log, for a program: `last_told` reads it."""
    return f"{IN_A_LOG}{as_json(at)}"


def last_told(log: str) -> Progress | None:
    """Give what the last whole line of a log tells that has it; None where there is none."""
    for said in reversed(log[: log.rfind("\n") + 1].splitlines()):
        _, mark, text = said.partition(IN_A_LOG)
        if mark:
            with suppress(ValueError, TypeError, KeyError, AttributeError):  # somebody else's words
                return from_json(text)
    return None
