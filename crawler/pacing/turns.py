"""Calls one after the other at even distances.

Owns: when the next turn is. How far apart turns are is told with each call, since a pace that is being
learned changes. This is GCRA (ITU-T I.371, annex A), with lateness in place of a burst.
"""

from __future__ import annotations

from typing import Final

LATE_S: Final = 0.025
"""How much lateness is made up for. A busy event loop wakes up some 20 ms late: at 200 calls a second,
5 ms apart, it would otherwise lose four fifths of them. It is also the most that comes at once after a
pause: six calls at 200 a second, one at 40 and below."""


class Turns:
    """Times in seconds on one clock that never goes back."""

    def __init__(self) -> None:
        self.turn_s: float | None = None
        """When the next turn is; None: at any time."""

    def next_at(self, now_s: float) -> float:
        """Give the time of the next turn; *now_s* when it has come."""
        return now_s if self.turn_s is None else max(now_s, self.turn_s)

    def take(self, now_s: float, gap_s: float, late_s: float = LATE_S) -> None:
        """Take a turn; the next one is *gap_s* after the time that this one was due, if it was late.

        late_s: by how much at the most.
        """
        # nothing was late before the first: a run does not begin with a burst
        due_s = now_s if self.turn_s is None else max(self.turn_s, now_s - late_s)
        self.turn_s = due_s + gap_s
