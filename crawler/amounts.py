"""Amounts as people read them: 12,345 lines, 2.4 MB, 4 min. Numbers in, short texts out."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def number(value: int | str) -> str:
    """With commas; a text, as `unknown`, stays what it is."""
    return value if isinstance(value, str) else f"{value:,}"


def counted(value: int | str, one: str, many: str = "") -> str:
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def size(count: float) -> str:
    """Bytes in decimal units, as disks and networks are sold."""
    for unit in _UNITS[:-1]:
        if count < 999.5:
            return f"{count:,.3g} {unit}"
        count /= 1000
    return f"{count:,.0f} {_UNITS[-1]}" if count >= 999.5 else f"{count:.3g} {_UNITS[-1]}"


def per_second(count: float) -> str:
    """A speed, to three digits and without a unit: 0.25, 8.4, 118, 1,240."""
    return f"{count:,.0f}" if count >= 99.5 else f"{count:.3g}"


def milliseconds(count: float) -> str:
    """A latency, to two or three digits: 8 ms, 160 ms, 2.4 s."""
    if count < 999.5:
        return f"{count:.0f} ms"
    seconds = count / 1000
    return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:,.0f} s"


def duration(seconds: float) -> str:
    """A time that has passed: 8.2 s, 4 min 10 s, 3 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def about(seconds: float) -> str:
    """A time that is still to come, no more exact than it can be known: 40 s, 4 min, 3 h 5 min, 2 days 3 h."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s" if seconds < 10 else f"{round(seconds, -1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{counted(days, 'day')} {hours} h" if hours else counted(days, "day")
