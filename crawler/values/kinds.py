"""The plain kinds of values: texts, words, numbers. Every other kind is built like them.

A parser takes text, the value as settings.py may hold it, or what it gave before, so that checking twice
does no harm. It raises ValueError, whose text may say more than the kind's `expected`.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from crawler.secrets import NAME

if TYPE_CHECKING:
    from collections.abc import Callable


class Kind(NamedTuple):
    """How a value is read. expected: ends the sentence `workers='x': expected ...`."""

    parse: Callable[[object], Any]
    expected: str


def text(value: object) -> str:
    """Give the value back; raise ValueError when it is no text or an empty one."""
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def texts(value: object) -> list[str]:
    """Give the parts of `a,b`, or of a list in settings.py: at least one, none of them empty."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise ValueError
    return [text(str(part).strip() if isinstance(part, str | int) else part) for part in parts]


TEXT: Final = Kind(text, "a text that is not empty")


def choice(*words: str) -> Kind:
    """Give the kind of one word out of some."""

    def parse(value: object) -> str:
        if text(value) not in words:
            raise ValueError
        return str(value)

    return Kind(parse, " or ".join(words))


_SWITCHED: Final = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}


def _switch(value: object) -> bool:
    switched = _SWITCHED.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(switched, bool):
        raise ValueError  # noqa: TRY004  # a parser's only error
    return switched


SWITCH: Final = Kind(_switch, "on or off")


# int() and float() would also take signs, spaces, 1_000, 1e3, nan and other scripts' digits
WHOLE: Final = re.compile(r"[0-9]{1,18}")
DECIMAL: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")

LONGEST_S: Final = 86_400
"""A day: more is a mistake in the unit, and far more overflows the event loop's clock."""


def whole(low: int, high: int | None = None) -> Kind:
    """Give the kind of a whole number."""

    def parse(value: object) -> int:
        number = int(value) if isinstance(value, str) and WHOLE.fullmatch(value) else value
        if type(number) is not int or number < low or (high is not None and number > high):
            raise ValueError
        return number

    return Kind(parse, f"a whole number, {low} or more" if high is None else f"a whole number from {low} to {high}")


def seconds(*, zero: bool) -> Kind:
    """Give the kind of a time in seconds, a float. zero: whether 0 is allowed."""

    def parse(value: object) -> float:
        number = float(value) if isinstance(value, str) and DECIMAL.fullmatch(value) else value
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError  # noqa: TRY004  # a parser's only error
        if not 0 <= number <= LONGEST_S or not (number or zero):
            raise ValueError
        return float(number)

    return Kind(parse, f"seconds, {'0 or more' if zero else 'more than 0'}, at most {LONGEST_S} (a day)")


UNITS: Final = {
    "": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip


def size(low: int) -> Kind:
    """Give the kind of a number of bytes, an int: `1500`, `64MiB`, `2GB`."""

    def parse(value: object) -> int:
        found = re.fullmatch(r"([0-9]{1,15})([a-zA-Z]{0,3})", value) if isinstance(value, str) else None
        if found is not None and (unit := UNITS.get(found[2].lower())) is not None:
            value = int(found[1]) * unit
        if type(value) is not int or value < low:
            raise ValueError
        return value

    return Kind(parse, f"bytes, {low} or more, as 1500, 64MiB or 2GB")


def _umask(value: object) -> int:
    mask = int(value, 8) if isinstance(value, str) and re.fullmatch(r"(?:0o)?[0-7]{1,4}", value) else value
    if type(mask) is not int or not 0 <= mask <= 0o077:
        raise ValueError
    return mask


UMASK: Final = Kind(_umask, "an octal mask from 000 to 077 (the owner has to read what the run writes)")


def _variables(value: object) -> tuple[str, ...]:
    names = texts(value)
    for name in names:
        if not re.fullmatch(NAME, name):
            raise ValueError(f"{name} is no name" + "; leave out the ${}" * name.startswith("$"))
    return tuple(dict.fromkeys(names))


VARIABLES: Final = Kind(_variables, "names of variables such as API_KEY,TENANT, with commas between")


def _methods(value: object) -> tuple[str, ...]:
    names = tuple(name.upper() for name in texts(value))
    if not all(re.fullmatch(r"[A-Z]{1,20}", name) for name in names):
        raise ValueError
    return names


METHODS: Final = Kind(_methods, "HTTP methods, with commas between")


def _command(value: object) -> tuple[str, ...]:
    words = tuple(shlex.split(value) if isinstance(value, str) else texts(value))
    if not words:
        raise ValueError
    return words


COMMAND: Final = Kind(_command, "a command and its words, as a shell would take them apart; there is no shell")
