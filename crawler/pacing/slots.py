"""How many calls a host serves at once, as latency has shown.

Owns: the estimate, by Little's law: a known number of calls, and what each of them took; how far it follows a new one;
and how many calls are made of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crawler.pacing.cohort import ERROR

if TYPE_CHECKING:
    from crawler.pacing.cohort import Finding, Idle

KEPT: Final = 1.1
"""Calls for each slot. Fewer and a slot idles while an answer is on its way; more and each call waits longer."""

TRIED: Final = 1.3
"""Calls for each slot when more are tried: the least that tells a new slot from noise. Calls wait a third longer."""

HALF: Final = 0.5
"""The most of a new estimate that is taken over at once."""

SURE: Final = 0.1
"""The relative error at which HALF of a new estimate counts for the last time: the more it scatters, the less."""


class Slots:
    """value: how many there are, 1 or more. unsure: the relative error of that, beyond what is always there."""

    def __init__(self, value: float) -> None:
        self.value = value
        self.unsure = 0.0
        self._seen: Finding | None = None  # with as many calls as there are slots, or more

    @property
    def kept(self) -> float:
        """How many calls keep them busy: a few more where that is not sure, since a slot that idles costs more."""
        return self.value * (KEPT + self.unsure)

    @property
    def tried(self) -> float:
        """With how many calls to find out whether there are more."""
        return max(self.value * (TRIED + self.unsure), self.value + 1)

    def assume(self, limit: int) -> None:
        """Take so many calls for what is kept."""
        self.value = max(1.0, limit / KEPT)

    def see(self, finding: Finding, idle: Idle) -> float:
        """Keep what was found with as many calls as there are slots, or more; the slots that it speaks of."""
        self._seen = finding
        self.unsure = finding.error - ERROR
        return _spoken_of(finding, idle)

    def learn(self, slots: float, error: float) -> None:
        """Take over a part of a new estimate."""
        part = min(HALF, 1 / (1 + (error / SURE) ** 2))
        self.value = max(1.0, self.value + part * (slots - self.value))

    def correct(self, idle: Idle) -> None:
        """Say anew what was seen, by the idle latency as it is known now."""
        if self._seen is not None:
            self.value = max(1.0, min(2 * self.value, _spoken_of(self._seen, idle)))


def _spoken_of(finding: Finding, idle: Idle) -> float:
    """Little's law: so many slots make so many calls wait so long."""
    return finding.filled * idle.latency_s / finding.latency_s
