"""`workers=auto`: how many calls at once a host is worth, found from latency alone.

Owns: when to try more, when to try less, and what follows from the latency that either brings. Where calls
queue, latency is the number of calls over the number that is served at once (Little, 1961), so one round
at a known number of calls gives the other: slots = calls * idle latency / latency. That is the estimate of
TCP Vegas (Brakmo and Peterson, 1994) and of Netflix's Gradient limits. What those two lack is a way to tell
a queue from an API that has become slower; here both are found out as BBR does (Cardwell et al., 2016): a
short look at less than is needed, where nothing can queue, and one at more. docs/pacing.md compares them.
"""

from __future__ import annotations

import math
from typing import Final

from crawler.pacing.cohort import FIRST, LEAST, Cohort, Finding, Idle, size_for
from crawler.pacing.limiter import WAITS, Call, Learned, Limiter
from crawler.pacing.phase import Phase
from crawler.pacing.slots import KEPT, Slots

SILENCES: Final = 2
SILENCE_S: Final = 0.25
"""As Limiter's SILENCE_S, but sooner and only twice: 40 calls at once at most while no answer has come. An API
that answers in 1 s and serves 2 at once has answered them after 20 s, before any timeout."""

SLOW_S: Final = 0.5
"""An API that takes so long gets two more calls for each answer at the start, not one: doubling 10 to 400 takes
six round trips, and there that is as many seconds."""

BUSY: Final = 1.5
"""Times the idle latency, from which on the start is over: it doubles, so at most three times as many calls as
there are slots are on their way then, for a moment."""

GONE: Final = 2.0
"""Times the idle latency that cannot be what HOLD asks for: slots are gone, or the API has become slower."""

MORE: Final = 1.15
"""The slots seen at TRIED, in those known, that say there are more: half-way between none and all of the try."""

IDLE: Final = 0.8
DEEP: Final = 0.5
"""Calls for each slot when the idle latency is looked at; half of them when little is known."""

KNOWN: Final = 0.03
"""The relative error of the idle latency that is sure enough for IDLE after the start: some four looks that agree."""

FALLS: Final = 0.85
"""Of the idle latency as it was known, below which it was not idle then; at IDLE it would be 0.8."""

HOLDS: Final = 2
"""Rounds of HOLD before each UP: more are tried about once a second at an API that takes 100 ms."""

LOOKS: Final = 3
"""Rounds of UP before each DOWN, which leaves slots idle: a fiftieth of all calls is lost by looking."""

LESS: Final = 0.93
"""The slots, in those of the last look, from which on there is another look at once: are they gone, or is it the API
that becomes slower?"""

TICK_S: Final = 1e-6
"""The least latency: a clock may stand still between two looks at it."""


