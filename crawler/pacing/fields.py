"""Lists with parameters, as far as RateLimit fields need them (RFC 9651, read leniently).

Owns: cutting `"a";q=1;w=60, b=2` into members. Never raises; what is no member is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST: Final = 1_000
"""Characters that are read: ten policies. More is no hint, and quotes that never close cost quadratic time."""

_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_MEMBER: Final = re.compile(rf'(?:[^",]|{_QUOTED})+')
_PART: Final = re.compile(rf'(?:[^";]|{_QUOTED})+')
_NUMBER: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One of a list: `name;key=value`, or of a dictionary: `name=value;key=value`. Quotes are taken off.

    value: None in a list.
    """

    name: str
    value: str | None
    params: Mapping[str, str]


def members(field: bytes) -> list[Member]:
    """Give a field's members in order; none for what is too long."""
    if len(field) > _LONGEST:
        return []
    read = (_member(text) for text in _MEMBER.findall(field.decode("latin-1")))
    return [member for member in read if member is not None]


def _member(text: str) -> Member | None:
    parts = [part.strip(" \t") for part in _PART.findall(text)]
    if not parts or not parts[0]:
        return None
    name, value = _pair(parts[0])
    params = (_pair(part) for part in parts[1:])
    return Member(name=name, value=value, params={key: held or "" for key, held in params})


def _pair(text: str) -> tuple[str, str | None]:
    """Give what is left and right of `=`; None on the right when there is none outside of quotes."""
    if text.startswith('"'):
        return _bare(text), None
    key, equals, value = text.partition("=")
    return key.strip(" \t").lower(), _bare(value.strip(" \t")) if equals else None


def _bare(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def number(text: str | None) -> float | None:
    """Give a number that is not negative; None when the text is none: a sign, an exponent, other digits."""
    return float(text) if text is not None and _NUMBER.fullmatch(text) else None
