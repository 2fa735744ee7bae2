"""What a host thinks of the credentials: whether calls may go in, who tries, and when there is no sense in it.

Owns the difference between credentials that are dead and a call that is refused for its own sake. Decides; waits for
nothing, reads nothing. All times are seconds on one monotonic clock.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from crawler.secrets import is_key_name

if TYPE_CHECKING:
    from collections.abc import Hashable

REFUSING: Final = frozenset({401, 403})
"""What refuses credentials: 401 says so (RFC 9110, 15.5.2), 403 may say so, or be about the one call."""

SAYS_NOTHING: Final = frozenset({407, 408, 425, 429})
"""Besides 5xx, statuses that may come before anybody has looked at the credentials."""

_OF_THE_PROXY: Final = "proxy-authorization"
"""The key to another door, whose refusal is 407."""


class Verdict(Enum):
    """What becomes of a call that was refused."""

    ANSWER = "it is its answer"
    AGAIN = "it is made again, as soon as it may go in"
    LATER = "what comes of others will tell: the row goes on, or one of them gets in"


BEYOND_CHANCE: Final = 5
"""Calls that are refused in a row, of which one has tried after the credentials were read again: fewer may be about
these calls. It is what a dead token costs when one worker finds it out."""


class Door:
    """One host's. It is open until the credentials are in doubt; then one call at a time tries.

    window: refusals of different calls in a row that put them in doubt. A 401 for the run's own
    credentials does so at once, until it has been seen that the host answers so to single calls as well. In doubt
    they are read again and tried. Dead they are when a trial is refused, and BEYOND_CHANCE calls were.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self.is_shut = False
        self.is_dead = False
        self.shut_s = -math.inf
        self._has_failed = False  # a call that tried
        self._is_lenient = False  # 401 is seen to be about single calls
        self._refused: dict[Hashable, float] = {}  # calls in a row -> when
        self._renewed_s = -math.inf
        self._opened_s = -math.inf
        self._succeeded_s = -math.inf  # when the last call that got in was sent

    @property
    def is_calm(self) -> bool:
        """Whether no call is refused or waits, so that one more that gets in is no news."""
        return not self.is_shut and not self._refused

    @property
    def is_refusing(self) -> bool:
        """Whether the last word was that the credentials are no good."""
        return self._has_failed

    def is_tried(self, sent_s: float) -> bool:
        """Whether a call that was sent then is one that tries: it went out before a door that was, and is, shut."""
        return self.is_shut and sent_s > self.shut_s

    def renewed(self, now_s: float) -> None:
        """Take note that the credentials are others now."""
        self._renewed_s = now_s
        self._refused.clear()
        self._has_failed = False

    def refused(
        self, call: Hashable, now_s: float, *, sent_s: float, strict: bool, before_s: float | None = None
    ) -> Verdict:
        """Say what becomes of a call that was refused.

        strict: 401 for the run's own credentials. before_s: when it was refused before, None for the first time.
        """
        tries = self.is_tried(sent_s)
        if not tries and sent_s < max(self._opened_s, self._renewed_s):
            return Verdict.AGAIN  # as it was on its way they were refused, or were others
        if before_s is not None and self._renewed_s <= before_s < self._succeeded_s:
            self._is_lenient = True
            return Verdict.ANSWER  # what was sent after its first refusal got in
        self._refused.setdefault(call, now_s)
        if not self.is_shut:
            if not (strict and not self._is_lenient) and len(self._refused) < self._window:
                return Verdict.LATER
            self.is_shut, self._has_failed = True, False
            self.shut_s = now_s
        if tries or self._has_failed:
            self._has_failed = True
            self.is_dead = len(self._refused) >= min(BEYOND_CHANCE, self._window)
        if not tries:
            return Verdict.AGAIN
        return Verdict.ANSWER if self.is_dead else Verdict.LATER  # the others will not have one

    def is_open_question(self, call: Hashable) -> bool:
        """Whether a call whose verdict was LATER still has none: else it has its answer."""
        return call in self._refused

    def accepted(self, now_s: float, *, sent_s: float) -> bool:
        """Take note of a call that got in; whether the door is opened by it."""
        tries = self.is_tried(sent_s)
        # what was refused after it was sent may have been refused since they died meanwhile
        later = {} if tries else {call: at_s for call, at_s in self._refused.items() if at_s >= sent_s}
        if not tries and len(later) == len(self._refused):
            return False
        self._refused = later
        self._succeeded_s = max(self._succeeded_s, sent_s)
        self._is_lenient |= self._has_failed  # what failed, failed for its own sake
        self._has_failed = False
        if self.is_dead or not self.is_shut:
            return False
        self.is_shut, self._opened_s = False, now_s
        return True


class Doorkeeper(Protocol):
    """Holds calls back whose refusal is an open question."""

    def release_all(self) -> bool:
        """Let them have the answers that they got; whether there were any."""


def says_nothing(status: int) -> bool:
    """Whether an answer leaves open what the host thinks of the credentials."""
    return status >= 500 or status in SAYS_NOTHING


def lets_in(header: str) -> bool:
    """Whether a header of that name may be what a host judges its callers by."""
    name = header.lower()
    return name == "cookie" or (name != _OF_THE_PROXY and is_key_name(header))