class AutoLimiter(Limiter):
    """A Limiter that finds the number of calls at once, up to the ceiling.

    Refusals cut the window as they cut any other; what was refused is tried again as late.
    """

    def __init__(self, ceiling: int, learned: Learned | None = None) -> None:
        super().__init__(ceiling, learned)
        self._known = learned
        self._phase = Phase.RISE
        self._idle: Idle | None = None  # None: no answer yet
        self._slots = Slots(self.limit)
        self._cohort = Cohort(1, FIRST)
        self._scatter: float | None = None
        self._silences = 0
        self._holds = self._ups = self._tops = 0
        self._is_doubt = False  # whether this DOWN is one from the ceiling
        self._looked = 0.0  # the slots after the last look
        self._part = DEEP  # of the slots, at which to look for the idle latency
        self._served = 0  # since the last cut

    # The limiter's face

    @property
    def is_found(self) -> bool:
        return self._phase is not Phase.RISE

    def next_at(self, now_s: float, on_way: int = 0) -> float:
        if self.in_flight + on_way < self.limit:
            return now_s
        is_over = self._worked or self._cut_at or self._silences >= SILENCES or self.limit >= self._ceiling
        if is_over or self._changed_s is None:
            return math.inf
        if now_s < self._changed_s + SILENCE_S:
            return self._changed_s + SILENCE_S
        self._silences += 1
        self._become(self.limit * 2, now_s)
        return now_s

    def started(self, now_s: float) -> Call:
        number, _, filled, _ = super().started(now_s)
        # what a number of calls costs, only those know that started with it
        is_wanted = self._phase is Phase.RISE or self._full_at == number
        return Call(number, now_s, filled, self._cohort.joins(now_s) if is_wanted else 0)

    def ended(self, call: Call) -> None:
        self.in_flight -= 1
        if call.cohort == self._cohort.number:
            self._cohort.lost(call.at_s)

    def succeeded(self, call: Call, now_s: float) -> None:
        self.in_flight -= 1
        if call.number <= self._cut_at:
            return
        self._worked = True
        self._served += 1
        if self._refused_at is not None and call.filled >= self._refused_at:
            self._refused_at = None  # it was served where another was refused: the host has changed
            self._waits = WAITS[0]
        if self._phase is Phase.RISE and self._full_at >= call.number and not self._rise(now_s):
            return
        is_of = call.cohort == self._cohort.number
        if is_of:
            self._cohort.add(call.at_s, max(now_s - call.at_s, TICK_S), call.filled)
        if self._cohort.is_complete or (is_of and self._is_gone(now_s)):
            self._judge(now_s)

    @property
    def learned(self) -> Learned | None:
        if self._phase is Phase.RISE and self._refused_at is None:
            return self._known  # it has only begun
        kept = min(self._ceiling, round(self._slots.value * KEPT))
        return Learned(kept if self._phase is not Phase.RISE else max(kept, self._threshold), self._refused_at)

    # What refusals allow

    @property
    def _most(self) -> int:
        """The most calls at once at this moment: one less than was refused, and only after a while as many."""
        if self._refused_at is None:
            return self._ceiling
        is_over = self._served >= self._waits * self.limit
        return min(self._ceiling, max(1, self._refused_at + (self._step if is_over else -1)))

    def _cut(self, refused_at: int, now_s: float) -> None:
        super()._cut(refused_at, now_s)
        self._served = 0
        self._slots.assume(self.limit)
        self._enter(Phase.RISE if self.limit < self._threshold else Phase.HOLD, self.limit, now_s)

    def give_back(self, limit: int, now_s: float) -> None:
        super().give_back(limit, now_s)
        self._slots.assume(self.limit)
        self._enter(Phase.RISE, self.limit, now_s)

    # Rounds

    def _enter(self, phase: Phase, limit: float, now_s: float) -> None:
        self._phase = phase
        self._is_doubt = False
        whole = int(limit) if phase is Phase.DOWN else round(limit)  # of two, four fifths are not two
        self._become(min(whole, self._most), now_s)
        self._next_cohort()

    def _next_cohort(self) -> None:
        size = LEAST if self._scatter is None else size_for(self._scatter, self.limit)
        span = self.limit if self._phase in (Phase.HOLD, Phase.UP) else 0
        self._cohort = Cohort(self._cohort.number + 1, size, span)

    def _rise(self, now_s: float) -> bool:
        """One call more, or two. Whether it still rises."""
        most = min(self._threshold, self._most)
        if self.limit < most:
            is_slow = self._idle is not None and self._idle.latency_s >= SLOW_S
            self._become(min(most, self.limit + 1 + is_slow), now_s)
        elif self.limit < self._ceiling:
            self._slots.assume(self.limit)
            self._enter(Phase.HOLD, self.limit, now_s)
            return False
        return True

    def _is_gone(self, now_s: float) -> bool:
        """Whether the verdict is clear before its time: what is back first is the fastest of the cohort."""
        idle, scatter = self._idle, self._scatter
        if idle is None or scatter is None or self._phase is Phase.DOWN or self._cohort.answers < LEAST // 2:
            return False
        if self._cohort.most_s <= GONE * idle.latency_s:  # as after nearly every call
            return False
        return self._is_above(self._cohort.finding(now_s, scatter), GONE)

    def _is_above(self, finding: Finding, times: float) -> bool:
        """Whether a latency is so many times the idle one, beyond doubt: two standard errors."""
        assert self._idle is not None
        return finding.latency_s > times * self._idle.latency_s * (1 + 2 * self._idle.doubt(finding))

    def _judge(self, now_s: float) -> None:
        cohort = self._cohort
        scatter = cohort.scatter(now_s)
        self._scatter = scatter if self._scatter is None else self._scatter + (scatter - self._scatter) / 4
        finding = cohort.finding(now_s, self._scatter)
        is_first = self._idle is None
        if self._idle is None:
            self._idle = Idle(finding)
        if self._phase is Phase.DOWN:
            self._look(self._idle, finding, now_s)
            return
        slots = self._slots.see(finding, self._idle)
        if self._is_above(finding, BUSY if self._phase is Phase.RISE else GONE):
            self._slots.value = max(1.0, slots)
            self._threshold = self._ceiling
            self._part = IDLE if self._idle.error < KNOWN else DEEP
            self._enter(Phase.DOWN, slots * self._part, now_s)
        elif self._phase is Phase.RISE:
            if not is_first:
                self._idle.look(finding, trust=1.0 if finding.latency_s < self._idle.latency_s else 0.5)
            self._slots.value = max(self._slots.value, slots)
            self._next_cohort()
            if self.limit == self._ceiling:
                self._doubt_start(now_s)
        elif self._phase is Phase.UP:
            self._tried(slots, finding.error, now_s)
        else:
            self._slots.learn(slots, finding.error)
            self._hold(now_s)

    def _doubt_start(self, now_s: float) -> None:
        """Look at fewer, at the ceiling: did a start that stalled pass for the idle latency? Ever more seldom."""
        self._tops += 1
        if self._tops > 1 and self._tops.bit_count() == 1:  # not at once: the first have not waited for the others yet
            self._part = DEEP
            self._enter(Phase.DOWN, self.limit * DEEP, now_s)
            self._is_doubt = True

    def _hold(self, now_s: float) -> None:
        self._holds += 1
        if self._slots.value < LESS * (1 - self._slots.unsure) * self._looked:
            self._part = IDLE
            self._enter(Phase.DOWN, self._slots.value * IDLE, now_s)
        elif self._holds < HOLDS:
            self._enter(Phase.HOLD, self._slots.kept, now_s)
        else:
            self._holds = 0
            self._enter(Phase.UP, self._slots.tried, now_s)

    def _tried(self, slots: float, error: float, now_s: float) -> None:
        """Go on as what UP has shown."""
        if slots > MORE * (1 + error) * self._slots.value and self.limit < self._most:
            self._slots.value = slots
            self._threshold = self._ceiling
            self._known = self.learned  # should the run end on the way
            self._enter(Phase.RISE, self.limit, now_s)
            return
        self._slots.learn(slots, error)
        self._ups += 1
        if self._ups % LOOKS:
            self._enter(Phase.HOLD, self._slots.kept, now_s)
        else:
            self._part = IDLE
            self._enter(Phase.DOWN, self._slots.value * IDLE, now_s)

    def _look(self, idle: Idle, finding: Finding, now_s: float) -> None:
        """Take over the latency of a host that should be idle."""
        doubt = idle.doubt(finding)
        falls = finding.latency_s < FALLS * idle.latency_s and finding.latency_s * (1 + 3 * doubt) < idle.latency_s
        if falls:
            idle.replace(finding)  # it never was idle before, and may not be now: look at still fewer
            self._slots.correct(idle)
            if self.limit > 1:
                self._enter(Phase.DOWN, self.limit * self._part, now_s)
                return
        elif self._is_above(finding, GONE):
            idle.replace(finding)  # with fewer calls as slow as with many: it is the API
        else:
            idle.look(finding)
            idle.drift()
            if self._is_doubt:
                self._enter(Phase.RISE, self._ceiling, now_s)
                return
        self._slots.correct(idle)
        self._looked = self._slots.value
        self._holds = 0
        self._enter(Phase.HOLD, self._slots.kept, now_s)
