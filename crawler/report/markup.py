"""HTML that cannot be broken by what it shows: text is escaped unless it is Markup, and only `el` makes that."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Child: TypeAlias = "str | int | Iterable[str | None] | None"

_VOID: Final = frozenset({"meta"})

# Control characters, and those that turn the direction of text or have no width: a URL could read as another one.
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


class Markup(str):
    """HTML, safe as it is."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Escape whatever it is, hidden characters shown as a box."""
    return value if isinstance(value, Markup) else Markup(html.escape(_HIDDEN.sub("\ufffd", str(value))))


def el(name: str, /, *children: Child, **attributes: object) -> Markup:
    """Give an element. attributes: `class_` and the like; `data_x` is data-x; None leaves one out."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{said}>")
    return Markup(f"<{name}{said}>{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    """Put parts one after the other; None is nothing."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, str | int):
            parts.append(text(child))
        else:
            parts.append(joined(*child))
    return Markup("".join(parts))


def data(value: object) -> Markup:
    """Give JSON as a script element may hold it: no text in it can end the element."""
    said = json.dumps(value, separators=(",", ":"))
    for char in "<>&":
        said = said.replace(char, f"\\u{ord(char):04x}")
    return Markup(said)
