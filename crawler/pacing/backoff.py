"""How long a failed call rests before it is tried again, by what went wrong.

Owns: causes, and full-jitter exponential backoff (Marc Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog, 2015). Knows no clock, no queue and no count of attempts but the one it is given.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

Uniform = Callable[[float, float], float]
"""Give a number between two; `random.uniform`, or in tests `min` and `max`."""


class Cause(StrEnum):
    """Why a call has to be made again. What is in none of them is an answer."""

    THROTTLED = "throttled"
    """The API says that it is too much: 429, 503."""
    SERVER = "server"
    """It failed at this call, and may not the next time: 500, 502, 504 and their like."""
    NETWORK = "network"
    """There was no whole answer: refused, reset, timed out, cut short."""


_THROTTLED: Final = frozenset({429, 503})
_SERVER: Final = frozenset({408, 425, 500, 502, 504, 520, 521, 522, 523, 524, 525, 527, 529, 530})
"""RFC 9110 and 8470 (425); 520 to 530 are Cloudflare's for an origin in trouble."""


def cause_of(status: int) -> Cause | None:
    """Give the cause that a status stands for; None when it is an answer, 404 and 501 included."""
    if status in _THROTTLED:
        return Cause.THROTTLED
    return Cause.SERVER if status in _SERVER else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Rests that double up to a cap. base_s, cap_s: seconds, 0 < base_s <= cap_s, else ValueError."""

    base_s: float
    cap_s: float

    def __post_init__(self) -> None:
        if not 0 < self.base_s <= self.cap_s:
            raise ValueError(f"base_s={self.base_s}, cap_s={self.cap_s}: expected 0 < base_s <= cap_s")

    def most_s(self, attempt: int) -> float:
        """Give the longest rest before retry number *attempt* (from 1); ValueError when that is below 1."""
        if attempt < 1:
            raise ValueError(f"attempt={attempt}: counts from 1")
        doublings = min(attempt - 1, 60)  # 2**1024 is no float; 2**60 of anything is above any cap
        return min(self.cap_s, self.base_s * 2.0**doublings)

    def rest_s(self, attempt: int, asked_s: float | None = None, *, uniform: Uniform = random.uniform) -> float:
        """Give the seconds to rest before retry number *attempt*; the first retry is 1.

        asked_s: what the server asks for, None when it does not or cannot be read. The rest is never
        shorter: jitter comes on top, so that those who were asked the same do not come back as a crowd,
        and so that `Retry-After: 0` does not become a loop without any rest. Not capped by cap_s: coming
        back early is what the server refused. Raises ValueError when attempt < 1.
        """
        return max(0.0, asked_s or 0.0) + uniform(0.0, self.most_s(attempt))


BACKOFFS: Final[Mapping[Cause, Backoff]] = MappingProxyType(
    {
        # Limits are counted by the second or the minute: a minute is long enough for either.
        Cause.THROTTLED: Backoff(base_s=1.0, cap_s=60.0),
        # A deployment or a failover takes some ten seconds: four retries reach over 1 + 2 + 4 + 8.
        Cause.SERVER: Backoff(base_s=1.0, cap_s=60.0),
        # A connection that broke is mostly good again at once; a network that is down is not.
        Cause.NETWORK: Backoff(base_s=0.5, cap_s=30.0),
    }
)
"""What `policy` uses when nobody says otherwise."""


def shut_out(base_s: float, cap_s: float) -> Backoff:
    """Give the rests of a host that refuses every call: half as long as a call's at first, a quarter at last.

    A window that is used up may be a minute's: a probe every 7.5 s costs eight refusals. ValueError as outage's.
    """
    return Backoff(base_s=base_s / 2, cap_s=max(base_s / 2, cap_s / 4))


def outage(base_s: float, cap_s: float) -> Backoff:
    """Give the rests of a host that answers nothing, by those of calls: twice as long at first, a twelfth at last.

    At 1 and 60 s a probe comes after 1 to 2 s, at last after 2.5 to 5: an hour of outage is 1,000 calls, and after it
    no more than 5 s are lost. ValueError unless 0 < base_s <= cap_s.
    """
    return Backoff(base_s=2 * base_s, cap_s=max(2 * base_s, cap_s / 12))


def backoffs(base_s: float, cap_s: float) -> Mapping[Cause, Backoff]:
    """Give BACKOFFS with other numbers, seconds: what broke on the way rests half as long. ValueError as Backoff's."""
    longer = Backoff(base_s=base_s, cap_s=cap_s)
    return MappingProxyType(
        {
            Cause.THROTTLED: longer,
            Cause.SERVER: longer,
            Cause.NETWORK: Backoff(base_s=base_s / 2, cap_s=cap_s / 2),
        }
    )
