"""Whether a host serves nobody, and when the next call finds out if it still does not.

Owns: what makes an outage of failures, and the probes meanwhile: one call at a time, so many seconds apart. A host
that refuses every call (429) is not out of order: a window is used up, and begins anew at any moment.
A success says that it is over only if its call started after the first failure: others may have been served
before it began.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from crawler.pacing.backoff import Backoff, Uniform
    from crawler.pacing.limiter import Call

FEW: Final = 4
"""Calls on their way among which a second failure, a round trip after the first, is hardly by chance."""

ROUNDS: Final = 2
"""Pushbacks in a row, each a round trip after the other and with no success between, that make an outage
of what one refusal does not; if they say no more than 503, or nothing, and are more than come by chance."""

IN_A_ROW: Final = 5
"""Calls that make one without waiting for a second round trip. 200 at once would cost 140 more by then; and where
it was no outage, the next success ends it."""

ERRORS: Final = 20
"""Calls in a row that failed by the server's fault, after which more of them are pushback too. A list of
which half fails for good has so many once in a million lines."""

SHOWN: Final = 2
"""Probes, with what began it, that show an outage. A limit that is no more than 503s serves the first one."""

FAST_S: Final = 5.0
"""A failure that takes longer is a call that hangs: it may be the call's own, so it costs a retry."""


class Outage:
    """The failures of one host. Times are seconds on one clock.

    broken, shut_out: the rests between probes of a host that is out of order, and of one that refuses every call.
    Half a rest is certain: full jitter would let some outages be probed at once, again and again.
    """

    def __init__(self, broken: Backoff, shut_out: Backoff, uniform: Uniform) -> None:
        self._broken, self._shut_out, self._uniform = broken, shut_out, uniform
        self._apart_s = broken.most_s(1) / 2  # the least between two probes, however long they hang
        self._has_worked = False
        self._first: int | None = None  # the number of the first call that failed, of those in a row
        self._failed = 0  # in a row
        self._errors = 0  # of the server, in a row
        self._first_error = 0  # the number of the first of them
        self._rounds = 0  # of pushback, in a row
        self._round_at = 0  # the number of the last call that had started by then
        self._level = 0
        self._from = 0  # the number of the last call when the rest was last lengthened
        self._started = 0
        self._started_s = -math.inf
        self._rests_until_s = -math.inf
        self._is_fast = self._is_broken = False
        self._first_s: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether it is out of order, as far as we know."""
        return self._level > 0

    @property
    def is_calm(self) -> bool:
        """Whether nothing failed since the last success."""
        return self._first is None and not self._errors

    @property
    def excuses(self) -> bool:
        """Whether a call that fails now does so by the host's fault: it worked before, and now refuses at once."""
        return self.is_on and self._is_broken and self._has_worked and self._is_fast

    @property
    def since_s(self) -> float | None:
        """Since when every call fails; None when it is in order."""
        return self._first_s if self.is_on else None

    def next_at(self, now_s: float, in_flight: int) -> float:
        """Give the earliest time for a probe; *now_s* when it is in order, infinity when one has to come back first.

        Those that hang do not hold up the next, or a list would take half a minute for each.
        """
        if not self._level:
            return now_s
        if self._is_broken:
            return max(self._rests_until_s, self._started_s + self._apart_s)
        return math.inf if in_flight else self._rests_until_s

    def started(self, call: Call, now_s: float) -> None:
        """Count a call that goes."""
        self._started, self._started_s = call.number, now_s

    def succeeded(self, call: Call) -> bool:
        """Count a call that was served. Whether that shows that the host was out of order until then."""
        self._has_worked = True
        if call.number > self._first_error:
            self._errors = 0
        if self._first is None or call.number <= self._first:
            return False
        is_end = self._level >= SHOWN and self._is_broken
        self._first = self._first_s = None
        self._failed = self._rounds = self._level = 0
        return is_end

    def is_error_pushback(self, call: Call) -> bool:
        """Count a call that failed by the server's fault alone. Whether that is pushback by now."""
        if not self._errors:
            self._first_error = call.number
        self._errors += 1
        return self._errors > ERRORS

    def failed(self, call: Call, now_s: float, *, is_round: bool, is_refused: bool, in_a_row: int = IN_A_ROW) -> None:
        """Count a failure.

        is_round: it may be the first since a round trip. is_refused: the host says it is too much. in_a_row: so
        many are no chance.
        """
        if self._first is None:
            self._first, self._first_s = call.number, now_s
        self._failed += 1
        if is_round and call.number > self._round_at:
            self._rounds += 1
            self._round_at = self._started
        self._is_fast, self._is_broken = now_s - call.at_s < FAST_S, not is_refused
        # of calls that went at once, those that failed come back first
        is_row = self._failed >= max(IN_A_ROW, in_a_row) and 2 * self._failed > call.number - self._first
        is_round_trips = self._rounds >= ROUNDS and (is_refused or self._failed + self._errors >= in_a_row)
        is_outage = is_round_trips or (not is_refused and is_row)
        if is_outage and (not self._level or call.number > self._from):
            self._level += 1
            self._from = self._started
            most_s = (self._shut_out if is_refused else self._broken).most_s(self._level)
            # from its start: after a call that hung for half a minute, nobody has to wait once more
            begin_s = call.at_s if self._level > 1 else now_s
            self._rests_until_s = max(self._rests_until_s, begin_s + self._uniform(most_s / 2, most_s))
