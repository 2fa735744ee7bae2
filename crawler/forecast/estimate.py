"""How long it will take, and how much room: from what a sample of calls measured to the whole.

Owns the model: a worker makes one call after the other, so W workers make W of them in the time of one, until the
API's quota or this machine's speed is the limit. Numbers in, numbers out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crawler.pacing.rate import Quota

CALL_S: Final = 0.0005
"""Of this process, for a call of 20 kB: no more than 2,000 a second, however many workers."""

START_S: Final = 0.6
"""From the first look at the list until calls are under way, and from the last answer until all is on disk."""

ROW_BYTES: Final = 700  # of the ledger, headers of the response included; measured at a million rows


@dataclass(frozen=True, slots=True)
class Measured:
    """What a sample of calls came to.

    latencies_s: of the last attempt of each, sorted. attempts: of a call, on average. file_bytes: on disk, of a call,
    on average.
    """

    latencies_s: Sequence[float]
    attempts: float
    body_bytes: float
    file_bytes: float

    def percentile_s(self, percent: float) -> float:
        """Nearest rank (Hyndman and Fan, 1996, definition 1)."""
        return self.latencies_s[max(0, math.ceil(len(self.latencies_s) * percent / 100) - 1)]

    @property
    def mean_s(self) -> float:
        """Seconds that a call holds a worker: of all its attempts."""
        return sum(self.latencies_s) / len(self.latencies_s) * self.attempts


@dataclass(frozen=True, slots=True)
class Need:
    """Room that the run's output takes."""

    bytes: int
    inodes: int


def seconds_at(workers: int, calls: int, measured: Measured, quotas: Sequence[Quota] = ()) -> tuple[float, str]:
    """Seconds for all calls, and what limits them: `latency`, `this machine`, or the quota that binds.

    quotas: of the host with the most calls, as if all went there. A quota's first window is free at the start.
    """
    limits = {
        "latency": calls * measured.mean_s / workers,
        "this machine": calls * measured.attempts * CALL_S,
        **{str(quota): _quota_s(quota, math.ceil(calls * measured.attempts)) for quota in quotas},
    }
    # The last answers come one by one: workers idle while the slowest of them is waited for.
    tail_s = measured.percentile_s(95) / 2 if measured.latencies_s else 0.0
    limit = max(limits, key=lambda name: limits[name])
    return START_S + max(limits[limit], measured.percentile_s(50)) + (tail_s if limit == "latency" else 0.0), limit


def _quota_s(quota: Quota, calls: int) -> float:
    """In a sliding window of so many calls, the next window's begin when it has passed."""
    return max(0, math.ceil(calls / quota.calls) - 1) * quota.window_s


def needs(calls: int, measured: Measured, *, folders: int) -> Need:
    """folders: that the files are spread over."""
    return Need(
        bytes=math.ceil(calls * (measured.file_bytes + ROW_BYTES)),
        inodes=calls + min(folders, calls) + 8,  # the ledger, its log, the reports
    )
