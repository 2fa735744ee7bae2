"""The measuring of one run: its seconds, its looks, and what they say now and in the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from crawler.meter.bottleneck import Measured
from crawler.meter.looks import RECENT_S, Looks
from crawler.meter.seconds import Recent, Second, quantile_ms

if TYPE_CHECKING:
    from crawler.meter.bottleneck import Moment, Verdict

SPEED_S: Final = 10.0
"""The time over which speeds and latencies are shown: shorter ones flicker."""

STEADY_S: Final = 60.0
"""The time over which the speed is taken that foretells the end."""


class Meter:
    """Seconds and looks come in. began_s: seconds since 1970."""

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self._recent = Recent()
        self._second = Second()
        self._ended: Counter[int] = Counter()  # latency of the seconds before
        self._ended_ms = 0
        self._looks = Looks()

    def begin(self, at: int) -> Second:
        """Begin a second (since 1970) in which something happened; whoever asked counts in it."""
        self._ended.update(self._second.latency)
        self._ended_ms += self._second.latency_ms
        self._second = self._recent.begin(at)
        return self._second

    def look(self, moment: Moment, now_s: float) -> None:
        """Take what a look saw. now_s: on a monotonic clock."""
        self._looks.add(moment, now_s)

    # What it says

    @property
    def latency(self) -> Counter[int]:
        """The histogram of the whole run: upper bound in ms -> calls."""
        return self._ended + self._second.latency

    @property
    def latency_ms(self) -> int:
        """All that calls have taken, in ms."""
        return self._ended_ms + self._second.latency_ms

    def speeds(self, wall_s: float) -> tuple[float, float]:
        """Give calls and bytes per second, now."""
        return self._recent.per_s(wall_s, window_s=SPEED_S, since_s=self.began_s)[1:]

    def latency_now(self, wall_s: float) -> dict[int, int]:
        """The histogram of the latest calls."""
        return dict(self._recent.latency(wall_s, window_s=SPEED_S))

    def left_s(self, left: int, wall_s: float) -> float | None:
        """Give the time that so many records will take; None while there is no speed."""
        records_per_s = self._recent.per_s(wall_s, window_s=STEADY_S, since_s=self.began_s)[0]
        return left / records_per_s if records_per_s else None

    def why_now(self, wall_s: float, *, refused: int, pace_per_s: float | None) -> Verdict | None:
        """Say why it is not faster, now. refused: calls that the API has refused; pace_per_s: as learned from it."""
        calls_per_s = self._recent.per_s(wall_s, window_s=RECENT_S, since_s=self.began_s)[1]
        p50_ms = quantile_ms(self._recent.latency(wall_s, window_s=RECENT_S), 0.5)
        return self._looks.now(Measured(calls_per_s=calls_per_s, p50_ms=p50_ms, refused=refused, pace_per_s=pace_per_s))

    def why(self, calls_per_s: float, *, refused: int, pace_per_s: float | None) -> Verdict | None:
        """Say why the run was not faster."""
        p50_ms = quantile_ms(self.latency, 0.5)
        return self._looks.whole(
            Measured(calls_per_s=calls_per_s, p50_ms=p50_ms, refused=refused, pace_per_s=pace_per_s)
        )

    @property
    def shares(self) -> dict[str, float]:
        """Part of the run's time for each limit, the largest first."""
        return {limit.value: round(share, 3) for limit, share in self._looks.shares.items()}
