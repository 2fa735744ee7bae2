"""Templates: `{column}` in a URL or a body becomes the value of that column in a line of the list.

Owns: what is a place in a template, and how a value is written there, so that it stays one value: percent-encoded in
a URL (RFC 3986: all but the unreserved), JSON in JSON. Knows no files and no formats of lists.

A value is a text, or JSON as it was written (msgspec.Raw), so that 1.0 stays 1.0.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote, quote_plus

from crawler.secrets import PLACEHOLDER
from crawler.sources.lines import LineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import msgspec

Value: TypeAlias = "str | msgspec.Raw"

LINE: Final = ""
"""The name of the place `{}`: the line itself, in a list without columns."""

_PLACE: Final = re.compile(r"(?<!\$)\{([^{}\"]*)\}")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]*")  # RFC 3986, section 2.3
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")  # RFC 8259, section 6
_JSON_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"?')
_AS_NUMBER: Final = ":number"
_SPACE: Final = " \t\n\r\f\v"


def as_text(value: Value) -> str:
    """The text that stands for a value outside JSON; "" for null. Raises LineError for a list or an object."""
    if isinstance(value, str):
        return value.strip(_SPACE)
    written = bytes(value).decode()
    if written.startswith('"'):
        return str(json.loads(written)).strip(_SPACE)
    if written.startswith(("[", "{")):
        raise LineError("a list or an object cannot stand in a URL")
    return "" if written == "null" else written


def _filled(name: str, value: Value) -> str:
    """The text of a value that must not be empty."""
    try:
        text = as_text(value)
    except LineError as exc:
        raise LineError(f"{_shown(name)}: {exc}") from exc
    if not text:
        raise LineError(f"{_shown(name)} is empty, and a template needs it")
    return text


def _shown(name: str) -> str:
    return f"column {name!r}" if name else "the line"


def _percent_encoded(name: str, value: Value) -> str:
    text = _filled(name, value)
    if _UNRESERVED.fullmatch(text):
        return text
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as exc:
        raise LineError(f"{_shown(name)} holds half a surrogate pair, which is no character") from exc


def _form_encoded(name: str, value: Value) -> str:
    return quote_plus(_filled(name, value))


def _json_value(name: str, value: Value) -> str:
    if isinstance(value, str):
        return json.dumps(_filled(name, value), ensure_ascii=False)
    return bytes(value).decode()


def _json_within(name: str, value: Value) -> str:
    return json.dumps(_filled(name, value), ensure_ascii=False)[1:-1]


def _json_number(name: str, value: Value) -> str:
    text = _filled(name, value)
    if _NUMBER.fullmatch(text) is None:
        raise LineError(f"{_shown(name)} is no number: {text[:40]!r}")
    return text


@dataclass(frozen=True, slots=True)
class Template:
    """A text with places. parts: fixed texts, one more than there are places. names: of their columns."""

    parts: tuple[str, ...]
    names: tuple[str, ...]
    writers: tuple[Callable[[str, Value], str], ...]
    is_json: bool = False

    def fill(self, columns: Mapping[str, Value]) -> str:
        """The text for one line. Raises LineError where a value is empty or cannot stand there."""
        filled = [self.parts[0]]
        for name, write, part in zip(self.names, self.writers, self.parts[1:], strict=True):
            filled += (write(name, columns[name]), part)
        return "".join(filled)


def url_template(text: str) -> Template:
    """Read `https://api.example/items/{id}`. Raises ValueError, saying what is wrong with it."""
    parts, names = _split(text)
    if not re.match(r"https?://", text, re.IGNORECASE):
        raise ValueError("it begins with http:// or https://")
    if stray := re.search(r"[{}]", re.sub(PLACEHOLDER, "", "".join(parts))):
        raise ValueError(f"a {stray[0]} stands alone; {{name}} is the value of a column, {{}} the line of a plain list")
    if LINE in names and set(names) != {LINE}:
        raise ValueError("{} is the line of a plain list, which has no columns to name")
    return Template(parts, names, (_percent_encoded,) * len(names))


def body_template(text: str, *, columns: bool) -> Template:
    """Read a body: JSON, whose values are written as JSON; any other text, whose values are form-encoded.

    columns: the list has some; then `{}` is an empty object, and not the line. In JSON, `"{a}"` and `{a}` both give a
    text; `{a:number}` gives a number. Raises ValueError for what looks like JSON and is none.
    """
    parts, names = _split(text, columns=columns)
    within, at = [], 0
    for part in parts[:-1]:  # whether a place is inside a text
        at += len(part)
        within.append(_is_within_text("".join(parts), at))
    bare = [name.removesuffix(_AS_NUMBER) if name.endswith(_AS_NUMBER) else name for name in names]
    sample = parts[0] + "".join(("" if inside else "0") + part for inside, part in zip(within, parts[1:], strict=True))
    if why := _no_json(sample):
        if text.lstrip().startswith(("{", "[")):
            raise ValueError(f"it begins like JSON, but is none: {why}")
        return Template(parts, names, (_form_encoded,) * len(names))
    writers = tuple(
        _json_within if inside else _json_number if name != plain else _json_value
        for inside, name, plain in zip(within, names, bare, strict=True)
    )
    return Template(parts, tuple(bare), writers, is_json=True)


def _split(text: str, *, columns: bool = False) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fixed parts, and the names between them. columns: `{}` is no place."""
    parts, names, at = [], [], 0
    for place in _PLACE.finditer(text):
        name = place[1]
        if (not name and columns) or (name and not name.strip()):
            continue
        parts.append(text[at : place.start()])
        names.append(name)
        at = place.end()
    return (*parts, text[at:]), tuple(names)


def _is_within_text(text: str, at: int) -> bool:
    """Whether position *at* lies between the quotes of a JSON text."""
    return any(match.start() < at < match.end() for match in _JSON_TEXT.finditer(text))


def _no_json(text: str) -> str | None:
    """Why it is no JSON; None when it is."""
    try:
        json.loads(text)
    except ValueError as exc:
        return str(exc)
    except RecursionError:
        return "nested too deep"
    return None
