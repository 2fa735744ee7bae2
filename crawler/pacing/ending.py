"""How a call ended, as far as pacing cares: a status, what the host asks for, or why there is no answer.

Owns: what counts as pushback and as a refusal, and reading both from a response's status and headers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from crawler.pacing.backoff import Cause, cause_of
from crawler.pacing.rate_limit import Hint, read_hint
from crawler.pacing.retry_after import retry_after_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_OVERLOADED: Final = frozenset({502, 504})
"""Besides 429 and 503: a gateway whose server does not keep up. A 500 is about the one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a call ended. An answer, of whatever kind, has a status; without one, failed says what happened.

    failed: why there is no whole answer; None also when the failure says nothing about the host (we
    cancelled it, it was no call). retry_after_s, hint: what the response asks for; None: nothing.
    """

    status: int | None = None
    failed: Cause | None = None
    retry_after_s: float | None = None
    hint: Hint | None = None

    @property
    def cause(self) -> Cause | None:
        """Why the call has to be made again; None when it has its answer, or none is to be had."""
        if self.failed is not None or self.status is None:
            return self.failed
        return Cause.THROTTLED if self.status == 403 and self._asks_for_time else cause_of(self.status)

    @property
    def _asks_for_time(self) -> bool:
        """Whether it says when to come back, or that nothing is left: GitHub's limits come as 403."""
        return self.retry_after_s is not None or (self.hint is not None and self.hint.remaining == 0)

    @property
    def is_refusal(self) -> bool:
        """Whether the host says that it did not do what was asked, since it is too much now."""
        if self.failed is not None:
            return False
        if self.status == 503:
            return self.retry_after_s is not None
        return self.status == 429 or (self.status == 403 and self._asks_for_time)

    @property
    def is_pushback(self) -> bool:
        """Whether it asks for fewer calls."""
        return self.cause in {Cause.THROTTLED, Cause.NETWORK} or self.status in _OVERLOADED

    @property
    def is_plain_pushback(self) -> bool:
        """Whether it does so for certain; of 502, 503, 504 and broken connections, many together are."""
        return self.is_refusal or self.status == 429

    @property
    def asked_s(self) -> float | None:
        """How long a refusal asks to wait, in seconds; Retry-After comes before a reset (the draft's rule)."""
        cause = self.cause
        if cause is not Cause.THROTTLED and cause is not Cause.SERVER:
            return None
        if self.retry_after_s is not None:
            return self.retry_after_s
        if self.hint is None or self.hint.remaining or cause is not Cause.THROTTLED:
            return None  # calls remain: the reset is not what this refusal waits for
        return self.hint.reset_s

    @property
    def asked_by(self) -> str:
        """The header that asked for it, in lower case; "" when none did."""
        if self.retry_after_s is not None:
            return "retry-after"
        return self.hint.header if self.hint is not None else ""


def read_ending(status: int, fields: Mapping[bytes, Sequence[bytes]], *, wall_s: float) -> Ending:
    """Give the ending that a response is. fields: its headers; wall_s: our seconds since 1970."""
    is_told = b"rate" in b" ".join(fields).lower()  # a tenth of the cost of looking at each name
    if status < 400 and not is_told:
        return _plain(status)
    headers = [(name, value) for name, values in fields.items() for value in values]
    asked_s = None
    if status >= 400:
        after = [value for name, value in headers if name.lower() == b"retry-after"]
        date = next((value for name, value in headers if name.lower() == b"date"), None)
        asked_s = retry_after_s(after, date=date, wall_s=wall_s) if after else None
    hint = read_hint(headers, wall_s=wall_s) if is_told else None
    return Ending(status=status, retry_after_s=asked_s, hint=hint)


@lru_cache(maxsize=64)
def _plain(status: int) -> Ending:
    return Ending(status=status)
