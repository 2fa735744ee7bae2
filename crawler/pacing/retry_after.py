"""What `Retry-After` asks for, in seconds from now (RFC 9110, section 10.2.3).

Owns: reading that header, and the three forms of an HTTP date. Never raises, whatever the bytes. A rest
comes out as long as asked or longer, never shorter.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_S: Final = 366 * 86_400
"""A year. Nobody asks a client to come back after more: such a number is a bug, and is not obeyed."""

_LONGEST_FIELD: Final = 1_000
"""Characters. The longest legal date has 33; what is longer is not worth the time to read it."""

# The RFC says digits only. A fraction is rounded up, which is later and so safe; a sign is not read, since
# what a server means by -1 is anybody's guess.
_SECONDS: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DATES: Final = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        # IMF-fixdate: Sun, 06 Nov 1994 08:49:37 GMT
        rf"[a-z]{{3}}, (?P<day>[0-9]{{1,2}}) (?P<month>[a-z]{{3}}) (?P<year>[0-9]{{4}}) {_TIME} (?:GMT|UTC)",
        # RFC 850: Sunday, 06-Nov-94 08:49:37 GMT
        rf"[a-z]{{6,9}}, (?P<day>[0-9]{{2}})-(?P<month>[a-z]{{3}})-(?P<year>[0-9]{{2}}) {_TIME} (?:GMT|UTC)",
        # asctime: Sun Nov  6 08:49:37 1994
        rf"[a-z]{{3}} (?P<month>[a-z]{{3}}) (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)


def retry_after_s(values: Iterable[bytes], *, date: bytes | None, wall_s: float) -> float | None:
    """Give how many seconds to wait from now on; 0 when the time has come; None when nothing can be read.

    values: every Retry-After header of the response; of several the longest counts. date: its Date header,
    against which a time is measured, so that a wrong clock on either side cancels out; without a readable
    one it is measured against *wall_s*, our seconds since 1970.
    """
    now_s = http_date_s(date, wall_s=wall_s) if date is not None else None
    asked = [_asked_s(value, wall_s if now_s is None else now_s) for value in values]
    return max((seconds for seconds in asked if seconds is not None), default=None)


def _asked_s(value: bytes, now_s: float) -> float | None:
    text = _text(value)
    seconds = _seconds(text, now_s)
    if seconds is not None:
        return seconds
    at_s = http_date_s(value, wall_s=now_s)
    if at_s is not None:
        return sane_s(at_s - now_s)
    # `5, 10`: a proxy made one header of two
    parts = [_seconds(part.strip(), now_s) for part in text.split(",")]
    read = [part for part in parts if part is not None]
    return max(read) if len(read) == len(parts) else None


def _seconds(text: str, now_s: float) -> float | None:
    if not _SECONDS.fullmatch(text):
        return None
    number = float(math.ceil(float(text)))
    if number <= LONGEST_S:
        return number
    # no number of seconds that anybody means; some servers send the time itself, in seconds since 1970
    return sane_s(number - now_s) if number > now_s else None


def sane_s(seconds: float) -> float | None:
    """Give whole seconds, rounded up, 0 for what is over; None for more than a year."""
    return max(0.0, float(math.ceil(seconds))) if seconds <= LONGEST_S else None


def http_date_s(value: bytes, *, wall_s: float) -> float | None:
    """Give the seconds since 1970 that an HTTP date stands for (RFC 9110, section 5.6.7); None if it is none.

    wall_s: now, for the century of a two-digit year: more than 50 years ahead means the past. The day of
    the week is not compared: the date is what counts.
    """
    text = _text(value)
    match = next((match for form in _DATES if (match := form.fullmatch(text))), None)
    if match is None or match["month"].lower() not in _MONTHS:
        return None
    day, month = int(match["day"]), _MONTHS.index(match["month"].lower()) + 1
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    year = int(match["year"])
    if len(match["year"]) == 2:
        year = _century(year, month, day, wall_s)
    try:
        # a leap second has no datetime: 60 is the 59th, and one more
        at = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC) + timedelta(seconds=second == 60)
    except (ValueError, OverflowError):
        return None
    return at.timestamp() if second <= 60 else None


def _century(two: int, month: int, day: int, wall_s: float) -> int:
    """Give the year that two digits stand for."""
    now = _EPOCH + timedelta(seconds=min(max(wall_s, 0.0), _FAR_S))
    year = now.year // 100 * 100 + two
    # at a century's turn, 00 is ahead of us; RFC 9110 speaks only of what is too far ahead
    if (year + 100, month, day) <= (now.year + 50, now.month, now.day):
        year += 100
    return year - 100 if (year, month, day) > (now.year + 50, now.month, now.day) else year


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FAR_S: Final = 8_000 * 365.2425 * 86_400
"""The year 9970: a clock beyond it is wrong, and datetime ends at 9999."""


def _text(value: bytes) -> str:
    return value[:_LONGEST_FIELD].decode("latin-1").strip(" \t")
